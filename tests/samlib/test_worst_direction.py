"""Worst-direction sharpness: against the trust-region problem, dense searches and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor, nn

import samlib
from samlib import Objective
from samlib.landscapes import Quadratic
from samlib.sharpness import ball_search
from tests.samlib.sharpness_cases import DOUBLE, network, wavy


def random_quadratic(dim: int, seed: int, hard: bool = False) -> tuple[Tensor, Tensor, Objective]:
    """Return A, b and L(x) = b·x + ½ xᵀAx, A indefinite with a separate top eigenvalue."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(dim, dim, generator=generator, **DOUBLE)).Q
    spectrum = 2 * torch.rand(dim, generator=generator, **DOUBLE) - 1
    spectrum[0] = 3.0
    matrix = (q * spectrum) @ q.T
    linear = 0.3 * torch.randn(dim, generator=generator, **DOUBLE)
    if hard:
        linear = 0.1 * (linear - q[:, 0] * (q[:, 0] @ linear))
    return matrix, linear, Objective(lambda x: linear @ x + x @ (matrix @ x) / 2, dim)


def greatest_on_ball(matrix: Tensor, linear: Tensor) -> float:
    """max b·v + ½ vᵀAv over ‖v‖ ≤ 1 by Lagrangian duality: the least of a convex function of μ."""
    values, vectors = np.linalg.eigh(matrix.numpy())
    b = vectors.T @ linear.numpy()

    def dual(t: Tensor) -> float:
        mu = max(values[-1], 0.0) + math.exp(t[0])
        with np.errstate(divide="ignore", invalid="ignore"):  # a part of b that is zero
            return float(mu / 2 + np.nansum(b**2 / (mu - values)) / 2)

    starts = np.linspace(-30, 5, 15)
    options = {"xatol": 1e-12, "fatol": 1e-14}
    return min(minimize(dual, [t], method="Nelder-Mead", options=options).fun for t in starts)


@pytest.mark.parametrize("hard", [False, True], ids=["", "hard case"])
@pytest.mark.parametrize("dim", [1, 2, 10, 64, 65, 150])
def test_on_a_quadratic_the_worst_direction_solves_the_trust_region_problem(
    dim: int, hard: bool
) -> None:
    matrix, linear, objective = random_quadratic(dim, dim, hard)
    rho = 0.7
    found = samlib.worst_direction_sharpness(objective, torch.zeros(dim, **DOUBLE), rho)
    expected = greatest_on_ball(rho**2 * matrix, rho * linear)
    assert float(found.value) == pytest.approx(expected, rel=1e-7)
    assert found.kind == "lower bound"
    assert found.direction is not None
    at = objective.value(rho * found.direction)
    torch.testing.assert_close(at, found.value, rtol=1e-12, atol=1e-12)
    assert float(found.direction.norm()) <= 1 + 1e-9


def test_at_a_minimizer_it_is_half_the_top_eigenvalue_times_rho_squared(
    device: torch.device, dtype: torch.dtype
) -> None:
    quadratic = Quadratic([1.0, 7.0, 3.0])
    rho = torch.tensor([0.1, 0.5, 2.0], dtype=dtype, device=device)
    found = samlib.worst_direction_sharpness(
        quadratic, torch.zeros(3, dtype=dtype, device=device), rho
    )
    torch.testing.assert_close(found.value, 3.5 * rho**2)
    assert found.value.device.type == device.type
    torch.testing.assert_close(
        found.direction.abs(), torch.eye(3, dtype=dtype, device=device)[1].expand(3, 3),
        rtol=0, atol=1e-3,
    )  # fmt: skip


def densest_on_disc(objective: Objective, x: Tensor, rho: float) -> float:
    """The greatest rise on a fine polar grid, each of its ten best points refined by SciPy."""
    angle = torch.arange(720, **DOUBLE) * (2 * math.pi / 720)
    circle = torch.stack([angle.cos(), angle.sin()], dim=-1)
    disc = (torch.linspace(0, 1, 41, **DOUBLE)[:, None, None] * circle).reshape(-1, 2)
    values = objective.value(x + rho * disc)
    best = values.topk(10).indices

    def negative(v: np.ndarray) -> float:
        return -float(objective.value(x + rho * torch.from_numpy(v)))

    inside = {"type": "ineq", "fun": lambda v: 1 - v @ v}
    refined = [
        -minimize(negative, disc[i].numpy(), constraints=[inside], options={"ftol": 1e-13}).fun
        for i in best
    ]
    return max(float(values.max()), *refined) - float(objective.value(x))


