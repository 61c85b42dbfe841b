"""Formulas are set when the book is built, as MathJax sets them, and can be read aloud."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from fontTools.ttLib import TTFont
from sphinx.errors import ExtensionError

from .conftest import BOOK, Visit

Part = Callable[[str], ModuleType]
INLINE = '<p><span class="math notranslate nohighlight">\\({}\\)</span></p>'

# What each element that shows a sign shows, and the fonts that it may come from. (A part of a
# stretched sign may be empty.)
SIGNS = """(all) => all.map((element) => {
  const { content, fontFamily } = getComputedStyle(element, "::before");
  return [JSON.parse(content), fontFamily];
}).filter(([content]) => content)"""


def set_one(part: Part, html: str, **tex: object) -> str:
    pages, _ = part("formulas").set_formulas({Path("a"): html}, {"tex": tex})
    return str(pages[Path("a")])


def test_a_formula_is_set_and_comes_in_mathml_for_screen_readers(part: Part) -> None:
    html = set_one(part, INLINE.format(r"\half x^2 &lt; y"), macros={"half": r"\frac{1}{2}"})
    (mathml,) = re.findall(r"<math [^>]*>(.*?)</math>", html)
    assert mathml == (
        "<mfrac><mn>1</mn><mn>2</mn></mfrac><msup><mi>x</mi><mn>2</mn></msup>"
        "<mo>&lt;</mo><mi>y</mi>"
    )
    assert html.startswith('<p><span class="math notranslate nohighlight"><mjx-container')
    assert html.endswith("</mjx-container></span></p>")
    assert "\\" not in html


def test_a_displayed_formula_keeps_its_number(part: Part) -> None:
    number = '<span class="eqno">(1.2)<a class="headerlink" href="#e">#</a></span>'
    html = f'<div class="math notranslate nohighlight" id="e">\n{number}\\[x\\]</div>'
    done = set_one(part, html)
    assert done.startswith(html[: html.index("\\[")] + "<mjx-container")
    assert 'display="true"' in done


def test_what_is_set_stays_and_text_outside_formulas_too(part: Part) -> None:
    html = set_one(part, INLINE.format("x") + r"<code>\(x\)</code>")
    assert r"<code>\(x\)</code>" in html
    pages, style = part("formulas").set_formulas({Path("a"): html}, {})
    assert pages == {Path("a"): html}
    assert style == ""


def test_a_failure_of_mathjax_ends_the_build(
    part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part("formulas"), "MATHJAX", tmp_path)
    with pytest.raises(ExtensionError, match="MathJax failed"):
        set_one(part, INLINE.format("x"))


def test_no_page_leaves_a_formula_to_its_reader(book: Path, page_path: str) -> None:
    html = (book / page_path).read_text("utf8")
    elements = re.findall(r'<(?:span|div) class="math notranslate', html)
    formulas = re.findall(r"<mjx-container.*?</mjx-container>", html)
    assert len(formulas) == len(elements)
    assert all("<mjx-assistive-mml" in formula for formula in formulas)
    assert not re.search(r"<script[^>]*mathjax", html, re.IGNORECASE)


@cache
def has(font: str) -> set[int]:
    """Return the characters of one of MathJax's fonts on the site, by the name of its family."""
    style = (BOOK / "_static/mathjax.css").read_text("utf8")
    found = re.search(rf'font-family: {re.escape(font)};\s*src: url\("([^"]*)"\)', style)
    path = BOOK / "_static" / found[1] if found else None
    return set(TTFont(path).getBestCmap()) if path and path.is_file() else set()


@pytest.mark.parametrize(
    "path",
    ["book/notation.html", "chapters/01_why_sharpness.html", "chapters/07_limiting_flow.html"],
)
def test_each_sign_of_a_formula_is_in_the_fonts_of_the_site(visit: Visit, path: str) -> None:
    signs = visit(path).locator("mjx-c").evaluate_all(SIGNS)
    assert len(signs) > 300
    missing = {
        (sign, fonts)
        for text, fonts in map(tuple, signs)
        for sign in text
        if not any(ord(sign) in has(font.strip()) for font in fonts.split(","))
    }
    assert missing == set()
