"""Fonts with the characters that the site has, and no others."""

from __future__ import annotations

import html
import logging
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from fontTools import subset

from .formulas import MATHJAX, STYLE

# What any text may come to have, a number in a field, words in the search; and all of Greek, of
# superscripts, subscripts and ligatures: how one of these is fitted to a screen's pixels, others of
# its kind and the features of the font decide, so that these stay, too.
RANGES = (
    (0x20, 0x7E), (0x2B0, 0x2FF), (0x370, 0x3FF), (0x1D2C, 0x1D6A), (0x2070, 0x209F),
    (0xFB00, 0xFB06),
)  # fmt: skip
ALWAYS = {chr(code) for first, last in RANGES for code in range(first, last + 1)}

# A character as style sheets may write it: \2713.
ESCAPED = re.compile(r"\\([0-9a-fA-F]{2,6})")

# In MathJax's styles: a font with its file, and the sign that an element shows.
FACE = re.compile(
    r'@font-face[^{]*\{\s*font-family: ([\w-]+);\s*src: url\("mathjax/([\w-]+)\.woff2"'
)
CONTENT = re.compile(r'content: "([^"]*)"')

# What it takes out it would tell at length.
logging.getLogger(subset.__name__).setLevel(logging.WARNING)

# The only character of the font by which MathJax sets how high the lines of a formula are.
ZERO = "\ueffc"


def unescaped(style: str) -> set[str]:
    """Return the characters of a style sheet, also those that it writes as numbers."""
    codes = (int(code, 16) for code in ESCAPED.findall(style))
    return {*style, *(chr(code) for code in codes if code <= sys.maxunicode)}


def characters(site: Path) -> set[str]:
    """Return the characters of a site's pages, styles and scripts, but for those of formulas."""
    found = set(ALWAYS)
    for path in site.rglob("*.html"):
        found.update(html.unescape(path.read_text(encoding="utf8")))
    for path in site.rglob("*.js"):
        found.update(path.read_text(encoding="utf8"))
    for path in site.rglob("*.css"):
        if path.name != STYLE:
            found.update(unescaped(path.read_text(encoding="utf8")))
    return found


def write_subset(source: Path, target: Path, wanted: Iterable[str]) -> None:
    """Write a font that has only the wanted characters, in the format WOFF2.

    Nothing is written if ``source`` has no others and is ``target``.
    """
    options = subset.Options(flavor="woff2", layout_features=["*"], name_IDs=["*"])
    options.drop_tables += ["FFTM"]  # when FontForge wrote the font
    font = subset.load_font(str(source), options)
    codes = set(font.getBestCmap()) & {ord(character) for character in wanted}
    if source == target and codes == set(font.getBestCmap()):
        return
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=codes)
    subsetter.subset(font)
    target.parent.mkdir(parents=True, exist_ok=True)
    subset.save_font(font, str(target), options)


def families_used(style: str) -> Iterable[str]:
    """Return the files of the fonts that a rule of MathJax's styles asks for, without endings."""
    for family, name in FACE.findall(style):
        if len(re.findall(rf"{re.escape(family)}(?![\w-])", style)) > 1:
            yield name


def shorten(site: Path) -> None:
    """Leave in the book's fonts what the site has, bring of MathJax's what its formulas have."""
    static = site / "_static"
    wanted = characters(site)
    for path in static.glob("fonts/*.woff2"):
        write_subset(path, path, wanted)
    style = static / STYLE
    if style.is_file():
        text = style.read_text(encoding="utf8")
        signs = {ZERO, *unescaped("".join(CONTENT.findall(text)))}
        for name in families_used(text):
            target = static / "mathjax" / f"{name}.woff2"
            write_subset(MATHJAX / "fonts" / f"{name}.woff", target, signs)
        shutil.copy(MATHJAX / "LICENSE", static / "mathjax")