@pytest.mark.parametrize("rho", [0.05, 0.5, 1.0])
def test_in_two_dimensions_a_dense_search_finds_nothing_better(rho: float) -> None:
    objective = Objective(wavy, 2)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 2, generator=generator, **DOUBLE)
    found = samlib.worst_direction_sharpness(objective, x, rho)
    dense = [densest_on_disc(objective, point, rho) for point in x]
    # SciPy may overstep the constraint by its tolerance, times a slope of at most 10.
    torch.testing.assert_close(found.value, torch.tensor(dense, **DOUBLE), rtol=0, atol=1e-6)


def test_a_start_at_the_top_of_a_hill_has_no_rise() -> None:
    hill = Objective(lambda x: -(x**2).sum(), 2)
    found = samlib.worst_direction_sharpness(hill, torch.zeros(2, **DOUBLE), 0.5)
    assert float(found.value) == 0
    assert found.direction.tolist() == [0, 0]


def test_the_maximum_may_lie_inside_the_ball() -> None:
    # The top of the hill is 0.3 away, the ball's radius is 1.
    hill = Objective(lambda x: -((x - 0.3) ** 2).sum(), 1)
    for dim, objective in ((1, hill), (70, Objective(lambda x: -((x - 0.03) ** 2).sum(), 70))):
        found = samlib.worst_direction_sharpness(objective, torch.zeros(dim, **DOUBLE), 1.0)
        height = dim * (0.3 if dim == 1 else 0.03) ** 2
        assert float(found.value) == pytest.approx(height, rel=1e-6)
        assert float(found.direction.norm()) == pytest.approx(math.sqrt(height), rel=1e-3)


@given(seed=st.integers(0, 1000), rho=st.sampled_from([0.01, 0.3, 1.0, 3.0]))
def test_it_is_never_below_the_other_two_notions(seed: int, rho: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, 2, generator=generator, **DOUBLE)
    objective = Objective(wavy, 2)
    worst = samlib.worst_direction_sharpness(objective, x, rho, seed=seed)
    ascent = samlib.ascent_direction_sharpness(objective, x, rho)
    average = samlib.average_direction_sharpness(objective, x, rho, samples=64)
    assert bool((worst.value >= ascent.value - 1e-12).all())
    assert bool((worst.value >= average.value).all())
    assert bool((worst.value >= 0).all())


@pytest.mark.parametrize("rho", [0.05, 1.0, 4.0])
def test_on_a_network_no_other_search_finds_more(rho: float) -> None:
    objective, x = network()
    found = samlib.worst_direction_sharpness(objective, x, rho)
    before = float(objective.value(x))

    def negative(v: np.ndarray) -> tuple[float, np.ndarray]:
        """Return −L at distance ρ, as a function on all of R^D through v/‖v‖."""
        raw = torch.from_numpy(v)
        unit = raw / raw.norm()
        at = x + rho * unit
        slope = rho * objective.gradient(at)
        tangential = (slope - (slope @ unit) * unit) / raw.norm()
        return before - float(objective.value(at)), -tangential.numpy()

    generator = np.random.default_rng(0)
    others = [
        -minimize(negative, generator.standard_normal(objective.dim), jac=True).fun
        for _ in range(6)
    ]
    assert float(found.value) >= max(others) * (1 - 1e-5)
    for other in (samlib.ascent_direction_sharpness, samlib.average_direction_sharpness):
        assert bool(found.value > other(objective, x, rho).value)


def deep_network(unit: type[nn.Module]) -> tuple[samlib.ModuleObjective, Tensor]:
    torch.manual_seed(0)
    layers = nn.Linear(4, 12), unit(), nn.Linear(12, 12), unit(), nn.Linear(12, 3)
    model = nn.Sequential(*layers).double()
    data = torch.randn(12, 4, **DOUBLE), torch.randint(0, 3, (12,))
    objective = Objective.from_module(model, nn.CrossEntropyLoss(), data)
    return objective, objective.flat_parameters()


