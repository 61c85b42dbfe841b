"""samlib.flow.flow_corrections: against closed forms, and against SAM itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from samlib import Objective, problems, rules, simulate
from samlib.flow import (
    FlowCorrections,
    flow_corrections,
    limiting_flow,
    project_to_minimizers,
)
from samlib.flow.two_cycle import second_error, third_derivative
from samlib.landscapes import FourDimensional, Quadratic, TanhNetwork
from tests.samlib.flow_cases import NETWORK, double, normal

pytestmark = pytest.mark.usefixtures("one_thread")

Array = NDArray[np.float64]


def sam(gradient: Callable[[Array], Array], x: Array, steps: int, lr: float, rho: float) -> Array:
    """SAM with nothing of samlib in it."""
    for _ in range(steps):
        g = gradient(x)
        x = x - lr * gradient(x + rho * g / math.sqrt(g @ g))
    return x


# ──────────────────────────────────────────────────────── a valley whose walls are unequal


def valley(kappa: float) -> Callable[[Tensor], Tensor]:
    """Γ is y = 0; at x = 0, λ₁ = 2, λ₂ = 1, b = (1, 3, 2) and T₁₂ = κ along x, y₁, y₂."""

    def loss(z: Tensor) -> Tensor:
        x, y1, y2 = z
        walls = (2 + x) * y1**2 + y2**2 + y1**3 + 2 * y1**2 * y2
        return walls / 2 + kappa * x * y1 * y2

    return loss


def test_a_valley_has_the_corrections_of_a_calculation_by_hand(
    device: torch.device, dtype: torch.dtype
) -> None:
    # η = 1/2 and ρ = 1/10: d = 1/10 and s = 1/5; for b = (3, 2) therefore m₁ = −3/100,
    # ε = −9/40, t₂ = −1/10, r₂ = 1/6, δ₂ = −27/1000.
    x = torch.zeros(3, dtype=dtype, device=device)
    for kappa in (1.0, -1.0):
        found = flow_corrections(Objective(valley(kappa), 3), x, lr=0.5, rho=0.1)
        expected = {
            "flow": [-0.5, 0, 0],
            "speed_factor": 4.0,
            "second": [kappa * 2 * (2 * 0.027 / 1.5), 0, 0],
            "velocity": [-2 + kappa * 0.072, 0, 0],
            "top_eigenvalue": 2.0,
            "direction": [0, -1, 0],  # there y₁³ makes the wall less steep, so SAM goes up further
            "half_length": 0.1,
            "reach": 0.2,
            "centre": [0.1**2 / 8, -0.03, -0.04 + 0.01],
            "lopsidedness": 0.225,
            # v₁ itself turns by d b₂/(λ₁ − λ₂) = 1/5 across Γ, by d/λ₁ = 1/20 along it.
            "tilt": [-0.025, 0, -0.3],
            "angle": math.hypot(0.025, 0.3),
        }
        for name, value in vars(found).items():
            close = {"rtol": 0, "atol": 1e-6 if dtype == torch.float32 else 1e-14}
            number = torch.tensor(expected[name], dtype=torch.float64).to(x)
            torch.testing.assert_close(value, number, **close)


@pytest.mark.parametrize("kappa", [1.0, -1.0])
def test_the_second_error_hastens_sam_or_slows_it(kappa: float) -> None:
    def gradient(z: Array) -> Array:
        x, y1, y2 = z
        return np.array(
            [
                y1**2 / 2 + kappa * y1 * y2,
                (2 + x) * y1 + 1.5 * y1**2 + 2 * y1 * y2 + kappa * x * y2,
                y2 + y1**2 + kappa * x * y1,
            ]
        )

    lr, rho = 0.07, 0.015
    begin = sam(gradient, np.array([0.005, 0.002, 1e-4]), 1000, lr, rho)
    end = sam(gradient, begin, 1000, lr, rho)
    middle = double((begin[0] + end[0]) / 2, 0, 0)
    found = flow_corrections(Objective(valley(kappa), 3), middle, lr=lr, rho=rho)
    velocity = (end - begin)[0] / (1000 * lr * rho**2)
    first = float((found.speed_factor * found.flow)[0])
    # What is left out is smaller than the second error by a factor of order ηλ₁ = 0.14.
    assert velocity - first == pytest.approx(float(found.second[0]), rel=0.2)
    assert (velocity - first) * kappa > 0.003


# ─────────────────────────────────────────────── a valley that turns, and is the same all along


def screw(bulge: float) -> tuple[Callable[[Tensor], Tensor], Callable[[Array], Array]]:
    """L = f(R(x) y), R(x) a turn by x: a loss and its gradient. All of Γ, y = 0, looks alike."""

    def f(u1: Any, u2: Any) -> Any:
        return u1**2 + u2**2 / 2 + u1**3 / 6 + u1**2 * u2 / 2 + bulge * u1 * u2**2 / 2

    def loss(z: Tensor) -> Tensor:
        c, s = torch.cos(z[0]), torch.sin(z[0])
        return f(c * z[1] + s * z[2], c * z[2] - s * z[1])

    def gradient(z: Array) -> Array:
        c, s = math.cos(z[0]), math.sin(z[0])
        u1, u2 = c * z[1] + s * z[2], c * z[2] - s * z[1]
        f1 = 2 * u1 + u1**2 / 2 + u1 * u2 + bulge * u2**2 / 2
        f2 = u2 + u1**2 / 2 + bulge * u1 * u2
        return np.array([f1 * u2 - f2 * u1, c * f1 - s * f2, s * f1 + c * f2])

    return loss, gradient


def speeds_along_the_screw(bulge: float, lr: float, rho: float) -> tuple[float, FlowCorrections]:
    """SAM's own speed, and the corrections."""
    loss, gradient = screw(bulge)
    settled = sam(gradient, np.array([0, lr * rho, 1e-6]), round(60 / lr), lr, rho)
    moved = (sam(gradient, settled, 2, lr, rho) - settled)[0]
    found = flow_corrections(Objective(loss, 3), torch.zeros(3).double(), lr=lr, rho=rho)
    return moved / (2 * lr * rho**2), found


