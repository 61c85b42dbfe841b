"""The script of a page without a kernel: what it brings to life, and in which order."""

from __future__ import annotations

import json
from urllib.parse import quote

from samlib.widgets import ThreeNotions

from .conftest import Open

# The ids of the figures in the order in which they come to life.
ORDER = """window.order = [];
new MutationObserver((changes) => {
  for (const { target } of changes) {
    const isNew = target.matches?.(".samlib-live") && !order.includes(target.id);
    if (isNew) order.push(target.id);
  }
}).observe(document, { subtree: true, attributeFilter: ["class"] });"""


def test_figures_in_view_come_to_life_first(open_page: Open) -> None:
    first, second, third = (ThreeNotions().to_html(id=name) for name in ("one", "two", "three"))
    # the last one stands at the top
    order = "display:flex;flex-direction:column-reverse;gap:2000px"
    figures = f'<div style="{order}">{first}{second}{third}</div>'
    page = open_page(f"<script>{ORDER}</script>{figures}")
    assert page.evaluate("order") == ["three", "one", "two"]


def test_a_configuration_may_stand_in_a_script_of_its_own(open_page: Open) -> None:
    figure = ThreeNotions(rho=0.3)
    whole = figure.to_html(id="figure")
    config = json.dumps(figure._config, ensure_ascii=False)
    script = quote(f"document.currentScript.samlibConfig = {config};")
    shared = whole.replace(config, f'"data:text/javascript,{script}"')
    assert shared != whole
    page = open_page(shared)
    alone = open_page(whole)
    text = ".samlib-readout"
    assert page.locator(text).inner_text() == alone.locator(text).inner_text()
