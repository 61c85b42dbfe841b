"""What a figure shows at first, and what it shows on request: in Python, on a page, in links."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import traitlets
from playwright.sync_api import Locator, Page, expect

from samlib.widgets import Alignment, ExplicitBias, LimitingFlow, SpectrumInTraining
from samlib.widgets.core.figure import Figure
from tests.sharing import share

from .conftest import ADDRESS, FIGURES, Open
from .panels import open_panels
from .reading import DRAWN, misfits, readout

# All figures, one of them with either of its losses.
OPENED: dict[str, Callable[[], Figure]] = {
    **FIGURES,
    "Alignment, four-dimensional": lambda: Alignment(landscape="four-dimensional"),
}

# Two pictures that need one another: the alignment is across Γ, the drift along it; a curve of
# multipliers, and the run that it makes.
PICTURES = {"Alignment, four-dimensional": 2, "Thermostat": 2}

# The bars of a browser and of the book take some of a window of 1280 × 800.
HEADER = 64


def html_of(name: str) -> str:
    return OPENED[name]().to_html(id="figure")


def shown(page: Page, selector: str) -> list[Locator]:
    return [found for found in page.locator(selector).all() if found.is_visible()]


def open_now(page: Page) -> list[str]:
    page.evaluate(DRAWN)
    panels = page.locator(".samlib-opened")
    names: list[str] = panels.evaluate_all(
        "(all) => all.filter((e) => e.checkVisibility()).map((e) => e.dataset.panel)"
    )
    return names


# ── At first ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", OPENED)
def test_it_opens_with_one_picture_one_control_and_one_sentence(open_page: Open, name: str) -> None:
    page = open_page(html_of(name), panels=False, width=1100)
    assert len(shown(page, ".samlib-picture canvas")) == PICTURES.get(name, 1)
    controls = shown(page, ".samlib-moves .samlib-slider, .samlib-moves .samlib-choice")
    assert len(controls) == 1
    assert len(shown(page, "[data-field]")) <= 1  # the number beside the slider
    assert len(shown(page, ".samlib-readout")) == 1
    assert open_now(page) == []


@pytest.mark.parametrize("name", OPENED)
def test_picture_player_and_control_are_seen_together(open_page: Open, name: str) -> None:
    page = open_page(html_of(name), panels=False, viewport={"width": 1280, "height": 800})
    page.evaluate(DRAWN)
    top, picture, below = page.evaluate(
        """[document.querySelector(".samlib-figure").getBoundingClientRect().top,
          document.querySelector(".samlib-picture:not([hidden]) .samlib-area").offsetHeight,
          document.querySelector(".samlib-moves").getBoundingClientRect().bottom]"""
    )
    assert below - top <= 800 - HEADER
    assert 300 < picture <= 0.6 * 800 + 1


@pytest.mark.parametrize("name", OPENED)
def test_nothing_is_written_with_an_underscore(open_page: Open, name: str) -> None:
    page = open_page(html_of(name))
    assert "_" not in page.locator(".samlib-body").inner_text()
    texts = page.locator(".samlib-body text").all_text_contents()
    labels = page.locator(".samlib-body [aria-label]").evaluate_all(
        "(all) => all.map((element) => element.getAttribute('aria-label'))"
    )
    assert not [text for text in [*texts, *labels] if "_" in text]


@pytest.mark.parametrize("name", OPENED)
def test_all_fits_with_everything_open(open_page: Open, name: str) -> None:
    page = open_page(html_of(name))
    for width in (360, 420, 620, 1200):
        page.set_viewport_size({"width": width, "height": 900})
        assert misfits(page) == [], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width


# ── On request ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_has_a_button_that_opens_and_closes_it(open_page: Open, name: str) -> None:
    figure = FIGURES[name]()
    page = open_page(figure.to_html(id="figure"), panels=False)
    buttons = page.locator("[data-opens]")
    names = buttons.evaluate_all("(all) => all.map((button) => button.dataset.opens)")
    assert tuple(names) == figure.panel_names
    for button in shown(page, "[data-opens]"):
        panel = button.get_attribute("data-opens") or ""
        target = page.locator(f"[id='{button.get_attribute('aria-controls')}']")
        button.focus()
        page.keyboard.press("Enter")
        assert open_now(page) == [panel]
        expect(button).to_have_attribute("aria-expanded", "true")
        expect(target).to_be_visible()
        assert (
            target.locator("canvas:visible, input:visible, table:visible, button:visible").count()
            > 0
        )
        page.keyboard.press("Space")
        assert open_now(page) == []
        expect(button).to_have_attribute("aria-expanded", "false")


def test_two_buttons_pressed_at_once_open_two_panels(open_page: Open) -> None:
    page = open_page(html_of("Alignment"), panels=False)
    open_panels(page, "distance", "angle")
    assert open_now(page) == ["angle", "distance"]


def test_a_panel_of_the_other_loss_waits_for_it(open_page: Open) -> None:
    figure = Alignment(panels=("spectrum", "sharpness"))
    page = open_page(figure.to_html(id="figure"), panels=False)
    assert open_now(page) == ["spectrum"]
    page.get_by_role("radio", name="Four-dimensional loss").check(force=True)
    assert open_now(page) == ["sharpness"]


@pytest.mark.parametrize(
    "figure",
    [
        Alignment(panels=("angle", "distance")),
        LimitingFlow(panels=("distances", "trace")),
        SpectrumInTraining(panels=("density", "radii", "loss")),
        ExplicitBias(panels=("bowl",)),
    ],
    ids=lambda figure: type(figure).__name__,
)
def test_open_panels_have_their_place_before_they_live(open_page: Open, figure: Figure) -> None:
    html = figure.to_html(id="figure")
    still, live = (open_page(html, scripts=scripts, panels=False) for scripts in (False, True))
    for width in (360, 620, 760, 1000):
        heights = []
        for page in (still, live):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(DRAWN)
            heights.append(page.locator("[data-samlib-widget]").evaluate("(e) => e.offsetHeight"))
        extra = 34 if isinstance(figure, ExplicitBias) else 0  # the legend below its bowl
        assert abs(heights[0] - heights[1]) <= 24 + extra, (width, heights)


# ── In Python ────────────────────────────────────────────────────────────────────────────────────


def test_panels_are_those_of_the_figure_once_and_in_order() -> None:
    assert Alignment().panels == ()
    figure = Alignment(panels=["distance", "angle", "distance"])
    assert figure.panels == ("angle", "distance")
    figure.panels = ()
    assert figure.state()["panels"] == ()


@pytest.mark.parametrize("panels", ["angle", ("angles",), (1,), 3, None, {"angle"}])
def test_what_is_no_panel_is_refused_and_the_panels_are_named(panels: Any) -> None:
    with pytest.raises(ValueError, match=r"panels must be a list of words, some of 'spectrum', "):
        Alignment(panels=panels)
    figure = Alignment(panels=("angle",))
    with pytest.raises(traitlets.TraitError, match=re.escape(repr(panels))):
        figure.panels = panels
    assert figure.panels == ("angle",)


def test_another_loss_leaves_the_panels_open() -> None:
    figure = Alignment(panels=("angle",))
    figure.landscape = "four-dimensional"
    assert figure.panels == ("angle",)


def test_the_panel_that_limiting_flow_had_before_is_one_of_its_panels() -> None:
    assert LimitingFlow(panel="plane").panels == ("plane",)
    assert LimitingFlow(panel="plane", panels=("trace",)).panels == ("trace", "plane")
    with pytest.raises(ValueError, match="some of 'trace'"):
        LimitingFlow(panel="plain")


# ── In links ─────────────────────────────────────────────────────────────────────────────────────


def test_a_permalink_opens_what_was_open(open_page: Open) -> None:
    html = html_of("Alignment")
    page = open_page(html, panels=False)
    open_panels(page, "angle", "settings")
    share(page, "link")
    assert page.url.endswith("&panels=angle,settings")
    again = open_page(html, fragment=page.url.removeprefix(ADDRESS), panels=False)
    assert open_now(again) == ["angle", "settings"]
    assert readout(again) == readout(page)


def test_a_permalink_closes_what_was_closed(open_page: Open) -> None:
    html = Alignment(panels=("angle",)).to_html(id="figure")
    page = open_page(html, panels=False)
    assert open_now(page) == ["angle"]
    page.locator("[data-opens='angle']").click()
    share(page, "link")
    again = open_page(html, fragment=page.url.removeprefix(ADDRESS), panels=False)
    assert open_now(again) == []


def test_a_link_without_panels_and_a_reset_leave_them_as_they_are(open_page: Open) -> None:
    page = open_page(html_of("Alignment"), panels=False)
    open_panels(page, "angle")
    page.evaluate("location.hash = '#alignment:rho=0.2'")
    page.evaluate(DRAWN)
    assert page.locator("[data-field='rho']").input_value() == "0.2"
    assert open_now(page) == ["angle"]
    page.locator("[data-control='reset']").click()
    assert open_now(page) == ["angle"]
    assert page.locator("[data-field='rho']").input_value() == "0.4"


def test_a_link_to_a_panel_that_there_is_not_says_so(open_page: Open) -> None:
    page = open_page(html_of("Alignment"), fragment="#figure:panels=angle,angles", panels=False)
    expect(page.locator(".samlib-note")).to_contain_text("panels = “angles” is unknown")
    assert open_now(page) == ["angle"]


@pytest.mark.parametrize("link", ["panel=plane", "panels=plane", "preset=tie&time=1&network=0"])
def test_older_links_and_presets_open_the_plane(open_page: Open, link: str) -> None:
    html = LimitingFlow(time=1.0, rho=0.1).to_html(id="figure")
    page = open_page(html, fragment=f"#figure:{link}", panels=False)
    assert open_now(page) == ["plane"]
