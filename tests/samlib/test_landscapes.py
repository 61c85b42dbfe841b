"""samlib.landscapes: exact derivatives, and the facts about their minimizer manifolds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import samlib
from samlib import Objective
from samlib.landscapes import (
    CurvedValley,
    DoubleWell,
    FourDimensional,
    Landscape,
    Quadratic,
    TwoValleys,
)

SPECTRUM = [0.5, 3.0, 1.0, 2.0, 0.1]


# The losses once more, written as one writes a loss in torch.
def quadratic(x: Tensor) -> Tensor:
    return x @ torch.diag(torch.tensor(SPECTRUM, dtype=torch.float64).to(x)) @ x / 2


def two_valleys(x: Tensor) -> Tensor:
    t = torch.tanh(x[0])
    return ((3 + t / 2) * x[1] ** 2 + (1 - 0.8 * t) * x[2] ** 2) / 2


def first(x: Tensor) -> Tensor:
    return x[0] ** 2 + 6 * x[1] ** 2 + 8


def second(x: Tensor) -> Tensor:
    return 4 * (1 - x[0]) ** 2 + (1 - x[1]) ** 2 + 1


def four_dimensional(x: Tensor) -> Tensor:
    return first(x) * x[2] ** 2 + second(x) * x[3] ** 2


def curved_valley(x: Tensor) -> Tensor:
    return (x[1] - x[0] ** 2 / 2) ** 2 / 2


def double_well(x: Tensor) -> Tensor:
    return (x[0] ** 2 - 1) ** 2 / 4 + x[1] ** 2 / 2


CASES = [
    pytest.param(Quadratic(SPECTRUM), Objective(quadratic, 5), id="Quadratic"),
    pytest.param(TwoValleys(), Objective(two_valleys, 3), id="TwoValleys"),
    pytest.param(FourDimensional(), Objective(four_dimensional, 4), id="FourDimensional"),
]
# Those of a single term, whose minimizers are no plane of coordinates.
PICTURES = [
    pytest.param(CurvedValley(), Objective(curved_valley, 2), id="CurvedValley"),
    pytest.param(DoubleWell(), Objective(double_well, 2), id="DoubleWell"),
]


def points(dim: int, device: torch.device, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    x = 2 * torch.randn(4, 6, dim, generator=generator, dtype=torch.float64)
    return x.to(device, dtype)


@pytest.mark.parametrize(("landscape", "reference"), [*CASES, *PICTURES])
def test_derivatives_are_those_of_the_loss_written_independently(
    landscape: Landscape, reference: Objective, device: torch.device, dtype: torch.dtype
) -> None:
    x = points(landscape.dim, device, dtype)
    v = x.flip(0)
    close = {"rtol": 1e-12, "atol": 1e-12} if dtype == torch.float64 else {}
    for name in ("value", "gradient", "hessian"):
        ours, expected = getattr(landscape, name)(x), getattr(reference, name)(x)
        assert ours.dtype == dtype
        assert ours.device.type == device.type
        torch.testing.assert_close(ours, expected, **close)
        torch.testing.assert_close(getattr(landscape, name)(x[0, 0]), ours[0, 0])
    torch.testing.assert_close(
        landscape.hessian_vector_product(x, v), reference.hessian_vector_product(x, v), **close
    )


def test_two_valleys_is_finite_far_out_on_both_sides(dtype: torch.dtype) -> None:
    x = torch.tensor([[-1e4, 1.0, 1.0], [1e4, 1.0, 1.0]], dtype=dtype)
    values = TwoValleys().value(x)
    expected = torch.tensor([(2.5 + 1.8) / 2, (3.5 + 0.2) / 2], dtype=dtype)
    torch.testing.assert_close(values, expected)
    assert bool(TwoValleys().gradient(x).isfinite().all())


def test_two_valleys_tanh_is_accurate_to_rounding() -> None:
    x = torch.zeros(2001, 3, dtype=torch.float64)
    x[:, 0] = torch.linspace(-20, 20, 2001)
    x[:, 1] = 1
    tanh = TwoValleys().value(x) * 4 - 6
    assert float((tanh - torch.tanh(x[:, 0])).abs().max()) < 4e-15  # 4 × the error of a sum near 6


@pytest.mark.parametrize(("landscape", "reference"), CASES)
def test_gamma_has_the_spectrum_of_the_dense_hessian(
    landscape: Landscape, reference: Objective, device: torch.device
) -> None:
    gamma = landscape.minimizer_manifold
    x = points(landscape.dim, device)
    on_gamma = gamma.nearest(x)
    assert float(reference.value(on_gamma).abs().max()) == 0
    assert float(reference.gradient(on_gamma).abs().max()) == 0
    torch.testing.assert_close(gamma.distance(x), (x - on_gamma).norm(dim=-1))
    spectrum = torch.linalg.eigvalsh(reference.hessian(on_gamma)).flip(-1)
    rank = len(gamma.normal)
    torch.testing.assert_close(gamma.eigenvalues(x), spectrum[..., :rank])
    torch.testing.assert_close(gamma.top_eigenvalue(x), spectrum[..., 0])
    torch.testing.assert_close(gamma.smallest_nonzero_eigenvalue(x), spectrum[..., rank - 1])
    torch.testing.assert_close(gamma.trace(x), spectrum.sum(-1))
    assert float(spectrum[..., rank:].abs().sum()) < 1e-12, "the tangent directions are flat"
    assert float(spectrum[..., rank - 1].min()) > 0


@pytest.mark.parametrize(
    ("fact", "where", "least"),
    [
        ("top_eigenvalue", (0.0, 0.0), 16.0),
        ("smallest_nonzero_eigenvalue", (1.0, 1.0), 2.0),
        ("trace", (0.8, 1 / 7), 2 * (9 + 0.8 + 6 / 7)),
    ],
)
def test_each_notion_of_sharpness_has_its_own_minimizer_in_four_dimensions(
    fact: str, where: tuple[float, float], least: float
) -> None:
    measure = getattr(FourDimensional().minimizer_manifold, fact)

    def function(z: np.ndarray) -> float:
        return float(measure(torch.tensor([*z, 0.0, 0.0], dtype=torch.float64)))

    found = scipy.optimize.minimize(function, x0=[0.5, 0.5], method="Nelder-Mead", tol=1e-10)
    assert found.x == pytest.approx(where, abs=1e-4)
    assert found.fun == pytest.approx(least, abs=1e-8)


def test_the_minima_of_f1_f2_and_their_sum_by_scipy() -> None:
    def minimum(function: object) -> scipy.optimize.OptimizeResult:
        return scipy.optimize.minimize(
            lambda z: float(function(torch.as_tensor(z))),  # type: ignore[operator]
            x0=[0.5, 0.5],
        )

    assert minimum(first).fun == pytest.approx(8, abs=1e-9)
    assert minimum(second).fun == pytest.approx(1, abs=1e-9)
    both = minimum(lambda x: first(x) + second(x))
    assert both.x == pytest.approx([0.8, 1 / 7], abs=1e-5)
    assert both.fun == pytest.approx(10.657142857, abs=1e-8)


@pytest.mark.parametrize(("landscape", "reference"), CASES)
def test_components_average_to_the_loss_and_to_its_derivatives(
    landscape: Landscape, reference: Objective, device: torch.device
) -> None:
    x = points(landscape.dim, device)
    components = landscape.components
    assert components is not None
    for name in ("value", "gradient", "hessian"):
        mean = torch.stack([getattr(c, name)(x) for c in components]).mean(dim=0)
        torch.testing.assert_close(mean, getattr(reference, name)(x))


@pytest.mark.parametrize(("landscape", "reference"), CASES)
def test_a_component_is_one_term_times_their_number(
    landscape: Landscape, reference: Objective, device: torch.device
) -> None:
    del reference
    x = points(landscape.dim, device)
    components = landscape.components
    assert components is not None
    for k, component in enumerate(components):
        assert isinstance(component, Landscape)
        expected = [0.0] * landscape.terms
        expected[k] = landscape.terms
        assert list(component.weights) == expected
        # Its own derivatives are consistent with its own value, at second order, too.
        again = Objective(component.value, landscape.dim)
        torch.testing.assert_close(component.gradient(x), again.gradient(x))
        torch.testing.assert_close(component.hessian(x), again.hessian(x))
        assert component.components is None
        assert not hasattr(component, "minimizer_manifold")


def test_the_components_of_figure_1_are_twice_each_term(device: torch.device) -> None:
    x = points(4, device)
    one, two = FourDimensional().components  # type: ignore[misc]
    torch.testing.assert_close(
        one.value(x), 2 * (x[..., 0] ** 2 + 6 * x[..., 1] ** 2 + 8) * x[..., 2] ** 2
    )
    torch.testing.assert_close(one.value(x) + two.value(x), 2 * FourDimensional().value(x))


@pytest.mark.parametrize(("landscape", "reference"), CASES)
def test_component_gradient_takes_one_index_per_point(
    landscape: Landscape, reference: Objective, device: torch.device
) -> None:
    del reference
    x = points(landscape.dim, device)[0]
    k = torch.arange(len(x), device=device) % landscape.terms
    components = landscape.components
    assert components is not None
    expected = torch.stack([components[int(j)].gradient(x[i]) for i, j in enumerate(k)])
    torch.testing.assert_close(landscape.component_gradient(x, k), expected)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12))
def test_a_quadratic_keeps_its_eigenvalues_in_the_given_order(eigenvalues: list[float]) -> None:
    landscape = Quadratic(eigenvalues)
    x = torch.ones(len(eigenvalues), dtype=torch.float64)
    assert landscape.gradient(x).tolist() == eigenvalues
    assert landscape.minimizer_manifold.eigenvalues(x).tolist() == sorted(eigenvalues)[::-1]
    assert float(landscape.value(x)) == pytest.approx(sum(eigenvalues) / 2)


def test_a_quadratic_does_not_change_with_the_tensor_it_was_made_from() -> None:
    eigenvalues = torch.tensor([2.0, 1.0], dtype=torch.float64)
    landscape = Quadratic(eigenvalues)
    eigenvalues[0] = 7
    assert landscape.minimizer_manifold.top_eigenvalue(torch.zeros(2)) == 2
    assert landscape.gradient(torch.ones(2)).tolist() == [2, 1]


@pytest.mark.parametrize(
    "eigenvalues", [[], [1.0, 0.0], [1.0, -2.0], [math.nan], [math.inf, 1.0], [[1.0, 2.0]], 3.0]
)
def test_eigenvalues_that_are_not_positive_numbers_are_refused(eigenvalues: object) -> None:
    with pytest.raises(ValueError, match="eigenvalues"):
        Quadratic(eigenvalues)  # type: ignore[arg-type]


def test_the_floor_of_the_curved_valley_is_a_parabola_with_known_curvature() -> None:
    a = torch.linspace(-2, 2, 9, dtype=torch.float64)
    floor = torch.stack([a, a**2 / 2], dim=-1)
    valley = CurvedValley()
    assert bool((valley.value(floor) == 0).all())
    expected = torch.stack([torch.zeros_like(a), 1 + a**2], dim=-1)
    torch.testing.assert_close(torch.linalg.eigvalsh(valley.hessian(floor)), expected)


# ── The invariant set of the proof of Theorem 4.8 ────────────────────────────────────────────────


@st.composite
def settings_of_the_theorem(draw: st.DrawFn) -> tuple[Quadratic, Tensor, float, float]:
    """Return a quadratic, a start, η and ρ with ηλ₁ < 1."""
    size = st.floats(0.05, 20)
    spectrum = draw(st.lists(size, min_size=2, max_size=10))
    start = draw(st.lists(st.floats(-10, 10), min_size=len(spectrum), max_size=len(spectrum)))
    lr = draw(st.floats(0.01, 0.99)) / max(spectrum)
    return Quadratic(spectrum), torch.tensor(start, dtype=torch.float64), lr, draw(size)


@given(settings_of_the_theorem())
def test_sam_enters_the_invariant_set_in_time_and_stays(
    setting: tuple[Quadratic, Tensor, float, float],
) -> None:
    quadratic, x, lr, rho = setting
    lowest, highest = min(quadratic.eigenvalues), max(quadratic.eigenvalues)
    # ‖P^(j:D) ∇L‖ shrinks by this factor at least until it is at most ηρλ_j².
    factor = max(lr * highest, 1 - lr * lowest)
    first = float(quadratic.gradient(x).norm())
    last = lr * rho * lowest**2
    time = math.ceil(math.log(max(first / last, 1)) / -math.log(factor)) + 1
    steps = min(time, 20_000)
    run = samlib.simulate(quadratic, samlib.rules.SAM(lr, rho), x, steps + 50, record=("x",))
    # On the border rounding decides.
    inside = quadratic.in_invariant_set(run.x[0], lr=lr, rho=rho * (1 + 1e-12))
    if steps == time:
        assert bool(inside[time])
    entered = int(inside.int().argmax())
    if bool(inside[entered]):
        assert bool(inside[entered:].all())


@given(settings_of_the_theorem(), st.integers(0, 2**31))
def test_one_step_from_the_border_of_the_invariant_set_stays_inside(
    setting: tuple[Quadratic, Tensor, float, float], seed: int
) -> None:
    quadratic, _, lr, rho = setting
    generator = torch.Generator().manual_seed(seed)
    values = torch.tensor(quadratic.eigenvalues, dtype=torch.float64)
    x = torch.randn(64, quadratic.dim, generator=generator, dtype=torch.float64) / values
    # The largest multiple of each that is inside, found from each condition.
    order = values.argsort()
    projected = (values * x)[:, order].square().cumsum(dim=-1).sqrt()
    x = x * (lr * rho * values[order].square() / projected).amin(dim=-1, keepdim=True)
    assert bool(quadratic.in_invariant_set(x, lr=lr, rho=rho * (1 + 1e-12)).all())
    assert not bool(quadratic.in_invariant_set(x, lr=lr, rho=rho * (1 - 1e-9)).any())
    moved = samlib.rules.SAM(lr, rho).step(quadratic, x)
    assert bool(quadratic.in_invariant_set(moved, lr=lr, rho=rho * (1 + 1e-12)).all())


def test_beyond_the_theorem_the_set_is_left() -> None:
    """With ηλ₁ > 1 the two-cycle itself lies outside."""
    quadratic, lr, rho = Quadratic([3.0, 1.0]), 0.5, 0.4
    limit = torch.tensor([lr * rho * 3 / (2 - lr * 3), 0.0], dtype=torch.float64)
    assert not bool(quadratic.in_invariant_set(limit, lr=lr, rho=rho))


@pytest.mark.parametrize(("name", "value"), [("lr", 0.0), ("rho", -0.1)])
def test_the_invariant_set_refuses_wrong_numbers(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        Quadratic([2.0, 1.0]).in_invariant_set(
            torch.zeros(2), **{"lr": 0.1, "rho": 0.1, name: value}
        )
