"""The figures on the built pages, as a reader with a mouse, a keyboard, or no script meets them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import DRAWN
from tests.sharing import share
from tests.widgets.panels import open_panels

from .conftest import Visit, built_pages, pages_with_figures, visiting
from .inspection import Inspection

FIGURE = "[data-samlib-widget='Alignment'].samlib-live"

# Number fields for whole numbers.
WHOLE = (
    "batch", "batch_size", "dimension", "network", "rows", "seed", "step", "steps", "switch_step",
    "turn",
)  # fmt: skip

# What is typed where the rule for the others would leave what a field allows.
TYPED = {"width": "37"}


def first_figure(page: Page) -> Locator:
    """Return the page's first figure of the kind Alignment, alive, in view, with all it has."""
    figure = page.locator(FIGURE).first
    figure.scroll_into_view_if_needed()
    expect(figure.locator("canvas").first).to_be_visible()
    expect(figure.locator(".samlib-readout")).not_to_be_empty()  # drawn, with all controls
    open_panels(figure)
    return figure


def settle(figure: Locator) -> None:
    """Wait until what was asked for is drawn; a figure that trains first looks at its start."""
    figure.page.evaluate(DRAWN)
    if figure.locator("[data-training]").count():
        expect(figure.locator("[data-training]")).to_have_attribute("data-training", "ready")
        figure.page.evaluate(DRAWN)


def picture(figure: Locator) -> list[str]:
    """Return what the figure's canvases show."""
    settle(figure)
    # Some pictures remember what the reader did before.
    pictures: list[str] = figure.evaluate(
        """(element) => [...element.querySelectorAll("canvas")]
          .filter((canvas) => !canvas.closest("[data-history]"))
          .map((canvas) => canvas.toDataURL())"""
    )
    return pictures


def values(figure: Locator) -> dict[str, str]:
    """Return the contents of the figure's number fields by name, once what was asked is drawn."""
    figure.page.evaluate(DRAWN)
    found: dict[str, str] = figure.evaluate(
        """(element) => Object.fromEntries([...element.querySelectorAll("[data-field]")]
          .map((field) => [field.dataset.field, field.value]))"""
    )
    return found


def test_every_placeholder_becomes_a_figure(inspection: Inspection) -> None:
    assert inspection.lifeless == []


def test_nothing_jumps_when_a_figure_mounts(inspection: Inspection) -> None:
    for before, after in zip(inspection.stills, inspection.figures, strict=True):
        assert abs(after - before) < 2


def test_the_script_of_the_figures_is_where_figures_are(book: Path) -> None:
    script = re.compile(r'<script defer="defer" src="[^"]*samlib-widgets\.js[^"]*">')
    with_script = [p for p in built_pages() if len(script.findall((book / p).read_text())) == 1]
    assert with_script == pages_with_figures()
    assert len(with_script) > 10


def test_a_slider_moves_the_picture_and_the_sentence(opened: Page) -> None:
    figure = first_figure(opened)
    before = picture(figure), figure.locator(".samlib-readout").inner_text(), values(figure)
    slider = figure.locator("[data-control='rho']")
    box = slider.bounding_box()
    assert box is not None
    slider.click(position={"x": box["width"] * 0.4, "y": box["height"] / 2})
    after = picture(figure), figure.locator(".samlib-readout").inner_text(), values(figure)
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert before[2]["rho"] != after[2]["rho"]


def test_the_start_can_be_dragged(opened: Page) -> None:
    page, figure = opened, first_figure(opened)
    handle = figure.locator("[data-control='start']").first
    handle.scroll_into_view_if_needed()
    before = picture(figure), handle.get_attribute("aria-valuetext")
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 40, y + 30, steps=4)
    page.mouse.up()
    after = picture(figure), handle.get_attribute("aria-valuetext")
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_the_keyboard_alone_reaches_and_moves_every_control(opened: Page) -> None:
    page, figure = opened, first_figure(opened)
    controls = figure.locator("[data-control]:visible, button:visible:enabled")
    wanted = set(range(controls.count()))
    controls.evaluate_all("(all) => all.forEach((control, i) => { control.dataset.order = i; })")
    figure.evaluate("(element) => { element.tabIndex = -1; element.focus(); }")
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        order = page.evaluate("document.activeElement.dataset.order ?? null")
        if order is not None:
            reached.add(int(order))
    assert reached == wanted

    for name in ("rho", "lr", "start"):
        figure.locator(f"[data-control='{name}']").first.focus()
        before = (
            values(figure),
            figure.locator("[data-control='start']").first.get_attribute("aria-valuetext"),
        )
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        after = (
            values(figure),
            figure.locator("[data-control='start']").first.get_attribute("aria-valuetext"),
        )
        assert before != after, name


