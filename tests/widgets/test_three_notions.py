"""The figure ThreeNotions: its numbers against samlib and SciPy, and the figure on a page."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from playwright.sync_api import Page, expect

import samlib
from samlib.widgets import ThreeNotions
from tests.sharing import share

from .conftest import ADDRESS, Open
from .reading import (
    DRAWN,
    assert_refused,
    fields,
    fill,
    misfits,
    pictures,
    press,
    readout,
    violations,
)
from .settings import LOSSES, THREE_NOTIONS


@pytest.mark.parametrize(("loss", "traits"), THREE_NOTIONS)
def test_the_worst_direction_is_the_worst_of_the_whole_ball(
    loss: str, traits: dict[str, Any]
) -> None:
    """Against a dense search of the ball, refined by SciPy: no better point lies inside."""
    figure = ThreeNotions(loss=loss, **traits)
    objective, x = figure.objective, torch.tensor(figure.point, dtype=torch.float64)

    def rise(angle: Any, radius: float = figure.rho) -> Any:
        u = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return (objective.value(x + radius * torch.from_numpy(u)) - objective.value(x)).numpy()

    angles = _angles(2000)
    inside = max(rise(angles, r).max() for r in np.linspace(0, figure.rho, 40, endpoint=False))
    best = angles[rise(angles).argmax()]
    refined = scipy.optimize.minimize_scalar(
        lambda angle: -float(rise(angle)),
        bounds=(best - 0.01, best + 0.01),
        method="bounded",
        options={"xatol": 1e-9},
    )
    worst = figure.sharpness()["worst"]
    assert worst == pytest.approx(-refined.fun, rel=1e-9)
    assert inside <= worst + 1e-12


def test_the_average_is_that_of_random_directions() -> None:
    for loss in LOSSES:
        figure = ThreeNotions(loss=loss)
        x = torch.tensor(figure.point, dtype=torch.float64)
        sampled = samlib.average_direction_sharpness(
            figure.objective, x, figure.rho, samples=20_000, seed=0
        )
        # Four standard errors: one in 16,000 seeds is farther off.
        off = abs(float(sampled.value) - figure.sharpness()["average"])
        assert off <= 4 * float(sampled.error) + 1e-12


def test_second_order_is_exact_on_quadratics_and_nowhere_else() -> None:
    for loss in LOSSES:
        figure = ThreeNotions(loss=loss)
        exact, predicted = figure.sharpness(), figure.predicted()
        off = max(abs(exact[kind] - predicted[kind]) for kind in exact)
        assert (off < 1e-12) == (loss in ("bowl", "ravine"))


def test_on_the_floor_of_the_valley_the_limits_of_definition_4_1_appear() -> None:
    """At x₁ = 1 λ₁ = 2 and D = 2: R^Max/ρ² → λ₁/2 = 1 and R^Avg/ρ² → λ₁/4 = ½."""
    figure = ThreeNotions(loss="curved valley", point=(1, 0.5), rho=1e-3)
    found = figure.sharpness()
    assert found["worst"] / 1e-6 == pytest.approx(1, rel=2e-3)
    assert found["average"] / 1e-6 == pytest.approx(0.5, rel=2e-3)


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"loss": "cubic"}, r"loss must be one of 'bowl', 'ravine', .*got 'cubic'"),
        ({"point": (1.0,)}, r"point must be 2 finite numbers.*got 1 of them"),
        ({"point": (1.0, math.nan)}, r"point must be .*got nan in it"),
        ({"point": (1.0, 11)}, r"point must be .*from -10 to 10; got 11 in it"),
        ({"rho": -1}, r"rho must be a finite number from 0 to 10, got -1"),
        ({"rho": "1"}, r"rho must be .*got '1'"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(ThreeNotions, traits, message)


def test_an_unknown_trait_is_refused() -> None:
    with pytest.raises(TypeError, match=r"ThreeNotions has no trait radius; it has loss, point"):
        ThreeNotions(radius=1)


def test_a_change_of_the_loss_brings_its_defaults() -> None:
    figure = ThreeNotions(rho=0.123)
    figure.loss = "saddle"
    assert (figure.point, figure.rho) == ((0.3, 0.2), 0.5)
    figure.set_state({"loss": "ravine", "rho": 0.25})  # from a page, complete
    assert (figure.point, figure.rho) == ((0.3, 0.2), 0.25)


def test_without_a_circle_nothing_rises() -> None:
    figure = ThreeNotions(rho=0)
    assert set(figure.sharpness().values()) == set(figure.predicted().values()) == {0.0}
    assert len(figure.still()) > 10_000


# ── On a page ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def placeholder() -> str:
    return ThreeNotions(loss="curved valley", point=(0.8, 0.9), rho=0.4).to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


def test_every_control_changes_pictures_and_sentence(page: Page) -> None:
    def see() -> tuple[list[str], str]:
        return pictures(page), readout(page)

    seen = [see()]
    for change in (
        lambda: press(page, "[data-control='rho']", *["ArrowLeft"] * 60),
        lambda: fill(page, "rho", "0.77"),
        lambda: fill(page, "point-1", "-0.5"),
        lambda: fill(page, "point-2", "0.3"),
        lambda: press(page, "[data-control='point']", "ArrowRight", "ArrowUp", "Shift+ArrowUp"),
    ):
        change()
        seen.append(see())
    for before, after in itertools.pairwise(seen):
        assert before[1] != after[1]
        assert all(a != b for a, b in zip(before[0], after[0], strict=True))


def test_the_sentence_and_the_bars_hold_samlibs_numbers(page: Page) -> None:
    fill(page, "rho", "0.7")
    figure = ThreeNotions(loss="curved valley", point=(0.8, 0.9), rho=0.7)
    worst, ascent, average = (f"{value:.3g}" for value in figure.sharpness().values())
    assert f"the worst direction raises L by {worst}; " in readout(page)
    assert f"raises it by {ascent}; the average over the circle is {average}." in readout(page)
    labels = page.locator(".samlib-panel").nth(1).locator(".samlib-mark").all_text_contents()
    assert labels == [worst, ascent, average]


def test_the_point_is_dragged(page: Page) -> None:
    box = page.locator("[data-control='point']").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = fields(page), pictures(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 50, y + 20, steps=3)
    page.mouse.up()
    after = fields(page), pictures(page)
    assert float(after[0]["point-1"]) < float(before[0]["point-1"]) - 0.2
    assert float(after[0]["point-2"]) < float(before[0]["point-2"])
    assert after[0]["rho"] == before[0]["rho"]
    assert after[1][0] != before[1][0]


def test_switching_the_loss_resetting_and_links(
    open_page: Open, page: Page, placeholder: str
) -> None:
    opening = fields(page), readout(page), pictures(page)
    for label, value in (("Bowl", "0.15"), ("Ravine", "1.2"), ("Saddle", "0.3")):
        page.get_by_role("radio", name=label).check(force=True)
        assert fields(page)["point-1"] == value
    fill(page, "rho", "0.8")
    fill(page, "point-2", "-0.4")
    share(page, "link")
    again = open_page(placeholder, fragment=page.url.removeprefix(ADDRESS))
    assert (fields(again), readout(again), pictures(again)) == (
        fields(page),
        readout(page),
        pictures(page),
    )
    page.locator("[data-control='reset']").click()
    assert (fields(page), readout(page), pictures(page)) == opening


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ("rho=abc", "ρ = “abc” is not a number and was ignored"),
        ("rho=1e9", "ρ = 1e9 was moved to 10"),
        ("point=1,99", "x = 99 was moved to 10"),
        ("point=1", "x has 1 number, not 2, and was ignored"),
        ("loss=cubic", "loss = “cubic” is unknown and was ignored"),
    ],
)
def test_a_bad_link_is_put_right_and_says_so(
    open_page: Open, placeholder: str, fragment: str, message: str
) -> None:
    page = open_page(placeholder, fragment=f"#figure:{fragment}")
    expect(page.locator(".samlib-note")).to_contain_text(message)
    assert readout(page).startswith("At x = (")


def test_special_places_are_told(page: Page) -> None:
    page.get_by_role("radio", name="Saddle").check(force=True)
    page.evaluate(DRAWN)
    fill(page, "point-1", "0")
    fill(page, "point-2", "0")
    assert "∇L = 0, so there is no gradient direction" in readout(page)
    assert "so does the opposite direction" in readout(page)
    fill(page, "rho", "0")
    assert readout(page).endswith("there is no circle, and all three sharpnesses are 0.")


@pytest.mark.parametrize("width", [360, 620, 1200])
def test_it_fits_and_nothing_jumps(open_page: Open, placeholder: str, width: int) -> None:
    heights = []
    for scripts in (False, True):
        page = open_page(placeholder, width=width, scripts=scripts, panels=False)
        page.evaluate(DRAWN)
        heights.append(page.locator("[data-samlib-widget]").evaluate("(e) => e.offsetHeight"))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert abs(heights[0] - heights[1]) <= 24
    assert misfits(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_in_both_themes(page: Page, theme: str) -> None:
    light = pictures(page)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    assert (pictures(page) == light) == (theme == "light")
    assert violations(page) == []


def test_a_page_without_scripts_keeps_still_and_sentence(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder, scripts=False)
    assert page.locator("figure img").evaluate("(image) => image.naturalWidth > 500")
    sharpness = ThreeNotions(loss="curved valley", point=(0.8, 0.9), rho=0.4).sharpness()
    assert f"raises L by {sharpness['worst']:.3g}" in page.locator("figcaption").inner_text()


def _angles(count: int) -> Any:
    return np.linspace(0, 2 * math.pi, count, endpoint=False)
