"""What a figure shows at a moment, read from its page."""

from __future__ import annotations

from typing import Any

import pytest
import traitlets
from playwright.sync_api import Page

from tests.browser import DRAWN

from .conftest import Open

# What is empty between the sentence and what stands below it, in pixels.
EMPTY = """() => {
  const readout = document.querySelector(".samlib-readout");
  const text = document.createRange();
  text.selectNodeContents(readout);
  return readout.getBoundingClientRect().bottom - text.getBoundingClientRect().bottom;
}"""

WIDTHS = (360, 400, 500, 620, 680, 700, 760, 1000)


def pictures(page: Page) -> list[str]:
    """The content of every canvas that is shown."""
    page.evaluate(DRAWN)
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll("canvas")]
          .filter((canvas) => canvas.getClientRects().length)
          .map((canvas) => canvas.toDataURL())"""
    )
    return found


def readout(page: Page) -> str:
    """The sentence."""
    page.evaluate(DRAWN)
    return page.locator(".samlib-readout").first.inner_text()


def fields(page: Page) -> dict[str, str]:
    """The number fields by name."""
    page.evaluate(DRAWN)
    found: dict[str, str] = page.evaluate(
        """Object.fromEntries([...document.querySelectorAll("[data-field]")]
          .map((field) => [field.dataset.field, field.value]))"""
    )
    return found


def fill(page: Page, field: str, value: str) -> None:
    """Type a value into a number field and leave it."""
    page.locator(f"[data-field='{field}']").fill(value)
    page.locator(f"[data-field='{field}']").press("Enter")
    page.evaluate(DRAWN)


def has_colour(page: Page, red: int, green: int, blue: int, *, canvas: int = 0) -> bool:
    """Is there a pixel of this colour on a canvas, the first unless told otherwise?"""
    page.evaluate(DRAWN)
    found: bool = page.evaluate(
        """([r, g, b, which]) => {
          const canvas = document.querySelectorAll("canvas")[which];
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          for (let i = 0; i < data.length; i += 4) {
            if (data[i] === r && data[i + 1] === g && data[i + 2] === b) return true;
          }
          return false;
        }""",
        [red, green, blue, canvas],
    )
    return found


def press(page: Page, selector: str, *keys: str) -> None:
    """Focus a control, press keys, and wait until the answer is drawn."""
    page.locator(selector).first.focus()
    for key in keys:
        page.keyboard.press(key)
    page.evaluate(DRAWN)


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the figure, and where."""
    page.evaluate(DRAWN)
    page.add_script_tag(path="node_modules/axe-core/axe.min.js")
    found: list[str] = page.evaluate(
        """async () => (await axe.run(".samlib-figure")).violations
          .map((v) => v.id + ": " + v.nodes.map((n) => n.html).join(" "))"""
    )
    return found


def misfits(page: Page) -> list[str]:
    """Every text of the figure that leaves it at a side or is smaller than 12 px."""
    page.evaluate(DRAWN)
    found: list[str] = page.evaluate(
        """() => {
          const figure = document.querySelector(".samlib-body").getBoundingClientRect();
          const texts = ".samlib-body :is(text, span, label, button, p, li)";
          return [...document.querySelectorAll(texts)]
            .filter((e) => e.textContent && e.getClientRects().length)
            .filter((e) => !e.closest(".samlib-hidden"))
            .filter((e) => {
              const box = e.getBoundingClientRect();
              return box.left < figure.left || box.right > figure.right
                || parseFloat(getComputedStyle(e).fontSize) < 12;
            }).map((e) => e.textContent);
        }"""
    )
    return found


def assert_refused(figure_class: Any, traits: dict[str, Any], message: str) -> None:
    """The class refuses a value with its reason, and so does a figure, which stays as it was."""
    with pytest.raises(ValueError, match=message):
        figure_class(**traits)
    figure = figure_class()
    before = figure.state()
    name, value = next(iter(traits.items()))
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(figure, name, value)
    assert figure.state() == before


def assert_nothing_jumps(open_page: Open, placeholder: str) -> None:
    """The still is as high as the figure that takes its place, and there is no empty room."""
    still, live = (
        open_page(placeholder, scripts=scripts, panels=False) for scripts in (False, True)
    )
    for width in WIDTHS:
        heights = []
        for page in (still, live):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(DRAWN)
            heights.append(page.locator("[data-samlib-widget]").evaluate("(e) => e.offsetHeight"))
        assert abs(heights[0] - heights[1]) <= 24, (width, heights)
        assert live.evaluate(EMPTY) <= 110, width  # five lines, for a longer sentence


def assert_accessible(page: Page, theme: str) -> None:
    """In the dark the pictures are others, and axe-core finds nothing wrong in either theme."""
    light = pictures(page)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    assert (pictures(page) == light) == (theme == "light")
    assert violations(page) == []
