"""The figure OppositeDrifts: its page, its Python side, and that both have the same numbers."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

from samlib.widgets import OppositeDrifts
from samlib.widgets.core.draws import mulberry32
from tests.sharing import share

from .conftest import ADDRESS, Open
from .reading import (
    DRAWN,
    assert_accessible,
    assert_nothing_jumps,
    assert_refused,
    fields,
    fill,
    misfits,
    pictures,
    press,
    readout,
)
from .settings import OPPOSITE_DRIFTS as SETTINGS


@pytest.fixture(scope="module")
def placeholder() -> str:
    """The figure's placeholder, with fewer steps so that the tests are quick."""
    return OppositeDrifts(steps=6000).to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


# ── The numbers ──────────────────────────────────────────────────────────────────────────────────


def test_the_generator_is_fair_in_every_bit() -> None:
    # 2693262067/2³² = 0.6270739405881613 is the first number of mulberry32(1).
    assert mulberry32(1, 1)[0] / 2**32 == 0.6270739405881613
    words = mulberry32(3, 200_000)
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    sigma = 0.5 / np.sqrt(len(words))
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 4.5 * sigma
    correlation = np.corrcoef(bits.T.astype(np.float64)) - np.eye(32)
    assert np.abs(correlation).max() < 5.5 / np.sqrt(len(words))


def test_batches_of_one_are_one_sam_and_larger_ones_share_their_draws() -> None:
    runs = OppositeDrifts(batch_size=1, steps=500).trajectories
    assert torch.equal(runs["mini_batch"].x, runs["one_sam"].x)
    assert torch.equal(
        OppositeDrifts(batch_size=3, steps=50).draws,
        OppositeDrifts(batch_size=8, steps=50).draws[..., :3],
    )


def test_the_methods_drift_apart_and_larger_batches_go_with_the_full_one() -> None:
    ends = {}
    for size in (2, 4, 32):
        runs = OppositeDrifts(batch_size=size).trajectories
        ends[size] = float(runs["mini_batch"].x[0, -1, 0])
    x = {name: float(run.x[0, -1, 0]) for name, run in runs.items()}
    assert x["sam"] < -1.7
    assert x["one_sam"] > 0.8
    assert abs(x["gradient_descent"]) < 0.01
    assert x["one_sam"] > ends[2] > ends[4] > ends[32]
    assert ends[32] == pytest.approx(x["sam"], abs=0.02)


def test_batches_of_six_amplify_rounding_and_batches_of_two_do_not() -> None:
    distance = {}
    for size in (2, 6):
        pair = [
            OppositeDrifts(batch_size=size, start=(0.0, y, 0.1)).trajectories["mini_batch"].x
            for y in (0.1, 0.1 + 1e-15)
        ]
        distance[size] = float((pair[0] - pair[1]).abs().max())
    assert distance[2] < 1e-12
    assert 1e-4 < distance[6] < 0.2


def test_the_flows_part_and_are_not_where_descent_diverges() -> None:
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    flows = OppositeDrifts(steps=1000).limiting_flows(times)
    assert flows is not None
    assert float(flows["top_eigenvalue"].x[1, 0]) < 0 < float(flows["trace"].x[1, 0])
    assert OppositeDrifts(lr=0.9, steps=500).limiting_flows(times) is None


@pytest.mark.parametrize("name", ["batches of 32", "elsewhere"])
def test_the_page_says_what_python_says(open_page: Open, name: str) -> None:
    figure = OppositeDrifts(**SETTINGS[name])
    number = r"x = (−?[\d.]+) \(λ₁ = ([\d.]+), trace ([\d.]+)\)"
    said = re.findall(number, readout(open_page(figure.to_html())))
    python = re.findall(number, figure.sentence().split(": ", 1)[1])
    assert len(said) == 4
    assert said == python


# ── The page ─────────────────────────────────────────────────────────────────────────────────────


def test_every_slider_moves_picture_and_sentence(page: Page) -> None:
    for name in ("rho", "lr", "batch_size", "steps"):
        before = pictures(page), readout(page), fields(page)
        press(page, f"[data-control='{name}']", *["ArrowRight"] * 80)
        assert before[0] != pictures(page), name
        assert before[1] != readout(page), name
        assert float(fields(page)[name]) > float(before[2][name])


