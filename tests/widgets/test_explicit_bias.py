"""The figure of the three notions: its numbers, its page, its Python side."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

from samlib.landscapes import FourDimensional
from samlib.widgets import ExplicitBias
from samlib.widgets.core.four_dimensional import PREFERRED
from samlib.widgets.figures.explicit_bias.model import QUANTITIES, REGION, least_regularizer
from tests.sharing import share

from .conftest import ADDRESS, Open
from .reading import (
    DRAWN,
    assert_refused,
    fields,
    fill,
    has_colour,
    misfits,
    pictures,
    press,
    readout,
    violations,
)
from .settings import POINTS_OF_GAMMA, SIDES

# More states of the figure, all unlike the one in which it opens.
STATES: list[dict[str, Any]] = [
    {"quantity": "trace", "point": (0.123, -0.3), "approach": 12.5, "frame": 7},
    {"quantity": "smallest_nonzero_eigenvalue", "point": (-0.45, 0.1), "approach": 61, "frame": 1},
    {"quantity": "smallest_nonzero_eigenvalue", "point": (1, 1), "approach": 90},
    {"quantity": "top_eigenvalue", "point": (0, 0), "approach": 0},
]


@pytest.fixture(scope="module")
def figure() -> str:
    """The figure's placeholder, with an id."""
    return ExplicitBias().to_html(id="figure")


@pytest.fixture
def page(open_page: Open, figure: str) -> Page:
    return open_page(figure)


def link_to(state: dict[str, Any]) -> str:
    a, b = state["point"]
    frame = f"&frame={state['frame']}" if "frame" in state else ""
    return f"#figure:quantity={state['quantity']}&point={a},{b}&approach={state['approach']}{frame}"


# ── The numbers ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_no_point_of_the_map_is_better_than_the_preferred_one(quantity: str) -> None:
    notion, _, times = QUANTITIES[quantity]
    grid = torch.linspace(*REGION, 351, dtype=torch.float64)
    points = torch.cartesian_prod(grid, grid)
    points = torch.cat([points, torch.zeros_like(points)], dim=1)
    values = getattr(FourDimensional().minimizer_manifold, quantity)(points)
    best = points[values.argmin(), :2]
    np.testing.assert_allclose(best.numpy(), PREFERRED[notion], atol=0.0026)
    assert times * least_regularizer(notion) <= float(values.min())


def test_the_sharpness_near_gamma_tends_to_the_number_of_its_side() -> None:
    for point in POINTS_OF_GAMMA:
        for angle in SIDES:
            figure = ExplicitBias(point=point, approach=angle)
            low, high = (float(value) for value in figure.regularizers().ascent_band)
            assert low - 1e-12 <= figure.approached() <= high + 1e-12
            assert figure.ascent_sharpness() == pytest.approx(figure.approached(), rel=1e-4)
            nearer = figure.ascent_sharpness(rho=1e-4, distance=1e-14)
            assert nearer == pytest.approx(figure.approached(), rel=1e-6)


def test_both_ends_of_the_band_are_reached_along_the_axes() -> None:
    for point, ends in {(0.5, 0.5): (2.25, 9.75), (-0.4, 0.2): (9.48, 8.4)}.items():
        for approach, end in zip((90, 0), ends, strict=True):
            assert ExplicitBias(point=point, approach=approach).approached() == pytest.approx(end)


@pytest.mark.parametrize("point", [*POINTS_OF_GAMMA, (-0.4, -0.5)])
@pytest.mark.parametrize("approach", [12.0, 50.0, 85.0])
def test_gradient_descent_comes_along_the_flat_wall_and_sam_along_the_steep_one(
    point: tuple[float, float], approach: float
) -> None:
    """Without samlib's rules: in the bowl ½ Σ λᵢxᵢ² each step is a few lines."""
    x1, x2 = point
    f1, f2 = x1**2 + 6 * x2**2 + 8, 4 * (1 - x1) ** 2 + (1 - x2) ** 2 + 1
    values, lr, rho = np.array([2 * f1, 2 * f2]), 0.02, 0.01
    turn = math.radians(approach)
    start = 0.004 * np.array([math.cos(turn), math.sin(turn)])
    for method, radius in (("gradient_descent", 0.0), ("sam", rho)):
        x, expected = start, []
        for _ in range(41):
            gradient = values * x
            u = gradient / np.linalg.norm(gradient)
            expected.append(u @ (values * u) / 2)
            x = x - lr * values * (x + radius * u)
        run = ExplicitBias(point=point, approach=approach).arrivals()[method]
        # The bowl's walls vary along Γ, on which the runs drift a little.
        np.testing.assert_allclose(run.half_curvature.numpy(), expected, rtol=0.02)
        end = values.min() / 2 if method == "gradient_descent" else values.max() / 2
        if abs(f1 - f2) > 2:  # where the walls are alike it takes longer
            assert float(run.half_curvature[-1]) == pytest.approx(end, rel=0.01)