@pytest.mark.parametrize("lr", [0.4, 0.15, 0.03])
def test_where_nothing_has_a_slope_sam_moves_by_the_second_error_alone(lr: float) -> None:
    # λ₁ is the same all along, so the limiting flow stands still. On this valley the formula is
    # exact in η; the rest is of order (ρ/η)² of the speed.
    for ratio in (0.02, 0.01):
        speed, found = speeds_along_the_screw(0.0, lr, ratio * lr)
        assert float(found.flow.norm()) < 1e-15
        assert abs(speed / (lr * ratio**2)) > 0.1
        assert speed == pytest.approx(float(found.second[0]), rel=3 * ratio**2)


def test_what_the_second_error_leaves_out_is_smaller_by_a_factor_of_order_lr() -> None:
    # ∂³L[v₁, v₂, v₂] = 1 puts (ρ/λ₁) t₂ beside ε t₂ in δ₂, where ε = −ρ(2 + ηλ₁)/(2ηλ₁²).
    for lr in (0.1, 0.05, 0.025):
        speed, found = speeds_along_the_screw(1.0, lr, 0.01 * lr)
        left_out = speed / float(found.second[0]) - 1
        assert left_out == pytest.approx(-2 * lr * 2 / (2 + 2 * lr), rel=3e-3)


# ───────────────────────────────────────────────────────────────────────── a point, a cubic


def test_a_lopsided_cycle_over_a_point_is_where_it_should_be() -> None:
    lr, rho = 0.3, 0.003
    x = sam(lambda x: x - x**2 / 2, np.array([0.001]), 400, lr, rho)
    ends = [x[0], sam(lambda x: x - x**2 / 2, x, 1, lr, rho)[0]]
    slopes = sorted(abs(e - e**2 / 2) for e in ends)
    cubic = Objective(lambda x: x[0] ** 2 / 2 - x[0] ** 3 / 6, dim=1)
    found = flow_corrections(cubic, torch.zeros(1).double(), lr=lr, rho=rho)
    # The relative error is of order (ρ/η)².
    assert float(found.centre) == pytest.approx(sum(ends) / 2, rel=1e-4)
    assert float(found.half_length) == pytest.approx(abs(ends[0] - ends[1]) / 2, rel=1e-4)
    lopsidedness = (slopes[1] - slopes[0]) / (slopes[1] + slopes[0])
    assert float(found.lopsidedness) == pytest.approx(lopsidedness, rel=1e-4)
    assert float(found.direction) == 1
    assert float(found.velocity.norm()) == float(found.angle) == 0


