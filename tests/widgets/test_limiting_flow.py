"""The figure LimitingFlow: its numbers, its page with the worker, and its Python side."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from samlib.widgets import LimitingFlow
from tests.sharing import share

from .conftest import ADDRESS, Open
from .panels import open_panels
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
from .settings import LIMITING_FLOW as SETTINGS


@pytest.fixture(scope="module")
def placeholder() -> str:
    """The figure's placeholder, with a shorter run so that the tests are quick."""
    return LimitingFlow(time=1.0, rho=0.1).to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


# ── The numbers ──────────────────────────────────────────────────────────────────────────────────


def test_the_full_batch_follows_one_flow_and_one_sam_the_other() -> None:
    full, single = LimitingFlow(), LimitingFlow(batch_size=1, lr=0.05, rho=0.1)
    for figure, near, far in (
        (full, "top_eigenvalue", "trace"),
        (single, "trace", "top_eigenvalue"),
    ):
        measured, flows = figure.on_gamma()[near], figure.limiting_flows()
        error = [
            float(((measured - getattr(flows[name], near)) / measured).abs().max())
            for name in (near, far)
        ]
        assert error[0] < 0.02 < 3 * error[0] < error[1]


# ── The page ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["another network", "1-SAM", "large steps"])
def test_the_page_says_what_python_says(open_page: Open, name: str) -> None:
    figure = LimitingFlow(**SETTINGS[name])
    number = r"(?:λ₁|trace) = (\d\.\d+)|flow of (?:λ₁|the trace) (?:has )?(\d\.\d+)"
    said = re.findall(number, readout(open_page(figure.to_html())))
    python = re.findall(number, figure.sentence().split("): ", 1)[1])
    assert len(said) == 2
    for ours, theirs in zip(said, python, strict=True):
        assert float("".join(ours)) == pytest.approx(float("".join(theirs)), rel=2e-3)


def test_every_slider_moves_picture_and_sentence(page: Page) -> None:
    for name, key in (
        ("rho", "ArrowRight"), ("lr", "ArrowLeft"), ("batch_size", "PageDown"), ("time", "PageUp"),
    ):  # fmt: skip
        before = pictures(page), readout(page), fields(page)
        press(page, f"[data-control='{name}']", *[key] * 6)
        assert before[0] != pictures(page), name
        assert before[1] != readout(page), name
        assert float(fields(page)[name]) != float(before[2][name]), name


def test_every_field_moves_picture_and_sentence(page: Page) -> None:
    values = {
        "rho": "0.2", "lr": "0.07", "batch_size": "3", "time": "1.5", "network": "9", "seed": "12",
    }  # fmt: skip
    assert set(values) == set(fields(page))
    for name, value in values.items():
        before = pictures(page), readout(page)
        fill(page, name, value)
        assert float(fields(page)[name]) == float(value)
        assert before[0] != pictures(page), name
        assert before[1] != readout(page), name


def test_another_network_and_another_draw(page: Page) -> None:
    draw = page.get_by_role("button", name="New draw")
    expect(draw).to_be_disabled()  # the full batch draws nothing
    expect(page.locator("[data-field='seed']")).to_be_disabled()
    before = readout(page)
    page.get_by_role("button", name="New network").click()
    assert fields(page)["network"] == "1"
    assert readout(page) != before
    fill(page, "batch_size", "2")
    before = readout(page)
    draw.click()
    assert fields(page)["seed"] == "2"
    assert readout(page) != before
    page.locator("[data-control='reset']").click()
    assert fields(page) | {"network": "0", "batch_size": "5", "seed": "1"} == fields(page)


def test_a_sweep_fills_in_the_distances(page: Page) -> None:
    plots = page.locator("[data-history] canvas")
    page.evaluate(DRAWN)
    before = [plots.nth(i).evaluate("(canvas) => canvas.toDataURL()") for i in range(2)]
    sentence = readout(page)
    fill(page, "time", "0.1")
    sentence = readout(page)
    sweep = page.locator("[data-control='sweep']")
    sweep.click()
    expect(sweep).to_be_disabled()
    expect(sweep).to_be_enabled(timeout=20_000)
    after = [plots.nth(i).evaluate("(canvas) => canvas.toDataURL()") for i in range(2)]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert readout(page) == sentence  # what is shown beside them stays