def test_every_field_moves_picture_and_sentence(page: Page) -> None:
    values = {
        "start-1": "-0.5", "start-2": "0.4", "start-3": "−0.3", "rho": "0.2", "lr": "0.07",
        "batch_size": "5", "seed": "12", "steps": "8000",
    }  # fmt: skip
    assert set(values) == set(fields(page))
    for name, value in values.items():
        before = pictures(page), readout(page)
        press(page, "[data-control='frame']", "End")
        fill(page, name, value)
        press(page, "[data-control='frame']", "End")
        assert float(fields(page)[name]) == float(value.replace("−", "-"))
        assert before[0] != pictures(page), name
        assert before[1] != readout(page), name


def test_a_new_draw_changes_the_stochastic_runs_only(page: Page) -> None:
    parts = readout(page).split("; ")
    page.get_by_role("button", name="New draw").click()
    after = readout(page).split("; ")
    assert fields(page)["seed"] == "2"
    assert [a == b for a, b in zip(parts, after, strict=True)] == [True, False, False, True]
    page.locator("[data-control='reset']").click()
    assert readout(page).split("; ") == parts


def test_batches_of_one_are_not_shown_twice(page: Page) -> None:
    assert "SAM on batches of 2" in readout(page)
    fill(page, "batch_size", "1")
    assert "batches" not in readout(page)
    assert page.locator(".samlib-place .samlib-mark:visible").count() == 3


def test_the_start_is_dragged_along_x(page: Page) -> None:
    handle = page.locator("[data-control='start']")
    before = pictures(page), readout(page), fields(page)
    box = handle.locator(".samlib-ring").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 50, y - 40, steps=3)
    page.mouse.up()
    after = fields(page)
    assert {name for name in after if after[name] != before[2][name]} == {"start-1"}
    assert float(after["start-1"]) < -0.4
    assert before[0] != pictures(page)
    assert before[1] != readout(page)
    moved = handle.locator(".samlib-ring").bounding_box()
    assert moved is not None
    assert moved["x"] - box["x"] == pytest.approx(-50, abs=3)
    assert moved["y"] == pytest.approx(box["y"], abs=3)


def test_arrow_keys_move_the_start_along_x(page: Page) -> None:
    handle = page.locator("[data-control='start']")
    press(page, "[data-control='start']", "ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowRight")
    assert float(fields(page)["start-1"]) == pytest.approx(2 * 0.06 + 0.3, abs=0.01)
    assert handle.get_attribute("aria-valuetext") == fields(page)["start-1"]
    assert handle.get_attribute("aria-label") == "Start of all runs, x; the arrow keys move it"


def test_playing_stepping_and_scrubbing(page: Page) -> None:
    play = page.locator("[data-control='play']")
    press(page, "[data-control='frame']", "Home")
    assert readout(page).startswith("Step 0, from x = 0 with λ₁ = 3 and trace 4: ")
    page.get_by_role("button", name="One step forward").click()
    assert readout(page).startswith("Step 1, ")
    before = pictures(page)
    play.click()
    page.wait_for_timeout(500)
    play.click()
    expect(play).to_have_attribute("aria-label", "Play")
    assert pictures(page) != before
    # All steps are as quick: after half a second of twelve, not half of the decades.
    step = int(re.sub(r"\D", "", readout(page).split(" from")[0]))
    assert 30 <= step < 2000
    panel = page.locator(".samlib-place svg")
    box = panel.bounding_box()
    assert box is not None
    panel.click(position={"x": box["width"] - 20, "y": 40})
    page.evaluate(DRAWN)
    assert page.locator(".samlib-time").inner_text() == "step 6,000 of 6,000"


def test_a_diverging_run_says_so(page: Page) -> None:
    fill(page, "lr", "0.45")
    assert "1-SAM has left the valleys: η = 0.45 is too large for it" in readout(page)
    assert "1-SAM ↗" in page.locator(".samlib-place svg").inner_html()
    fill(page, "lr", "5")
    assert readout(page).count("has left the valleys") == 4