def test_what_lies_above_the_least() -> None:
    figure = ExplicitBias(point=(1, 1))
    assert figure.excess() == pytest.approx({"worst": 7, "ascent": 0, "average": 4 - 373 / 140})


# ── Traits ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"quantity": "norm"}, r"quantity must be one of 'top_eigenvalue', .*got 'norm'"),
        ({"point": (0.5,)}, r"point must be 2 finite numbers, each from -0.5 to 1.25; got 1 of"),
        ({"point": (0.5, 2.0)}, r"point must be 2 finite numbers.*got 2.0 in it"),
        ({"point": (0.5, float("nan"))}, r"point must be .*got nan in it"),
        ({"approach": -1}, r"approach must be a finite number from 0 to 90, got -1"),
        ({"approach": float("inf")}, r"approach must be .*got inf"),
        ({"approach": "45"}, r"approach must be .*got '45'"),
        ({"frame": 41}, r"frame must be a whole number from 0 to 40, got 41"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(ExplicitBias, traits, message)


def test_an_unknown_trait_is_refused() -> None:
    with pytest.raises(TypeError, match=r"ExplicitBias has no trait rho; it has quantity, point"):
        ExplicitBias(rho=0.1)


@pytest.mark.parametrize("traits", STATES)
def test_every_state_has_a_still_and_a_sentence(traits: dict[str, Any]) -> None:
    figure = ExplicitBias(**traits)
    assert figure.still().startswith(b"\x89PNG")
    assert re.fullmatch(r"At x₁ = .*: Sᴹᵃˣ = .*, Sᴬˢᶜ .*, Sᴬᵛᵍ = .*\.", figure.sentence())
    assert figure.still() != ExplicitBias().still()


def test_where_all_directions_are_alike_the_band_is_a_number() -> None:
    figure = ExplicitBias(point=(-0.25657, 0.1))
    assert "Sᴬˢᶜ = 8.13 from every side" in figure.sentence()


def test_the_placeholder_holds_the_state() -> None:
    html = ExplicitBias(**STATES[0]).to_html()
    assert html == ExplicitBias(**STATES[0]).to_html()
    state = re.search(r'<script type="application/json">(.*?)</script>', html)
    assert state is not None
    values = json.loads(state[1])
    assert values["_figure"] == "ExplicitBias"
    assert values["point"] == [0.123, -0.3]
    assert len(html) < 200_000


# ── The page ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", STATES)
def test_the_page_says_what_python_says(open_page: Open, figure: str, state: Any) -> None:
    page = open_page(figure, fragment=link_to(state))
    sentence = ExplicitBias(**state, panels=("arrival",)).sentence()
    assert readout(page) == sentence.replace("λ_M", "λM")


def test_every_control_moves_picture_and_sentence(open_page: Open, figure: str) -> None:
    page = open_page(figure, fragment=link_to(STATES[0]))
    for control in (
        lambda: press(page, "[data-control='approach']", *["ArrowRight"] * 30),
        lambda: fill(page, "approach", "47"),
        lambda: fill(page, "point-1", "0.9"),
        lambda: fill(page, "point-2", "0.75"),
        lambda: press(page, "[data-control='point']", "ArrowLeft", "Shift+ArrowDown"),
        lambda: press(page, "[data-control='nearby']", "ArrowRight", "Shift+ArrowDown"),
        lambda: press(page, "[data-control='frame']", "ArrowLeft", "ArrowLeft"),
        lambda: page.get_by_role("radio", name="λM").check(force=True),
        lambda: page.get_by_role("radio", name="λ₁").check(force=True),
        lambda: page.get_by_role("radio", name="Trace").check(force=True),
    ):
        before = pictures(page), readout(page)
        control()
        assert pictures(page) != before[0]
        assert readout(page) != before[1]


def test_the_slider_is_linear(page: Page) -> None:
    press(page, "[data-control='approach']", "Home")
    assert fields(page)["approach"] == "0"
    press(page, "[data-control='approach']", *["PageUp"] * 5)
    assert float(fields(page)["approach"]) == pytest.approx(45, abs=1)
    press(page, "[data-control='approach']", "End")
    assert fields(page)["approach"] == "90"


@pytest.mark.parametrize(("text", "field"), [("2", "point-1"), ("-1", "approach"), ("", "point-2")])
def test_a_field_refuses_what_is_not_allowed(page: Page, text: str, field: str) -> None:
    before = readout(page)
    fill(page, field, text)
    assert page.locator(f"[data-field='{field}']").get_attribute("aria-invalid") == "true"
    assert readout(page) == before


@pytest.mark.parametrize(
    ("handle", "changed"), [("point", {"point-1", "point-2"}), ("nearby", {"approach"})]
)
def test_both_points_are_dragged(page: Page, handle: str, changed: set[str]) -> None:
    before = pictures(page), fields(page)
    page.locator(f"[data-control='{handle}']").scroll_into_view_if_needed()
    box = page.locator(f"[data-control='{handle}']").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 50, steps=3)
    page.mouse.up()
    after = pictures(page), fields(page)
    assert {name for name in after[1] if after[1][name] != before[1][name]} == changed
    assert before[0] != after[0]


