"""The figure Thermostat: its numbers against samlib and the theory, and the figure on a page."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from playwright.sync_api import Page, expect

import samlib
from samlib.dynamics import two_cycle_multipliers
from samlib.landscapes import Quadratic
from samlib.rules import SAM
from samlib.widgets import Thermostat
from samlib.widgets.figures.thermostat.model import QuadraticForm
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

PRESETS = ("opening", "near-tie", "tie", "large-step", "saddle")


def vector(numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


# ── Numbers ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", PRESETS)
def test_a_step_multiplies_the_gradient_by_the_multipliers(name: str) -> None:
    figure = Thermostat.preset(name, steps=12)
    gradients = figure.gradients()
    made = gradients[1:] / gradients[:-1]
    # A component that is all but zero is what rounding makes of it.
    seen = gradients[1:].abs() > 1e-12 * figure.gradient_norms()[1:, None]
    expected = figure.multipliers()[:-1]
    torch.testing.assert_close(made[seen], expected[seen], rtol=1e-9, atol=1e-10)
    assert seen.sum() > 40


@pytest.mark.parametrize("name", PRESETS)
def test_the_gradient_finds_its_balance(name: str) -> None:
    figure = Thermostat.preset(name, steps=400)
    assert float(figure.gradient_norms()[-1]) == pytest.approx(figure.balance, rel=1e-9)
    at_rest = figure.multipliers()[-1]
    top = vector(figure.eigenvalues) == max(figure.eigenvalues)
    torch.testing.assert_close(at_rest[top], torch.full_like(at_rest[top], -1), rtol=0, atol=1e-9)
    assert bool((at_rest[~top].abs() < 1).all())
    theory = two_cycle_multipliers(vector(figure.eigenvalues), lr=figure.lr)
    torch.testing.assert_close(at_rest[~top], theory[~top], rtol=1e-9, atol=1e-12)


def test_in_a_tie_both_parts_keep_what_they_began_with() -> None:
    gradients = Thermostat.preset("tie", steps=400).gradients().abs()
    ratio = gradients[:, 0] / gradients[:, 1]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 0.6), rtol=1e-9, atol=0)


@pytest.mark.parametrize(("downhill", "held"), [(-0.45, False), (-0.6, True), (-1.6, True)])
def test_a_saddle_holds_sam_between_two_curvatures(downhill: float, held: bool) -> None:
    """With λ₁ = 1.2 and η = .5 the cycle attracts if and only if .514 < μ < 1.714."""
    eigenvalues = (1.2, 0.6, 0.25, downhill)
    figure = Thermostat(eigenvalues=eigenvalues, start=(1, 0, 0, 1e-3), norm=0.0514, steps=500)
    end = float(figure.gradient_norms()[-1])
    assert (end == pytest.approx(figure.balance, rel=1e-6)) == held
    assert held or end > 10


def test_without_a_negative_eigenvalue_it_is_the_bowl() -> None:
    figure = Thermostat(steps=300)
    first = figure.trajectory.x[0, 0]
    assert float((first * vector(figure.eigenvalues)).norm()) == pytest.approx(0.8, rel=1e-12)
    bowl = samlib.simulate(Quadratic(figure.eigenvalues), SAM(0.5, 0.1), first, 300)
    assert torch.equal(figure.trajectory.x, bowl.x)
    saddle, x = QuadraticForm((2.0, -1.0)), vector([3.0, 5.0])
    assert float(saddle.value(x)) == 9 - 12.5
    assert saddle.gradient(x).tolist() == [6, -5]


def test_there_is_no_balance_where_no_cycle_can_be() -> None:
    for traits in ({"eigenvalues": (4.0, 1.0, 1.0, 1.0)}, {"eigenvalues": (-1.0, -1.0, -2.0, 0.0)}):
        figure = Thermostat(**traits)
        assert math.isnan(figure.balance)
        assert "there is no balance" in figure.sentence()
    figure = Thermostat(eigenvalues=(4.2, 1.0, 0.5, 0.2), steps=2000)
    assert float(figure.gradient_norms()[-1]) > 1e50


def test_a_start_without_a_gradient_stays_where_it_is() -> None:
    figure = Thermostat(eigenvalues=(1.0, 0.0, 0.0, 0.0), start=(0.0, 1.0, 2.0, 3.0))
    assert figure.trajectory.x[0, 0].tolist() == [0, 1, 2, 3]
    assert figure.sentence() == "Step 0 of SAM on a quadratic: the gradient is zero."
    assert Thermostat(rho=0.0).multipliers()[3].tolist() == pytest.approx([0.1, 0.4, 0.7, 0.875])


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"eigenvalues": (1.0, 2.0)}, r"eigenvalues must be 4 finite numbers.*got 2 of them"),
        ({"eigenvalues": (1.0, 2.0, 3.0, 5.0)}, r"eigenvalues must be .*got 5.0 in it"),
        ({"start": (1.0, 2.0, 3.0, math.nan)}, r"start must be .*got nan in it"),
        ({"norm": 0}, r"norm must be a finite number from 0.0001 to 1000, got 0"),
        ({"rho": -1}, r"rho must be a finite number from 0 to 10, got -1"),
        ({"lr": 0}, r"lr must be a finite number from 0.001 to 10, got 0"),
        ({"steps": 2001}, r"steps must be a whole number from 1 to 2000, got 2001"),
        ({"frame": 41}, r"frame must be from 0 to steps = 40, got 41"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(Thermostat, traits, message)


def test_presets_have_names() -> None:
    assert Thermostat.preset("opening").state() == Thermostat().state()
    assert Thermostat.preset("tie", frame=3).frame == 3
    with pytest.raises(ValueError, match=r"name must be one of opening, .*got 'tied'"):
        Thermostat.preset("tied")


# ── On a page ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def placeholder() -> str:
    return Thermostat(frame=7).to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


def values(page: Page) -> list[float]:
    """The eigenvalues that the handles say."""
    page.evaluate(DRAWN)
    found: list[float] = page.locator("[data-control^='eigenvalue-']").evaluate_all(
        "(all) => all.map((handle) => Number(handle.getAttribute('aria-valuenow')))"
    )
    return found


def drag(page: Page, selector: str, dx: float, dy: float, *, at: tuple[float, float]) -> None:
    """Drag from a place in an element, given as parts of its width and height."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    x, y = box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()
    page.evaluate(DRAWN)


