"""samlib.trajectory: what simulate computes and records, against theorems and step by step."""

from __future__ import annotations

import copy
import importlib.util
import math
import pickle
import warnings
from typing import Any

import pandas as pd
import pytest
import scipy.integrate
import torch
from torch import Tensor, nn

from samlib import Objective, Trajectory, rules, simulate
from samlib.landscapes import FourDimensional, Landscape, Quadratic, TwoValleys

START = torch.tensor([0.5, 0.5, 0.1, 0.2], dtype=torch.float64)


def f1(x: Tensor) -> Tensor:
    return x[..., 0] ** 2 + 6 * x[..., 1] ** 2 + 8


def f2(x: Tensor) -> Tensor:
    return 4 * (1 - x[..., 0]) ** 2 + (1 - x[..., 1]) ** 2 + 1


# ---------------------------------------------------------------------------- what SAM converges to


@pytest.mark.parametrize("seed", range(20))
def test_theorem_4_8_sam_on_a_quadratic_converges_to_a_two_cycle_along_v1(
    seed: int, device: torch.device
) -> None:
    generator = torch.Generator().manual_seed(seed)
    dim = 2 + round(28 * seed / 19)  # 2, …, 30

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        unit = torch.rand(shape, generator=generator, dtype=torch.float64)
        return low + (high - low) * unit

    spectrum = torch.cat([uniform(0.05, 0.9, dim - 1), torch.ones(1, dtype=torch.float64)])
    spectrum = spectrum[torch.randperm(dim, generator=generator)] * float(uniform(0.5, 20))
    top = int(spectrum.argmax())
    eta, rho = float(uniform(0.2, 0.9)) / float(spectrum[top]), float(uniform(0.01, 1))
    start = torch.randn(dim, generator=generator, dtype=torch.float64).to(device)
    steps = 6000 if device.type == "cpu" else 3000
    quadratic, rule = Quadratic(spectrum), rules.SAM(eta, rho)
    settled = simulate(quadratic, rule, start, steps, every=steps, record=("x",)).x[0, -1]
    run = simulate(quadratic, rule, settled, 20)

    last, before = run.x[0, -1], run.x[0, -2]
    limit = eta * rho * spectrum[top] / (2 - eta * spectrum[top])
    direction = torch.zeros_like(last)
    direction[top] = last[top].sign()
    assert float((last / last.norm() - direction).norm()) < 1e-6
    assert abs(float(last.norm() / limit) - 1) < 1e-8
    assert float((last + before).norm() / limit) < 1e-8, "the sign flips"
    signs = run.x[0, :, top].sign()
    assert torch.equal(signs[1:], -signs[:-1]), "at each step"
    assert float(run.alignment.min()) == pytest.approx(1, abs=1e-12)


def test_sam_minimizes_worst_direction_sharpness_in_four_dimensions() -> None:
    eta, rho = 0.02, 0.05
    run = simulate(FourDimensional(), rules.SAM(eta, rho), START, 60_000, every=60_000)  # τ = 3
    last = run.x[0, -1]
    assert float(f1(last)) - 8 < 1e-6
    assert float(last[2].abs()) == pytest.approx(eta * rho * 16 / (2 - eta * 16), rel=1e-6)
    assert float(run.alignment[0, -1]) == pytest.approx(1, abs=1e-6)


