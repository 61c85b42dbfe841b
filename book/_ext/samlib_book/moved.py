"""Old addresses keep working: those of pages that got another name, of places that changed pages.

``book/places.txt`` lists every place of a chapter that can be cited, as ``page#name``, at the
address where it was first. A name stands once in the book, so a place that its page has no more
is found by its name. A page that is gone is where its chapter's own label, ``ch-…``, is now.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sphinx.application import Sphinx

PLACES = Path("book/places.txt")

HEAD = re.compile(r"<head>\n?")
NAMES = re.compile(r'\bid="([\w.-]+)"')
SCRIPT = re.compile(r"<script data-moved>.*?</script>\n")


def new_addresses(
    places: Iterable[str], pages: Mapping[str, str]
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return by page which names are on which other page now, and by gone page, where it is now.

    Parameters
    ----------
    places
        What was cited, ``page#name``.
    pages
        The HTML of every page of the book.

    Raises
    ------
    LookupError
        If no page has the name, or none the label of a chapter that is gone.
    """
    where: dict[str, str] = {}
    known = {page: set(NAMES.findall(html)) for page, html in pages.items()}
    for page, names in known.items():
        where.update(dict.fromkeys(names, page))
    moved: dict[str, dict[str, str]] = {}
    gone: dict[str, str] = {}
    for place in places:
        page, name = place.split("#")
        if name in known.get(page, ()):
            continue
        if name not in where:
            raise LookupError(f"{place} was cited, and no page has it any more")
        moved.setdefault(page, {})[name] = where[name]
        if page not in pages and name.startswith("ch-"):
            gone[page] = where[name]
    without_label = moved.keys() - pages.keys() - gone.keys()
    if without_label:
        raise LookupError(f"the chapter of {min(without_label)} is on no page any more")
    return moved, gone


def script(page: str, moved: Mapping[str, str], otherwise: str | None = None) -> str:
    """Return what sends a reader on from a page, who asks for a name that is on another one."""
    start = os.path.dirname(page)
    to = {name: os.path.relpath(there, start) for name, there in sorted(moved.items())}
    last = json.dumps(otherwise and os.path.relpath(otherwise, start))
    return (
        f"<script data-moved>{{ const to = {json.dumps(to)}[location.hash.slice(1)] ?? {last};"
        " if (to) location.replace(to + location.hash); }</script>\n"
    )


def forwarding(page: str, there: str, moved: Mapping[str, str]) -> str:
    """Return a page that stands at the address of one that is gone, and leads to the new one."""
    to = os.path.relpath(there, os.path.dirname(page))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"{script(page, moved, there)}"
        f'<noscript><meta http-equiv="refresh" content="0; url={to}"></noscript>\n'
        f'<link rel="canonical" href="{to}">\n<meta name="robots" content="noindex">\n'
        "<title>This chapter has moved</title>\n</head>\n"
        f'<body><p>This chapter has moved <a href="{to}">here</a>.</p></body>\n</html>\n'
    )


def forward(app: Sphinx, problem: Exception | None) -> None:
    """Make the addresses in ``book/places.txt`` lead to where the places are now."""
    listed = Path(app.srcdir) / PLACES
    if problem is not None or app.builder.name != "html" or not listed.exists():
        return
    site = Path(app.outdir)
    built = [app.builder.get_target_uri(name) for name in app.env.found_docs]
    pages = {page: (site / page).read_text("utf8") for page in built}
    moved, gone = new_addresses(listed.read_text("utf8").split(), pages)
    for page in moved.keys() & pages.keys():
        html = with_script(pages[page], script(page, moved[page]))
        (site / page).write_text(html, "utf8")
    for page, there in gone.items():
        (site / page).write_text(forwarding(page, there, moved[page]), "utf8")


def with_script(html: str, text: str) -> str:
    """Return a page with this script of ours, and no earlier one, as the first in its head."""
    return HEAD.sub(lambda found: found[0] + text, SCRIPT.sub("", html), count=1)


def setup(app: Sphinx) -> None:
    """Register the pass: after the pages are written, before they are finished."""
    app.connect("build-finished", forward, priority=900)