# ──────────────────────────────────────────────────────────────────────────────── networks


def settled(seed: int, lr: float, rho: float) -> tuple[TanhNetwork, Tensor]:
    """A network of 50 weights, and SAM in its two-cycle."""
    network, start = problems.interpolating_network(seed=seed)
    near = project_to_minimizers(network, start).x + 1e-3 * normal(50, seed=seed)
    steps = round(300 / lr)
    return network, simulate(network, rules.SAM(lr, rho), near, steps, every=steps).x[0, -1]


@pytest.mark.parametrize(("seed", "lr", "rho"), [(3, 0.3, 0.003), (14, 0.2, 0.002)])
def test_the_two_cycle_of_a_network_is_where_it_should_be(seed: int, lr: float, rho: float) -> None:
    network, x = settled(seed, lr, rho)
    both = torch.stack([x, rules.SAM(lr, rho).step(network, x[None])[0]])
    below = project_to_minimizers(network, both, rtol=1e-12, atol=1e-14).x.mean(dim=0)
    found = flow_corrections(network, below, lr=lr, rho=rho)
    slopes = network.gradient(both)
    along = slopes @ found.direction
    longer, shorter = slopes[along.argmax()].norm(), slopes[along.argmin()].norm()
    # First order in ρ/η: errors of order (ρ/η)², here up to 10⁻³, and of order ρ.
    lopsidedness = (longer - shorter) / (longer + shorter)
    torch.testing.assert_close(found.lopsidedness, lopsidedness, rtol=1e-2, atol=0)
    tops = torch.linalg.eigh(network.hessian(both)).eigenvectors[..., -1]
    units = slopes / slopes.norm(dim=-1, keepdim=True)
    cosines = (units * tops).sum(dim=-1, keepdim=True)
    tilt = (units - cosines * tops).mean(dim=0)
    assert float((found.tilt - tilt).norm() / tilt.norm()) < 3e-3
    angle = cosines.abs().acos().mean()
    torch.testing.assert_close(found.angle, angle, rtol=3e-3, atol=0)
    centre = both.mean(dim=0) - below
    assert float((found.centre - centre).norm() / centre.norm()) < 3e-3
    half = (both[0] - both[1]).norm() / 2
    torch.testing.assert_close(found.half_length, half, rtol=1e-3, atol=0)
    # Along Γ both are smaller than across it, by factors of order η and η².
    across = torch.linalg.eigh(network.hessian(below)).eigenvectors[:, -5:]
    for own, measured in ((found.tilt, tilt), (found.centre, centre)):
        tangent, own_tangent = (v - across @ (across.mT @ v) for v in (measured, own))
        assert float((own_tangent - tangent).norm() / tangent.norm()) < 3e-2