def test_a_permalink_brings_back_the_state(visit: Visit, opened: Page) -> None:
    page, figure = opened, first_figure(opened)
    start = figure.locator("[data-control='start']").first
    for name in ("rho", "lr"):
        figure.locator(f"[data-control='{name}']").focus()
        for _ in range(7):
            page.keyboard.press("ArrowLeft")
    start.focus()
    page.keyboard.press("ArrowLeft")
    scrub = figure.locator(".samlib-scrub")
    scrub.focus()
    page.keyboard.press("ArrowRight")
    share(figure, "link")
    expect(figure.locator(".samlib-note")).not_to_be_empty()
    link = page.evaluate("navigator.clipboard.readText()")
    address = page.url.split("#")[0]
    assert link.startswith(f"{address}#")

    again = first_figure(visit(link))
    assert values(again) == values(figure)
    for part in (".samlib-readout", ".samlib-time"):
        assert again.locator(part).inner_text() == figure.locator(part).inner_text()
    assert again.locator("[data-control='start']").first.get_attribute(
        "aria-valuetext"
    ) == start.get_attribute("aria-valuetext")
    # and it is not what the figure shows without a link
    assert values(first_figure(visit(address))) != values(figure)


def the_figure(page: Page, name: str) -> Locator:
    """Return the figure with an id, alive, in view, with all it has."""
    figure = page.locator(f"[id='{name}']")
    figure.scroll_into_view_if_needed()
    expect(figure.locator(".samlib-readout")).not_to_be_empty()
    open_panels(figure)
    return figure