def test_every_control_changes_pictures_and_sentence(page: Page) -> None:
    def see() -> tuple[list[str], str]:
        return pictures(page), readout(page)

    seen = [see()]
    for change in (
        lambda: press(page, "[data-control='norm']", "PageDown"),
        lambda: fill(page, "norm", "0.3"),
        lambda: press(page, "[data-control='eigenvalue-1']", "PageUp"),
        lambda: press(page, "[data-control='frame']", *["ArrowRight"] * 4),
    ):
        change()
        seen.append(see())
    for before, after in itertools.pairwise(seen):
        assert before[1] != after[1]
        assert all(a != b for a, b in zip(before[0], after[0], strict=True))
    before = pictures(page)
    for name in ("eigenvalue-2", "eigenvalue-3", "eigenvalue-4"):
        press(page, f"[data-control='{name}']", "ArrowLeft")
        assert before != (before := pictures(page))
    assert values(page) == [2.3, 1.15, 0.55, 0.2]


def test_the_sentence_holds_samlibs_numbers(page: Page) -> None:
    figure = Thermostat(frame=7)
    norm, m = float(figure.gradient_norms()[7]), float(figure.multipliers()[7, 0])
    assert readout(page) == (
        f"Step 7: ‖∇L‖ = {norm:.3g}, below its balance {figure.balance:.3g}. "
        f"It grows along v₁ (m = {m:.3g}); all others shrink.".replace("-", "−")
    )
    press(page, "[data-control='frame']", "End")
    assert "at its balance 0.147. Along v₁ (m = −1) it keeps its length" in readout(page)
    # Each part's multiplier stands beside its line.
    texts = page.locator(".samlib-thermostat-run .samlib-mark").all_text_contents()
    at_rest = figure.multipliers()[-1].tolist()
    for rank, value in zip("₁₂₃₄", at_rest, strict=True):
        assert f"v{rank} × {value:.2f}".replace("-", "−") in texts


def test_an_eigenvalue_is_dragged_through_zero_and_past_others(page: Page) -> None:
    drag(page, "[data-control='eigenvalue-1'] .samlib-ring", -150, 20, at=(0.5, 0.5))
    moved = values(page)
    assert moved[1:] == [1.2, 0.6, 0.25]
    assert -1.3 < moved[0] < -0.7
    names = page.locator("[data-control^='eigenvalue-'] text").all_text_contents()
    assert [name[:2] for name in names] == ["v₄", "v₁", "v₂", "v₃"]
    assert page.locator(".samlib-thermostat-top").get_attribute("data-control") == "eigenvalue-2"
    assert page.locator("[data-control='eigenvalue-1']").get_attribute("aria-label") == (
        "Eigenvalue λ₄; the arrow keys move it"
    )


def test_a_dragged_eigenvalue_falls_into_a_tie(page: Page) -> None:
    box = page.locator("[data-control='eigenvalue-2'] .samlib-ring").bounding_box()
    goal = page.locator("[data-control='eigenvalue-1'] .samlib-ring").bounding_box()
    assert box is not None
    assert goal is not None
    drag(
        page, "[data-control='eigenvalue-2'] .samlib-ring",
        goal["x"] - box["x"] - 3, 0, at=(0.5, 0.5),
    )  # fmt: skip
    assert values(page)[:2] == [1.8, 1.8]
    assert page.locator(".samlib-thermostat-top").count() == 2


