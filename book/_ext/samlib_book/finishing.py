"""The last pass over the finished pages, when all that writes into them is done."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from . import letters, styles
from .formulas import STYLE, set_formulas
from .pictures import make_smaller, reserve_room
from .policy import with_policy
from .trim import remove_unused, trim


def finished(html: str, path: Path) -> str:
    """Return a page as readers get it; ``path`` is where it stands in the site.

    The policy comes last: it holds the digests of the scripts that the page ends up with.
    """
    html = reserve_room(html, path.parent)
    html = trim(html, searches=path.name == "search.html")
    return with_policy(html)


def finish(app: Sphinx, problem: Exception | None) -> None:
    """Finish the pictures, then the pages, which tell their sizes, then what all pages share."""
    if problem is not None or app.builder.name != "html":
        return
    site = Path(app.outdir)
    for path in (site / app.builder.imagedir).glob("*.png"):
        make_smaller(path)
    written = {path: path.read_text(encoding="utf8") for path in site.rglob("*.html")}
    pages, style = set_formulas(written, app.config.mathjax3_config or {})
    pages = {path: finished(html, path) for path, html in pages.items()}
    for path, html in pages.items():
        if html != written[path]:
            path.write_text(html, encoding="utf8")
    if style:
        (site / "_static" / STYLE).write_text(style, encoding="utf8")
    remove_unused(site)
    styles.shorten(site / "_static", pages.values())
    letters.shorten(site)


def setup(app: Sphinx) -> None:
    """Register the pass, after Sphinx and the others have written."""
    app.connect("build-finished", finish, priority=950)
