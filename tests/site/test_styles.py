"""Styles and fonts of the site are shortened to what its pages use, and to no less."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pydata_sphinx_theme
import pytest
from fontTools.ttLib import TTFont

from .conftest import LANDING, ROOT, Visit, built_pages

Part = Callable[[str], ModuleType]

THEME = "styles/pydata-sphinx-theme.css"
FONTS = sorted((ROOT / "book/assets/fonts").glob("*.woff2"))

# The selectors of a style sheet that fit an element of the page, states and generated parts aside.
FITTING = r"""(text) => {
  const sheet = new CSSStyleSheet(), found = new Set();
  sheet.replaceSync(text);
  const state = /::[\w-]+|:(hover|focus|focus-visible|focus-within|active|before|after|target)\b/g;
  const plain = (selector) => selector.replace(state, "");
  const fits = (selector) => {
    try { return document.querySelector(plain(selector) || "*"); } catch { return false; }
  };
  const visit = (rules) => {
    for (const rule of rules) {
      if (rule.selectorText) {
        const each = rule.selectorText.split(/,(?![^(]*\))/).filter(fits);
        each.forEach((selector) => found.add(selector.trim()));
      } else if (rule.cssRules && !(rule instanceof CSSKeyframesRule)) visit(rule.cssRules);
    }
  };
  visit(sheet.cssRules);
  return [...found];
}"""


def test_rules_for_what_is_nowhere_go_and_all_others_stay(part: Part) -> None:
    styles = part("styles")
    kept = (
        ".here{color:red}",
        "#place a:hover{color:red}",
        '.here:not(.gone)::before{content:"a"}',
        ":is(.gone,.here){color:red}",
        '[class*="gone"]{color:red}',
        ".here\\/2{color:red}",
        ".bs-popover-top{color:red}",
        "@font-face{font-family:x}",
        "@keyframes gone{from{color:red}}",
        ":root{--x:1}",
        "*{color:red}",
    )
    gone = (".gone{color:red}", "#gone{color:red}", ".here .gone{color:red}", "mjx-gone{color:red}")
    half = ".gone,.here > a{color:red}"
    inside = "@media print{.gone{color:red}.here{color:blue}} @media screen{.gone{color:red}}"
    names = styles.names_in(['<div id="place" class="here two"><a>'])
    left = styles.without_unused("".join([*kept, *gone, half, inside]), names)
    squeezed = re.sub(r"\s", "", left)
    for rule in kept:
        assert rule.replace(" ", "") in squeezed
    assert squeezed.count("gone") == sum(rule.count("gone") for rule in kept)
    assert ".here>a{color:red}" in squeezed
    assert "@mediaprint{.here{color:blue}}" in squeezed
    assert "@mediascreen" not in squeezed
    assert styles.without_unused(left, names) == left


@pytest.mark.parametrize(
    "path", [LANDING, "chapters/05_alignment.html", "book/library/training_loop.html"]
)
def test_every_rule_of_the_theme_that_fits_a_page_is_kept(
    visit: Visit, book: Path, path: str
) -> None:
    page = visit(path)
    page.evaluate("document.querySelectorAll('dialog').forEach((dialog) => dialog.show())")
    folder = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
    whole = page.evaluate(FITTING, (folder / THEME).read_text("utf8"))
    left = page.evaluate(FITTING, (book / "_static" / THEME).read_text("utf8"))
    assert len(whole) > 200
    assert set(whole) - set(left) == set()


@pytest.mark.parametrize("path", FONTS, ids=lambda path: path.stem)
def test_a_font_has_every_character_of_the_pages_that_it_had(book: Path, path: Path) -> None:
    before = set(TTFont(path).getBestCmap())
    after = set(TTFont(book / "_static/fonts" / path.name).getBestCmap())
    pages = [html.unescape((book / page).read_text("utf8")) for page in built_pages()]
    script = (book / "_static/samlib-widgets.js").read_text("utf8")
    used = {ord(character) for character in "".join([*pages, script])}
    assert after <= before
    assert before & (used | set(range(0x20, 0x7F))) <= after


def test_a_shortened_font_keeps_its_figures_of_one_width(part: Part, tmp_path: Path) -> None:
    (source,) = (path for path in FONTS if path.stem == "serif")
    part("letters").write_subset(source, tmp_path / "a.woff2", "0123456789 ρ∮")
    font = TTFont(tmp_path / "a.woff2")
    assert set(font.getBestCmap()) == {*map(ord, "0123456789 ρ")}
    names = font.getBestCmap()
    assert len({font["hmtx"][names[ord(digit)]][0] for digit in "0123456789"}) == 1
    again = (tmp_path / "a.woff2").read_bytes()
    part("letters").write_subset(tmp_path / "a.woff2", tmp_path / "a.woff2", "0123456789 ρ")
    assert (tmp_path / "a.woff2").read_bytes() == again


def test_a_large_configuration_is_a_script_that_pages_share(part: Part, tmp_path: Path) -> None:
    def body(config: object) -> str:
        state = json.dumps({"_figure": "A", "_config": config, "rho": 0.5}).replace("<", "\\u003c")
        return f'<p></p><script type="application/json">{state}</script><p></p>'

    small, large = {"a": 1}, {"a": "</script>" * 3000}
    move_out = part("figures").move_out
    assert move_out(body(small), tmp_path, "a/b") == body(small)
    left = move_out(body(large), tmp_path, "a/b")
    (path,) = tmp_path.iterdir()
    assert left == body(f"a/b/{path.name}")
    assert move_out(body(large), tmp_path, "a/b") == left
    script = path.read_text("utf8")
    assert "</script" not in script
    _, _, config = script.removesuffix(";\n").partition(" = ")
    assert json.loads(config) == large


def test_pages_with_the_same_large_configuration_share_one_script(book: Path) -> None:
    script = re.compile(r'"\.\./_static/figures/(\w+)\.js"')
    texts = [(book / page).read_text("utf8") for page in built_pages()]
    found = [name for text in texts for name in script.findall(text)]
    assert len(found) > len(set(found)) > 0
    assert {path.stem for path in (book / "_static/figures").iterdir()} >= set(found)
