"""The drift and the flow of the chain of residuals: against closed forms and SAM's own runs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samlib import Objective, limiting_flow, networks, project_to_minimizers, rules, simulate
from samlib.flow import chain_drift, chain_flow
from samlib.landscapes import FourDimensional, TanhNetwork, TwoValleys
from tests.samlib.flow_cases import double, normal

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_drift_in_the_valleys_is_that_of_own_speeds() -> None:
    # The gradients of the two terms are perpendicular on the floor, h = 6 + tanh x, 2 − 1.6 tanh x.
    for position, lr in ((0.3, 0.07), (-0.5, 0.2)):
        t = math.tanh(position)
        weights = [(2 / (2 - lr * h)) ** 2 for h in (6 + t, 2 - 1.6 * t)]
        expected = -(1 - t * t) * (weights[0] - 1.6 * weights[1]) / 4
        drift = chain_drift(TwoValleys(), double(position, 0, 0), lr=lr, samples=2**16)
        assert float(drift.velocity[0]) == pytest.approx(expected, abs=1e-4)
        assert float(drift.velocity[1:].abs().max()) < 1e-12
        assert repr(drift).startswith("ChainDrift(‖velocity‖=")


def test_the_drift_of_the_full_batch_is_the_flow_of_the_top_eigenvalue_made_faster() -> None:
    network, start = networks.interpolating_network(hidden=6, points=4, seed=21)
    x, lr, step = project_to_minimizers(network, start).x, 0.25, 1e-3
    near = limiting_flow(network, x, "top_eigenvalue", [step, 2 * step])
    velocity = (4 * near.x[0] - near.x[1] - 3 * x) / (2 * step)  # up to step²
    drift = chain_drift(network, x, lr=lr, batch_size=None, samples=1_000)
    top = torch.linalg.eigvalsh(network.hessian(x))[-1]
    expected = (2 / (2 - lr * top)) ** 2 * velocity
    torch.testing.assert_close(drift.velocity, expected, rtol=0, atol=1e-4 * float(expected.norm()))


def test_other_losses_of_an_output_enter_by_their_curvature() -> None:
    # Near the target, (f − y)² and softplus-like log cosh have ℓ'' = 2 and 1: the drift at η of the
    # one is twice that of the other at 2η.
    model = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(normal(*p.shape, seed=i))
    data = normal(3, 2, seed=7), normal(3, 1, seed=8)
    square, logcosh = (
        Objective.from_module(model, loss, data)
        for loss in (nn.MSELoss(), lambda f, y: torch.log(torch.cosh(f - y)).mean())
    )
    x = project_to_minimizers(square, square.flat_parameters()).x
    options: dict[str, Any] = {"samples": 2**14, "batch_size": 2}
    one = chain_drift(square, x, lr=0.02, **options)
    other = chain_drift(logcosh, x, lr=0.04, **options)
    scale = float(one.velocity.norm())
    assert float(other.velocity.norm()) > 0.1
    torch.testing.assert_close(one.velocity, 2 * other.velocity, rtol=0, atol=1e-9 * scale)
    torch.testing.assert_close(one.gradients, math.sqrt(2) * other.gradients, rtol=1e-6, atol=1e-9)


def test_the_drift_is_the_formula_with_whole_hessians_and_its_error_is_honest() -> None:
    network, start = networks.interpolating_network(inputs=2, hidden=7, points=4, seed=9)
    x = project_to_minimizers(network, start).x

    def outputs(w: Tensor) -> Tensor:
        return network.output(w, network.inputs)

    rows, hessians = torch.func.jacrev(outputs)(x), torch.func.hessian(outputs)(x)
    found = [chain_drift(network, x, lr=0.15, samples=2_048, seed=seed) for seed in range(20)]
    signs = torch.sign((found[0].gradients * rows).sum(dim=1))
    torch.testing.assert_close(found[0].gradients, signs[:, None] * rows)
    speeds = signs[:, None] * found[0].moments.speeds * signs
    slope = torch.einsum("kj,kab,jb->a", speeds, hessians, rows) / 4
    expected = torch.linalg.pinv(rows) @ (rows @ slope) - slope
    torch.testing.assert_close(found[0].velocity, expected)
    spread = torch.stack([each.velocity for each in found]).std(dim=0)
    stated = torch.stack([each.error for each in found]).square().mean(dim=0).sqrt()
    # 20 seeds know a spread to 16 %, and the entries are not independent.
    assert float(spread.norm() / stated.norm()) == pytest.approx(1, abs=0.2)


def test_the_drift_is_on_the_device_and_in_the_dtype_of_the_point(
    device: torch.device, dtype: torch.dtype
) -> None:
    point = double(0.5, 0.5, 0, 0)
    here = chain_drift(FourDimensional(), point, lr=0.01, samples=2_048)
    there = chain_drift(FourDimensional(), point.to(device, dtype), lr=0.01, samples=2_048)
    close = {"rtol": 1e-3, "atol": 1e-4}  # a rounded K may change a sign of the chain
    for name in ("velocity", "gradients"):
        found = getattr(there, name)
        assert (found.device.type, found.dtype) == (device.type, dtype)
    torch.testing.assert_close(there.velocity.cpu().double(), here.velocity, **close)
    flow = chain_flow(FourDimensional(), point.to(device, dtype), [0.01], lr=0.01, samples=2_048)
    assert (flow.x.device.type, flow.x.dtype) == (device.type, dtype)


def test_networks_of_more_parameters_than_a_hessian_has_room_for() -> None:
    model = nn.Sequential(nn.Linear(4, 120), nn.Tanh(), nn.Linear(120, 1)).double()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(normal(*p.shape, seed=i) / p.shape[-1] ** 0.5)
    inputs, targets = normal(4, 4, seed=7), normal(4, 1, seed=8)
    objective = Objective.from_module(
        model, lambda f, y: (f - y).square().mean() / 2, (inputs, targets)
    )
    x = project_to_minimizers(objective, objective.flat_parameters(), rank=4).x
    drift = chain_drift(objective, x, lr=0.015, samples=2**13)
    assert objective.dim > 512

    def outputs(w: Tensor) -> Tensor:
        first, bias, last, shift = w.split([480, 120, 120, 1])
        return torch.tanh(inputs @ first.view(120, 4).T + bias) @ last + shift

    rows, hessians = torch.func.jacrev(outputs)(x), torch.func.hessian(outputs)(x)
    signs = torch.sign((drift.gradients * rows).sum(dim=1))
    speeds = signs[:, None] * drift.moments.speeds * signs
    slope = torch.einsum("kj,kab,jb->a", speeds, hessians, rows) / 4
    expected = torch.linalg.pinv(rows) @ (rows @ slope) - slope
    torch.testing.assert_close(drift.velocity, expected, rtol=1e-6, atol=1e-8)


def own_speeds(network: TanhNetwork, lr: float) -> Any:
    def regularizer(x: Tensor) -> Tensor:
        rows = torch.func.jacrev(lambda w: network.output(w, network.inputs))(x)
        h = rows.square().sum(dim=1)
        return (2 * h / (2 - lr * h)).mean()

    return regularizer


@pytest.mark.parametrize(("batch_size", "seed"), [(1, 14), (2, 31)])
def test_sam_on_mini_batches_moves_as_the_chain_says(batch_size: int, seed: int) -> None:
    network, start = networks.interpolating_network(inputs=4, hidden=8, points=4, seed=seed)
    begin = project_to_minimizers(network, start).x
    lr, rho, runs, time = 0.15, 0.01, 64, 0.08
    steps = round(time / (lr * rho**2))
    path = simulate(
        network,
        rules.StochasticSAM(lr, rho, batch_size=batch_size),
        begin.expand(runs, -1) + 1e-4 * normal(runs, network.dim),
        2 * steps,
        every=steps,
        record=("x",),
        seed=3,
    )
    points = project_to_minimizers(network, path.x[:, 1:]).x
    moved = points[:, 1] - points[:, 0]
    mean, error = moved.mean(dim=0), moved.std(dim=0) / math.sqrt(runs)
    middle = points[:, 0].mean(dim=0)
    flow = chain_flow(network, middle, [lr * rho**2 * steps], lr=lr, batch_size=batch_size)
    expected = flow.x[0] - project_to_minimizers(network, middle).x
    away = float((mean - expected).norm() / mean.norm())
    # The noise of the runs, and the next order in ρ and √η ρ.
    assert float(error.norm() / mean.norm()) < 0.006
    assert away < 0.015
    others: list[Any] = ["trace", own_speeds(network, lr)]
    for regularizer in others:
        other = limiting_flow(network, middle, regularizer, [0.0, lr * rho**2 * steps])
        assert float((mean - other.x[1] + other.x[0]).norm() / mean.norm()) > 2.5 * away


# The flow


def test_the_flow_in_the_valleys_is_that_of_own_speeds() -> None:
    valleys, lr, start = TwoValleys(), 0.12, double(-0.4, 0.01, 0.01)

    def regularizer(x: Tensor) -> Tensor:
        h = torch.stack([6 + x[0].tanh(), 2 - 1.6 * x[0].tanh()])
        return (2 * h / (2 - lr * h)).mean()

    times = [0.0, 0.5, 1.5]
    expected = limiting_flow(valleys, start, regularizer, times)
    flow = chain_flow(valleys, start, times, lr=lr, samples=2**15)
    torch.testing.assert_close(flow.x, expected.x, rtol=0, atol=2e-4)
    torch.testing.assert_close(flow.trace, expected.trace, rtol=0, atol=2e-4)
    torch.testing.assert_close(flow.top_eigenvalue, expected.top_eigenvalue, rtol=0, atol=2e-4)
    assert float(flow.gradient_norm.max()) < 1e-12
    assert repr(flow).startswith("ChainFlow(times=3 in [0, 1.5], trace")


def test_the_flow_depends_little_on_its_draws_and_steps() -> None:
    network, start = networks.interpolating_network(hidden=6, points=3, seed=5)
    one, two = (
        chain_flow(network, start, [0.4], lr=0.2, rtol=rtol, seed=seed, samples=2**16)
        for rtol, seed in ((1e-3, 0), (1e-4, 1))
    )
    moved = one.x[0] - project_to_minimizers(network, start).x
    assert float((one.x - two.x).norm()) < 3e-3 * float(moved.norm())
    assert float(one.gradient_norm) < 1e-12
    assert float(one.trace) == pytest.approx(float(network.hessian(one.x[0]).trace()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": Objective(lambda x: x.square().sum(), 4)}, "no components"),
        ({"x": double(0.5, 0.5, 0.1, 0.2)}, "∇²L_k must have rank one at x"),
        ({"x": torch.ones(3)}, "x must have shape"),
        ({"lr": 0.2}, "lr must be below"),
    ],
)
def test_a_drift_refuses_what_has_none(arguments: dict[str, Any], message: str) -> None:
    good = {"objective": FourDimensional(), "x": double(0.5, 0.5, 0, 0), "lr": 0.01}
    with pytest.raises(ValueError, match=message):
        chain_drift(**{**good, **arguments})


def test_several_outputs_are_refused() -> None:
    model = nn.Linear(4, 2).double()
    objective = Objective.from_module(
        model, nn.MSELoss(), (normal(3, 4), torch.zeros(3, 2).double())
    )
    with pytest.raises(ValueError, match=r"rank one at x.*one output"):
        chain_drift(objective, torch.zeros(objective.dim).double(), lr=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": [1.0, 0.5]}, "increasing"),
        ({"times": []}, "times"),
        ({"rtol": 0.0}, "rtol"),
        ({"objective": Objective(lambda x: x.square().sum(), 50)}, "no components"),
        ({"lr": 10.0}, "lr must be below"),
    ],
)
def test_a_flow_refuses_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    network, start = networks.interpolating_network(seed=2)
    good = {"objective": network, "start": start, "times": [0.1], "lr": 0.01, "samples": 512}
    with pytest.raises(ValueError, match=message):
        chain_flow(**{**good, **arguments})