def test_dragging_across_the_distances_sets_rho_and_eta(page: Page) -> None:
    for name, plot in zip(("rho", "lr"), page.locator("[data-history] svg").all(), strict=True):
        before = readout(page)
        box = plot.bounding_box()
        assert box is not None
        plot.click(position={"x": 0.8 * box["width"], "y": box["height"] / 2})
        assert readout(page) != before
        assert float(fields(page)[name]) == pytest.approx(
            {"rho": 0.245, "lr": 0.43}[name], rel=0.05
        )


def test_a_run_that_takes_long_shows_how_far_it_is(page: Page) -> None:
    fill(page, "time", "1")
    page.locator("[data-field='rho']").fill("0.004")
    page.locator("[data-field='rho']").press("Enter")
    expect(page.locator(".samlib-readout")).to_contain_text("% done")
    # A newer wish does not wait for it.
    fill(page, "rho", "0.2")
    assert "ρ = 0.2" in readout(page)
    assert "% done" not in readout(page)


def test_playing_stepping_and_scrubbing(page: Page) -> None:
    play = page.locator("[data-control='play']")
    press(page, "[data-control='frame']", "Home")
    assert readout(page).startswith("Step 0, τ = 0: full-batch SAM")
    page.get_by_role("button", name="One step forward").click()
    assert readout(page).startswith("Step 16, τ = 0.016: ")
    before = pictures(page)
    play.click()
    page.wait_for_timeout(700)
    play.click()
    expect(play).to_have_attribute("aria-label", "Play")
    assert pictures(page) != before
    panel = page.locator(".samlib-plot svg").first
    box = panel.bounding_box()
    assert box is not None
    panel.click(position={"x": box["width"] - 20, "y": 40})
    page.evaluate(DRAWN)
    assert page.locator(".samlib-time").inner_text() == "τ = 1, step 1,000"


def test_diverging_and_absurd_runs_say_so(page: Page) -> None:
    fill(page, "rho", "0.05")
    fill(page, "lr", "10")
    assert "diverges, because η is too large for it" in readout(page)
    assert "NaN" not in page.locator(".samlib-stage").inner_html()
    fill(page, "rho", "10")
    assert "goes farther than the flows are followed" in readout(page)


def test_a_worker_trains_it(open_page: Open, placeholder: str) -> None:
    page = open_page(
        placeholder,
        before="""
          window.heard = [];
          window.Worker = class extends Worker {
            constructor(address) {
              super(address);
              for (const kind of ["message", "error"]) {
                this.addEventListener(kind, () => heard.push(kind));
              }
            }
          };""",
    )
    expect(page.locator(".samlib-body")).to_have_attribute("aria-busy", "false")
    assert set(page.evaluate("heard")) == {"message"}


NO_WORKERS = {
    "there are none": "delete window.Worker;",
    "they may not start": """window.Worker = class {
      constructor() { setTimeout(() => this.onerror(new Event("error"))); }
      postMessage() {}
      terminate() {}
    };""",
}


@pytest.mark.parametrize("name", NO_WORKERS)
def test_without_workers_the_page_itself_computes(
    open_page: Open, placeholder: str, name: str
) -> None:
    expected = readout(open_page(placeholder))
    page = open_page(placeholder)
    page.add_init_script(NO_WORKERS[name])
    page.reload()
    page.wait_for_selector(".samlib-body[aria-busy='false']")
    open_panels(page)
    page.wait_for_selector(".samlib-body[aria-busy='false']")
    assert readout(page) == expected
    fill(page, "rho", "0.15")
    assert "ρ = 0.15" in readout(page)


def test_a_link_brings_back_every_part_of_the_state(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder)
    for name, value in {
        "rho": "0.123", "lr": "0.06", "batch_size": "1", "time": "0.7", "network": "3",
        "seed": "2024",
    }.items():  # fmt: skip
        fill(page, name, value)
    press(page, "[data-control='frame']", "Home", *["ArrowRight"] * 17)
    share(page, "link")
    again = open_page(placeholder, fragment=page.url.removeprefix(ADDRESS))
    assert fields(again) == fields(page)
    assert readout(again) == readout(page)
    assert pictures(again)[:4] == pictures(page)[:4]  # the others remember earlier runs
    assert not readout(again).startswith("Step 0,")


