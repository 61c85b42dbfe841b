"""samlib.sharpness: against closed forms, dense searches, SciPy and the paper's theorems."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor, nn

import samlib
from samlib import Objective, _batching
from samlib.landscapes import FourDimensional, Quadratic, TwoValleys
from samlib.sharpness import ball_search

DOUBLE = {"dtype": torch.float64}


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


def wavy(x: Tensor) -> Tensor:
    """A loss with several local maxima on a circle of radius 1."""
    bowl = 0.1 * (x**2).sum()
    return torch.sin(3 * x[0]) * torch.cos(2 * x[1]) + bowl + 0.3 * torch.sin(2 * x[0] * x[1])


# ------------------------------------------------------------------------------ worst direction


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


def network(seed: int = 0, rows: int = 12) -> tuple[samlib.ModuleObjective, Tensor]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 3)).double()
    data = torch.randn(rows, 4, **DOUBLE), torch.randint(0, 3, (rows,))
    objective = Objective.from_module(model, nn.CrossEntropyLoss(), data)
    return objective, objective.flat_parameters()


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


# ----------------------------------------------------------------------------- ascent direction


def test_the_ascent_direction_is_the_gradient_scaled_to_rho(device: torch.device) -> None:
    objective = TwoValleys()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), **DOUBLE).to(device)
    rho = torch.linspace(0.1, 0.5, 5, **DOUBLE).to(device)
    found = samlib.ascent_direction_sharpness(objective, x, rho)
    for i in range(5):
        point = x[i].clone().requires_grad_()
        value = objective.value(point)
        (gradient,) = torch.autograd.grad(value, point)
        u = gradient / gradient.norm()
        torch.testing.assert_close(found.direction[i], u)
        expected = objective.value(x[i] + rho[i] * u) - value.detach()
        torch.testing.assert_close(found.value[i], expected)
    assert found.kind == "exact"


def test_at_a_zero_gradient_the_ascent_direction_is_that_of_sam() -> None:
    quadratic = Quadratic([4.0, 2.0])
    found = samlib.ascent_direction_sharpness(quadratic, torch.zeros(2, **DOUBLE), 0.1)
    torch.testing.assert_close(found.direction, torch.full((2,), 0.5**0.5, **DOUBLE))
    assert float(found.value) == pytest.approx(0.01 * (4 + 2) / 4)


def test_its_error_covers_the_rounding_of_float32() -> None:
    objective, x = network()
    single = Objective(lambda y: objective.value(y.double()).float(), objective.dim)
    for rho in (1e-3, 1e-1):
        exact = samlib.ascent_direction_sharpness(objective, x.float().double(), rho)
        rounded = samlib.ascent_direction_sharpness(single, x.float(), rho)
        assert abs(float(rounded.value) - float(exact.value)) <= float(rounded.error)


# ---------------------------------------------------------------------------- average direction


def test_on_a_quadratic_the_average_is_the_trace_over_twice_the_dimension(
    device: torch.device,
) -> None:
    spectrum = torch.tensor([5.0, 3.0, 1.0, 0.5, 0.1, 0.1], **DOUBLE)
    x = torch.zeros(2, 6, device=device, **DOUBLE)
    x[1] = 4.0  # a large slope, which pairs ±g cancel
    found = samlib.average_direction_sharpness(Quadratic(spectrum), x, 0.5, samples=20_000)
    exact = 0.25 * float(spectrum.sum()) / 12
    assert bool(((found.value - exact).abs() <= 3.5 * found.error).all())
    assert bool((found.error < 0.01 * exact).all())
    assert found.direction is None
    assert found.kind == "estimate"


@pytest.mark.parametrize(
    "spectrum",
    [torch.linspace(0.1, 3, 30), torch.tensor([20.0, *[0.5] * 29]), torch.ones(8).cumsum(0) - 3.0],
    ids=["even", "one large", "indefinite"],
)
def test_the_standard_error_is_true(spectrum: Tensor) -> None:
    # 95 % of estimates lie within 1.96 standard errors. With 1,000 runs the share itself has a
    # standard deviation of 0.7 %, so that 2 % are allowed. One call measures 1,000 seeds at once:
    # its points differ in nothing but a random rotation of the quadratic, which is as good.
    dim, runs = len(spectrum), 1000
    spectrum = spectrum.double()
    covered = 0
    exact = 0.09 * float(spectrum.sum()) / (2 * dim)
    objective = Objective(lambda x: (x * spectrum) @ x / 2, dim)
    x = torch.ones(dim, **DOUBLE)
    for seed in range(runs):
        found = samlib.average_direction_sharpness(objective, x, 0.3, samples=400, seed=seed)
        covered += abs(float(found.value) - exact) <= 1.96 * float(found.error)
    assert 0.93 <= covered / runs <= 0.97


def test_seeds_fix_the_directions_and_points_share_them() -> None:
    objective, x = network()
    first = samlib.average_direction_sharpness(objective, x, 0.5, samples=64, seed=1)
    again = samlib.average_direction_sharpness(objective, x, 0.5, samples=64, seed=1)
    other = samlib.average_direction_sharpness(objective, x, 0.5, samples=64, seed=2)
    both = samlib.average_direction_sharpness(
        objective, torch.stack([x, x]), 0.5, samples=64, seed=1
    )
    assert first.value == again.value
    assert first.value != other.value
    torch.testing.assert_close(both.value, first.value.expand(2))
    assert first.evaluations == 65


def test_directions_drawn_in_parts_are_the_same_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    quadratic = Quadratic(torch.linspace(1, 3, 10))
    monkeypatch.setattr(_batching, "NUMBERS_AT_ONCE", 140)  # seven pairs of ten numbers
    seen = []
    value = quadratic.value
    monkeypatch.setattr(
        quadratic, "value", lambda x: seen.append(x.shape) or value(x), raising=True
    )
    x = torch.zeros(10, **DOUBLE)
    found = samlib.average_direction_sharpness(quadratic, x, 1.0, samples=100)
    assert sum(shape[0] * shape[1] for shape in seen if len(shape) == 3) == 100
    assert max(math.prod(shape) for shape in seen) <= 140
    assert abs(float(found.value) - 1.0) < 4 * float(found.error)


def test_a_radius_below_the_rounding_of_the_dtype_is_pointed_out() -> None:
    objective = Objective(lambda x: 1000 + (x**2).sum() / 2, 3)
    with pytest.warns(RuntimeWarning, match="float64") as caught:
        found = samlib.average_direction_sharpness(objective, torch.zeros(3), 1e-2)
    assert caught[0].filename == __file__
    assert float(found.error) > 1e-5  # the exact value is 5e-5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samlib.average_direction_sharpness(objective, torch.zeros(3, **DOUBLE), 1e-2)


# ------------------------------------------------------------------- stochastic notions, limits


def test_stochastic_sharpness_is_the_mean_over_the_components() -> None:
    objective, x = network(rows=5)
    rho = 0.3
    assert objective.components is not None
    for notion, one in (
        ("worst_direction", samlib.worst_direction_sharpness),
        ("ascent_direction", samlib.ascent_direction_sharpness),
    ):
        each = [one(component, x, rho).value for component in objective.components]
        found = samlib.stochastic_sharpness(objective, x, rho, notion=notion)
        torch.testing.assert_close(found.value, torch.stack(each).mean(), rtol=1e-9, atol=0)
        assert found.notion == notion
        assert found.direction is None
    average = samlib.stochastic_sharpness(objective, x, rho, notion="average_direction", samples=64)
    assert average.value == samlib.average_direction_sharpness(objective, x, rho, samples=64).value


def test_near_the_manifold_the_three_stochastic_notions_are_the_trace() -> None:
    # Theorem 5.3, at a point of Γ moved by 1e-6: E_k R_k/ρ² → Tr/2, Tr/2 and Tr/(2D).
    landscape = FourDimensional()
    x = torch.tensor([[0.3, -0.2, 1e-6, -1e-6], [1.0, 1.0, 1e-6, 1e-6]], **DOUBLE)
    total = landscape.minimizer_manifold.trace(x)
    rho = 1e-3
    for notion, share in (
        ("worst_direction", 0.5),
        ("ascent_direction", 0.5),
        ("average_direction", 1 / 8),
    ):
        options = {"samples": 4000} if notion == "average_direction" else {}
        found = samlib.stochastic_sharpness(landscape, x, rho, notion=notion, **options)
        rtol = 0.05 if notion == "average_direction" else 3e-3
        torch.testing.assert_close(found.value / rho**2, share * total, rtol=rtol, atol=0)


def test_the_limiting_regularizers_are_those_of_definition_4_1(device: torch.device) -> None:
    landscape = FourDimensional()
    x = torch.tensor([[0.3, -0.2, 0, 0], [1.0, 1.0, 0, 0]], device=device, **DOUBLE)
    found = samlib.limiting_regularizers(landscape, x)
    manifold = landscape.minimizer_manifold
    torch.testing.assert_close(found.worst.value, manifold.top_eigenvalue(x) / 2)
    torch.testing.assert_close(found.ascent.value, manifold.smallest_nonzero_eigenvalue(x) / 2)
    torch.testing.assert_close(found.average.value, manifold.trace(x) / 8)
    low, high = found.ascent_band
    assert bool((low < high).all())


def test_the_sharpnesses_over_rho_squared_tend_to_the_regularizers() -> None:
    # Theorem 4.2's S: on Γ for the worst and the average direction; for the ascent direction every
    # value of the band [λ_M/2, λ₁/2] is reached, by approaching Γ along the eigenvectors.
    landscape = FourDimensional()
    x = torch.tensor([0.3, -0.2, 0.0, 0.0], **DOUBLE)
    limits = samlib.limiting_regularizers(landscape, x)
    rho = 1e-3
    worst = samlib.worst_direction_sharpness(landscape, x, rho)
    assert float(worst.value) / rho**2 == pytest.approx(float(limits.worst.value), rel=1e-4)
    average = samlib.average_direction_sharpness(landscape, x, rho, samples=8000)
    assert float(average.value) / rho**2 == pytest.approx(float(limits.average.value), rel=0.05)
    low, high = (float(limit) for limit in limits.ascent_band)
    for axis, limit in ((2, high), (3, low)):
        near = x.clone()
        near[axis] = 1e-7
        ascent = samlib.ascent_direction_sharpness(landscape, near, rho)
        assert float(ascent.value) / rho**2 == pytest.approx(limit, rel=1e-3)


def test_limiting_regularizers_of_an_interpolating_network_need_no_hessian() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    inputs = torch.randn(4, 3, **DOUBLE)
    objective = Objective.from_module(
        model, nn.MSELoss(), (inputs, model(inputs).detach())
    )  # the network as it is fits its own outputs: x lies on Γ, with M = 4
    x = objective.flat_parameters()
    assert objective.dim > 64
    spectrum = torch.linalg.eigvalsh(objective.hessian(x))
    assert int((spectrum > 1e-9).sum()) == 4
    for rank in (None, 4):
        found = samlib.limiting_regularizers(objective, x, rank=rank)
        assert float(found.worst.value) == pytest.approx(float(spectrum[-1]) / 2, rel=1e-5)
        assert float(found.ascent.value) == pytest.approx(float(spectrum[-4]) / 2, rel=1e-3)
        total = float(spectrum.sum()) / (2 * objective.dim)
        assert float(found.average.value) == pytest.approx(total, rel=0.04)


# ------------------------------------------------------------------------------------- use


def test_results_read_well_and_become_tables() -> None:
    x = torch.zeros(2, 3, **DOUBLE)
    quadratic = Quadratic([2.0, 1.0, 1.0])
    average = samlib.average_direction_sharpness(quadratic, x, 1.0)
    assert repr(average).startswith("Sharpness(average: [0.6")
    assert "estimate, 513 evaluations" in repr(average)
    table = samlib.ascent_direction_sharpness(quadratic, x + 1, 1.0).to_dataframe()
    assert list(table.columns) == ["point", "notion", "value", "error", "kind"]
    assert len(table) == 2
    assert "worst=1, ascent=0.5" in repr(samlib.limiting_regularizers(quadratic, x[0]))


NOTIONS = [
    samlib.worst_direction_sharpness,
    samlib.ascent_direction_sharpness,
    samlib.average_direction_sharpness,
]


@pytest.mark.parametrize("notion", NOTIONS)
@pytest.mark.parametrize(
    ("rho", "error"),
    [
        (0.0, ValueError),
        (-1.0, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        ("0.1", TypeError),
        (torch.tensor([0.1, -0.1]), ValueError),
        (torch.tensor([1, 2]), TypeError),
    ],
)
def test_a_wrong_radius_is_named(notion: object, rho: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="rho"):
        notion(TwoValleys(), torch.zeros(2, 3), rho)  # type: ignore[operator]


@pytest.mark.parametrize("notion", NOTIONS)
def test_radii_must_fit_the_points(notion: object) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        notion(TwoValleys(), torch.zeros(2, 3), torch.ones(3))  # type: ignore[operator]
    with pytest.raises(ValueError, match="shape"):
        notion(TwoValleys(), torch.zeros(2), 0.1)  # type: ignore[operator]


def test_other_wrong_arguments_are_named() -> None:
    landscape, x = TwoValleys(), torch.zeros(3)
    with pytest.raises(ValueError, match="samples must be even"):
        samlib.average_direction_sharpness(landscape, x, 0.1, samples=7)
    with pytest.raises(ValueError, match="samples"):
        samlib.average_direction_sharpness(landscape, x, 0.1, samples=2)
    with pytest.raises(ValueError, match="restarts"):
        samlib.worst_direction_sharpness(landscape, x, 0.1, restarts=-1)
    with pytest.raises(ValueError, match="rtol"):
        samlib.worst_direction_sharpness(landscape, x, 0.1, rtol=0.0)
    with pytest.raises(
        ValueError,
        match="notion must be among worst_direction, ascent_direction, average_direction",
    ):
        samlib.stochastic_sharpness(landscape, x, 0.1, notion="sharpest")
    with pytest.raises(ValueError, match="components"):
        samlib.stochastic_sharpness(
            Objective(wavy, 2), torch.zeros(2), 0.1, notion="ascent_direction"
        )
