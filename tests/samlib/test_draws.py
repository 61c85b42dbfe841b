"""Which components a stochastic rule draws."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from samlib import Objective, rules, simulate
from samlib.landscapes import FourDimensional, Quadratic, TwoValleys
from tests.samlib.simulation_cases import START, without_numba


def stochastic(seed: int | None, batch: int = 3, every: int = 1, steps: int = 50) -> Tensor:
    rule = rules.StochasticSAM(0.02, 0.05)
    start = START.expand(batch, 4)
    run = simulate(FourDimensional(), rule, start, steps, every=every, record=("x",), seed=seed)
    return run.x


def test_a_seed_fixes_the_draws_and_runs_of_a_batch_have_their_own() -> None:
    first = stochastic(0)
    assert torch.equal(first, stochastic(0))
    assert not torch.equal(first, stochastic(1))
    assert not torch.equal(stochastic(None), stochastic(None))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(first[a], first[b])


def test_the_draws_do_not_depend_on_how_often_is_recorded() -> None:
    # 25,000 steps are more than are drawn at a time.
    ends = [stochastic(0, steps=25_000, every=every)[:, -1] for every in (1000, 9_999, 25_000)]
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


def test_the_draws_are_uniform_over_the_components() -> None:
    # With ρ = 0 on a quadratic, coordinate i shrinks by 1 − ηMλᵢ whenever it is drawn.
    landscape = Quadratic([1.0, 1.0, 1.0, 1.0])
    rule, start = rules.StochasticSAM(0.01, 0.0), torch.ones(50, 4, dtype=torch.float64)
    run = simulate(landscape, rule, start, 400, every=400, record=("x",), seed=0)
    draws = run.x[:, -1].log() / math.log(1 - 0.01 * 4)
    torch.testing.assert_close(draws, draws.round(), rtol=0, atol=1e-9)
    assert draws.sum(dim=1).round().tolist() == [400] * 50
    assert float(((draws.mean(dim=0) - 100).abs() / math.sqrt(75 / 50)).max()) < 4  # 4 σ


@pytest.mark.parametrize("torch_path", [False, True])
def test_batches_of_one_use_the_seeds_numbers_one_after_the_other(
    torch_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch_path:
        without_numba(monkeypatch)
    # What the seed gives must not change from version to version.
    k = torch.randint(2, (50, 3), generator=torch.Generator().manual_seed(7))
    rule, start = rules.StochasticSAM(0.02, 0.05), START.expand(3, 4)
    run = simulate(FourDimensional(), rule, start, 50, record=("x",), seed=7).x
    given = simulate(FourDimensional(), rule, start, 50, record=("x",), draws=k).x
    assert torch.equal(run, given)
    x = START.expand(3, 4)
    for t in range(50):
        x = rule.step(FourDimensional(), x, k[t])
    torch.testing.assert_close(run[:, -1], x, rtol=0, atol=1e-14)


def test_a_mini_batch_weighs_the_terms_one_in_the_mean() -> None:
    # With ρ = 0, coordinate i of a step is multiplied by 1 − ηλᵢw with the weight w of its term.
    eigenvalues = [1.0, 2.0, 3.0]
    start = torch.ones(20_000, 3, dtype=torch.float64)
    for size in (1, 2, 5):
        rule = rules.StochasticSAM(0.1, 0.0, batch_size=size)
        run = simulate(Quadratic(eigenvalues), rule, start, 1, record=("x",), seed=3)
        weights = (1 - run.x[:, -1]) / 0.1 / torch.tensor(eigenvalues).double()
        torch.testing.assert_close(weights.sum(dim=1), torch.full((20_000,), 3.0).double())
        # Each is 3/size times a binomial number, with variance 9 · ⅓ · ⅔/size.
        sigma = math.sqrt(2 / size)
        assert float((weights.mean(dim=0) - 1).abs().max()) < 4.5 * sigma / math.sqrt(20_000)
        assert float(weights.std(dim=0).sub(sigma).abs().max()) < 0.03 * sigma
        assert float(weights.remainder(3 / size).sub(1.5 / size).abs().min()) > 1.49 / size


def test_large_mini_batches_drift_as_the_full_batch_does() -> None:
    start = torch.tensor([0.0, 0.1, 0.1], dtype=torch.float64)

    def end(rule: rules.Rule) -> float:
        run = simulate(TwoValleys(), rule, start, 20_000, every=20_000, record=("x",), **seed)
        return float(run.x[0, -1, 0])

    seed: dict[str, int] = {}
    full = end(rules.SAM(0.05, 0.1))
    seed = {"seed": 0}
    ends = [end(rules.StochasticSAM(0.05, 0.1, batch_size=size)) for size in (1, 2, 4, 64)]
    assert full < -1.4
    assert ends[0] > 0.4
    assert ends == sorted(ends, reverse=True)
    assert ends[-1] == pytest.approx(full, abs=0.01)


def test_given_draws_are_used() -> None:
    rule, start = rules.StochasticSAM(0.02, 0.05, batch_size=3), START.expand(2, 4)
    draws = torch.randint(2, (30, 2, 3), generator=torch.Generator().manual_seed(0))
    for form in (draws, draws.int(), draws.flip(0).flip(0), draws[:, :1].expand(30, 2, 3)):
        run = simulate(FourDimensional(), rule, start, 30, record=("x",), draws=form)
        x = start
        for t in range(30):
            x = rule.step(FourDimensional(), x, form[t].long())
        torch.testing.assert_close(run.x[:, -1], x, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"draws": [0, 1]}, TypeError, r"draws must be a torch.Tensor, got \[0, 1\]"),
        ({"draws": torch.zeros(5, 1, 2)}, TypeError, "draws must have an integer dtype"),
        (
            {"draws": torch.zeros(5, 1, dtype=torch.int64)},
            ValueError,
            r"draws must have shape .* = \[5, 1, 2\], got \[5, 1\]",
        ),
        ({"draws": torch.full((5, 1, 2), 2)}, ValueError, "component indices from 0 to 1"),
        ({"draws": torch.full((5, 1, 2), -1)}, ValueError, "component indices from 0 to 1"),
        ({"draws": torch.zeros(5, 1, 2).long(), "seed": 1}, ValueError, "not both"),
        (
            {"draws": torch.zeros(5, 1, 2).long(), "rule": rules.SAM(0.02, 0.05)},
            ValueError,
            "SAM draws no components",
        ),
    ],
)
def test_wrong_draws_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"rule": rules.StochasticSAM(0.02, 0.05, batch_size=2), "start": START, "steps": 5}
    with pytest.raises(error, match=message):
        simulate(FourDimensional(), **{**arguments, **options})


def test_the_global_random_state_is_not_touched() -> None:
    state = torch.get_rng_state()
    stochastic(0)
    stochastic(None)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_stochastic_rule_needs_components() -> None:
    rule = rules.StochasticSAM(0.02, 0.05)
    with pytest.raises(ValueError, match="components"):
        simulate(Objective(lambda x: (x**2).sum(), 2), rule, torch.ones(2), 1)
    components = FourDimensional().components
    assert components is not None
    with pytest.raises(ValueError, match="components"):
        simulate(components[0], rule, START, 1)
