"""The figure Rescaling: its numbers against samlib and the theory, and the figure on a page."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from playwright.sync_api import Page, expect

import samlib
from samlib.widgets import Rescaling
from samlib.widgets.figures.rescaling import training
from samlib.widgets.figures.rescaling.model import DATA, objective, read_trained, scaling
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

ALPHAS = (0.03, 0.05, 0.3, 1.0, 2.0, 30.0)

# ── Numbers ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_answers_stay_and_the_sharpness_does_not(alpha: float) -> None:
    opening, figure = Rescaling(), Rescaling(alpha=alpha)
    torch.testing.assert_close(figure.outputs(), opening.outputs(), rtol=0, atol=1e-12)
    assert torch.equal(figure.answers(), opening.answers())
    # The network itself, not the rule by which it is rescaled.
    x = figure.weights()
    top = samlib.top_eigenpairs(objective(), x, rtol=1e-6, progress=False).values[0]
    assert figure.top_eigenvalue() == pytest.approx(float(top), rel=1e-4)
    hessian = objective().hessian(x)
    assert figure.trace() == pytest.approx(float(hessian.trace()), rel=1e-9)
    factors = scaling(alpha)
    before = objective().hessian(read_trained().weights)
    torch.testing.assert_close(
        hessian * torch.outer(factors, factors), before, rtol=1e-7, atol=1e-9
    )


def test_both_ends_of_the_slider_are_sharp() -> None:
    middle, *ends = (Rescaling(alpha=alpha).top_eigenvalue() for alpha in (1.0, 0.05, 30.0))
    assert round(ends[0] / middle) == 273
    assert ends[1] > 80 * middle


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_profile_is_the_loss_and_bends_by_the_top_eigenvalue(alpha: float) -> None:
    figure = Rescaling(alpha=alpha)
    profile = figure.profile()
    assert float(profile[60]) == pytest.approx(float(objective().value(figure.weights())))
    # Near 0 the loss is a parabola: distances are 1.5 (k/60)³.
    near = 1.5 * (12 / 60) ** 3
    bend = float(profile[72] - 2 * profile[60] + profile[48]) / near**2
    assert bend == pytest.approx(figure.top_eigenvalue(), rel=0.15)
    assert profile[-1] >= profile[0]


def test_the_network_is_trained_as_the_file_says() -> None:
    """From the same start; the last digits of a training are a machine's own."""
    again, stored = json.loads(training.written()), json.loads(DATA.read_text("utf8"))
    for name in ("pixels", "labels", "new"):
        assert again[name] == stored[name]
    assert len(again["weights"]) == len(stored["weights"])
    digits = samlib.problems.digits(train_rows=100)
    assert torch.equal(read_trained().inputs, digits.inputs)
    assert torch.equal(read_trained().new_targets, digits.test_targets[:12])
    assert float(objective().value(read_trained().weights)) < 2e-3
    assert float(objective().gradient(read_trained().weights).norm()) < 5e-3


def test_it_is_small() -> None:
    assert len(json.dumps(Rescaling()._config)) < 20_000


@pytest.mark.parametrize("alpha", [0, 0.02, 31, math.nan, "1"])
def test_wrong_values_are_refused_with_reasons(alpha: Any) -> None:
    assert_refused(
        Rescaling, {"alpha": alpha}, r"alpha must be a finite number from 0.03 to 30, got"
    )


# ── On a page ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def placeholder() -> str:
    return Rescaling().to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


def answers(page: Page) -> list[str]:
    """What stands under the twelve digits."""
    return page.locator(".samlib-rescaling-digits li").all_inner_texts()


def numbers(page: Page) -> list[str]:
    """The three large numbers."""
    return page.locator(".samlib-rescaling-numbers b").all_inner_texts()


def test_the_slider_moves_everything_but_the_answers(page: Page) -> None:
    before = answers(page), pictures(page), numbers(page), readout(page)
    assert [text.split()[0] for text in before[0]] == list(map(str, Rescaling().answers().tolist()))
    truths = zip(Rescaling().answers().tolist(), read_trained().new_targets.tolist(), strict=True)
    assert [text.split()[1:] for text in before[0]] == [
        [] if answer == truth else ["not", str(truth)] for answer, truth in truths
    ]
    press(page, "[data-control='alpha']", "PageDown", "PageDown")
    after = answers(page), pictures(page), numbers(page), readout(page)
    assert after[0] == before[0]
    assert after[1][0] != before[1][0]  # the profile
    assert after[1][1:] == before[1][1:]  # the digits
    assert after[2][2] == before[2][2] == "0"
    assert after[2][:2] != before[2][:2]
    assert after[3] != before[3]


def test_the_sentence_holds_samlibs_numbers(page: Page) -> None:
    assert readout(page) == (
        "The network as it was trained, α = 1: λ₁ = 2.98, and the trace of its Hessian is 60.8."
    )
    fill(page, "alpha", "0.05")
    assert Rescaling(alpha=0.05).sentence().endswith(
        "λ₁ = 812, 273 times as large as for α = 1, and the trace 16,200, 267 times."
    )  # fmt: skip
    assert readout(page) == (
        "α = 0.05. The same answers; λ₁ is 273 times as large, 812, and the trace 267 times, "
        "16,200."
    )
    assert numbers(page) == ["812", "16,200", "0"]


def test_a_link_brings_back_everything(open_page: Open, page: Page, placeholder: str) -> None:
    opening = fields(page), readout(page), pictures(page)
    fill(page, "alpha", "7.3")
    share(page, "link")
    again = open_page(placeholder, fragment=page.url.removeprefix(ADDRESS))
    assert (fields(again), readout(again), pictures(again)) == (
        fields(page),
        readout(page),
        pictures(page),
    )
    page.locator("[data-control='reset']").click()
    assert (fields(page), readout(page), pictures(page)) == opening
    named = open_page(placeholder, fragment="#rescaling:preset=sharp")
    assert fields(named)["alpha"] == "0.05"


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ("alpha=abc", "α = “abc” is not a number and was ignored"),
        ("alpha=99", "α = 99 was moved to 30"),
        ("preset=flat", "preset = “flat” is unknown and was ignored"),
    ],
)
def test_a_bad_link_is_put_right_and_says_so(
    open_page: Open, placeholder: str, fragment: str, message: str
) -> None:
    page = open_page(placeholder, fragment=f"#figure:{fragment}")
    expect(page.locator(".samlib-note")).to_contain_text(message)


@pytest.mark.parametrize("width", [360, 620, 760, 1100])
def test_it_fits(open_page: Open, placeholder: str, width: int) -> None:
    page = open_page(placeholder, width=width, fragment="#figure:alpha=0.05")
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
    assert page.locator("figcaption").inner_text() == Rescaling().sentence()