@pytest.fixture(scope="session")
def placed(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[Locator]:
    """Return one kind of figure where it stands first, for several tests, one after the other."""
    path, name = request.param
    with visiting(browser, site) as visit:
        yield the_figure(visit(path), name)


def test_every_control_of_every_figure_does_something(placed: Locator) -> None:
    figure = placed
    figure.evaluate("(e) => e.querySelectorAll('details').forEach((more) => (more.open = true))")
    sliders = figure.locator("input[type=range]:visible:enabled")
    fields = figure.locator("[data-field]:visible")
    assert sliders.count() + fields.count() >= 2

    def look() -> tuple[list[str], str]:
        return picture(figure), figure.locator(".samlib-readout").inner_text()

    for index in range(sliders.count()):
        before, slider = look(), sliders.nth(index)
        slider.focus()
        lowest = slider.input_value() == slider.get_attribute("min")
        figure.page.keyboard.press("PageUp" if lowest else "PageDown")
        figure.page.keyboard.press("PageUp" if lowest else "PageDown")
        assert look() != before, sliders.nth(index).get_attribute("data-control")
    for field in [figure.locator(f"[data-field='{name}']") for name in values(figure)]:
        before = look()
        if not field.is_visible() or field.is_disabled():
            continue
        value = float(field.input_value())
        whole = field.get_attribute("data-field") in WHOLE
        typed = f"{0.7 * value + 2:.0f}" if whole else f"{0.6 * value + 0.03:.4f}"
        field.fill(TYPED.get(field.get_attribute("data-field") or "", typed))
        field.press("Enter")
        assert field.get_attribute("aria-invalid") != "true"
        assert look() != before, field.get_attribute("data-field")


def test_a_link_to_every_figure_brings_back_its_state(visit: Visit, placed: Locator) -> None:
    figure = placed
    before = values(figure)
    for slider in figure.locator("input[type=range]:visible").all():
        slider.focus()
        for _ in range(7):
            figure.page.keyboard.press("ArrowLeft")
    assert values(figure) != before
    share(figure, "link")
    again = the_figure(visit(figure.page.url), figure.get_attribute("id") or "")
    assert values(again) == values(figure)
    assert picture(again) == picture(figure)
    readout = figure.locator(".samlib-readout").inner_text()
    assert again.locator(".samlib-readout").inner_text() == readout


def test_a_large_configuration_comes_when_a_reader_comes_near(visit: Visit, book: Path) -> None:
    (path, *_) = pages_with_figures("SpectrumInTraining")
    page = visit((book / path).as_uri(), viewport={"width": 1000, "height": 300})
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    figure = page.locator("[data-samlib-widget='SpectrumInTraining']").first
    page.evaluate(DRAWN)
    expect(figure.locator("figure img")).to_have_count(1)
    assert not [url for url in requests if "/figures/" in url]
    figure.scroll_into_view_if_needed()
    expect(figure.locator(".samlib-readout")).to_contain_text("At step")
    assert len([url for url in requests if "/_static/figures/" in url]) == 1


def test_a_link_brings_a_large_configuration(visit: Visit) -> None:
    (path, *_) = pages_with_figures("SpectrumInTraining")
    page = visit(path, viewport={"width": 1000, "height": 300})
    figure = page.locator("[data-samlib-widget='SpectrumInTraining']").first
    link = f"{figure.get_attribute('id')}:rho=0.3&step=540"
    page.evaluate("(fragment) => { location.hash = fragment; }", link)
    expect(figure.locator(".samlib-readout")).to_contain_text("At step 540 with ρ = 0.3")
    expect(figure).to_be_in_viewport()


def test_a_figure_that_needs_a_kernel_shows_what_was_measured(visit: Visit) -> None:
    page = visit("chapters/figures.html")
    figure = page.locator("[data-samlib-widget='Explore'].samlib-live")
    figure.scroll_into_view_if_needed()
    expect(figure.get_by_text("Measured beforehand at")).to_be_visible()
    for control in figure.locator("input:visible, button:visible").all():
        expect(control).to_be_enabled()
    # One can go through what was measured, and link to it.
    before = picture(figure), values(figure), figure.locator(".samlib-readout").inner_text()
    handle = figure.locator("[data-control='radius']")
    handle.focus()
    page.keyboard.press("ArrowRight")
    after = picture(figure), values(figure), figure.locator(".samlib-readout").inner_text()
    assert before[0] != after[0]
    assert (before[1], after[1]) == ({"rho": "0.05"}, {"rho": "0.2"})
    assert before[2] != after[2]
    share(figure, "link")
    again = visit("chapters/figures.html#" + page.url.split("#")[1])
    again = again.locator("[data-samlib-widget='Explore'].samlib-live")
    expect(again.locator(".samlib-readout")).to_have_text(after[2])


def test_without_scripts_a_still_and_its_sentence_remain(visit: Visit, figure_page: str) -> None:
    page = visit(figure_page, java_script_enabled=False)
    still = page.locator("[data-samlib-widget] figure img").first
    still.scroll_into_view_if_needed()
    assert still.is_visible()
    assert len(still.get_attribute("alt") or "") > 40
    box = still.bounding_box()
    assert box is not None
    assert box["width"] > 300
    assert box["height"] > 100
    assert page.locator("[data-samlib-widget] figcaption").first.is_visible()


def test_the_figure_works_on_a_page_opened_as_a_file(
    visit: Visit, book: Path, alignment_page: str
) -> None:
    figure = first_figure(visit((book / alignment_page).as_uri()))
    before = picture(figure)
    figure.locator("[data-control='rho']").focus()
    figure.page.keyboard.press("PageUp")
    assert picture(figure) != before


def test_a_figure_is_dark_on_a_dark_page(inspection: Inspection) -> None:
    for ground in inspection.grounds:
        colour = sum(int(part) for part in ground[4:-1].split(","))
        assert colour > 600 if inspection.theme == "light" else colour < 200
