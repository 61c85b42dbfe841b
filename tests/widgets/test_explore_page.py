"""The figure Explore on a page, without a kernel and with one."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from torch import nn

from samlib.widgets import Explore, explore
from samlib.widgets.core.figure import STATIC
from tests.sharing import share

from .conftest import ADDRESS, Open
from .exploring import PATIENCE, RADII, ROWS, Gate, state_of
from .reading import (
    DRAWN,
    assert_accessible,
    assert_nothing_jumps,
    fields,
    fill,
    has_colour,
    misfits,
    pictures,
    press,
    readout,
)

# ── The page without a kernel ────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def placeholder(measured: Explore) -> str:
    return measured.to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


def numbers(text: str) -> list[float]:
    """The numbers of a text, as the page and as Python write them."""
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
    plain = re.sub(r"·10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: "e" + m[1].translate(digits), text)
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", plain.translate(digits))]


def test_the_page_says_what_python_says(page: Page, measured: Explore) -> None:
    ours, python = readout(page), measured.sentence()
    assert ours.startswith("Sequential with 92 parameters, L = ")
    for text in (ours, python):
        assert len(numbers(text)) == 10
    np.testing.assert_allclose(numbers(ours), numbers(python), rtol=2e-3)


def test_the_table_has_pythons_numbers_with_their_errors(page: Page, measured: Explore) -> None:
    rows = page.locator(".samlib-numbers tbody tr")
    result = measured.results[RADII[0]]
    for i, notion in enumerate(("worst", "ascent", "average")):
        cells = rows.nth(i).locator("td").all_inner_texts()
        sharpness = result.sharpness[notion]
        assert numbers(cells[0])[0] == pytest.approx(float(sharpness.value), rel=5e-3)
        assert numbers(cells[2])[0] == pytest.approx(result.predicted[notion], rel=5e-3)
        if notion != "ascent":
            assert numbers(cells[1])[0] == pytest.approx(float(sharpness.error), rel=0.5)
    assert rows.nth(0).inner_text().split("\t")[1].startswith("at least")
    assert rows.nth(0).locator("td").nth(1).inner_text().startswith("+")
    assert "rounding" in rows.nth(1).inner_text()
    assert "±" in rows.nth(2).inner_text()


def test_without_a_kernel_every_control_that_is_shown_works(page: Page) -> None:
    slider = page.locator("[type=range][data-control='rho']")
    assert slider.is_enabled()
    steps = {"ArrowRight": 0.4, "ArrowUp": 0.4, "ArrowLeft": 0.05, "End": 0.4, "Home": 0.05}
    steps |= {"PageUp": 0.4, "PageDown": 0.05, "ArrowDown": 0.05}
    for key, rho in steps.items():
        slider.press(key)
        assert f"within ρ = {rho}" in readout(page), key
    middle = slider.bounding_box()
    assert middle is not None
    page.mouse.click(middle["x"] + 0.9 * middle["width"], middle["y"] + middle["height"] / 2)
    assert "within ρ = 0.4" in readout(page)
    fill(page, "rho", "0.06")
    assert "within ρ = 0.05" in readout(page)
    assert fields(page)["rho"] == "0.05"
    text = "Measured beforehand at 2 radii; ρ goes from one to the next."
    assert page.locator(".samlib-stage-text").inner_text() == text
    for control in ("cancel", "sweep"):
        assert not page.locator(f"[data-control='{control}']").is_visible()


def test_without_a_kernel_and_with_one_radius_there_is_nothing_to_move(
    open_page: Open, gated: tuple[Explore, Gate]
) -> None:
    page = open_page(gated[0].to_html(id="figure"))
    assert not page.locator("[type=range][data-control='rho']").is_visible()
    text = "Measured beforehand, at this radius only."
    assert page.locator(".samlib-stage-text").inner_text() == text


def test_the_arrow_keys_go_through_what_was_measured(page: Page) -> None:
    before = pictures(page), readout(page)
    handle = page.locator("[data-control='radius']")
    assert handle.get_attribute("aria-valuetext") == "0.05"
    press(page, "[data-control='radius']", "ArrowRight")
    assert fields(page)["rho"] == "0.4"
    assert handle.get_attribute("aria-valuetext") == "0.4"
    assert "within ρ = 0.4" in readout(page)
    after = pictures(page)
    # The curves, the ρ picked; the eigenvalues stay.
    assert [a == b for a, b in zip(before[0], after, strict=True)] == [False, False, True, True]
    press(page, "[data-control='radius']", "ArrowRight", "ArrowLeft")
    assert (pictures(page), readout(page)) == before
    press(page, "[data-control='radius']", "ArrowLeft")
    assert readout(page) == before[1]


def test_the_curves_and_marks_are_drawn_in_their_colours(page: Page) -> None:
    for colour in ((0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2), (0x00, 0x9E, 0x73)):
        assert has_colour(page, *colour)
        assert has_colour(page, *colour, canvas=1)
    assert has_colour(page, 0x5C, 0x65, 0x70, canvas=1)  # the random direction


def test_dragging_picks_the_nearest_radius(page: Page) -> None:
    box = page.locator("[data-control='radius'] .samlib-ring").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 190, y, steps=4)
    page.mouse.up()
    assert fields(page)["rho"] == "0.4"
    page.locator("[data-control='reset']").click()
    assert fields(page)["rho"] == "0.05"


def test_a_link_brings_back_the_radius(open_page: Open, page: Page, placeholder: str) -> None:
    press(page, "[data-control='radius']", "ArrowRight")
    share(page, "link")
    again = open_page(placeholder, fragment=page.url.removeprefix(ADDRESS))
    assert readout(again) == readout(page)
    assert pictures(again) == pictures(page)
    for fragment, message in {
        "rho=abc": "ρ = “abc” is not a number and was ignored",
        "rho=-3": "ρ = -3 was moved to 0.000001",
    }.items():
        page.evaluate("(fragment) => { location.hash = fragment; }", f"#figure:{fragment}")
        expect(page.locator(".samlib-note")).to_contain_text(message)
        assert "within ρ = 0.05" in readout(page)


def test_it_fits_and_every_text_can_be_read(page: Page) -> None:
    for width in (360, 800):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert misfits(page) == []


def test_nothing_jumps(open_page: Open, placeholder: str) -> None:
    assert_nothing_jumps(open_page, placeholder)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_in_both_themes(page: Page, theme: str) -> None:
    assert_accessible(page, theme)


def test_the_placeholder_has_a_still_and_a_sentence(open_page: Open, measured: Explore) -> None:
    assert measured.still().startswith(b"\x89PNG")
    page = open_page(measured.to_html(), scripts=False)
    assert page.locator("figcaption").inner_text() == measured.sentence()
    assert page.locator("figure img").evaluate("(i) => i.complete && i.naturalWidth > 500")


def test_before_anything_is_measured_there_is_a_page_too(
    open_page: Open, gated: tuple[Explore, Gate]
) -> None:
    _, gate = gated
    figure = explore(nn.Linear(2, 1), gate, ROWS)
    gate.open.clear()
    figure.cancel()
    gate.open.set()
    figure.wait(PATIENCE)
    if figure.point is None:
        assert figure.sentence() == "Linear with 3 parameters: nothing is measured yet."
    page = open_page(figure.to_html())
    assert "measured yet" in readout(page)
    assert misfits(page) == []
    assert repr(figure) == "Explore(Linear with 3 parameters, rho=0.05, 0 radii measured)"
    figure.close()


# ── The page with a kernel, played by the test ───────────────────────────────────────────────────

KERNEL = """async (state) => {
  const { render } = await import("/samlib-widgets.esm.js");
  const listeners = new Map();
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  window.sent = [];
  window.saved = 0;
  window.state = state;
  window.fire = (event) => (listeners.get(event) ?? []).forEach((listener) => listener());
  window.put = (changes) => {
    for (const [name, value] of Object.entries(changes)) {
      state[name] = value;
      window.fire("change:" + name);
    }
  };
  render({ el, model: {
    get: (name) => state[name],
    set: (name, value) => window.put({ [name]: value }),
    save_changes: () => (window.saved += 1),
    send: (content) => window.sent.push(content.wish),
    on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    off: () => {},
  } });
}"""


@pytest.fixture
def kernel(bundle_page: Page, placeholder: str) -> Page:
    """The figure over a model that can send; nobody has answered yet."""
    bundle_page.clock.install()
    bundle_page.evaluate(KERNEL, json.loads(state_of(placeholder)))
    bundle_page.add_style_tag(path=STATIC / "samlib-widgets.css")
    return bundle_page


def answer(kernel: Page) -> None:
    kernel.evaluate("window.fire('msg:custom')")
    kernel.clock.run_for(100)


def said(kernel: Page) -> str:
    kernel.clock.run_for(100)
    return kernel.locator(".samlib-stage-text").inner_text()


def test_controls_wait_for_the_kernels_answer(kernel: Page) -> None:
    assert kernel.evaluate("window.sent") == ["hello"]
    assert said(kernel) == "Waiting for the kernel."
    assert kernel.locator("[data-control='sweep']").is_disabled()
    kernel.clock.run_for(5000)
    assert said(kernel).startswith("The kernel does not answer: it is busy, or has ended.")
    assert kernel.locator("[data-control='sweep']").is_disabled()
    answer(kernel)
    assert said(kernel) == "Measured."
    assert kernel.locator("[data-control='sweep']").is_enabled()


def test_a_new_radius_is_measured_and_shown_as_it_comes(kernel: Page, measured: Explore) -> None:
    answer(kernel)
    kernel.locator("[data-field='rho']").fill("0.2")
    kernel.locator("[data-field='rho']").press("Enter")
    assert kernel.evaluate("[window.state.rho, window.saved > 0]") == [0.2, True]
    answer(kernel)
    table = kernel.locator(".samlib-numbers")
    assert said(kernel) == "Not measured at this ρ."
    assert table.get_attribute("class") == "samlib-numbers samlib-faint"
    progress = {"running": True, "text": "ρ = 0.2: average direction", "part": 0.5}
    current = {
        "rho": 0.2,
        "length": 1,
        "ascent": {"value": 0.25, "error": 0, "predicted": 0.5},
        "profiles": {"ascent": [-0.5, 0, 0.5]},
    }
    kernel.evaluate("(changes) => window.put(changes)", {"_progress": progress})
    kernel.evaluate("(changes) => window.put(changes)", {"_current": current})
    assert said(kernel) == "ρ = 0.2: average direction"
    assert kernel.locator("progress").evaluate("(bar) => bar.value") == 0.5
    rows = table.locator("tbody tr")
    assert rows.nth(1).locator("td").all_inner_texts() == ["0.25", "rounding", "0.5"]
    assert rows.nth(0).locator("td").first.inner_text() == "at least –".replace("at least ", "")
    assert "not measured yet" in kernel.locator(".samlib-readout").inner_text()
    kernel.locator("[data-control='cancel']").click()
    assert kernel.evaluate("window.sent").count("cancel") == 1


def test_cancel_measure_sweep_and_errors(kernel: Page) -> None:
    answer(kernel)
    act = kernel.locator("[data-control='cancel']")
    assert act.is_disabled()
    kernel.evaluate("window.put({ rho: 0.3 })")
    kernel.clock.run_for(100)
    assert act.inner_text() == "Measure"
    act.click()
    kernel.locator("[data-control='sweep']").click()
    assert kernel.evaluate("window.sent.slice(-2)") == ["measure", "sweep"]
    error = kernel.locator(".samlib-error")
    assert not error.is_visible()
    kernel.evaluate("window.put({ _message: 'ArithmeticError: it went wrong' })")
    kernel.clock.run_for(100)
    assert error.inner_text() == "ArithmeticError: it went wrong"


def test_python_answers_what_the_page_asks(gated: tuple[Explore, Gate]) -> None:
    figure, _ = gated
    answers: list[Any] = []
    figure.send = lambda content, buffers=None: answers.append(content)
    for wish in ("hello", "sweep", "cancel", "measure", "fly"):
        data = {"method": "custom", "content": {"wish": wish}}
        figure._handle_msg({"content": {"data": data}, "buffers": []})
    assert answers == [{"done": w} for w in ("hello", "sweep", "cancel", "measure")]
    figure.set_state({"rho": 0.09})
    figure.set_state({"rho": 0.11})
    figure.wait(PATIENCE)
    # A radius that the slider only passed is not measured.
    assert list(figure.results) == [0.05, 0.11]
