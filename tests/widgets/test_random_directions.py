"""The figure RandomDirections: its draws against SciPy, its shares against samlib, on a page."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from playwright.sync_api import Page

import samlib
from samlib.widgets import RandomDirections
from samlib.widgets.figures.random_directions.model import DIRECTIONS, directions, shares
from tests.sharing import share

from .conftest import ADDRESS, Open
from .reading import (
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

# One in ten thousand seeds is less likely than these p-values.
LEAST_P = 1e-4


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_coordinates_are_gaussian_and_independent(seed: int) -> None:
    drawn = directions(40, seed)
    assert scipy.stats.kstest(drawn.ravel(), "norm").pvalue > LEAST_P
    correlations = np.corrcoef(drawn.T)[np.triu_indices(40, 1)]
    spread = scipy.stats.kstest(correlations * math.sqrt(DIRECTIONS), "norm")
    assert spread.pvalue > LEAST_P


def test_in_two_dimensions_the_share_has_the_law_of_a_random_angle() -> None:
    # λ₂ = λ₁/2, so that the share is (1 + cos²θ)/2, and cos²θ has a beta distribution.
    found = scipy.stats.kstest(2 * shares(2, 3) - 1, scipy.stats.beta(0.5, 0.5).cdf)
    assert found.pvalue > LEAST_P


@pytest.mark.parametrize("dimension", [2, 7, 100, 1210])
def test_shares_are_the_rises_of_samlibs_bowl_over_the_worst(dimension: int) -> None:
    figure, rho = RandomDirections(dimension=dimension, seed=4), 0.3
    objective, bottom = figure.objective, torch.zeros(dimension, dtype=torch.float64)
    u = torch.from_numpy(directions(dimension, 4))
    rises = objective.value(rho * u / u.norm(dim=1, keepdim=True))
    worst = samlib.worst_direction_sharpness(objective, bottom, rho, progress=False)
    np.testing.assert_allclose(shares(dimension, 4), rises / worst.value, rtol=1e-9)
    found = figure.shares()
    assert found["best draw"] == pytest.approx(float(rises.max() / worst.value), rel=1e-9)
    mean = samlib.average_direction_sharpness(
        objective, bottom, rho, samples=20_000, progress=False
    )
    ratio, error = (float(each / worst.value) for each in (mean.value, mean.error))
    assert abs(found["average"] - ratio) < 4 * error + 1e-12


def test_more_dimensions_change_no_coordinate() -> None:
    np.testing.assert_array_equal(directions(1210, 7)[:, :13], directions(13, 7))


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"dimension": 1}, r"dimension must be a whole number from 2 to 1210, got 1"),
        ({"dimension": 2.5}, r"dimension must be a whole number from 2 to 1210, got 2.5"),
        ({"seed": -1}, r"seed must be a whole number from 0 to 4294967295, got -1"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(RandomDirections, traits, message)


# ── On a page ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def placeholder() -> str:
    return RandomDirections(dimension=30).to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


def numbers(text: str) -> list[float]:
    return [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def test_the_page_says_what_python_says(page: Page) -> None:
    for dimension in (30, 2, 1210, 3):
        fill(page, "dimension", str(dimension))
        assert numbers(readout(page)) == numbers(RandomDirections(dimension=dimension).sentence())


def test_controls_change_the_picture_and_a_link_brings_it_back(
    open_page: Open, page: Page, placeholder: str
) -> None:
    opening = pictures(page), readout(page)
    press(page, "[data-control='dimension']", "ArrowRight")
    assert fields(page)["dimension"] == "31"
    moved = pictures(page), readout(page)
    page.locator("[data-control='seed']").click()
    drawn = pictures(page), readout(page)
    assert len({opening[1], moved[1], drawn[1]}) == 3
    assert len({opening[0][0], moved[0][0], drawn[0][0]}) == 3
    share(page, "link")
    again = open_page(placeholder, fragment=page.url.removeprefix(ADDRESS))
    assert (pictures(again), readout(again)) == drawn
    page.locator("[data-control='reset']").click()
    assert (pictures(page), readout(page)) == opening


def test_labels_stay_in_the_figure_and_off_one_another(page: Page) -> None:
    for width in (360, 800):
        page.set_viewport_size({"width": width, "height": 900})
        for dimension in ("2", "3", "30", "1210"):
            fill(page, "dimension", dimension)
            assert misfits(page) == []
            boxes = [each.bounding_box() for each in page.locator(".samlib-mark").all()]
            for i, a in enumerate(boxes):
                for b in boxes[:i]:
                    assert a is not None
                    assert b is not None
                    apart_x = abs(a["x"] + a["width"] / 2 - b["x"] - b["width"] / 2)
                    apart_y = abs(a["y"] - b["y"])
                    assert apart_x >= (a["width"] + b["width"]) / 2 or apart_y >= 12


def test_nothing_jumps(open_page: Open, placeholder: str) -> None:
    assert_nothing_jumps(open_page, placeholder)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_in_both_themes(page: Page, theme: str) -> None:
    assert_accessible(page, theme)


def test_a_page_without_scripts_keeps_still_and_sentence(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder, scripts=False)
    assert page.locator("figure img").evaluate("(image) => image.naturalWidth > 500")
    sentence = RandomDirections(dimension=30).sentence()
    assert page.locator("figcaption").inner_text() == sentence