def end_of_flow(
    network: TanhNetwork, begin: Tensor, time: float, velocity: Callable[[Tensor], Tensor]
) -> Tensor:
    """The flow after that time, with Gauss and Newton's way back to Γ."""

    def on_gamma(x: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(network.hessian(x))
        across = vectors[:, -5:]
        for _ in range(8):
            x = x - across @ ((across.mT @ network.gradient(x)) / values[-5:])
        return x

    def right_hand_side(time: float, x: Array) -> Array:
        return velocity(on_gamma(torch.from_numpy(x))).numpy()

    path = solve_ivp(right_hand_side, (0, time), begin.numpy(), rtol=1e-5, atol=1e-7)
    return on_gamma(torch.from_numpy(path.y[:, -1].copy()))


def errors_of_position(seed: int, lr: float, rho: float) -> tuple[float, float]:
    """How far the flow with the first error, and with both, is from Φ(SAM), of the way of SAM."""
    network, x = settled(seed, lr, rho)
    steps = round(0.5 / (lr * rho**2))
    later = simulate(network, rules.SAM(lr, rho), x, steps, every=steps).x[0, -1]
    begin, end = project_to_minimizers(network, torch.stack([x, later])).x

    def first(x: Tensor) -> Tensor:
        found = flow_corrections(network, x, lr=lr, rho=rho)
        return found.speed_factor * found.flow

    def both(x: Tensor) -> Tensor:
        return flow_corrections(network, x, lr=lr, rho=rho).velocity

    reached = [end_of_flow(network, begin, steps * lr * rho**2, v) for v in (first, both)]
    near, nearer = ((x - end).norm() / (end - begin).norm() for x in reached)
    return float(near), float(nearer)


@pytest.mark.parametrize(("seed", "gain"), [(3, 2), (4, 4)])
def test_what_is_left_of_the_position_of_sam_is_of_second_order_in_the_radius(
    seed: int, gain: float
) -> None:
    # The terms that are left out are of order ρ² at fixed η; so is the second error itself.
    (first, both), (_, later) = (errors_of_position(seed, 0.15, rho) for rho in (0.02, 0.01))
    assert both < min(first / gain, 2.5e-3)
    assert both / later == pytest.approx(4, rel=0.1)


def test_at_a_small_learning_rate_most_of_the_error_is_the_second() -> None:
    first, both = errors_of_position(7, 0.04, 0.008)
    assert first > 3e-3
    assert both < first / 7


def test_for_a_small_learning_rate_the_second_error_has_a_simple_form() -> None:
    x = project_to_minimizers(NETWORK, problems.interpolating_network().start).x
    values, vectors = torch.linalg.eigh(torch.func.hessian(NETWORK.value)(x))
    values, vectors = values[-5:].flip(0), vectors[:, -5:].flip(1)

    def third(v: Tensor, w: Tensor) -> Tensor:
        along = torch.func.grad(lambda x: torch.func.jvp(NETWORK.gradient, (x,), (v,))[1] @ w)
        return along(x)

    v1, top = vectors[:, 0], values[0]
    b = vectors.mT @ third(v1, v1)
    limit = torch.zeros(50).double()
    for i in range(1, 5):
        slope = third(v1, vectors[:, i])
        slope = slope - vectors @ (vectors.mT @ slope)
        limit += b[0] * b[i] / (2 * values[i] * (top**2 - values[i] ** 2)) * slope
    for lr, accuracy in ((1e-4, 1e-2), (1e-6, 1e-4)):
        found = flow_corrections(NETWORK, x, lr=lr, rho=1e-3 * lr)
        second = found.second * lr / (1e-3 * lr) ** 2
        assert float((second - limit).norm() / limit.norm()) < accuracy


# ────────────────────────────────────────────────────────────────── pieces and large losses


def test_the_third_derivative_is_that_of_finite_differences() -> None:
    x, v, w = normal(3, 50, seed=4) / 5
    ahead, behind = (NETWORK.hessian_vector_product(x + h * w, v) for h in (1e-5, -1e-5))
    expected = (ahead - behind) / 2e-5
    torch.testing.assert_close(third_derivative(NETWORK, x, v, w), expected, rtol=1e-6, atol=1e-9)
    flat = third_derivative(Quadratic([2.0, 1.0]), torch.ones(2), torch.ones(2), torch.ones(2))
    assert torch.equal(flat, torch.zeros(2))


def test_the_sum_of_the_second_error_runs_over_the_columns_that_are_given() -> None:
    x = project_to_minimizers(NETWORK, problems.interpolating_network().start).x
    values, vectors = torch.linalg.eigh(NETWORK.hessian(x))
    values, vectors = values[-5:].flip(0), vectors[:, -5:].flip(1)
    b = third_derivative(NETWORK, x, vectors[:, 0], vectors[:, 0])

    def part(kept: list[int]) -> Tensor:
        second = second_error(NETWORK, x, values[kept], vectors[:, kept], b, lr=0.1, rho=0.02)
        return second - vectors @ (vectors.mT @ second)

    assert float(part([0, 1]).norm()) > 1e-3
    torch.testing.assert_close(part([0, 1, 3]) + part([0, 2, 4]), part([0, 1, 2, 3, 4]))
    assert torch.equal(part([0]), torch.zeros(50).double())
    whole = flow_corrections(NETWORK, x, lr=0.1, rho=0.02, rank=5).second
    torch.testing.assert_close(part([0, 1, 2, 3, 4]), whole)


def test_a_large_loss_is_known_by_its_products() -> None:
    small = flow_corrections(Objective(valley(1), 3), torch.zeros(3).double(), lr=0.5, rho=0.1)
    wide = Objective(lambda z: valley(1)(z[:3]), 600)
    found = flow_corrections(wide, torch.zeros(600).double(), lr=0.5, rho=0.1, rank=2)
    for name, value in vars(found).items():
        expected = getattr(small, name)
        if value.dim():
            assert float(value[3:].norm()) < 1e-7
            value = value[:3]
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-7)