def test_one_sam_minimizes_average_direction_sharpness_in_four_dimensions() -> None:
    least = 10 + 23 / 35  # of F₁ + F₂, at (0.8, 1/7)
    excess = []
    for scale in (1.0, 0.5):
        eta, rho = 0.02 * scale, 0.05 * scale
        steps = round(6 / (eta * rho**2))  # τ = 6
        rule = rules.StochasticSAM(eta, rho)
        run = simulate(
            FourDimensional(),
            rule,
            START.expand(4, 4),
            steps,
            every=steps // 500,
            record=("x",),
            seed=0,
        )
        second_half = run.x[:, len(run.steps) // 2 :]
        excess.append((f1(second_half) + f2(second_half)).mean(dim=1) - least)
    assert float(excess[0].min()) > 0
    assert float(excess[0].max()) < 0.15
    assert float((excess[1] / excess[0]).max()) < 0.35  # a quarter was measured


@pytest.mark.parametrize(
    ("eta", "tau", "where", "sharpness", "tolerance"),
    [
        (1e-3, 3, (0.876, 0.224), 1.66, 0.005),
        (1e-4, 3, (0.967, 0.549), 1.21, 0.005),
        (1e-5, 1, (1.000, 0.933), 1.005, 0.0006),
    ],
)
def test_descent_on_the_ascent_loss_reaches_f2_only_as_eta_vanishes(
    eta: float, tau: float, where: tuple[float, float], sharpness: float, tolerance: float
) -> None:
    steps = round(tau / (eta * 0.1**2))
    rule = rules.AscentLossDescent(eta, 0.1)
    last = simulate(FourDimensional(), rule, START, steps, every=steps, record=("x",)).x[0, -1]
    assert last[:2].tolist() == pytest.approx(where, abs=0.001)
    assert float(f2(last)) == pytest.approx(sharpness, abs=tolerance)


def test_in_two_valleys_sam_and_one_sam_drift_apart_and_gradient_descent_stays() -> None:
    landscape, start = TwoValleys(), torch.tensor([0.0, 0.01, 0.01], dtype=torch.float64)
    ends = {}
    for rule in (
        rules.GradientDescent(0.05),
        rules.SAM(0.05, 0.1),
        rules.StochasticSAM(0.05, 0.1),
    ):
        run = simulate(landscape, rule, start, 60_000, every=60_000, record=("x",), seed=1)
        ends[type(rule)] = run.x[0, -1]
    top = {rule: float(landscape.minimizer_manifold.top_eigenvalue(x)) for rule, x in ends.items()}
    trace = {rule: float(landscape.minimizer_manifold.trace(x)) for rule, x in ends.items()}
    assert abs(float(ends[rules.GradientDescent][0])) < 1e-3
    assert float(ends[rules.SAM][0]) < -1
    assert top[rules.SAM] < 2.6
    assert trace[rules.SAM] > 4.2
    assert float(ends[rules.StochasticSAM][0]) > 1
    assert top[rules.StochasticSAM] > 3.3
    assert trace[rules.StochasticSAM] < 3.8


def test_in_two_valleys_sam_follows_the_drift_that_its_two_cycle_predicts() -> None:
    # On the two-cycle of Theorem 4.8, |y₁| = ηρλ₁/(2 − ηλ₁), and the perturbed point is at
    # y₁ = ±(ρ + |y₁|), where ∂L/∂x = ½ λ₁′(x) y₁².
    eta, rho, steps = 0.05, 0.1, 60_000

    def drift(t: float, x: list[float]) -> list[float]:
        top, slope = 3 + math.tanh(x[0]) / 2, (1 - math.tanh(x[0]) ** 2) / 2
        amplitude = eta * rho * top / (2 - eta * top)
        return [-eta / 2 * slope * (rho + amplitude) ** 2]

    flow = scipy.integrate.solve_ivp(drift, (0, steps), [0.0], rtol=1e-10, atol=1e-12)
    start = torch.tensor([0.0, 1e-3, 1e-3], dtype=torch.float64)
    run = simulate(TwoValleys(), rules.SAM(eta, rho), start, steps, every=steps, record=("x",))
    assert float(run.x[0, -1, 0]) == pytest.approx(flow.y[0, -1], abs=2e-3)
    assert flow.y[0, -1] == pytest.approx(-2.05, abs=0.005)


# -------------------------------------------------------------------- one mathematics, two paths

LANDSCAPES = [Quadratic([3.0, 1.0, 0.5, 2.0]), TwoValleys(), FourDimensional()]
RULES = [
    rules.GradientDescent(0.02),
    rules.SAM(0.02, 0.05),
    rules.UnnormalizedSAM(0.02, 0.05),
    rules.AscentLossDescent(0.0002, 0.05),  # larger rates are chaotic: rounding is amplified
    rules.StochasticSAM(0.02, 0.05),
    rules.StochasticSAM(0.02, 0.05, batch_size=2),
]


def starts(landscape: Landscape, batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return 0.5 * torch.randn(batch, landscape.dim, generator=generator, dtype=torch.float64)


def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> object:
        return None if name == "numba" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)


def forbid_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise AssertionError("the compiled path was taken")

    monkeypatch.setattr("samlib.dynamics.compiled.advance", fail)


def paths(
    monkeypatch: pytest.MonkeyPatch, objective: Objective, rule: rules.Rule, start: Tensor
) -> tuple[Trajectory, Trajectory]:
    """Run once compiled and once by torch, and make sure of which was which."""
    calls = []
    from samlib.dynamics import compiled

    advance = compiled.advance
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "advance", lambda *args: (calls.append(1), advance(*args)))
        fast = simulate(objective, rule, start, 300, every=7, seed=4)
    assert calls, "the compiled path was not taken"
    with monkeypatch.context() as patch:
        without_numba(patch)
        forbid_compiled(patch)
        slow = simulate(objective, rule, start, 300, every=7, seed=4)
    return fast, slow


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("landscape", LANDSCAPES, ids=lambda landscape: type(landscape).__name__)
def test_the_compiled_path_and_the_torch_path_give_the_same_iterates(
    landscape: Landscape, rule: rules.Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = starts(landscape)
    if not isinstance(rule, rules.AscentLossDescent):  # which divides rounding by ‖∇L‖ there
        start[1] = 0  # a stationary point
    fast, slow = paths(monkeypatch, landscape, rule, start)
    torch.testing.assert_close(fast.x, slow.x, rtol=0, atol=1e-12)
    assert not torch.equal(fast.x[0, 0], fast.x[0, -1])


@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("landscape", LANDSCAPES, ids=lambda landscape: type(landscape).__name__)
def test_the_compiled_path_runs_a_component_alone(
    landscape: Landscape, rule: rules.Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = landscape.components
    assert components is not None
    fast, slow = paths(monkeypatch, components[1], rule, starts(landscape))
    torch.testing.assert_close(fast.x, slow.x, rtol=0, atol=1e-12)
    whole = simulate(landscape, rule, starts(landscape), 300, every=7)
    assert not torch.allclose(whole.x, fast.x)


@pytest.mark.parametrize("compiled", [True, False])
def test_simulate_is_the_rule_applied_again_and_again(
    compiled: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        without_numba(monkeypatch)
        forbid_compiled(monkeypatch)
    objective, x = FourDimensional(), START.to(device)[None]
    rule = rules.SAM(0.02, 0.05)
    run = simulate(objective, rule, x, 20)
    for t in range(21):
        torch.testing.assert_close(run.x[:, t], x, rtol=0, atol=1e-14)
        x = rule.step(objective, x)
    torch.testing.assert_close(run.loss, objective.value(run.x))


@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: type(rule).__name__)
def test_a_loss_of_the_users_own_gives_the_landscapes_iterates(
    rule: rules.Rule, device: torch.device
) -> None:
    def loss(x: Tensor) -> Tensor:
        return f1(x) * x[2] ** 2 + f2(x) * x[3] ** 2

    start = starts(FourDimensional()).to(device)
    own = simulate(Objective(loss, 4), rule, start, 50)
    book = simulate(FourDimensional(), rule, start, 50)
    torch.testing.assert_close(own.x, book.x, rtol=0, atol=1e-12)
    torch.testing.assert_close(own.loss, book.loss)
    torch.testing.assert_close(own.alignment, book.alignment)


def test_a_network_runs_one_sam_on_its_rows(device: torch.device) -> None:
    torch.manual_seed(0)
    model = nn.Linear(2, 1).double().to(device)
    inputs = torch.randn(5, 2, dtype=torch.float64).to(device)
    objective = Objective.from_module(model, nn.MSELoss(), (inputs, inputs[:, :1].sin()))
    start, rule = objective.flat_parameters(), rules.StochasticSAM(0.05, 0.1)
    run = simulate(objective, rule, start.expand(2, -1), 10, seed=3)
    # the same, by hand
    draws = torch.randint(5, (10, 2), generator=torch.Generator().manual_seed(3))
    for b in range(2):
        x = start
        for t in range(10):
            row = objective.components[int(draws[t, b])]
            g = row.gradient(x)
            x = x - 0.05 * row.gradient(x + 0.1 * g / g.norm())
        torch.testing.assert_close(run.x[b, -1], x)
    assert not torch.equal(run.x[0, -1], run.x[1, -1])


# ------------------------------------------------------------------------------------- one batch


@pytest.mark.parametrize("torch_path", [False, True])
def test_a_batch_over_rho_and_lr_equals_single_runs(
    torch_path: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch_path:
        without_numba(monkeypatch)
    start = starts(FourDimensional(), 4).to(device)
    lr = torch.tensor([0.005, 0.01, 0.02, 0.03], dtype=torch.float64, device=device)
    rho = torch.tensor([0.0, 0.05, 0.1, 0.2], dtype=torch.float64, device=device)
    run = simulate(FourDimensional(), rules.SAM(lr, rho), start, 40)
    assert run.x.shape == (4, 41, 4)
    assert run.loss.shape == run.alignment.shape == (4, 41)
    for i in range(4):
        single = simulate(FourDimensional(), rules.SAM(float(lr[i]), float(rho[i])), start[i], 40)
        torch.testing.assert_close(run.x[i], single.x[0], rtol=0, atol=1e-14)
        torch.testing.assert_close(run.alignment[i], single.alignment[0])
    assert run.lr.tolist() == lr.tolist()
    assert run.rho is not None
    assert run.rho.tolist() == rho.tolist()


def test_one_start_serves_a_batch_of_radii_and_is_not_changed(device: torch.device) -> None:
    start = START.to(device).clone().requires_grad_()
    rho = torch.linspace(0, 0.1, 5, requires_grad=True)  # of another dtype, and tracked
    run = simulate(FourDimensional(), rules.SAM(0.02, rho), start, 5)
    assert run.x.shape == (5, 6, 4)
    assert not run.x.requires_grad
    assert run.x.dtype == torch.float64
    assert torch.equal(start.detach(), START.to(device))
    assert len(run.to_dataframe()) == 30


@pytest.mark.parametrize(
    ("lr", "rho", "batch"), [(3, 4, 1), (1, 3, 2), (2, 1, 3)], ids=["lr-rho", "rho", "lr"]
)
def test_batches_that_do_not_match_are_refused(lr: int, rho: int, batch: int) -> None:
    rule = rules.SAM(torch.full((lr,), 0.1), torch.full((rho,), 0.1))
    with pytest.raises(ValueError, match="batch size"):
        simulate(FourDimensional(), rule, START.expand(batch, 4), 1)


# ------------------------------------------------------------------------------ what is recorded


@pytest.mark.parametrize(
    ("steps", "every", "recorded"),
    [
        (10, 5, [0, 5, 10]),
        (10, 3, [0, 3, 6, 9, 10]),
        (3, 10, [0, 3]),
        (2, 1, [0, 1, 2]),
        (0, 1, [0]),
        (0, 7, [0]),
    ],
)
def test_the_first_and_the_last_step_are_always_recorded(
    steps: int, every: int, recorded: list[int], device: torch.device
) -> None:
    rule, start = rules.SAM(0.02, 0.05), START.to(device)
    run = simulate(FourDimensional(), rule, start, steps, every=every)
    assert run.steps.tolist() == recorded
    assert run.steps.dtype == torch.int64
    dense = simulate(FourDimensional(), rule, start, steps)
    torch.testing.assert_close(run.x, dense.x[:, recorded], rtol=0, atol=0)
    assert torch.equal(run.x[0, 0], start)


def test_every_recordable_is_what_it_is_called(device: torch.device) -> None:
    objective = FourDimensional()
    names = ("x", "loss", "gradient", "alignment", "top_eigenvalue")
    start = starts(objective).to(device)
    run = simulate(objective, rules.SAM(0.02, 0.05), start, 9, every=4, record=names)
    hessian = torch.stack(
        [
            torch.autograd.functional.hessian(lambda z: f1(z) * z[2] ** 2 + f2(z) * z[3] ** 2, p)
            for p in run.x.reshape(-1, 4)
        ]
    )
    values, vectors = torch.linalg.eigh(hessian)
    gradient = objective.gradient(run.x)
    cosine = (gradient.reshape(-1, 4) * vectors[..., -1]).sum(-1).abs()
    cosine = cosine / gradient.reshape(-1, 4).norm(dim=-1)
    torch.testing.assert_close(run.loss, objective.value(run.x))
    torch.testing.assert_close(run.gradient, gradient)
    torch.testing.assert_close(run.top_eigenvalue.reshape(-1), values[:, -1])
    torch.testing.assert_close(run.alignment.reshape(-1), cosine)


def test_only_what_is_asked_for_is_recorded() -> None:
    run = simulate(FourDimensional(), rules.SAM(0.02, 0.05), START, 2, record="loss")
    assert list(run.data) == ["loss"]
    assert torch.equal(run["loss"], run.loss)
    with pytest.raises(KeyError, match="recorded: loss"):
        run["x"]
    with pytest.raises(AttributeError, match="recorded: loss"):
        _ = run.x


def test_a_trajectory_can_be_copied_and_pickled() -> None:
    run = simulate(FourDimensional(), rules.SAM(0.02, 0.05), START, 2)
    for twin in (copy.deepcopy(run), copy.copy(run), pickle.loads(pickle.dumps(run))):
        assert torch.equal(twin.x, run.x)
        assert repr(twin) == repr(run)


def test_to_dataframe_has_a_row_per_run_and_record() -> None:
    rho = torch.tensor([0.0, 0.1], dtype=torch.float64)
    run = simulate(
        FourDimensional(),
        rules.SAM(0.02, rho),
        START,
        5,
        every=2,
        record=("x", "loss", "alignment"),
    )
    table = run.to_dataframe()
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == [
        "run",
        "step",
        "lr",
        "rho",
        "x1",
        "x2",
        "x3",
        "x4",
        "loss",
        "alignment",
    ]
    assert table["run"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert table["step"].tolist() == [0, 2, 4, 5] * 2
    assert table["rho"].tolist() == [0.0] * 4 + [0.1] * 4
    row = table[(table["run"] == 1) & (table["step"] == 4)].iloc[0]
    assert row[["x1", "x2", "x3", "x4"]].tolist() == run.x[1, 2].tolist()
    assert row["loss"] == float(run.loss[1, 2])
    descent = simulate(FourDimensional(), rules.GradientDescent(0.02), START, 1)
    assert "rho" not in descent.to_dataframe().columns
    assert descent.rho is None


# ---------------------------------------------------------------------------------------- chance


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


# ------------------------------------------------------------------ precision, divergence, misuse


def test_float32_stays_float32_and_agrees_with_float64(device: torch.device) -> None:
    single = simulate(FourDimensional(), rules.SAM(0.02, 0.05), START.float().to(device), 100)
    double = simulate(FourDimensional(), rules.SAM(0.02, 0.05), START.to(device), 100)
    for name in ("x", "loss", "alignment"):
        assert single[name].dtype == torch.float32
        assert single[name].device.type == device.type
        torch.testing.assert_close(single[name].double(), double[name], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("torch_path", [False, True])
def test_divergence_warns_and_is_recorded_as_what_it_is(
    torch_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch_path:
        without_numba(monkeypatch)
    lr = torch.tensor([0.05, 5.0], dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match="1 of 2 runs diverged") as caught:
        run = simulate(FourDimensional(), rules.SAM(lr, 0.05), START, 100, every=10)
    assert caught[0].filename == __file__
    assert bool(run.x[0].isfinite().all())
    assert not bool(run.x[1, -1].isfinite().all())
    assert bool(run.alignment[1, -1].isnan())
    assert bool(run.alignment[0].isfinite().all())


def test_divergence_in_many_dimensions_warns_too() -> None:
    # Above 64 dimensions the alignment is measured by Lanczos.
    objective = Objective(lambda x: (x**4).sum(), 70)
    with pytest.warns(RuntimeWarning, match="diverged"):
        run = simulate(objective, rules.GradientDescent(1.0), 2 * torch.ones(70), 12, every=6)
    assert bool(run.alignment[0, -1].isnan())


def test_a_run_that_converges_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate(FourDimensional(), rules.SAM(0.02, 0.05), START, 100, every=10)


def good(**changes: object) -> Trajectory:
    arguments: dict[str, object] = {
        "objective": FourDimensional(),
        "rule": rules.SAM(0.02, 0.05),
        "start": START,
        "steps": 1,
    }
    return simulate(**{**arguments, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"start": torch.ones(3)}, ValueError, "start must have shape"),
        ({"start": torch.ones(2, 3, 4)}, ValueError, "start must have shape"),
        ({"start": torch.ones(4, 1)}, ValueError, "start must have shape"),
        ({"start": torch.ones(4, dtype=torch.int64)}, TypeError, r"start\.double\(\)"),
        ({"start": [0.5, 0.5, 0.1, 0.2]}, TypeError, "start must be a torch.Tensor"),
        ({"start": torch.tensor([1.0, 1.0, math.nan, 1.0])}, ValueError, "loss at start"),
        ({"steps": -1}, ValueError, "steps"),
        ({"steps": 1.5}, TypeError, "steps"),
        ({"steps": True}, TypeError, "steps"),
        ({"every": 0}, ValueError, "every"),
        ({"record": ("x", "los")}, ValueError, "'los'"),
        ({"objective": Objective(lambda x: x, 4)}, ValueError, "scalar"),
        ({"objective": Objective(lambda x: x.sum() * math.nan, 4)}, ValueError, "finite"),
        ({"objective": Objective(lambda x: x.sum() / 0, 4)}, ValueError, "finite"),
        ({"rule": rules.StochasticSAM(0.1, 0.1), "seed": -1}, ValueError, "seed"),
        ({"rule": rules.StochasticSAM(0.1, 0.1), "seed": 0.5}, TypeError, "seed"),
    ],
)
def test_wrong_use_is_answered_with_the_argument_that_is_wrong(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    good()
    with pytest.raises(error, match=message):
        good(**changes)


def test_numpy_integers_are_integers() -> None:
    import numpy as np

    run = good(
        steps=np.int64(3), every=np.int32(2), rule=rules.StochasticSAM(0.1, 0.1), seed=np.int64(1)
    )
    assert run.steps.tolist() == [0, 2, 3]


def halve(steps: int) -> float:
    """x = 1, halved by gradient descent so many times."""
    start = torch.ones(1, dtype=torch.float64)
    run = simulate(Quadratic([1.0]), rules.GradientDescent(0.5), start, steps, every=steps)
    return float(run.x[0, -1, 0])


def keeps_tiny_numbers() -> bool:
    return bool(torch.tensor(5e-324, dtype=torch.float64) * 1 != 0)


def test_the_compiled_path_takes_tiny_numbers_as_zero_and_torch_goes_on_as_before() -> None:
    pytest.importorskip("numba")
    assert keeps_tiny_numbers()
    assert halve(1020) == 2.0**-1020
    assert halve(1030) == 2.0**-1022  # the smallest normal number: half of it counts as zero
    assert keeps_tiny_numbers()
    torch.set_flush_denormal(True)
    try:
        assert halve(1030) == 2.0**-1022
        assert not keeps_tiny_numbers()
    finally:
        torch.set_flush_denormal(False)
