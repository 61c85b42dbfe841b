"""The figure OneLossThreeDestinations: its runs against samlib, and the figure on a page."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import samlib
from samlib.widgets import OneLossThreeDestinations
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


def test_descent_on_the_ascent_loss_comes_near_its_destination_for_small_steps_only() -> None:
    """At equal τ = ηρ²t, a smaller η leaves it nearer to (1, 1)."""
    ends = []
    for lr, steps in ((4e-3, 10_000), (1e-3, 40_000), (2.5e-4, 160_000)):
        figure = OneLossThreeDestinations(lr=lr, rho=0.2, steps=steps)
        end = figure.trajectories["ascent_loss_descent"].x[0, -1, :2]
        ends.append(float((end - 1).norm()))
    assert ends[0] > 1.1 * ends[1] > 1.21 * ends[2]
    sam = OneLossThreeDestinations().trajectories["sam"].x[0, -1, :2]
    assert float(sam.norm()) < 0.01


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"start": (1.0, 2.0)}, r"start must be 4 finite numbers.*got 2 of them"),
        ({"start": (1.0, 2.0, 3.0, math.inf)}, r"start must be .*got inf in it"),
        ({"rho": -1}, r"rho must be a finite number from 0 to 10, got -1"),
        ({"lr": 0}, r"lr must be a finite number from 1e-06 to 10, got 0"),
        ({"steps": 2.5}, r"steps must be a whole number from 1 to 200000, got 2.5"),
        ({"seed": -1}, r"seed must be a whole number .*got -1"),
        ({"frame": 60_001}, r"frame must be from 0 to steps = 60000, got 60001"),
        ({"turn": 361}, r"turn must be a whole number from 0 to 360, got 361"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(OneLossThreeDestinations, traits, message)


def test_the_frame_stays_inside() -> None:
    figure = OneLossThreeDestinations(steps=1000)
    assert figure.frame == 1000
    figure.steps = 500
    assert figure.frame == 500
    figure.frame = 20
    figure.steps = 2000
    assert figure.frame == 20


# ── On a page ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def placeholder() -> str:
    return OneLossThreeDestinations(steps=20_000, frame=5000).to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


def test_every_control_changes_pictures_and_sentence(page: Page) -> None:
    def see() -> tuple[list[str], str]:
        return pictures(page), readout(page)

    seen = [see()]
    for change in (
        lambda: press(page, "[data-control='rho']", *["ArrowLeft"] * 60),
        lambda: press(page, "[data-control='lr']", *["ArrowRight"] * 60),
        lambda: fill(page, "start-1", "0.7"),
        lambda: fill(page, "start-2", "0.2"),
        lambda: fill(page, "start-3", "0.3"),
        lambda: fill(page, "start-4", "-0.3"),
        lambda: page.locator("[data-control='seed']").click(),
        lambda: press(page, "[data-control='frame']", "PageDown"),
        lambda: press(page, "[data-control='start']", "ArrowRight", "ArrowUp"),
    ):
        change()
        seen.append(see())
    for before, after in itertools.pairwise(seen):
        assert before[1] != after[1]
        # the map, the bowls and the three panels
        assert all(a != b for a, b in zip(before[0], after[0], strict=True))
    before = pictures(page)
    press(page, "[data-control='turn']", *["ArrowRight"] * 30)
    changed = [a != b for a, b in zip(before, pictures(page), strict=True)]
    assert changed == [False, True, False, False, False]


def test_the_sentence_holds_samlibs_numbers(page: Page) -> None:
    press(page, "[data-control='frame']", "End")
    figure = OneLossThreeDestinations(steps=20_000)
    manifold = samlib.landscapes.FourDimensional().minimizer_manifold
    ends = {name: run.x[0, -1] for name, run in figure.trajectories.items()}
    said = readout(page)
    assert f"λ₁ = {float(manifold.top_eigenvalue(ends['sam'])):.4g} (least 16)" in said
    assert f"trace = {float(manifold.trace(ends['one_sam'])):.4g} (least 21.31)" in said
    least = float(manifold.smallest_nonzero_eigenvalue(ends["ascent_loss_descent"]))
    assert f"λM = {least:.4g} (least 2)" in said


def test_the_start_and_the_bowls_are_dragged(page: Page) -> None:
    def drag(selector: str, dx: int, dy: int) -> None:
        page.locator(selector).scroll_into_view_if_needed()
        box = page.locator(selector).bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx, y + dy, steps=3)
        page.mouse.up()

    before = fields(page)
    drag("[data-control='start']", 40, -30)
    after = fields(page)
    assert {name for name in after if after[name] != before[name]} == {"start-1", "start-2"}
    drag(".samlib-bowls svg", 60, 0)
    assert int(fields(page)["turn"]) == 60


def test_a_link_brings_back_everything(open_page: Open, page: Page, placeholder: str) -> None:
    opening = fields(page), readout(page), pictures(page)
    for name, value in {"rho": "0.15", "lr": "0.004", "steps": "3000", "start-4": "0.1"}.items():
        fill(page, name, value)
    fill(page, "turn", "77")
    page.locator("[data-control='seed']").click()
    press(page, "[data-control='frame']", "Home", *["ArrowRight"] * 70)
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
        ("lr=99", "η = 99 was moved to 10"),
        ("start=1,2,3", "start has 3 numbers, not 4, and was ignored"),
        ("start=9,0,0,0", "start = 9 was moved to 3"),
        ("steps=1e9", "steps = 1e9 was moved to 200000"),
        ("steps=500&frame=501", "step = 501 was moved to 500"),
    ],
)
def test_a_bad_link_is_put_right_and_says_so(
    open_page: Open, placeholder: str, fragment: str, message: str
) -> None:
    page = open_page(placeholder, fragment=f"#figure:{fragment}")
    expect(page.locator(".samlib-note")).to_contain_text(message)
    assert readout(page).startswith("Step ")


def test_a_run_that_diverges_is_said_to_and_leaves_the_map(page: Page) -> None:
    fill(page, "lr", "0.5")
    assert readout(page).endswith("With these ρ and η SAM, 1-SAM and descent on Lᴬˢᶜ diverge.")
    assert "SAM has diverged" in readout(page)
    labels = page.locator(".samlib-bowls .samlib-mark").all_text_contents()
    assert labels == ["SAM has diverged", "1-SAM has diverged", "descent on Lᴬˢᶜ has diverged"]
    # Coordinates that are too far away would flood the canvas with the line's colour.
    flooded = page.locator("canvas").first.evaluate(
        """(canvas) => {
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          let found = 0;
          for (let i = 0; i < data.length; i += 4) {
            if (data[i] === 0xe6 && data[i + 1] === 0x9f && data[i + 2] === 0) found++;
          }
          return found / (width * height);
        }"""
    )
    assert flooded < 0.05


def test_with_other_steps_the_last_one_stays_the_last(page: Page) -> None:
    fill(page, "steps", "3000")
    assert readout(page).startswith("Step 3,000, ")
    fill(page, "steps", "4000")
    assert readout(page).startswith("Step 4,000, ")
    press(page, "[data-control='frame']", "Home", "ArrowRight")
    fill(page, "steps", "5000")
    assert readout(page).startswith("Step 1, ")


def test_playing_and_pointing_go_through_time(page: Page) -> None:
    press(page, "[data-control='frame']", "Home")
    assert readout(page).startswith("Step 0, ")
    page.locator("[data-control='play']").click()
    page.wait_for_function(
        "!document.querySelector('.samlib-readout').textContent.startsWith('Step 0,')"
    )
    page.locator("[data-control='play']").click()
    panel = page.locator(".samlib-panel svg").first
    box = panel.bounding_box()
    assert box is not None
    panel.click(position={"x": box["width"] - 8, "y": 40})
    assert readout(page).startswith("Step 20,000, ")


@pytest.mark.parametrize("width", [360, 620, 760, 1200])
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
    assert page.locator("figcaption").inner_text().startswith("After 20,000 steps with η = 0.001")
