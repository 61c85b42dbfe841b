"""Pictures as files of their own, fetched only where the reader comes near them.

A figure carries its still inside the page, so that a notebook shows it anywhere. On the site that
would be the larger part of every page, for a picture that the live figure replaces at once.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

INLINE = re.compile(r'src="data:image/png;base64,([A-Za-z0-9+/=]+)"')
IMAGE = re.compile(r"<img\b[^>]*>")
SOURCE = re.compile(r'\bsrc="([^"]+)"')


def move_out(body: str, folder: Path, address: str) -> str:
    """Write the pictures that a page holds inside its HTML to a folder, and refer to them there.

    ``address`` leads from the page to that folder.
    """

    def write(found: re.Match[str]) -> str:
        content = base64.b64decode(found[1])
        path = folder / f"still-{hashlib.sha256(content).hexdigest()[:20]}.png"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            make_smaller(path)
        return f'src="{address}/{path.name}"'

    return INLINE.sub(write, body)


def make_smaller(path: Path) -> None:
    """Give a picture in PNG a palette of 256 colours, unless it has one: a third of the size.

    A plot has a few colours and the shades between them at the edges of its lines, so that nobody
    sees the difference. A picture with transparent parts stays as it is.
    """
    with Image.open(path) as image:
        if image.mode == "P" or (image.mode == "RGBA" and image.getextrema()[3][0] < 255):
            return
        palette = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    palette.save(path, optimize=True)


def make_all_smaller(app: Sphinx, problem: Exception | None) -> None:
    """Do so for the plots of the chapters, once they are copied."""
    if problem is None and app.builder.name == "html":
        for path in Path(app.outdir, app.builder.imagedir).glob("*.png"):
            make_smaller(path)


def reserve_room(body: str, page_folder: Path) -> str:
    """Have each picture fetched late, and kept room for until then, so that nothing jumps."""

    def complete(found: re.Match[str]) -> str:
        tag = found[0]
        if "loading=" in tag:
            return tag
        source = SOURCE.search(tag)
        added = ' loading="lazy" decoding="async"'
        path = page_folder / source[1] if source else None
        if path is not None and path.suffix == ".png" and path.is_file() and "width=" not in tag:
            with Image.open(path) as image:
                added += f' width="{image.width}" height="{image.height}"'
        return f"<img{added}{tag.removeprefix('<img')}"

    return IMAGE.sub(complete, body)


def mend_pictures(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Do both for a page that is about to be written."""
    if app.builder.format != "html" or "body" not in context:
        return
    folder = Path(app.outdir, app.builder.imagedir)
    page = Path(app.builder.get_outfilename(pagename))
    body = move_out(context["body"], folder, context["pathto"](app.builder.imagedir, 1))
    context["body"] = reserve_room(body, page.parent)


def setup(app: Sphinx) -> None:
    """Register what happens to each page."""
    app.connect("html-page-context", mend_pictures, priority=900)
    app.connect("build-finished", make_all_smaller)