def test_a_finger_drags_the_point(open_page: Open, figure: str) -> None:
    page = open_page(figure, "<p style='height: 999px'></p>", has_touch=True)
    page.evaluate(DRAWN)
    box = page.locator("[data-control='point']").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x - 20, "y": y - 30}]),
        ("touchMove", [{"x": x - 50, "y": y - 60}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert float(fields(page)["point-1"]) == pytest.approx(0.23, abs=0.05)
    assert float(fields(page)["point-2"]) > 0.7
    assert page.evaluate("scrollY") == 0  # the page has not moved with the finger


def test_dragging_beyond_the_map_stops_at_its_edge(page: Page) -> None:
    press(page, "[data-control='point']", *["Shift+ArrowRight"] * 20)
    assert fields(page)["point-1"] == "1.25"
    press(page, "[data-control='nearby']", *["Shift+ArrowUp"] * 40)
    assert float(fields(page)["approach"]) <= 90
    assert readout(page).startswith("At x₁ = 1.25, x₂ = 0.5: Sᴹᵃˣ = ")


def test_reset_brings_back_the_opening_state(page: Page) -> None:
    before = fields(page), readout(page), pictures(page)
    fill(page, "approach", "12")
    fill(page, "point-1", "-0.2")
    page.get_by_role("radio", name="Trace").check(force=True)
    assert readout(page) != before[1]
    page.locator("[data-control='reset']").click()
    page.locator("[data-control='reset']").blur()
    assert (fields(page), readout(page), pictures(page)) == before


def test_a_link_brings_back_every_part_of_the_state(open_page: Open, figure: str) -> None:
    page = open_page(figure)
    for name, value in {"approach": "33.5", "point-1": "-0.31", "point-2": "0.77"}.items():
        fill(page, name, value)
    page.get_by_role("radio", name="Trace").check(force=True)
    share(page, "link")
    again = open_page(figure, fragment=page.url.removeprefix(ADDRESS))
    assert fields(again) == fields(page)
    assert readout(again) == readout(page)
    assert pictures(again) == pictures(page)


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ("point=3,0", "point = 3 was moved to 1.25"),
        ("point=0.1", "point has 1 number, not 2, and was ignored"),
        ("approach=x", "angle = “x” is not a number and was ignored"),
        ("approach=1e9", "angle = 1e9 was moved to 90"),
        ("frame=41", "step = 41 was moved to 40"),
        ("quantity=norm", "quantity = “norm” is unknown and was ignored"),
    ],
)
def test_a_bad_link_is_put_right_and_says_so(
    open_page: Open, figure: str, fragment: str, message: str
) -> None:
    page = open_page(figure, fragment=f"#figure:{fragment}")
    expect(page.locator(".samlib-note")).to_contain_text(message)
    assert readout(page).startswith("At x₁ = ")


