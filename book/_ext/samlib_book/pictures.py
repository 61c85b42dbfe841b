"""Pictures as files of their own, fetched only where the reader comes near them.

A figure carries its still inside the page, so that a notebook shows it anywhere. On the site that
would be the larger part of every page, for a picture that the live figure replaces at once.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

COLOURS = 256
INLINE = re.compile(r'src="data:image/png;base64,([A-Za-z0-9+/=]+)"')
IMAGE = re.compile(r"<img\b[^>]*>")
SOURCE = re.compile(r'\bsrc="([^"]+)"')


def move_out(body: str, folder: Path, address: str) -> str:
    """Write the pictures that a page holds inside its HTML to a folder, and refer to them there.

    ``address`` leads from the page to that folder.
    """

    def write(found: re.Match[str]) -> str:
        content = base64.b64decode(found[1])
        path = folder / f"still-{hashlib.sha256(content).hexdigest()[:20]}.webp"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with Image.open(io.BytesIO(content)) as image:
                few = with_palette(image)
            # without loss, and a fifth smaller than as a PNG
            few.convert("RGB").save(path, lossless=True, quality=100, method=6)
        return f'src="{address}/{path.name}"'

    return INLINE.sub(write, body)


def with_palette(image: Image.Image) -> Image.Image:
    """Return a picture with 256 colours.

    A plot has a few colours and the shades between them at the edges of its lines, so that nobody
    sees the difference.
    """
    return image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


def make_smaller(path: Path) -> None:
    """Give a picture in PNG a palette, unless it has one: a third of the size.

    A picture with transparent parts stays as it is.
    """
    with Image.open(path) as image:
        if image.mode == "P" or (image.mode == "RGBA" and image.getextrema()[3][0] < 255):
            return
        few = with_palette(image)
    few.save(path, optimize=True)


def reserve_room(body: str, page_folder: Path) -> str:
    """Have each picture fetched late, and kept room for until then, so that nothing jumps."""

    def complete(found: re.Match[str]) -> str:
        tag = found[0]
        if "loading=" in tag:
            return tag
        source = SOURCE.search(tag)
        added = ' loading="lazy" decoding="async"'
        path = page_folder / source[1] if source else None
        if (
            path is not None
            and path.suffix in (".png", ".webp")
            and path.is_file()
            and "width=" not in tag
        ):
            with Image.open(path) as image:
                added += f' width="{image.width}" height="{image.height}"'
        return f"<img{added}{tag.removeprefix('<img')}"

    return IMAGE.sub(complete, body)


def take_out_stills(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Make files of the pictures inside a page that is about to be written."""
    if app.builder.name == "html" and "body" in context:
        folder = Path(app.outdir, app.builder.imagedir)
        address = context["pathto"](app.builder.imagedir, 1)
        context["body"] = move_out(context["body"], folder, address)


def setup(app: Sphinx) -> None:
    """Register what happens to each page."""
    app.connect("html-page-context", take_out_stills, priority=900)
