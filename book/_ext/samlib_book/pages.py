"""The site as a whole: its front door, and keeping what is built in step with its sources."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

FRONT_DOOR = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={target}">
</head>
<body><main><h1>{title}</h1><p><a href="{target}">Open the book</a></p></main></body>
</html>
"""


def fingerprint(files: list[Path]) -> str:
    """Return a digest of the files' names and contents."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def look_changed(app: Sphinx, env: BuildEnvironment, *_changes: set[str]) -> list[str]:
    """Return all pages if the book's styles, scripts, templates or this extension changed.

    Sphinx copies them only when it writes a page, and a page carries their checksums.
    """
    root = Path(app.srcdir)
    folders = [Path(__file__).parent, root / "book/_templates", root / "book/_mathjax"]
    folders += [root / path for path in app.config.html_static_path]
    files = [path for folder in folders for path in (folder, *folder.rglob("*")) if path.is_file()]
    current = fingerprint([path for path in files if path.suffix != ".pyc"])
    if current == getattr(env, "samlib_look", None):
        return []
    env.samlib_look = current  # type: ignore[attr-defined]
    return sorted(env.found_docs)


def write_front_door(app: Sphinx, problem: Exception | None) -> None:
    """Write the index.html at the top that leads to the landing page."""
    if problem is None and app.builder.format == "html":
        target = app.builder.get_target_uri(app.config.master_doc)
        text = FRONT_DOOR.format(title=app.config.html_title, target=target)
        Path(app.outdir, "index.html").write_text(text, encoding="utf8")


def remove_old_pages(app: Sphinx, problem: Exception | None) -> None:
    """Remove pages that an earlier build wrote and the book no longer has."""
    if problem is None and app.builder.format == "html":
        keep = {Path(app.outdir, name) for name in ("index.html", "search.html")}
        keep |= {Path(app.builder.get_outfilename(name)) for name in app.env.found_docs}
        for folder in (Path(app.outdir), *(path.parent for path in keep)):
            for page in set(folder.glob("*.html")) - keep:
                page.unlink()


def describe(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Tell the templates which page is the landing page."""
    context["is_landing"] = pagename == app.config.master_doc


def mend(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Correct what other extensions write and HTML or ARIA does not allow."""
    body = context.get("body", "")
    # the boxes of proofs, exercises and solutions repeat one id
    body = re.sub(r' id="(?:proof|exercise|solution)-content"', "", body)
    # a role that ARIA has given up, inside a list
    body = body.replace('role="doc-biblioentry"', 'role="listitem"')
    # a name that hides the words one sees: "Show the code"
    body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    # the empty corner of a table that pandas wrote is no heading
    body = body.replace("<th></th>", "<td></td>")
    context["body"] = body


def setup(app: Sphinx) -> None:
    """Register what happens around a build."""
    app.connect("env-get-outdated", look_changed)
    app.connect("html-page-context", describe)
    app.connect("html-page-context", mend)
    app.connect("build-finished", remove_old_pages)
    app.connect("build-finished", write_front_door, priority=900)