def test_the_way_in_is_played_and_scrubbed(page: Page) -> None:
    panel = page.locator("[data-panel='arrival']")
    play = panel.locator("[data-control='play']")
    press(page, "[data-control='frame']", "Home")
    assert "After 0 steps from x′" in readout(page)
    panel.get_by_role("button", name="One step forward").click()
    assert "After 1 step from x′" in readout(page)
    play.click()
    page.wait_for_timeout(900)
    press(page, "[data-control='approach']", "ArrowRight")
    play.click()
    expect(play).to_have_attribute("aria-label", "Play")
    said = re.search(r"After (\d+) steps", readout(page))
    assert said is not None
    assert 1 < int(said[1]) < 40
    curve = panel.locator(".samlib-plot svg").last
    box = curve.bounding_box()
    assert box is not None
    curve.click(position={"x": box["width"] - 14, "y": 60})
    assert "After 40 steps from x′" in readout(page)


def test_what_is_not_open_is_not_spoken_of(open_page: Open, figure: str) -> None:
    page = open_page(figure, panels=False)
    assert readout(page) == ExplicitBias().sentence().replace("λ_M", "λM")
    assert "steps from x′" not in readout(page)
    assert not page.locator("[data-control='play']").is_visible()


# ── Looks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", [None, *STATES[:2]])
def test_it_fits_any_width(open_page: Open, figure: str, state: Any) -> None:
    page = open_page(figure, fragment=link_to(state) if state else "")
    for width in (360, 620, 800):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert misfits(page) == []


@pytest.mark.parametrize("width", [360, 620, 760, 1000])
def test_nothing_jumps_when_the_figure_takes_the_stills_place(
    open_page: Open, figure: str, width: int
) -> None:
    heights = []
    for scripts in (False, True):
        page = open_page(figure, width=width, scripts=scripts, panels=False)
        page.evaluate(DRAWN)
        heights.append(page.locator("[data-samlib-widget]").evaluate("(e) => e.offsetHeight"))
    assert abs(heights[0] - heights[1]) <= 24
    # Nor when the sentence is another.
    page = open_page(figure, width=width, fragment=link_to(STATES[1]), panels=False)
    page.evaluate(DRAWN)
    height = page.locator("[data-samlib-widget]").evaluate("(e) => e.offsetHeight")
    assert abs(height - heights[1]) <= 24


def test_dark_is_dark_at_once(page: Page) -> None:
    light = pictures(page)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    expect(page.locator(".samlib-body")).to_have_css("background-color", "rgb(20, 24, 30)")
    assert pictures(page) != light
    assert has_colour(page, 0x1A, 0x1F, 0x26)  # the ground inside the marks not chosen


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible(page: Page, theme: str) -> None:
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.evaluate(DRAWN)
    assert violations(page) == []


def test_a_page_without_scripts_keeps_still_and_sentence(open_page: Open, figure: str) -> None:
    page = open_page(figure, scripts=False)
    still = page.locator("figure img")
    assert still.evaluate("(image) => image.complete && image.naturalWidth > 500")
    assert page.locator("figcaption").inner_text() == ExplicitBias().sentence()


def test_the_name_of_the_nearby_point_is_clear_of_its_ring(page: Page) -> None:
    page.evaluate(DRAWN)
    ring = page.locator("[data-control='nearby'] .samlib-ring").bounding_box()
    name = page.get_by_text("x′", exact=True).bounding_box()
    assert ring is not None
    assert name is not None
    # The prime ends near the upper right corner of the text's box, below some empty room.
    across = name["x"] + name["width"] - ring["x"] - ring["width"] / 2
    up = name["y"] + 3 - ring["y"] - ring["height"] / 2
    assert math.hypot(across, up) > ring["width"] / 2 + 2
