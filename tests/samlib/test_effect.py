"""SAMEffect: its numbers against dense Hessians, and what it says where SAM acts or does not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import samlib
from samlib import Objective
from samlib.optim import SAM, UnnormalizedSAM
from samlib.training import SAMEffect, SharpnessMonitor, fit
from tests.samlib.training_cases import MSE, network, rows, sam, sgd, weights

pytestmark = pytest.mark.usefixtures("one_thread")

ALL = (
    "difference",
    "ratio",
    "cosine",
    "curvature",
    "edge_along",
    "edge",
    "share",
    "top_eigenvalue",
)
SPECTRUM = torch.tensor([4.0, 1.5, 0.3], dtype=torch.float64)


def bowl(start: tuple[float, ...] = (0.3, -0.8, 0.5)) -> tuple[nn.Module, Any]:
    """L = ½ xᵀ diag(SPECTRUM) x, as a linear regression on three rows."""
    model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([start], dtype=torch.float64))
    return model, (torch.diag((1.5 * SPECTRUM).sqrt()), torch.zeros(3, 1, dtype=torch.float64))


def take_step(model: nn.Module, data: Any, optimizer: torch.optim.Optimizer) -> None:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = MSE(model(data[0]), data[1])
        loss.backward()
        return loss

    optimizer.step(closure)


def trained(optimizer: samlib.optim.SharpnessAware, model: nn.Module, data: Any, steps: int) -> Any:
    """What a monitor reads of the last of so many steps."""
    for _ in range(steps - 1):
        take_step(model, data, optimizer)
    effect = SAMEffect(optimizer, data=data, loss_fn=MSE, measure=ALL)
    take_step(model, data, optimizer)
    return effect(steps, model), effect.summary()


def test_every_number_is_that_of_the_dense_hessian(device: torch.device) -> None:
    model, data, rho, lr, k = network(device), rows(device), 0.3, 0.1, 3
    objective = Objective.from_module(model, MSE, data)
    optimizer = sam(model, rho)
    effect = SAMEffect(optimizer, ALL, k=k, data=data, loss_fn=MSE)
    x = objective.flat_parameters()
    take_step(model, data, optimizer)
    got = effect(1, model)
    g = objective.gradient(x)
    u = g / g.norm()
    g_p = objective.gradient(x + rho * u)
    # The mean of uᵀHu between w and w + ε, by Gauss' rule: exact to rounding for a smooth loss.
    nodes, parts = (torch.tensor(each) for each in np.polynomial.legendre.leggauss(12))
    between = [u @ objective.hessian(x + rho * (1 + float(t)) / 2 * u) @ u for t in nodes]
    curvature = float(torch.stack(between).cpu() @ parts) / 2
    end = objective.flat_parameters()
    values, vectors = torch.linalg.eigh(objective.hessian(end))
    top, gradient = float(values[-1]), objective.gradient(end)
    inside = vectors[:, -k:].T @ gradient
    want = {
        "difference": (g_p - g).norm() / g.norm(),
        "ratio": g_p.norm() / g.norm(),
        "cosine": g @ g_p / g.norm() / g_p.norm(),
        "curvature": curvature,
        "edge_along": lr * curvature * (1 + rho * curvature / g.norm()),
        "edge": lr * top * (1 + rho * top / g.norm()),
        "edge_limit": 2.0,
        "top_eigenvalue": top,
        "share": (inside @ inside) / (gradient @ gradient),
    }
    for name, value in want.items():
        assert got[f"sam_{name}"] == pytest.approx(float(value), rel=1e-9), name
    errors = {f"sam_{name}_error" for name in ALL if name not in ("difference", "ratio", "cosine")}
    assert set(got) == {f"sam_{name}" for name in want} | errors | {"sam_products"}
    assert all(0 <= got[name] < 1e-9 for name in errors), "float64 leaves little to rounding"


def test_near_a_minimum_sam_acts_and_ends_at_its_edge() -> None:
    model, data = bowl()
    lr, rho = 0.1, 0.05
    optimizer = SAM(model.parameters(), sgd(model, lr), rho=rho)
    got, said = trained(optimizer, model, data, 1000)
    before = weights(model)
    take_step(model, data, optimizer)
    torch.testing.assert_close(weights(model), -before, rtol=1e-9, atol=1e-12)  # the two-cycle
    top = float(SPECTRUM[0])
    # Theorem 4.8: |x₁| = ηρλ₁/(2 − ηλ₁), so that ‖g_p‖/‖g‖ = 1 + ρ/|x₁| = 2/(ηλ₁).
    assert abs(float(before[0])) == pytest.approx(lr * rho * top / (2 - lr * top), rel=1e-9)
    assert got["sam_edge"] == pytest.approx(2.0, rel=1e-9)
    assert got["sam_edge_along"] == pytest.approx(2.0, rel=1e-9)
    assert got["sam_share"] == pytest.approx(1.0, rel=1e-9)
    assert got["sam_curvature"] == pytest.approx(top, rel=1e-9)
    assert got["sam_ratio"] == pytest.approx(2 / (lr * top), rel=1e-9)
    assert got["sam_cosine"] == pytest.approx(1.0, abs=1e-12)
    assert said.startswith("SAM acts: the two gradients differ by 400 %; the second is 5 times")
    assert "points the same way" in said
    assert "At its edge of stability, with λ₁: ηλ₁(1 + ρλ₁/‖g‖) is 2, beside a limit of 2" in said
    assert "100 % lies along the top eigenvector" in said


@pytest.mark.parametrize(
    ("base", "limit"),
    [
        ({}, 2.0),
        ({"momentum": 0.5}, 3.0),
        ({"momentum": 0.9, "nesterov": True}, 3.8 / 2.8),
        ({"momentum": 0.5, "dampening": 0.2}, 3.0 / 0.8),
        ({"weight_decay": 0.5}, 1.95),
        ({"dampening": 0.5}, 2.0),
    ],
    ids=str,
)
def test_the_limit_is_where_sam_turns_around(base: dict[str, Any], limit: float) -> None:
    model, data = bowl()
    optimizer = SAM(model.parameters(), sgd(model, 0.1, **base), rho=0.05)
    got, _ = trained(optimizer, model, data, 1000)
    assert got["sam_edge_limit"] == pytest.approx(limit, rel=1e-12)
    assert got["sam_edge"] == pytest.approx(limit, rel=1e-6)


@pytest.mark.parametrize("base", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("above", [-0.01, 0.01])
def test_without_the_normalization_the_limit_is_a_threshold(
    base: dict[str, Any], above: float
) -> None:
    # ηλ₁(1 + ρλ₁) does not change on the way: the steps grow above the limit and die out below.
    model, data = bowl((0.3, 0.0, 0.0))
    rho, top, momentum = 0.2, float(SPECTRUM[0]), base.get("momentum", 0.0)
    limit = 2 * (1 + momentum) / (1 + 2 * momentum if "nesterov" in base else 1)
    lr = limit * (1 + above) / (top * (1 + rho * top))
    optimizer = UnnormalizedSAM(model.parameters(), sgd(model, lr, **base), rho=rho)
    start = float(weights(model)[0])
    got, said = trained(optimizer, model, data, 1000)
    assert got["sam_edge"] == pytest.approx(limit * (1 + above), rel=1e-9)
    assert got["sam_edge_limit"] == pytest.approx(limit)
    end = abs(float(weights(model)[0]))
    assert (end > 100 * start) if above > 0 else (end < start / 100)
    assert "At its edge" in said


@pytest.mark.parametrize("kind", ["small rho", "flat loss", "rho of zero"])
def test_where_sam_does_nothing_it_says_so(kind: str) -> None:
    model, data = network(), rows()
    optimizer = sam(model, {"small rho": 1e-4, "flat loss": 0.5, "rho of zero": 0.0}[kind])
    effect = SAMEffect(optimizer)

    def linear(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.mean()

    if kind == "flat loss":  # linear in the last bias, which alone is trained
        for p in list(model.parameters())[:-1]:
            p.requires_grad_(False)
    loss_fn = linear if kind == "flat loss" else MSE
    history = fit(
        model, data, optimizer, loss_fn=loss_fn, epochs=3, monitors=[effect], progress=False
    )
    differences = history["sam_difference"].values
    assert history["sam_difference"].steps.tolist() == [1, 2, 3]
    assert float(differences.max()) < 1e-3
    said = effect.summary()
    if kind == "rho of zero":
        assert "sam_curvature" not in history.readings, "no direction, no curvature"
        assert said == "SAM does nothing here: its perturbation is zero."
        return
    assert said.startswith("SAM does next to nothing here: the two gradients differ by ")
    if kind == "small rho":
        differ = 1e-4 / float(differences[-1])
        assert f"length 0.0001 is small beside {differ:.2g}" in said
        assert "Within its edge of stability" in said
    else:
        assert history["sam_curvature"].values.abs().max() <= history["sam_curvature"].errors.max()


def test_small_batches_weaken_sam_near_a_minimum() -> None:
    # Close to the minimum of a noisy regression ‖∇L‖ is small, and the gradients of rows are not.
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(16, 3, generator=generator, dtype=torch.float64)
    targets = inputs.sum(1, keepdim=True) + torch.randn(16, 1, generator=generator).double()
    best = torch.linalg.lstsq(inputs, targets).solution.T + 0.01
    rho, found = 0.1, {}
    for batch_size in (1, 16):
        model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
        with torch.no_grad():
            model.weight.copy_(best)
        # A rate so small that the weights stay: each row is seen at the same point.
        optimizer = SAM(model.parameters(), sgd(model, 1e-12), rho=rho)
        effect = SAMEffect(optimizer, "difference", every=1)
        history = fit(
            model, (inputs, targets), optimizer, loss_fn=MSE, epochs=1, batch_size=batch_size,
            monitors=[effect], progress=False,
        )  # fmt: skip
        found[batch_size] = float(history["sam_difference"].values.mean())
    residuals = (inputs @ best.T - targets)[:, 0]
    norms = inputs.norm(dim=1)
    # For a row, H = 2xxᵀ and g = 2rx: the difference is ρ · 2‖x‖²/(2|r|‖x‖).
    by_row = float((rho * norms / residuals.abs()).mean())
    hessian = 2 * inputs.T @ inputs / 16
    g = 2 * inputs.T @ residuals / 16
    whole = float(rho * (hessian @ g).norm() / g.norm() ** 2)
    # Of the tiny rate: a change of the weights by 1e-11.
    assert found[1] == pytest.approx(by_row, rel=1e-6)
    assert found[16] == pytest.approx(whole, rel=1e-6)
    assert found[1] < found[16] / 3


def test_a_reading_is_the_mean_over_one_step_in_ten_and_the_first_and_the_last() -> None:
    model, data = network(), rows()
    optimizer = sam(model)
    every, rarely = SAMEffect(optimizer, every=1, prefix=""), SAMEffect(optimizer, every=25)
    history = fit(
        model, data, optimizer, loss_fn=MSE, epochs=52, monitors=[every, rarely], progress=False
    )
    for name in ("difference", "ratio", "cosine", "curvature"):
        steps, values, _ = history[f"sam_{name}"]
        assert steps.tolist() == [25, 50, 52]
        at = {int(step): value for step, value in zip(*history[name][:2], strict=True)}
        want = [[1, 5, 15, 25], [26, 30, 40, 50], [51]]
        means = torch.stack([torch.stack([at[step] for step in each]).mean() for each in want])
        torch.testing.assert_close(values, means, rtol=1e-12, atol=0)


def test_between_readings_that_come_regularly_the_last_step_counts() -> None:
    model, data = network(), rows()
    optimizer = sam(model)
    every, rarely = SAMEffect(optimizer), SAMEffect(optimizer)  # neither is told how often
    one, means = [], []
    for i in range(1, 9):
        take_step(model, data, optimizer)
        one.append(every(i, model)["sam_ratio"])
        if i % 4 == 0:
            means.append(rarely(i, model)["sam_ratio"])
    # Of the first four only the first; then it is known that they will be four.
    assert means == pytest.approx([one[0], (one[4] + one[7]) / 2], rel=1e-12)


def test_training_is_the_same_and_monitors_share_a_history() -> None:
    def train(watched: bool) -> tuple[Tensor, Any]:
        model, data = network(), rows()
        optimizer = sam(model)
        effect = SAMEffect(optimizer, ALL, every=2)
        monitors = [effect, SharpnessMonitor("top_eigenvalue", every=2)] if watched else []
        if not watched:
            effect.stop()
        history = fit(
            model, data, optimizer, loss_fn=MSE, epochs=2, batch_size=5, seed=0,
            monitors=monitors, progress=False,
        )  # fmt: skip
        return weights(model), history

    (watched, history), (alone, _) = train(True), train(False)
    assert torch.equal(watched, alone)
    assert history["sam_top_eigenvalue"].steps.tolist() == [0, 2, 4, 6]
    torch.testing.assert_close(
        history["sam_top_eigenvalue"].values, history["top_eigenvalue"].values, rtol=1e-6, atol=0
    )
    assert history["sam_edge"].steps.tolist() == [2, 4, 6], "at step 0 there is no step's ‖g‖"
    assert len(history["sam_edge"].errors) == 3
    assert "sam_edge" in history.to_dataframe()


def test_the_share_is_right_within_its_error_where_the_space_is_found_coarsely() -> None:
    scales = torch.linspace(0.0, 1.0, 300, dtype=torch.float64)
    scales[:3] = torch.tensor([1.7, 1.6, 1.3])
    data = (torch.diag(scales.sqrt()) * 300**0.5, torch.zeros(300, 1, dtype=torch.float64))
    wrong = 0
    for seed in range(8):
        model = nn.Linear(300, 1, bias=False, dtype=torch.float64)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            model.weight.copy_(torch.randn(1, 300, generator=generator, dtype=torch.float64))
            model.weight[0, :3] *= 10
        gradient = 2 * scales * model.weight.detach()[0]
        truth = float((gradient[:2] @ gradient[:2]) / (gradient @ gradient))
        monitor = SAMEffect(
            SAM(model.parameters(), sgd(model), rho=0.1), "share", k=2, data=data, loss_fn=MSE,
            rtol=0.1,
        )  # fmt: skip
        got = monitor(0, model)
        off = abs(got["sam_share"] - truth)
        assert off <= got["sam_share_error"] < 1
        wrong += off > 1e-4
    assert wrong >= 3, "the space is found coarsely"


@pytest.mark.parametrize("offset", [1.0, 1e-3], ids=["far", "at the minimum"])
@pytest.mark.parametrize("rho", [1e-2, 1e-3, 1e-4])
def test_the_error_of_the_curvature_covers_float32(rho: float, offset: float) -> None:
    # At the minimum of a noisy regression the gradients of the rows cancel, and rounding is much
    # larger than it is beside ‖g‖.
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 4, generator=generator)
    targets = inputs @ torch.tensor([[3.0], [-2.0], [4.0], [1.0]])
    targets += torch.randn(200, 1, generator=generator)
    best = torch.linalg.lstsq(inputs.double(), targets.double()).solution.T
    found = {}
    for dtype in (torch.float32, torch.float64):
        model = nn.Linear(4, 1, bias=False)
        with torch.no_grad():
            model.weight.copy_(best + offset)
        model.to(dtype)
        effect = SAMEffect(sam(model, rho), "curvature")
        take_step(model, (inputs.to(dtype), targets.to(dtype)), effect.optimizer)
        found[dtype] = effect(1, model)
    error, truth = found[torch.float32]["sam_curvature_error"], found[torch.float64]
    off = abs(found[torch.float32]["sam_curvature"] - truth["sam_curvature"])
    assert 0 < off <= error
    # Four units of 1.2e-7, of weights of size 5.5 by ρ = 1e-4, are 3 % of λ; far from the minimum,
    # where ‖g‖ is about λ, the gradients add half as much.
    assert error < 0.1 * truth["sam_curvature"] * 1e-4 / rho


def test_gradients_whose_squares_underflow_are_compared() -> None:
    w = nn.Parameter(torch.tensor([3e-30, 4e-30]))
    optimizer = SAM([w], torch.optim.SGD([w], lr=0.1), rho=5e-30)
    effect = SAMEffect(optimizer)
    (w * w.detach()).sum().backward()
    optimizer.first_step()
    (2 * w * w.detach()).sum().backward()
    optimizer.second_step()
    got = effect(1, nn.ParameterList([w]))
    assert got["sam_ratio"] == pytest.approx(4.0, rel=1e-5)  # twice as far, twice as steep
    assert got["sam_cosine"] == pytest.approx(1.0, rel=1e-5)
    assert math.isfinite(got["sam_edge_along"])
