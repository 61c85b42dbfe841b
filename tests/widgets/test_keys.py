"""Keys on the sliders: every one of every figure moves as sliders do, by steps that are seen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page

from samlib.widgets.core.traits import Whole
from tests.browser import DRAWN

from .conftest import FIGURES, Open

# The key, and the one that takes it back.
PAIRS = [("ArrowRight", "ArrowLeft"), ("ArrowUp", "ArrowDown"), ("PageUp", "PageDown")]


def value_of(page: Page, slider: Locator) -> float:
    """The number that a slider says it has."""
    page.evaluate(DRAWN)
    text = slider.get_attribute("aria-valuetext") or ""
    return float(text.replace("−", "-").replace(",", ""))


def share_of(slider: Locator) -> float:
    """Where the slider's knob is, from 0 to 1."""
    found: float = slider.evaluate("({ value, min, max }) => (value - min) / (max - min)")
    return found


@pytest.mark.parametrize("name", FIGURES)
def test_every_key_moves_every_slider(name: str, open_page: Open) -> None:
    figure = FIGURES[name]()
    page = open_page(figure.to_html(id="figure"))
    sliders = page.locator("input[type=range]:not(.samlib-scrub):visible:enabled").all()
    for slider in sliders:
        control = slider.get_attribute("data-control") or ""
        whole = control == "dimension" or isinstance(figure.traits().get(control), Whole)
        slider.press("End")
        top, high = value_of(page, slider), share_of(slider)
        slider.press("Home")
        bottom, low = value_of(page, slider), share_of(slider)
        assert (low, high) == (0, 1), control
        assert top > bottom, control
        for _ in range(3):
            slider.press("PageUp")
        for more, less in PAIRS:
            before = value_of(page, slider)
            slider.press(more)
            after = value_of(page, slider)
            assert after > before, (control, more)
            if whole and more.startswith("Arrow"):
                assert after == before + 1, (control, more)
            if not whole and more.startswith("Arrow"):  # seen, and not a leap
                assert (after - before) / (top - bottom) > 0.005 or after / before > 1.005
            slider.press(less)
            assert value_of(page, slider) == pytest.approx(before, rel=0.01), (control, less)


def test_keys_stop_at_the_ends(open_page: Open) -> None:
    page = open_page(FIGURES["Alignment"]().to_html(id="figure"))
    dimension = page.locator("input[type=range][data-control=dimension]")
    dimension.press("Home")
    bottom = value_of(page, dimension)
    for key in ("ArrowLeft", "PageDown"):
        dimension.press(key)
        assert value_of(page, dimension) == bottom
    dimension.press("End")
    top = value_of(page, dimension)
    for key in ("ArrowRight", "PageUp"):
        dimension.press(key)
        assert value_of(page, dimension) == top
    assert (bottom, top) == (2, 10)
