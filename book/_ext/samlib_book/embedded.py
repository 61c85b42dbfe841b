"""A page for each kind of figure that holds nothing else, to be shown inside other pages.

The page ``chapters/figures`` has every kind of figure. The first of each also gets a page of its
own in the folder ``figures``: the figures' script and style, the placeholder, and a line that says
where it is from. Every placeholder of the book is told (``data-embed``) where the page of its kind
is, if a link carries all that tells the two apart; the figure then offers the code that embeds it.

All that a page asks for is its own site's, so it works inside any other site, and from a folder.
Whether others may frame it, a policy inside a page cannot say: a host that forbids framing by its
headers (``X-Frame-Options``, ``frame-ancestors``) has to leave this folder out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

SOURCE = "chapters/figures.html"
FOLDER = "figures"  # as deep as the source, whose placeholders name files relative to it

PLACEHOLDER = re.compile(
    r'<div class="samlib-figure" data-samlib-widget="(?P<kind>\w+)" id="(?P<id>[^"]*)"'
    r"(?P<attributes>[^>]*)>"
    r'(?P<content>\s*<script type="application/json">(?P<state>.*?)</script>.*?</figure>)</div>',
    re.DOTALL,
)
EMBED = re.compile(r' data-embed="[^"]*"')

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title} – {book}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<link rel="stylesheet" href="../_static/samlib-widgets.css">
<link rel="stylesheet" href="../_static/embed.css">
<script type="text/javascript" src="../_static/embed.js"></script>
<script defer src="../_static/samlib-widgets.js"></script>
</head>
<body>
<main>
<h1>{title}</h1>
{figure}
</main>
<footer><a href="../{source}#{id}" target="_blank" rel="noopener">{book}</a>
<button type="button" hidden aria-pressed="false">All pictures and controls</button></footer>
</body>
</html>
"""


def name_of(kind: str) -> str:
    """Return the name of the page of a kind, which is its figure's name in links, too."""
    return kind.lower()


def title_of(kind: str) -> str:
    """Return the name of a kind in words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).capitalize()


def firsts(html: str) -> dict[str, re.Match[str]]:
    """Return the first placeholder of each kind on a page."""
    found: dict[str, re.Match[str]] = {}
    for placeholder in PLACEHOLDER.finditer(html):
        found.setdefault(placeholder["kind"], placeholder)
    return found


def given(placeholder: re.Match[str]) -> Mapping[str, Any]:
    """Return what a placeholder carries beside the traits, which no link can carry."""
    state = json.loads(placeholder["state"])
    return {name: value for name, value in state.items() if name.startswith("_")}


def page_of(placeholder: re.Match[str], book: str) -> str:
    """Return the page that holds one figure alone."""
    kind = placeholder["kind"]
    attributes = EMBED.sub("", placeholder["attributes"])
    name = name_of(kind)
    figure = (
        f'<div class="samlib-figure" data-samlib-widget="{kind}" id="{name}" '
        f'data-embed="{name}.html"{attributes}>{placeholder["content"]}</div>'
    )
    return PAGE.format(
        title=title_of(kind), book=escape(book), figure=figure, source=SOURCE, id=placeholder["id"]
    )


def with_addresses(html: str, page: str, shown: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a page whose placeholders name the pages of their kinds, which hold ``shown``."""

    def tell(placeholder: re.Match[str]) -> str:
        opening, rest = placeholder[0].split(">", 1)
        opening = EMBED.sub("", opening)
        kind = placeholder["kind"]
        if kind in shown and given(placeholder) == shown[kind]:
            there = os.path.relpath(f"{FOLDER}/{name_of(kind)}.html", os.path.dirname(page))
            opening += f' data-embed="{there}"'
        return f"{opening}>{rest}"

    return PLACEHOLDER.sub(tell, html)


def embed(app: Sphinx, problem: Exception | None) -> None:
    """Write the pages, and tell the book's placeholders of them."""
    if problem is not None or app.builder.name != "html":
        return
    site = Path(app.outdir)
    shutil.rmtree(site / FOLDER, ignore_errors=True)
    if not (site / SOURCE).is_file():
        return
    figures = firsts((site / SOURCE).read_text("utf8"))
    (site / FOLDER).mkdir()
    for kind, placeholder in figures.items():
        page = page_of(placeholder, app.config.html_title)
        (site / FOLDER / f"{name_of(kind)}.html").write_text(page, "utf8")
    shown = {kind: given(placeholder) for kind, placeholder in figures.items()}
    for path in (app.builder.get_target_uri(name) for name in app.env.found_docs):
        html = (site / path).read_text("utf8")
        told = with_addresses(html, path, shown)
        if told != html:
            (site / path).write_text(told, "utf8")


def setup(app: Sphinx) -> None:
    """Register the pass: after the pages are written, before they are finished."""
    app.connect("build-finished", embed, priority=920)
