"""The figure BasinMap on a page: by mouse, touch and keyboard, by links, and without WebGL."""

from __future__ import annotations

import itertools
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from samlib.widgets import BasinMap
from tests.sharing import share

from .conftest import ADDRESS, Open
from .reading import (
    DRAWN,
    assert_nothing_jumps,
    fields,
    fill,
    misfits,
    pictures,
    press,
    readout,
    violations,
)

MAP = ".samlib-basin-plane .samlib-area > svg"

# Takes WebGL 2 away from a page.
WITHOUT_WEBGL = """
const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...options) {
  return kind === "webgl2" ? null : get.call(this, kind, ...options);
};"""


@pytest.fixture(scope="module")
def placeholder() -> str:
    return BasinMap(steps=300).to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


def share_of(page: Page, name: str) -> str:
    """The share that stands beside a place."""
    page.evaluate(DRAWN)
    return page.locator(".samlib-basin-list li", has_text=name).locator("b").inner_text()


def test_every_control_changes_the_picture_and_the_sentence(page: Page) -> None:
    def see() -> tuple[list[str], str]:
        return pictures(page), readout(page)

    seen = [see()]
    for change in (
        lambda: press(page, "[data-control='rho']", *["ArrowRight"] * 10),
        lambda: press(page, "[data-control='start']", "ArrowRight", "ArrowUp"),
        lambda: press(page, "[data-control='lr']", *["ArrowRight"] * 20),
        lambda: press(page, "[data-control='steps']", "Home"),
        lambda: fill(page, "start-1", "-0.7"),
        lambda: fill(page, "start-2", "0.2"),
        lambda: page.get_by_text("gradient descent", exact=True).click(),
        lambda: page.locator("[data-control='loss']").select_option("two valleys"),
        lambda: fill(page, "across-1", "0.9"),
        lambda: page.locator("[data-control='show-tie']").click(),
        lambda: page.locator("[data-control='show-slope']").click(),
    ):
        change()
        seen.append(see())
    for before, after in itertools.pairwise(seen):
        assert before[0] != after[0]
        assert before[1] != after[1]


def test_the_shares_are_samlibs(page: Page) -> None:
    """The page's map is finer than this one."""
    shares = BasinMap(steps=300).shares(side=64)
    for name, place in (("left minimum", "minimum (-1, 0)"), ("saddle", "saddle (0, 0)")):
        shown = float(share_of(page, name).removesuffix(" %"))
        assert shown == pytest.approx(100 * shares[place], abs=1.5)


def test_the_map_turns_to_the_color_of_the_saddle(page: Page) -> None:
    page.locator("[data-control='show-saddle']").click()
    assert share_of(page, "saddle") == "100 %"
    assert "100 % end at the saddle" in readout(page)


def test_the_map_zooms_by_keys_wheel_and_buttons_and_goes_back(page: Page) -> None:
    whole = pictures(page)
    ticks = ".samlib-basin-plane .samlib-axis >> nth=0"
    first = page.locator(ticks).text_content()
    handle = page.locator("[data-control='start']")
    handle.focus()
    for zoom in (
        lambda: page.keyboard.press("+"),
        lambda: page.locator("[data-control='zoom-in']").click(),
        lambda: wheel(page, -200),
    ):
        page.evaluate(DRAWN)
        before = page.locator(ticks).text_content()
        handle.focus()
        zoom()
        page.evaluate(DRAWN)
        assert page.locator(ticks).text_content() != before
    page.locator("[data-control='zoom-whole']").click()
    page.evaluate(DRAWN)
    assert page.locator(ticks).text_content() == first
    assert pictures(page) == whole


def wheel(page: Page, by: float) -> None:
    """Turn the wheel over the middle of the map."""
    box = page.locator(MAP).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, by)


def test_the_wheel_scrolls_the_page_while_nobody_works_at_the_map(page: Page) -> None:
    page.set_viewport_size({"width": 800, "height": 500})
    whole = pictures(page)
    wheel(page, 100)
    page.wait_for_function("scrollY > 0")
    assert pictures(page) == whole


def test_a_press_chooses_a_start(page: Page) -> None:
    page.locator(MAP).click(position={"x": 100, "y": 230})
    page.evaluate(DRAWN)
    x, y = (float(fields(page)[f"start-{i}"]) for i in (1, 2))
    assert -2 < x < -1
    assert -1 < y < 0.5
    assert f"From ({x:.3g}".replace("-", "−") in readout(page)
    assert page.evaluate("document.activeElement.dataset.control") == "start"


