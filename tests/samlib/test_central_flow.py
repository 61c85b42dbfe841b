"""The central flow: against closed forms, other integrators, the limiting flow and SAM itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from torch import Tensor

from samlib import Objective, landscapes, problems, rules, simulate
from samlib.flow import central as central_room
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


def test_the_mean_of_two_iterates_of_sam_comes_to_rest_there_up_to_the_tilt_squared() -> None:
    # Where the walls pull as hard as the floor, the tilt t of SAM's direction is proportional to ρ.
    deviations = []
    for rho in (0.02, 0.01):
        loss, rule = sloping(2.5 * rho**2), rules.SAM(LR, rho)
        steps = round(12 / (LR * rho**2))
        run = simulate(loss, rule, double(0, 0.1), steps, every=steps - 1)
        last = run.x[0, -2:].mean(dim=0)
        flow = central_flow(loss, double(0, 0), [200.0], lr=LR, rho=rho, rtol=1e-3)
        deviations.append(float(last[0] / flow.x[0, 0]) - 1)
    assert abs(deviations[0]) < 0.015
    assert 3.5 < deviations[0] / deviations[1] < 4.5


def test_the_middle_between_walls_of_different_steepness_is_that_of_sam() -> None:
    def loss(z: Tensor) -> Tensor:
        return (1 + z[0]) * z[1] ** 2 / 2 + 0.1 * z[1] ** 3 + 0.025 * z[0] ** 2

    deviations = []
    for rho in (0.02, 0.01):
        run = simulate(Objective(loss, 2), rules.SAM(LR, rho), double(0, 0.1), 20_000, every=19_999)
        aside = float(run.x[0, -2:, 1].mean())
        flow = central_flow(Objective(loss, 2), double(0, 0), [8000 * rho**2], lr=LR, rho=rho)
        deviations.append(abs(float(flow.x[0, 1]) / aside - 1))
    assert deviations[0] < 0.03
    assert deviations[1] < deviations[0] / 3  # of order ρ²


def test_as_the_radius_goes_to_zero_it_is_the_limiting_flow_through_ties() -> None:
    # From here λ₁ meets λ₂ at τ = .05, both fall as one and part. Beside Γ it is by order ρ².
    figure, start = landscapes.FourDimensional(), double(-1, -1, 0, 0)
    times = [0.02, 0.08, 0.2]
    limit = limiting_flow(figure, start, "top_eigenvalue", times, lr=0.01)
    flow = central_flow(figure, start, times, lr=0.01, rho=1e-3, rtol=1e-2)
    assert flow.multiplicity.tolist() == limit.multiplicity.tolist() == [1, 2, 1]
    torch.testing.assert_close(flow.x, limit.x, rtol=0, atol=2e-3)


def test_beside_the_manifold_of_a_network_it_is_by_the_square_of_the_radius() -> None:
    network, start = problems.interpolating_network(seed=44)
    first = project_to_minimizers(network, start).x
    limit = limiting_flow(network, first, "top_eigenvalue", [1.5], lr=0.2, rtol=1e-6, atol=1e-7)
    apart = [
        central_flow(network, first, [1.5], lr=0.2, rho=rho, rtol=1e-2).x - limit.x
        for rho in (0.08, 0.04)
    ]
    coarse, fine = (float(each.norm()) for each in apart)
    assert 3 < coarse / fine < 5


def walls_that_meet(x: Tensor) -> Tensor:
    """Two walls with λ = 1 + ½x₁x₃ − x₃ ± ‖(x₁ − .02, x₂)‖ over a floor with coordinates x."""
    mean, apart, across = 1 + x[0] * x[2] / 2 - x[2], x[0] - 0.02, x[1]
    return torch.stack([torch.stack([mean + apart, across]), torch.stack([across, mean - apart])])


def meeting(floor: float) -> Objective:
    return Objective(
        lambda z: z[3:] @ walls_that_meet(z[:3]) @ z[3:] / 2 + floor * z[:3].square().sum() / 2, 5
    )


def test_through_a_tie_it_descends_the_loss_and_its_sharpness() -> None:
    # Gradient flow of the floor's height and ½s²λ₁, with a smooth maximum in place of λ₁. The
    # floor curves by a thousandth of κ, which SAM sees a thousandth late.
    floor, sharp, end = 1e-4, 3000.0, 0.3

    def velocity(_: float, state: NDArray[np.float64]) -> NDArray[np.float64]:
        x = torch.from_numpy(state).requires_grad_()
        values = torch.linalg.eigvalsh(walls_that_meet(x))
        highest = torch.logsumexp(sharp * values, dim=0) / sharp
        (slope,) = torch.autograd.grad(highest, x)
        reach = 2 * RHO / (2 - LR * float(highest.detach()))
        pull = floor * state + reach**2 / 2 * slope.numpy()
        result: NDArray[np.float64] = -pull / RHO**2
        return result

    start = double(0.1, 0.05, -0.3)
    exact = solve_ivp(velocity, (0, end), start.numpy(), "LSODA", rtol=1e-8, atol=1e-10)
    flow = central_flow(
        meeting(floor), torch.cat([start, double(0, 0)]), [0.05, end], lr=LR, rho=RHO, rtol=1e-2
    )
    assert flow.multiplicity.tolist() == [1, 2]
    apart = flow.x[-1, :3] - torch.from_numpy(exact.y[:, -1])
    assert float(apart.norm()) < 0.01 * float((flow.x[-1, :3] - start).norm())


def test_sam_stays_by_it_on_a_network_through_a_tie() -> None:
    # The tie begins at τ = 1.9. What is left out is of order ρ²/η, the second error, and ρ².
    network, away = problems.interpolating_network(inputs=5, hidden=12, points=3, seed=43)
    first, end, apart = project_to_minimizers(network, away).x, 3.0, []
    for lr, rho in ((0.14, 0.04), (0.07, 0.02)):
        steps, begin = round(end / (lr * rho**2)), first + 1e-6 * normal(network.dim)
        run = simulate(network, rules.SAM(lr, rho), begin, steps, every=steps - 1)
        flow = central_flow(network, first, [end], lr=lr, rho=rho)
        assert flow.multiplicity.tolist() == [2]
        distance = (run.x[0, -2:].mean(dim=0) - flow.x[0]).norm()
        apart.append(float(distance / (flow.x[0] - first).norm()))
    assert apart[0] < 0.012
    assert 1.8 < apart[0] / apart[1] < 4.2


def test_products_alone_give_the_same_as_the_hessian_as_a_matrix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, options = double(0.1, 0.05, -0.3, 0, 0), {"lr": LR, "rho": RHO, "rtol": 1e-2}
    dense = central_flow(meeting(1e-3), start, [0.3], **options)
    monkeypatch.setattr(valley_room, "WHOLE_SPECTRUM_DIM", 1)
    free = central_flow(meeting(1e-3), start, [0.3], **options)
    assert free.multiplicity.tolist() == dense.multiplicity.tolist() == [2]
    torch.testing.assert_close(free.x, dense.x, rtol=0, atol=1e-3 * float(dense.x[0, :3].norm()))


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


def test_a_trial_step_out_of_the_valley_is_made_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    # An even slope down to a bend of width 1/50 at x = −.8, where the flow ends. The walls turn
    # over at −1, and steps that have grown on the slope reach beyond.
    slope, bend = 1e-3, 50.0
    looked_at: list[float] = []

    def loss(z: Tensor) -> Tensor:
        floor = z[0] + torch.exp(-bend * (z[0] + 0.8)) / bend
        return (1 + z[0]) * z[1] ** 2 / 2 + slope * floor

    def look(objective: Objective, x: Tensor, *rest: Any) -> valley_room.Spot:
        looked_at.append(float(x[0]))
        return valley_room.look(objective, x, *rest)

    monkeypatch.setattr(central_room, "look", look)
    flow = central_flow(Objective(loss, 2), double(0.5, 0), [3.0], lr=LR, rho=RHO, rtol=0.3)
    assert min(looked_at) < -1
    assert float(flow.x[0, 0]) == pytest.approx(-0.8, abs=1e-3)