def highest_ascended(objective: Objective, x: Tensor, rho: float) -> float:
    """The best end of 400 gradients of projected ascent by three steps; v ← g/‖g‖ if one is ∞."""
    steps = torch.tensor([[0.1], [1.0], [math.inf]], **DOUBLE)
    v = torch.zeros(3, len(x), **DOUBLE)
    for _ in range(400):
        at = (x + rho * v).requires_grad_()
        (gradient,) = torch.autograd.grad(objective.value(at).sum(), at)
        unit = gradient / gradient.norm(dim=-1, keepdim=True)
        v = torch.where(steps.isinf(), unit, v + steps.nan_to_num(posinf=0) * unit)
        v = v / v.norm(dim=-1, keepdim=True).clamp(min=1)
    return float((objective.value(x + rho * v) - objective.value(x)).max())


@pytest.mark.parametrize("rho", [0.05, 1.0, 4.0])
@pytest.mark.parametrize("unit", [nn.Tanh, nn.ReLU])
def test_no_plain_ascent_of_a_network_gets_higher(unit: type[nn.Module], rho: float) -> None:
    objective, x = deep_network(unit)
    found = samlib.worst_direction_sharpness(objective, x, rho)
    assert float(found.value) >= highest_ascended(objective, x, rho) * (1 - 1e-6)
    assert found.evaluations <= (700 if unit is nn.Tanh else 1300)
    # A longer search finds no more than the error says, which is small beside the value.
    more = samlib.worst_direction_sharpness(objective, x, rho, restarts=16, seed=1)
    assert float(more.value - found.value) <= float(found.error)
    assert float(found.error) <= 0.03 * float(found.value)


def test_on_a_network_newtons_method_climbs_from_the_gradient_too() -> None:
    objective, x = deep_network(nn.Tanh)
    # What a search by quadratic models from the gradient's direction found.
    found = samlib.worst_direction_sharpness(objective, x, 4.0)
    assert float(found.value) >= 10.19654


def test_the_error_of_what_is_exact_is_small() -> None:
    for dim in (10, 150):
        _, _, objective = random_quadratic(dim, dim)
        found = samlib.worst_direction_sharpness(objective, torch.zeros(dim, **DOUBLE), 0.7)
        assert float(found.error) <= 1e-3 * float(found.value)


def ridge(x: Tensor) -> Tensor:
    """Rosenbrock's ridge: narrow and bent, it leads to the maximum, 0 at (1, …, 1)."""
    return -(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def test_a_ridge_is_climbed_to_its_top_within_the_ball() -> None:
    x = torch.zeros(70, **DOUBLE)
    found = samlib.worst_direction_sharpness(Objective(ridge, 70), x, 10.0)
    assert 69 * (1 - 1e-5) <= float(found.value) <= 69
    assert float(found.value + found.error) >= 69


@pytest.mark.parametrize("seed", [0, 1])
def test_a_climb_that_has_not_ended_says_so(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = 0.2 * torch.randn(70, generator=generator, **DOUBLE)
    assert float((1 - x).norm()) < 10
    objective = Objective(ridge, 70)
    truth = -float(objective.value(x))
    with pytest.warns(RuntimeWarning, match="stopped early") as caught:
        found = samlib.worst_direction_sharpness(objective, x, 10.0)
    assert caught[0].filename == __file__
    assert float(found.value) < 0.99 * truth
    assert float(found.value + found.error) >= truth


def test_more_starts_never_find_less() -> None:
    objective, x = network(seed=3)
    few = samlib.worst_direction_sharpness(objective, x, 3.0, restarts=0)
    many = samlib.worst_direction_sharpness(objective, x, 3.0, restarts=6)
    assert float(many.value) >= float(few.value) * (1 - 1e-6)
    assert many.evaluations > few.evaluations


def test_a_search_that_stops_on_a_slope_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ball_search, "DENSE_ROUNDS", 1)
    x = torch.tensor([0.3, -0.4], **DOUBLE)
    objective = Objective(lambda x: torch.sin(9 * x[0] * x[1]) + torch.sin(7 * x).sum(), 2)
    with pytest.warns(RuntimeWarning, match="stopped early") as caught:
        found = samlib.worst_direction_sharpness(objective, x, 2.0, restarts=0)
    assert caught[0].filename == __file__
    assert float(found.error) > 0.05 * float(found.value)
