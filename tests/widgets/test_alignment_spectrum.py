"""The figure Alignment on a page: its spectrum, its shares and its invariant set."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from samlib.widgets import Alignment

from .conftest import Open
from .reading import DRAWN, fields, fill, pictures, press, readout


def spectrum(page: Page) -> list[float]:
    shown = fields(page)
    return [float(shown[name]) for name in shown if name.startswith("eigenvalue-")]


def test_the_dimension_grows_and_shrinks(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    stems = page.locator(".samlib-spectrum [role='slider']:visible")
    before = pictures(page), readout(page), fields(page)
    height = page.locator(".samlib-alignment").evaluate("(e) => e.offsetHeight")
    press(page, "input[data-control='dimension']", *["ArrowRight"] * 8)
    assert spectrum(page) == [3, 1, *(pytest.approx(0.75**k, rel=0.01) for k in range(1, 9))]
    grown = spectrum(page)
    assert [fields(page)[f"start-{i}"] for i in (1, 2, 3, 10)] == ["0.3", "0.85", "0.85", "0.85"]
    assert stems.count() == 10
    assert pictures(page) != before[0]
    assert readout(page) != before[1]
    assert page.locator(".samlib-alignment").evaluate("(e) => e.offsetHeight") == height
    press(page, "input[data-control='dimension']", "ArrowLeft")
    assert spectrum(page) == grown[:9]
    fill(page, "dimension", "11")
    assert page.locator("[data-field='dimension']").get_attribute("aria-invalid") == "true"
    fill(page, "dimension", "2")
    assert stems.count() == 2
    assert (pictures(page), readout(page), fields(page)) == before


@pytest.mark.parametrize("index", [1, 7])
def test_an_eigenvalue_is_dragged(open_page: Open, ten: str, index: int) -> None:
    page = open_page(ten)
    before = pictures(page), readout(page), spectrum(page)
    knob = page.locator(f"[data-control='eigenvalue-{index}'] .samlib-ring")
    knob.scroll_into_view_if_needed()
    box = knob.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 3, y - 11, steps=3)
    page.mouse.up()
    after = spectrum(page)
    assert after[index - 1] > 1.2 * before[2][index - 1]
    after[index - 1] = before[2][index - 1]
    assert after == before[2]
    assert pictures(page) != before[0]
    assert readout(page) != before[1]


def test_a_finger_drags_an_eigenvalue(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic, has_touch=True)
    knob = page.locator("[data-control='eigenvalue-2'] .samlib-ring")
    knob.scroll_into_view_if_needed()
    box = knob.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    scrolled = page.evaluate("scrollY")
    session = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x, "y": y - 12}]),
        ("touchMove", [{"x": x, "y": y - 90}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert spectrum(page) == [3, 10]
    assert page.evaluate("scrollY") == scrolled


@pytest.mark.parametrize(
    ("key", "factor"),
    [("ArrowUp", 1.05), ("ArrowLeft", 1 / 1.05), ("Shift+ArrowUp", 1.05**4), ("PageDown", 0.5)],
)
def test_keys_change_an_eigenvalue(
    open_page: Open, quadratic: str, key: str, factor: float
) -> None:
    page = open_page(quadratic)
    stem = page.locator("[data-control='eigenvalue-2']")
    press(page, "[data-control='eigenvalue-2']", key)
    assert spectrum(page) == [3, pytest.approx(factor, rel=0.01)]
    assert float(stem.get_attribute("aria-valuenow") or 0) == spectrum(page)[1]


def test_an_eigenvalue_beyond_the_axis_has_room(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    fill(page, "eigenvalue-1", "250")
    fill(page, "eigenvalue-2", "0.002")
    plot = page.locator(".samlib-spectrum .samlib-area").bounding_box()
    assert plot is not None
    for i in (1, 2):
        knob = page.locator(f"[data-control='eigenvalue-{i}'] .samlib-ring").bounding_box()
        assert knob is not None
        assert plot["y"] <= knob["y"] <= plot["y"] + plot["height"]


def test_pointing_at_an_eigenvalue_shows_its_line(open_page: Open, ten: str) -> None:
    page = open_page(ten)
    before = pictures(page)
    page.locator("[data-control='eigenvalue-4']").focus()
    after = pictures(page)
    assert [a == b for a, b in zip(before, after, strict=True)].count(False) == 1
    page.locator("[data-control='rho']").focus()
    assert pictures(page) == before


def test_the_shares_follow_the_step_and_their_panel_scrubs(open_page: Open, ten: str) -> None:
    page = open_page(ten)
    bars = page.locator(".samlib-spectrum canvas")
    before = bars.evaluate("(canvas) => canvas.toDataURL()")
    panel = page.locator(".samlib-shares svg")
    panel.scroll_into_view_if_needed()
    box = panel.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 70, steps=4)
    page.mouse.up()
    page.evaluate(DRAWN)
    assert page.locator(".samlib-time").inner_text() == "step 100 of 100"
    assert bars.evaluate("(canvas) => canvas.toDataURL()") != before


def test_the_invariant_set_is_shown_and_entered(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    since = Alignment().invariant_since()
    assert since is not None
    before = pictures(page), readout(page)
    switch = page.locator("[data-control='invariant']")
    switch.focus()
    page.keyboard.press("Space")
    assert pictures(page)[0] != before[0]
    assert pictures(page)[1:] == before[0][1:]
    assert readout(page) == before[1][:-1] + (
        "; SAM meets 1 of the 2 conditions of the invariant set."
    )
    for frame in (since, since + 20):
        press(page, "[data-control='frame']", "Home", *["ArrowRight"] * frame)
        assert readout(page).endswith(f"; SAM is inside the invariant set since step {since}.")
    fill(page, "lr", "0.34")
    assert readout(page).endswith("; there is no invariant set, because ηλ₁ is not below 1.")
    fill(page, "rho", "0")
    assert readout(page).endswith("; with ρ = 0 there is no invariant set.")
    page.get_by_role("radio", name="Four-dimensional loss").check(force=True)
    page.evaluate(DRAWN)
    assert not switch.is_visible()
    page.locator("[data-control='reset']").click()
    assert (pictures(page), readout(page)) == before
