"""The figure BasinMap: its ends against chapter 12 and theory, and the figure on a page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page

import samlib
from samlib.widgets import BasinMap
from samlib.widgets.core.figure import STATIC
from samlib.widgets.figures.basin_map.formula import read_formula
from samlib.widgets.figures.basin_map.model import (
    LEFT,
    SLOPE,
    critical_points,
    ends,
    kind_of,
    places_of,
)

from .basin_map_numbers import MAPS, SIDE, away_from_borders
from .reading import (
    assert_refused,
)

# ── Where runs end ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rho", [0.3, 0.9, 0.95, 1.3])
def test_the_labels_are_what_chapter_12_counts(rho: float) -> None:
    """Runs that jump across the saddle, and runs at rest on a slope, told as it tells them."""
    well, rule = samlib.landscapes.DoubleWell(), samlib.rules.SAM(0.02, rho)
    x = 4 * torch.rand(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 2
    found = ends(well, "places", rule, x, 4000, places_of("double well"))
    last = samlib.simulate(well, rule, x, 4000, every=4000, record=("x",)).x[:, -1]
    jumps = (rule.step(well, last) + last).norm(dim=1) < 1e-6
    rests = (rule.step(well, last) - last).norm(dim=1) < 1e-6
    slope = rests & (well.gradient(last).norm(dim=1) > 0.05)
    assert torch.equal(found.label == 2, jumps)
    assert torch.equal(found.label == SLOPE, slope)
    assert bool((found.label[~jumps & ~slope] == (last[~jumps & ~slope, 0] > 0)).all())


def test_on_slopes_runs_rest_where_the_climb_ends_at_the_other_minimum() -> None:
    found = BasinMap.preset("slope").ends(24)
    caught = found.label == SLOPE
    assert float(caught.double().mean()) > 0.9
    assert torch.allclose(found.where[caught, 0].abs(), torch.tensor(0.3, dtype=torch.float64))


def test_the_saddle_takes_all_from_the_radius_of_chapter_12_on() -> None:
    shares = [BasinMap(rho=rho, steps=4000).shares(side=24) for rho in (0.89, 0.91)]
    assert shares[0]["saddle (0, 0)"] < 0.7
    assert shares[1] == {"saddle (0, 0)": 1.0}


def test_gradient_descent_goes_to_the_minimum_of_its_side() -> None:
    found = BasinMap(method="gradient_descent").ends(16)
    left = torch.arange(256) % 16 < 8
    assert torch.equal(found.label, torch.where(left, 0, 1))


def test_with_a_tie_each_run_keeps_its_direction_and_without_one_it_turns() -> None:
    angle = torch.linspace(0.1, 3.0, 30, dtype=torch.float64)
    x = torch.stack([angle.cos(), angle.sin()], dim=-1)
    rule, both = samlib.rules.SAM(0.1, 0.4), torch.stack([(2 * angle).cos(), (2 * angle).sin()], -1)
    tied = ends(samlib.landscapes.Quadratic([2.0, 2.0]), "direction", rule, x, 2000, ())
    assert torch.allclose(tied.where, both)
    turned = ends(samlib.landscapes.Quadratic([2.0, 1.0]), "direction", rule, x, 2000, ())
    assert torch.allclose(turned.where[:, 0], torch.ones(30, dtype=torch.float64))
    assert bool((tied.arrival == 0).all())
    assert bool((turned.arrival > 0).all())


def test_exact_descent_aligns_above_one_half_only() -> None:
    """ηλ₁ = 0.54 and 0.4 (chapter 6)."""
    above, below = (BasinMap.preset("half", lr=lr).ends(16).where[:, 0] for lr in (0.27, 0.2))
    assert float((above > 0.999).double().mean()) > 0.95
    assert float((below > 0.999).double().mean()) < 0.2


def test_sam_drifts_to_where_the_top_eigenvalue_is_least() -> None:
    figure = BasinMap(loss="four dimensions", rho=0.2, steps=8000)
    assert float(figure.ends(8).where.norm(dim=1).max()) < 0.02
    valley = BasinMap(loss="two valleys")
    starts = valley.center[0] + valley.reach * ((torch.arange(8) + 0.5) / 4 - 1)
    assert bool((valley.ends(8).where[:, 0] < starts.repeat(8)).all())


def test_runs_that_leave_are_told_from_the_others() -> None:
    found = BasinMap(lr=0.4).ends(32)
    x = samlib.simulate(
        samlib.landscapes.DoubleWell(), samlib.rules.SAM(0.4, 0.5), grid(32), 2000, every=2000,
        record=("x",),
    ).x[:, -1]  # fmt: skip
    assert torch.equal(found.label == LEFT, ~(x.norm(dim=1) < 1e3))


def grid(side: int) -> torch.Tensor:
    """The middles of pixels of [−2, 2]²."""
    part = (torch.arange(side, dtype=torch.float64) + 0.5) / side * 4 - 2
    return torch.cartesian_prod(part, part).flip(-1)


# ── Formulas ─────────────────────────────────────────────────────────────────────────────────────


def test_critical_points_are_himmelblaus() -> None:
    """Four minima, four saddles and a maximum, to the digits that are published."""
    found = critical_points(read_formula("(x^2 + y - 11)^2 + (x + y^2 - 7)^2"))
    assert [kind for _, kind in found] == ["minimum"] * 4 + ["saddle"] * 4 + ["maximum"]
    minima = [x for x, _ in found[:4]]
    known = [(-3.779310, -3.283186), (-2.805118, 3.131312), (3.0, 2.0), (3.584428, -1.848126)]
    assert np.allclose(minima, known, atol=2e-6)
    assert np.allclose(found[-1][0], (-0.270845, -0.923039), atol=2e-6)


def test_a_curve_of_minima_is_a_valley() -> None:
    assert kind_of("formula", "(x*y - 1)^2") == "valley"
    assert kind_of("formula", "x^2 + y^2") == "places"


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("x +* 3", r"cannot be read at character 4"),
        ("x^2 + (y", r"cannot be read at character 7"),
        ("x^2 + z", r"has “z”, which is none of x, y, numbers"),
        ("foo(x)", r"has “foo\(x\)”"),
        ("x.real", r"has “x.real”"),
        ("__import__('os')", r"has “__import__\('os'\)”"),
        ("x if y else 1", r"has “x if y else 1”"),
        ("[x for x in y]", r"has “"),
        ("sin(x, y)", r"has “sin\(x, y\)”"),
        ("True*x", r"has “True”"),
        ("", r"formula must be a text of 1 to 200 characters, got ''"),
        ("x" + " + x" * 100, r"formula must be a text of 1 to 200 characters, got 'x \+ x"),
        (3, r"formula must be a text of 1 to 200 characters, got 3"),
    ],
)
def test_wrong_formulas_are_refused_with_reasons(formula: Any, message: str) -> None:
    assert_refused(BasinMap, {"formula": formula}, message)


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"loss": "well"}, r"loss must be one of 'double well'.*got 'well'"),
        ({"method": "one_sam"}, r"method must be one of 'sam'"),
        ({"rho": -1}, r"rho must be a finite number from 0 to 10, got -1"),
        ({"lr": 0}, r"lr must be a finite number from 0.0001 to 10, got 0"),
        ({"steps": 20_001}, r"steps must be a whole number from 1 to 20000, got 20001"),
        ({"start": (1.0,)}, r"start must be 2 finite numbers.*got 1 of them"),
        ({"across": (1.0, math.nan)}, r"across must be .*got nan in it"),
        ({"reach": 0.0}, r"reach must be a finite number from 0.001 to 10, got 0"),
        ({"center": (11, 0)}, r"center must be 2 finite numbers, each from -10 to 10; got 11"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(BasinMap, traits, message)


def test_a_loss_brings_its_defaults_and_leaves_the_rule_alone() -> None:
    figure = BasinMap(method="gradient_descent")
    figure.loss = "four dimensions"
    assert (figure.method, figure.center, figure.reach) == ("gradient_descent", (0.5, 0.5), 0.75)
    with pytest.raises(ValueError, match="name must be one of saddle, slope, tie, half"):
        BasinMap.preset("other")


def test_the_sentence_and_the_still_say_the_same() -> None:
    figure = BasinMap.preset("saddle", steps=1000)
    assert "100 % at the saddle (0, 0)" in figure.sentence()
    assert figure.still().startswith(b"\x89PNG")


# ── The shader ───────────────────────────────────────────────────────────────────────────────────

# A map by the graphics card (here the processor makes it believe one): its cells as numbers.
COMPUTE = """async ([state, side]) => {
  const { read } = samlibParts.formulas;
  const card = samlibParts["basin-map"].createCard();
  const formula = state.loss === "formula" ? read(state.formula) : null;
  const map = card.begin({ ...state, formula }, side);
  const ready = async () => {
    while (!map.isReady()) await new Promise((done) => setTimeout(done, 2));
  };
  while (map.at() < state.steps) {
    map.advance(17);
    await ready();
  }
  map.conclude();
  await ready();
  const cells = map.read();
  card.dispose();
  return [...cells].map((v) => (Number.isFinite(v) ? v : null));
}"""


@pytest.fixture(scope="module")
def parts_page(browser: Browser) -> Any:
    """A page that has the bundle and both scripts of the figure."""
    page = browser.new_page()
    page.goto("about:blank")
    for name in ("widgets", "basin-map", "formulas"):
        page.add_script_tag(content=(STATIC / f"samlib-{name}.js").read_text("utf8"))
    yield page
    page.close()


@pytest.mark.parametrize("name", MAPS)
def test_the_shader_ends_where_samlib_does(parts_page: Page, name: str) -> None:
    """Single precision may end elsewhere where a hair's breadth decides: at borders of colors.

    A run comes to a place when it crosses a circle. Rounding may bring it there a few steps earlier
    or later, so that arrivals are compared to 10 %. Where a run moves on at a place, its last steps
    are chaotic: there the label says all.
    """
    figure = BasinMap(**MAPS[name])
    cells = parts_page.evaluate(COMPUTE, [figure.state(), SIDE])
    label, arrival, *where = np.array(cells, dtype=float).reshape(-1, 4).T
    found, kind = figure.ends(SIDE), kind_of(figure.loss, figure.formula)
    trusted = away_from_borders(found, kind).ravel()
    assert trusted.mean() > 0.25
    assert (label == found.label.numpy())[trusted].mean() >= 0.995
    late = np.abs(arrival - found.arrival.numpy()) > 10 + 0.1 * found.arrival.numpy()
    assert late[trusted].mean() <= 0.05
    if kind != "places":
        off = np.linalg.norm(np.stack(where, -1) - found.where.numpy(), axis=1)
        assert off[trusted].max() < 0.05