def test_the_curve_is_bent_through_the_mouse(page: Page) -> None:
    """It passes through where it was let go: there m = 1 − ηλ − ηρλ²/‖∇L‖."""
    drag(page, ".samlib-thermostat-curve svg", 30, 40, at=(0.75, 0.5))
    norm = float(fields(page)["norm"])
    box = page.locator(".samlib-thermostat-curve svg").bounding_box()
    assert box is not None
    inner = {"left": 34, "right": box["width"] - 8, "top": 8, "bottom": box["height"] - 40}
    px, py = 0.75 * box["width"] + 30, 0.5 * box["height"] + 40
    value = -2.5 + 7 * (px - inner["left"]) / (inner["right"] - inner["left"])
    m = 1.5 - 4.2 * (py - inner["top"]) / (inner["bottom"] - inner["top"])
    assert norm == pytest.approx(0.05 * value**2 / (1 - 0.5 * value - m), rel=0.01)
    assert readout(page).startswith("Step 0: ")
    # A finger scrolls the page instead.
    point = "(svg, kind) => svg.dispatchEvent(new PointerEvent(kind, {pointerType: 'touch', pointerId: 5, clientX: 300, clientY: 300}))"  # noqa: E501
    page.locator(".samlib-thermostat-curve svg").evaluate(point, "pointerdown")
    assert float(fields(page)["norm"]) == norm


def test_the_slider_follows_the_run(page: Page) -> None:
    figure = Thermostat(frame=7)
    assert float(fields(page)["norm"]) == pytest.approx(float(figure.gradient_norms()[7]), rel=1e-4)
    fill(page, "norm", "0.02")  # begins anew
    assert readout(page).startswith("Step 0: ‖∇L‖ = 0.02, below its balance 0.147.")
    page.locator("[data-control='play']").click()
    page.wait_for_function(
        "!document.querySelector('.samlib-readout').textContent.startsWith('Step 0:')"
    )
    page.locator("[data-control='play']").click()
    assert fields(page)["norm"] != "0.02"


def test_a_link_brings_back_everything(open_page: Open, page: Page, placeholder: str) -> None:
    opening = fields(page), readout(page), pictures(page), values(page)
    press(page, "[data-control='eigenvalue-3']", "PageDown", "PageDown")
    fill(page, "norm", "0.123")
    press(page, "[data-control='frame']", *["ArrowRight"] * 9)
    share(page, "link")
    again = open_page(placeholder, fragment=page.url.removeprefix(ADDRESS))
    assert (fields(again), readout(again), pictures(again), values(again)) == (
        fields(page),
        readout(page),
        pictures(page),
        values(page),
    )
    page.locator("[data-control='reset']").click()
    assert (fields(page), readout(page), pictures(page), values(page)) == opening


@pytest.mark.parametrize("name", PRESETS)
def test_a_link_may_name_a_preset(open_page: Open, placeholder: str, name: str) -> None:
    page = open_page(placeholder, fragment=f"#thermostat:preset={name}&frame=40")
    assert values(page) == list(Thermostat.preset(name).eigenvalues)
    balance = Thermostat.preset(name).balance
    assert f"at its balance {balance:.3g}." in readout(page)


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ("norm=abc", "‖∇L‖ = “abc” is not a number and was ignored"),
        ("lr=99", "η = 99 was moved to 10"),
        ("eigenvalues=1,2,3", "λ has 3 numbers, not 4, and was ignored"),
        ("eigenvalues=9,0,0,0", "λ = 9 was moved to 4.5"),
        ("steps=30&frame=31", "step = 31 was moved to 30"),
        ("preset=tied", "preset = “tied” is unknown and was ignored"),
    ],
)
def test_a_bad_link_is_put_right_and_says_so(
    open_page: Open, placeholder: str, fragment: str, message: str
) -> None:
    page = open_page(placeholder, fragment=f"#figure:{fragment}")
    expect(page.locator(".samlib-note")).to_contain_text(message)
    assert readout(page).startswith("Step ")


def test_what_has_no_balance_is_said(open_page: Open, placeholder: str) -> None:
    for eigenvalues, said in (
        ("4.4,1,1,1", "ηλ₁ = 2.2, and from 2 on there is no balance"),
        ("-1,-1,-2,0", "no λ is positive, so there is no balance"),
        ("0,0,0,0", "the gradient is zero."),
    ):
        page = open_page(placeholder, fragment=f"#figure:eigenvalues={eigenvalues}&frame=0")
        assert said in readout(page)
        names = page.locator(".samlib-thermostat-run .samlib-mark:not([hidden])")
        assert "balance" not in names.all_text_contents()
    page = open_page(
        placeholder, fragment="#figure:eigenvalues=4.5,1,1,1&lr=10&steps=900&frame=900"
    )
    assert "the run diverges" in readout(page)


@pytest.mark.parametrize("width", [360, 620, 760, 1100])
def test_it_fits(open_page: Open, placeholder: str, width: int) -> None:
    page = open_page(placeholder, width=width)
    page.evaluate(DRAWN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert misfits(page) == []


def test_nothing_jumps(open_page: Open, placeholder: str) -> None:
    assert_nothing_jumps(open_page, placeholder)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_in_both_themes(page: Page, theme: str) -> None:
    assert_accessible(page, theme)


def test_a_page_without_scripts_keeps_still_and_sentence(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder, scripts=False)
    assert page.locator("figure img").evaluate("(image) => image.naturalWidth > 500")
    said = page.locator("figcaption").inner_text()
    assert said.endswith("is 0.147; it grows along v₁ (m = −2.1).")
