"""The central flow: against closed forms, other integrators, the limiting flow and SAM itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from torch import Tensor

from samlib import Objective, landscapes, problems, rules, simulate
from samlib.flow import central_flow, limiting_flow, project_to_minimizers
from samlib.flow import valley as valley_room
from tests.samlib.flow_cases import double, normal

LR, RHO = 0.4, 0.02


def sloping(floor: float) -> Objective:
    """Walls of curvature 1 + x over a floor ½ · floor · x², with x and y as parameters."""
    return Objective(lambda z: (1 + z[0]) * z[1] ** 2 / 2 + floor * z[0] ** 2 / 2, 2)


def pull_of_walls(x: float, floor: float) -> float:
    """Half the mean of what SAM adds to the slope of the floor, where λ₁ = 1 + x."""
    top = 1 + x
    half = LR * RHO * top / (2 - LR * top)
    stiffness = top * half / RHO
    ahead = stiffness / (stiffness + floor)
    return (half**2 + ((RHO + half) ** 2 - half**2) * ahead) / 2


@pytest.mark.parametrize("floor", [1e-3, 1e-2, 0.1])
def test_it_comes_to_rest_where_the_slope_of_the_floor_and_of_the_walls_cancel(
    floor: float,
) -> None:
    rest = brentq(lambda x: floor * x + pull_of_walls(x, floor), -0.9, 0)
    flow = central_flow(sloping(floor), double(0, 0), [400 * RHO**2 / floor], lr=LR, rho=RHO)
    assert float(flow.x[0, 0]) == pytest.approx(rest, rel=1e-3)


def test_on_the_way_there_it_is_the_solution_of_its_equation() -> None:
    floor, times = 1e-3, np.linspace(0.1, 1, 10)

    def velocity(_: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return -(floor * x + pull_of_walls(float(x[0]), floor)) / RHO**2

    exact = solve_ivp(velocity, (0, 1), [0.0], t_eval=times, rtol=1e-10, atol=1e-12).y[0]
    errors = []
    for rtol in (0.05, 0.01):
        flow = central_flow(sloping(floor), double(0, 0), times, lr=LR, rho=RHO, rtol=rtol)
        errors.append(float((flow.x[:, 0] - torch.from_numpy(exact)).abs().max()))
        assert errors[-1] < float(flow.error[-1])
    assert errors[1] < 2e-3 * abs(exact[-1])
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("floor", [1e-3, 1e-2])
def test_the_mean_of_two_iterates_of_sam_comes_to_rest_there(floor: float) -> None:
    # What the flow leaves out is of the order of the tilt squared, (ρ/ηλ₁²)² = 1/400.
    run = simulate(sloping(floor), rules.SAM(LR, RHO), double(0, 0.1), 400_000, every=399_999)
    last = simulate(sloping(floor), rules.SAM(LR, RHO), run.x[0, -1], 1).x[0].mean(dim=0)
    flow = central_flow(sloping(floor), double(0, 0), [400 * RHO**2 / floor], lr=LR, rho=RHO)
    torch.testing.assert_close(last[:1], flow.x[0, :1], rtol=5e-3, atol=0)


def test_as_the_radius_goes_to_zero_it_is_the_limiting_flow_through_ties() -> None:
    # From here λ₁ meets λ₂ at τ = .05, both fall as one and part. Beside Γ it is by order ρ².
    figure, start = landscapes.FourDimensional(), double(-1, -1, 0, 0)
    times = [0.02, 0.08, 0.2]
    limit = limiting_flow(figure, start, "top_eigenvalue", times, lr=0.01)
    flow = central_flow(figure, start, times, lr=0.01, rho=1e-3, rtol=1e-3)
    assert flow.multiplicity.tolist() == limit.multiplicity.tolist() == [1, 2, 1]
    torch.testing.assert_close(flow.x, limit.x, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("seed", "lr"), [(39, 0.1), (44, 0.2)])
def test_beside_the_manifold_of_a_network_it_is_by_the_square_of_the_radius(
    seed: int, lr: float
) -> None:
    network, start = problems.interpolating_network(seed=seed)
    first = project_to_minimizers(network, start).x
    limit = limiting_flow(network, first, "top_eigenvalue", [3.0], lr=lr)
    apart = [
        central_flow(network, first, [3.0], lr=lr, rho=rho, rtol=2e-3).x - limit.x
        for rho in (0.04, 0.02)
    ]
    coarse, fine = (float(each.norm()) for each in apart)
    assert 3 < coarse / fine < 5


def softmax_of_eigenvalues(network: Objective, x: Tensor, sharp: float) -> Tensor:
    return torch.logsumexp(sharp * torch.linalg.eigvalsh(network.hessian(x)), dim=-1) / sharp


def test_through_a_tie_it_descends_the_loss_and_its_sharpness() -> None:
    # Gradient flow of L + ½s²λ₁ with a smooth maximum in place of λ₁, at a learning rate so small
    # that SAM looks ahead by next to nothing, but for the walls, where it changes nothing.
    network, start = problems.interpolating_network(inputs=2, hidden=4, points=3, seed=1)
    first, rho, lr = project_to_minimizers(network, start).x, 0.1, 1e-6
    end, sharp = 4.0, 300.0

    def velocity(_: float, state: NDArray[np.float64]) -> NDArray[np.float64]:
        x = torch.from_numpy(state).requires_grad_()
        with torch.enable_grad():
            total = network.value(x) + rho**2 / 2 * softmax_of_eigenvalues(network, x, sharp)
        (slope,) = torch.autograd.grad(total, x)
        return -slope.numpy() / rho**2

    exact = solve_ivp(velocity, (0, end), first.numpy(), method="Radau", rtol=1e-6, atol=1e-8)
    flow = central_flow(network, first, [end], lr=lr, rho=rho, rtol=5e-3)
    moved = float((flow.x[0] - first).norm())
    assert float((flow.x[0] - torch.from_numpy(exact.y[:, -1])).norm()) < 0.01 * moved


def test_sam_stays_by_it_on_a_network() -> None:
    # Distance over the way: of order ρ², with 0.0003 to 0.002 measured on such networks.
    network, start = problems.interpolating_network(seed=51)
    first, lr, rho, end = project_to_minimizers(network, start).x, 0.08, 0.03, 2.0
    steps = round(end / (lr * rho**2))
    rule = rules.SAM(lr, rho)
    run = simulate(network, rule, first + 1e-4 * normal(network.dim), steps, every=steps)
    last = simulate(network, rule, run.x[0, -1], 1).x[0].mean(dim=0)
    flow = central_flow(network, first, [end], lr=lr, rho=rho, rtol=5e-3)
    assert float((last - flow.x[0]).norm()) < 0.01 * float((flow.x[0] - first).norm())


def test_products_alone_give_the_same_as_the_hessian_as_a_matrix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, start = problems.interpolating_network(seed=39)
    first = project_to_minimizers(network, start).x
    dense = central_flow(network, first, [2.5], lr=0.1, rho=0.05)
    monkeypatch.setattr(valley_room, "WHOLE_SPECTRUM_DIM", 1)
    free = central_flow(network, first, [2.5], lr=0.1, rho=0.05)
    assert free.multiplicity.tolist() == dense.multiplicity.tolist() == [2]
    torch.testing.assert_close(free.x, dense.x, rtol=0, atol=1e-4)
    torch.testing.assert_close(free.mixture.trace(), double(1)[0])


def test_at_the_very_start_it_is_there() -> None:
    flow = central_flow(sloping(0.1), double(0.3, 0), [0.0], lr=LR, rho=RHO)
    assert flow.x.tolist() == [[0.3, 0.0]]
    assert flow.mixture.shape == (1, 2, 2)
    assert math.isclose(float(flow.top_eigenvalue[0]), 1.3)
    assert "multiplicity≤1" in repr(flow)


@pytest.mark.parametrize(
    ("start", "lr", "said"),
    [
        (double(0, 0), 2.5, r"lr must be below 2/λ₁ = 2 all the way, got 2\.5"),
        (double(-1.5, 0), 0.1, "λ₁ must be positive for SAM's two-cycle, got -0.5"),
    ],
)
def test_where_sam_has_no_two_cycle_there_is_no_flow(start: Tensor, lr: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        central_flow(sloping(-0.5), start, [1.0], lr=lr, rho=RHO)