def test_a_link_brings_back_every_part_of_the_state(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder)
    for name, value in {
        "start-1": "-0.35", "start-2": "0.2", "start-3": "0.15", "rho": "0.123", "lr": "0.06",
        "batch_size": "7", "seed": "2024", "steps": "3210",
    }.items():  # fmt: skip
        fill(page, name, value)
    press(page, "[data-control='frame']", "Home", *["ArrowRight"] * 17)
    share(page, "link")
    again = open_page(placeholder, fragment=page.url.removeprefix(ADDRESS))
    assert fields(again) == fields(page)
    assert readout(again) == readout(page)
    assert pictures(again) == pictures(page)
    assert not readout(again).startswith("Step 0,")


BAD_LINKS = {
    "rho=abc": "ρ = “abc” is not a number and was ignored",
    "batch_size=40": "m = 40 was moved to 32",
    "seed=-1": "seed = -1 was moved to 0",
    "start=1,2": "start has 2 numbers, not 3, and was ignored",
    "start=11,0,0": "start = 11 was moved to 10",
    "steps=100&frame=101": "step = 101 was moved to 100",
}


def test_a_bad_link_is_put_right_and_says_so(page: Page) -> None:
    for fragment, message in BAD_LINKS.items():
        page.evaluate("(fragment) => { location.hash = fragment; }", f"#figure:{fragment}")
        expect(page.locator(".samlib-note")).to_contain_text(message)
        assert readout(page).startswith("Step ")


def test_a_link_with_fewer_steps_shows_the_last(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder, fragment="#figure:steps=100")
    assert readout(page).startswith("Step 100, ")
    assert page.locator(".samlib-note").inner_text() == ""


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


# ── Python ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"start": (0.0, 0.1)}, r"start must be 3 finite numbers.*got 2 of them"),
        ({"start": (0.0, 0.1, float("nan"))}, r"start must be .*got nan in it"),
        ({"rho": -0.1}, r"rho must be a finite number from 0 to 10, got -0.1"),
        ({"lr": 0}, r"lr must be a finite number from 1e-06 to 10, got 0"),
        ({"batch_size": 33}, r"batch_size must be a whole number from 1 to 32, got 33"),
        ({"batch_size": 1.5}, r"batch_size must be a whole number .*got 1.5"),
        ({"seed": -1}, r"seed must be a whole number from 0 to 2147483647, got -1"),
        ({"steps": 0}, r"steps must be a whole number from 1 to 200000, got 0"),
        ({"steps": "many"}, r"must be a whole number .*got 'many'"),
        ({"frame": 40_001}, r"frame must be from 0 to steps = 40000, got 40001"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(OppositeDrifts, traits, message)


def test_the_frame_follows_the_steps() -> None:
    assert OppositeDrifts(steps=10).frame == 10
    assert OppositeDrifts(steps=10, frame=3).frame == 3
    figure = OppositeDrifts()
    figure.steps = 500
    assert figure.frame == 500
    figure.steps = 600
    assert figure.frame == 600
    figure.frame = 7
    figure.steps = 1000
    assert figure.frame == 7
    figure.steps = 5
    assert figure.frame == 5
    with pytest.raises(TypeError, match="OppositeDrifts has no trait radius; it has start, rho"):
        OppositeDrifts(radius=0.1)


@pytest.mark.parametrize(
    "traits", [{"rho": 0}, {"start": (0, 0, 0)}, {"steps": 1}, {"lr": 0.9}, {"batch_size": 1}]
)
def test_odd_corners_have_a_still_and_a_sentence(traits: dict[str, Any]) -> None:
    figure = OppositeDrifts(**{"steps": 500, **traits})
    assert figure.still().startswith(b"\x89PNG")
    sentence = figure.sentence()
    assert re.fullmatch(r"After [\d,]+ steps with η = .*\.", sentence)
    assert "nan" not in sentence
    assert ("leaves the valleys" in sentence) == ("lr" in traits)


def test_the_placeholder_carries_state_still_and_sentence(open_page: Open) -> None:
    figure = OppositeDrifts(steps=300, seed=8)
    html = figure.to_html()
    assert html == OppositeDrifts(steps=300, seed=8).to_html()
    state = re.search(r'<script type="application/json">(.*?)</script>', html)
    assert state is not None
    values = json.loads(state[1])
    assert (values["_figure"], values["seed"], values["frame"]) == ("OppositeDrifts", 8, 300)
    page = open_page(html, scripts=False)
    assert page.locator("figcaption").inner_text() == figure.sentence()
    assert page.locator("figure img").evaluate("(i) => i.complete && i.naturalWidth > 500")