# ─────────────────────────────────────────────────────────────────────────────── refusals

ON_GAMMA = (0.5, 0.5, 0.0, 0.0)  # of Figure 1's loss: λ₁ = 19.5, λ₂ = 4.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": double(0.5, 0.5, 1e-6, 0)}, "x must be on Γ.*‖∇L‖ = 2e-05.*project_to_minim"),
        ({"objective": Objective(lambda x: x[0] ** 2 - x[1] ** 2, 4), "x": double(0, 0, 0, 0)},
         "x must be on Γ.*eigenvalues are from -2 to 2"),
        ({"objective": Objective(lambda x: 0 * x.sum(), 4)}, "x must be on Γ.* nor all 0"),
        ({"objective": Quadratic([2.0, 2.0, 1.0, 1.0]), "x": double(0, 0, 0, 0)},
         "λ₁ must be simple at x.*λ₁ = 2 and λ₂ = 2"),
        ({"x": torch.ones(2, 4)}, "x must have shape"),
        ({"rank": 3}, "rank must be 2"),
        ({"lr": 2 / 19.5}, r"lr must be below 2/λ₁ = 0\.102564, got 0\.1025"),
        ({"lr": 0.0}, "lr must be finite and > 0"),
        ({"rho": 0.0}, "rho must be finite and > 0"),
        ({"objective": Objective(torch.sum, 600), "x": torch.ones(600)}, "rank is required"),
    ],
)  # fmt: skip
def test_what_is_not_a_point_of_gamma_is_refused(arguments: dict[str, Any], message: str) -> None:
    good = {"objective": FourDimensional(), "x": double(*ON_GAMMA), "lr": 0.01, "rho": 0.01}
    assert float(flow_corrections(**good).flow.norm()) > 1
    with pytest.raises(ValueError, match=message):
        flow_corrections(**{**good, **arguments})


# ──────────────────────────────────────────────────────────── the flow that takes them along


@pytest.mark.parametrize("kappa", [1.0, -1.0])
def test_the_flow_sets_out_with_the_corrected_velocity(kappa: float) -> None:
    # ε = −.028 here: what bounds the swing of a lopsided cycle changes a thousandth of it.
    objective, x = Objective(valley(kappa), 3), torch.zeros(3, dtype=torch.float64)
    rates = {"lr": 0.1, "rho": 0.004}
    expected = flow_corrections(objective, x, **rates)
    h = 1e-4
    flow = limiting_flow(
        objective, x, "top_eigenvalue", [h, 2 * h], rtol=1e-12, atol=1e-13, **rates
    )
    velocity = (4 * flow.x[0] - flow.x[1] - 3 * x) / (2 * h)
    alone = expected.speed_factor * expected.flow
    torch.testing.assert_close(velocity - alone, expected.second, rtol=2e-3, atol=1e-9)


def test_a_cycle_too_lopsided_for_the_formula_is_warned_of() -> None:
    objective, x = Objective(valley(1.0), 3), torch.zeros(3, dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match="rho/lr is too large for a formula of first order"):
        limiting_flow(objective, x, "top_eigenvalue", [0.1], lr=0.1, rho=0.2)


def test_a_radius_needs_a_learning_rate() -> None:
    x = torch.zeros(3, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"rho needs lr, since .* got rho=0\.1"):
        limiting_flow(Objective(valley(1.0), 3), x, "top_eigenvalue", [0.1], rho=0.1)
