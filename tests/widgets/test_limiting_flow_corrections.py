"""The figure LimitingFlow beyond the limits: corrected flows, ties, where the gradient points."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from playwright.sync_api import Page, expect

from samlib.widgets import LimitingFlow

from .conftest import Open
from .panels import open_panels
from .reading import DRAWN, fill, misfits, pictures, press, readout


@pytest.fixture(scope="module")
def placeholder() -> str:
    """The figure's placeholder, with a shorter run so that the tests are quick."""
    return LimitingFlow(time=1.0, rho=0.1).to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


# ── The numbers ──────────────────────────────────────────────────────────────────────────────────


def test_each_correction_brings_the_flow_nearer_to_sam() -> None:
    """Where ρ/η is small, so that both errors are: the first is larger than the second."""
    measured = LimitingFlow(rho=0.02, time=2.0).on_gamma()["top_eigenvalue"]
    errors = []
    for kind in ("limit", "rate", "both"):
        figure = LimitingFlow(rho=0.02, time=2.0, flow=kind)
        flow = figure.corrected_flow() or figure.limiting_flows()["top_eigenvalue"]
        errors.append(float((measured / flow.top_eigenvalue - 1)[1:].abs().max()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 2e-3


def test_in_a_tie_the_gradient_points_on_average_where_the_flow_says() -> None:
    figure = LimitingFlow.preset("tie")
    found = figure.directions()
    assert found is not None
    tied = int((found.tied == 2).nonzero()[0])
    assert figure.times[tied] == pytest.approx(2.0, abs=0.1)
    # It stays in the plane up to the two-cycle's tilt, of order ρ, whose square the length lacks.
    inside = found.s[int(found.counts[tied]) :].norm(dim=-1)
    assert bool((inside < 1 + 1e-9).all())
    assert inside.min() > 1 - 0.05**2
    # It swings there, with a period of a quarter: of the mean over 4 a fortieth is left, about.
    assert found.s[int(found.counts[tied]) :, 1].abs().max() > 0.9
    mean = found.mean(60)
    assert (mean - torch.tensor([float(found.predicted[60]), 0.0])).abs().max() < 0.025
    assert 0.8 < found.predicted[60] < 0.86
    before = found.mean(tied - 2)
    assert (before - torch.tensor([1.0, 0.0])).abs().max() < 0.05
    assert bool(found.mean(0).isnan().all())


@pytest.mark.parametrize("traits", [{"batch_size": 1}, {"batch_size": 4}, {"lr": 2.0}])
def test_what_has_no_corrected_flow_says_so(traits: dict[str, Any]) -> None:
    """Smaller batches, and η > 2/λ₁: λ₁ is 1.15 here."""
    figure = LimitingFlow(time=0.05, rho=0.1, flow="both", panels=("plane",), **traits)
    assert figure.corrected_flow() is None
    assert figure.directions() is None
    assert figure.still().startswith(b"\x89PNG")
    assert "both errors has" not in figure.sentence()


def test_a_preset_is_a_whole_state() -> None:
    assert LimitingFlow.preset("tie").state() == LimitingFlow()._config["presets"]["tie"]
    assert LimitingFlow.preset("tie", frame=7).frame == 7
    with pytest.raises(ValueError, match="name must be one of tie, got 'knot'"):
        LimitingFlow.preset("knot")


# ── The page ─────────────────────────────────────────────────────────────────────────────────────


def test_the_page_says_what_python_says_of_both_errors_and_the_circle(open_page: Open) -> None:
    figure = LimitingFlow.preset("tie", rho=0.1, time=4.0)
    page = open_page(figure.to_html())
    numbers = r"errors (?:has )?(0\.\d+)|\((−?\d\.\d\d), (−?\d\.\d\d)\)"
    said, python = (re.findall(numbers, text) for text in (readout(page), figure.sentence()))
    assert len(said) == len(python) == 3
    for ours, theirs in zip(said, python, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            values = [float(text.replace("−", "-") or 0) for text in (one, other)]
            assert values[0] == pytest.approx(values[1], abs=0.011)


def test_the_flow_can_be_chosen_for_the_full_batch(page: Page) -> None:
    group = page.get_by_role("group", name="Flow of λ₁")
    names = {"at this η": "flow of λ₁ at this η", "both errors": "flow of λ₁ with both errors"}
    label = page.locator(".samlib-plot").first.locator(".samlib-mark").first
    for choice, said in names.items():
        before = pictures(page)
        group.get_by_text(choice).click()
        assert said in readout(page)
        assert pictures(page)[0] != before[0]
        assert choice in (label.text_content() or "")
    press(page, "input[value='both']", "ArrowLeft", "ArrowLeft")
    assert "(limiting flow of λ₁" in readout(page)
    fill(page, "rho", "0.9")
    fill(page, "lr", "0.01")
    group.get_by_text("both errors").click()
    assert "known only roughly" in readout(page)
    fill(page, "rho", "0.1")
    fill(page, "lr", "2")
    press(page, "[data-control='frame']", "Home")
    assert "there is no flow of λ₁ with both errors: η is above 2/λ₁" in readout(page)
    fill(page, "batch_size", "1")
    expect(group.get_by_role("radio").first).to_be_disabled()
    assert "limiting flow of the trace" in readout(page)


def test_the_distances_are_those_to_the_flow_that_is_chosen(page: Page) -> None:
    plot = page.locator("[data-history] canvas").first
    page.evaluate(DRAWN)
    before = plot.evaluate("(canvas) => canvas.toDataURL()")
    page.get_by_text("both errors").click()
    page.evaluate(DRAWN)
    assert plot.evaluate("(canvas) => canvas.toDataURL()") != before
    page.get_by_text("η → 0").click()
    page.evaluate(DRAWN)
    assert plot.evaluate("(canvas) => canvas.toDataURL()") == before


def test_the_circle_is_computed_where_it_is_open(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder, panels=False)
    turn = page.locator("[data-opens='plane']")
    assert "on the circle" not in readout(page)
    press(page, "[data-opens='plane']", "Enter")
    expect(turn).to_be_focused()
    assert "on the circle its mean is (" in readout(page)
    marks = page.locator(".samlib-circle .samlib-mark:visible")
    assert {"v₁", "v₂", "no tie yet"} < set(marks.all_text_contents())
    before = pictures(page)
    press(page, "[data-control='frame']", "Home")
    assert pictures(page) != before
    assert "NaN" not in page.locator(".samlib-circle").inner_html()
    for width in (360, 400, 620, 800):
        page.set_viewport_size({"width": width, "height": 900})
        assert misfits(page) == []
    open_panels(page, "settings")
    fill(page, "batch_size", "2")
    assert marks.all_text_contents() == ["full batch only"]


def test_a_tie_is_a_button_and_a_link_away(open_page: Open, placeholder: str) -> None:
    second = placeholder.replace('id="figure"', 'id="other"')
    page = open_page(placeholder, second)
    first, other = page.locator(".samlib-body").all()
    told = first.locator(".samlib-readout")
    for body in (first, other):
        expect(body).to_have_attribute("aria-busy", "false")
    opening = told.inner_text()
    first.locator("[data-control='tie']").click()
    expect(told).to_contain_text("on the circle its mean since the tie is")
    expect(first).to_have_attribute("aria-busy", "false")
    sentence = told.inner_text()
    assert "Step 24,000, τ = 6: " in sentence
    first.locator("[data-control='reset']").click()
    expect(told).to_have_text(opening)
    page.evaluate("location.hash = '#limitingflow:preset=tie'")
    expect(told).to_have_text(sentence)
    expect(other.locator(".samlib-readout")).to_have_text(opening)
    page.evaluate("location.hash = '#limitingflow-2:preset=tie&frame=0'")
    expect(other.locator(".samlib-readout")).to_contain_text("Step 0, τ = 0: ")
    expect(other.locator("[data-field='network']")).to_have_value("39")
    expect(told).to_have_text(sentence)