BAD_LINKS = {
    "rho=abc": "ρ = “abc” is not a number and was ignored",
    "rho=0": "ρ = 0 was moved to 0.001",
    "batch_size=40": "m = 40 was moved to 5",
    "network=-1": "network = -1 was moved to 0",
    "time=1e9": "τ = 1e9 was moved to 20",
    "frame=61": "frame = 61 was moved to 60",
    "preset=knot": "preset = “knot” is unknown and was ignored",
    "preset=__proto__": "preset = “__proto__” is unknown and was ignored",
    "flow=fast": "flow = “fast” is unknown and was ignored",
}


def test_a_bad_link_is_put_right_and_says_so(page: Page) -> None:
    for fragment, message in BAD_LINKS.items():
        page.evaluate("(fragment) => { location.hash = fragment; }", f"#figure:{fragment}")
        expect(page.locator(".samlib-note")).to_contain_text(message)
    page.locator("[data-control='reset']").click()
    assert readout(page).startswith("Step 1,000, τ = 1: ")


def test_both_flows_are_named_through_a_tie_too(page: Page) -> None:
    names = page.locator(".samlib-plot").first.locator(".samlib-mark")
    page.evaluate(DRAWN)
    assert names.all_text_contents() == ["λ₁ flow", "trace flow"]
    boxes = [name.bounding_box() for name in names.all()]
    assert all(boxes)
    assert boxes[0]["y"] < boxes[1]["y"]  # type: ignore[index]
    fill(page, "network", "39")
    fill(page, "time", "10")  # that of λ₁ is tied from 2.1 on, and goes on
    assert [name.is_visible() for name in names.all()] == [True, True]


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
        ({"network": -1}, r"network must be a whole number from 0 to 2147483647, got -1"),
        ({"rho": 0}, r"rho must be a finite number from 0.001 to 10, got 0"),
        ({"lr": float("nan")}, r"lr must be a finite number from 0.001 to 10, got nan"),
        ({"batch_size": 6}, r"batch_size must be a whole number from 1 to 5, got 6"),
        ({"seed": 1.5}, r"seed must be a whole number .*got 1.5"),
        ({"time": 21}, r"time must be a finite number from 0.01 to 20, got 21"),
        ({"frame": 61}, r"frame must be a whole number from 0 to 60, got 61"),
        ({"flow": "none"}, r"flow must be one of 'limit', 'rate', 'both', got 'none'"),
        ({"panels": 1}, r"panels must be a list of words, some of 'trace', .*got 1"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(LimitingFlow, traits, message)


@pytest.mark.parametrize(
    ("traits", "said"),
    [
        ({"lr": 10, "time": 1}, "the run diverges, because η is too large for it."),
        ({"time": 0.01, "rho": 1, "lr": 1}, "after 1 steps of full-batch SAM"),
        ({"frame": 0, "batch_size": 2}, "after 0 steps of SAM on batches of 2"),
        ({"rho": 0.3, "lr": 0.3, "batch_size": 1}, "): trace = "),
    ],
)
def test_odd_corners_have_a_still_and_a_sentence(traits: dict[str, Any], said: str) -> None:
    figure = LimitingFlow(**{"time": 0.1, **traits})
    assert figure.still().startswith(b"\x89PNG")
    assert said in figure.sentence()
    assert "nan" not in figure.sentence()


def test_the_placeholder_carries_state_still_and_sentence(open_page: Open) -> None:
    figure = LimitingFlow(time=0.5, rho=0.2, network=8)
    html = figure.to_html()
    state = re.search(r'<script type="application/json">(.*?)</script>', html)
    assert state is not None
    values = json.loads(state[1])
    assert (values["_figure"], values["network"], values["frame"]) == ("LimitingFlow", 8, 60)
    page = open_page(html, scripts=False)
    assert page.locator("figcaption").inner_text() == figure.sentence()
    assert page.locator("figure img").evaluate("(i) => i.complete && i.naturalWidth > 500")