def test_two_fingers_zoom(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder, has_touch=True)
    page.evaluate(DRAWN)
    before = page.locator(".samlib-basin-plane .samlib-axis").first.text_content()
    page.locator(MAP).evaluate(
        """(svg) => {
          svg.setPointerCapture = () => {};
          const { left, top } = svg.getBoundingClientRect();
          const send = (kind, id, x, y) => svg.dispatchEvent(new PointerEvent(kind, {
            pointerId: id, clientX: left + x, clientY: top + y, bubbles: true }));
          send("pointerdown", 1, 200, 200);
          send("pointerdown", 2, 260, 200);
          send("pointermove", 2, 330, 200);
          send("pointerup", 1, 200, 200);
          send("pointerup", 2, 330, 200);
        }"""
    )
    page.evaluate(DRAWN)
    assert page.locator(".samlib-basin-plane .samlib-axis").first.text_content() != before


def test_a_link_sets_a_preset_and_a_formula(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder, fragment="#basinmap:preset=slope&steps=900")
    assert "come to rest on a slope" in readout(page)
    assert page.locator("[data-field='rho']").input_value() == "1.3"
    formula = "x^2 + y^4/2 - 0.2*x*y"
    page.evaluate(
        "(part) => { location.hash = '#basinmap:loss=formula&formula=' + part; }", quote(formula)
    )
    expect(page.locator("[data-control='formula']")).to_have_value(formula)
    share(page, "link")
    link = page.evaluate("location.hash")
    again = open_page(placeholder, fragment=link)
    expect(again.locator("[data-control='formula']")).to_have_value(formula)
    assert readout(again) == readout(page)
    page.evaluate("location.hash = '#basinmap:preset=none&rho=9999&formula='")
    expect(page.locator(".samlib-note")).to_have_text(
        "In the link, preset = “none” is unknown and was ignored; formula = “” was ignored; "
        "ρ = 9999 was moved to 10."
    )


def test_a_formula_is_read_and_what_is_wrong_with_it_is_said(page: Page) -> None:
    page.locator("[data-control='loss']").select_option("formula")
    expect(page.locator(".samlib-basin-list")).to_contain_text("minimum (3, 2)")
    field = page.locator("[data-control='formula']")
    field.fill("x^2 +* y")
    field.press("Enter")
    expect(page.locator(".samlib-basin-problem")).to_have_text(
        "At character 6, “* y”: value expected."
    )
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("x^2 + (y - 1)^2")
    field.press("Enter")
    expect(page.locator(".samlib-basin-problem")).to_be_empty()
    expect(page.locator(".samlib-basin-list")).to_contain_text("minimum")
    assert "it comes to the minimum" in readout(page)


def test_the_scripts_come_when_they_are_needed(open_page: Open, placeholder: str) -> None:
    page = open_page("")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url.partition("?")[0]))
    page.goto(ADDRESS)
    assert [url for url in requests if "basin" in url or "formulas" in url] == []
    page = open_page(placeholder)
    scripts = "[...document.scripts].map((script) => script.src.split('?')[0].split('/').pop())"
    page.evaluate(DRAWN)
    assert "samlib-basin-map.js" in page.evaluate(scripts)
    assert "samlib-formulas.js" not in page.evaluate(scripts)
    page.locator("[data-control='loss']").select_option("formula")
    page.evaluate(DRAWN)
    assert "samlib-formulas.js" in page.evaluate(scripts)


def test_without_webgl_a_worker_computes_a_coarser_map_and_says_so(
    open_page: Open, placeholder: str
) -> None:
    page = open_page(placeholder, before=WITHOUT_WEBGL)
    assert "the map is coarser" in page.locator(".samlib-basin-how").inner_text()
    coarse = share_of(page, "saddle")
    fine = share_of(open_page(placeholder), "saddle")
    assert abs(float(coarse[:-2]) - float(fine[:-2])) <= 1


def test_where_neither_webgl_nor_workers_are_the_page_computes(
    open_page: Open, placeholder: str
) -> None:
    page = open_page(placeholder, before=WITHOUT_WEBGL + "delete window.Worker;")
    assert share_of(page, "saddle").endswith("%")


def test_it_is_accessible(page: Page) -> None:
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        assert violations(page) == []


def test_nothing_jumps(open_page: Open, placeholder: str) -> None:
    assert_nothing_jumps(open_page, placeholder)


@pytest.mark.parametrize("width", [360, 620, 1000])
def test_everything_fits(open_page: Open, placeholder: str, width: int) -> None:
    page = open_page(placeholder, width=width)
    assert misfits(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
