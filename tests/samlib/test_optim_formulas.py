"""Every optimizer of samlib.optim is its paper's formula."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from optimizers import (
    LR,
    Problem,
    every_optimizer,
    make,
    step,
)
from torch import Tensor, nn

from samlib import Objective, optim


@pytest.fixture
def problem(device: torch.device) -> Problem:
    return Problem(device)


def project(vector: Tensor, onto: Tensor) -> Tensor:
    return (vector @ onto) / (onto @ onto) * onto


def awp_direction(problem: Problem, x: Tensor, g: Tensor) -> Tensor:
    pieces, place = [], 0
    for p in problem.model.parameters():
        part = slice(place, place := place + p.numel())
        ratio = x[part].norm() / g[part].norm() if p.dim() > 1 else 0.0
        pieces.append(ratio * g[part])
    return torch.cat(pieces)


def one_perturbation(name: str, problem: Problem, x: Tensor) -> Tensor:
    g = problem.objective.gradient(x)
    if name == "SAM":
        return 0.1 * g / g.norm()
    if name == "UnnormalizedSAM":
        return 0.1 * g
    if name == "ASAM":
        t = x.abs() + 0.02
        return 0.3 * t**2 * g / (t * g).norm()
    assert name == "AWP"
    return 0.05 * awp_direction(problem, x, g)


@pytest.mark.parametrize("name", ["SAM", "UnnormalizedSAM", "ASAM", "AWP"])
def test_the_update_is_the_gradient_at_the_papers_perturbation(name: str, problem: Problem) -> None:
    optimizer, x = make(name, problem), problem.weights()
    for _ in range(5):
        x = x - LR * problem.objective.gradient(x + one_perturbation(name, problem, x))
        step(problem, optimizer)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)


def test_gsam_takes_away_the_part_of_the_gradient_orthogonal_to_the_perturbed_one(
    problem: Problem,
) -> None:
    optimizer, x, gradient = make("GSAM", problem), problem.weights(), problem.objective.gradient
    for _ in range(5):
        g = gradient(x)
        g_p = gradient(x + 0.1 * g / g.norm())
        x = x - LR * (g_p - 0.4 * (g - project(g, g_p)))
        step(problem, optimizer)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)


def test_looksam_uses_its_direction_again_between_sam_steps(problem: Problem) -> None:
    optimizer, x, gradient = make("LookSAM", problem), problem.weights(), problem.objective.gradient
    for t in range(7):
        g = gradient(x)
        if t % 3 == 0:
            update = gradient(x + 0.1 * g / g.norm())
            g_v = update - project(update, g)
        else:
            update = g + 0.7 * g.norm() / g_v.norm() * g_v
        x = x - LR * update
        calls: list[int] = []
        step(problem, optimizer, partial(calls.append, 1))
        assert len(calls) == (2 if t % 3 == 0 else 1)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)


def test_msam_averages_the_sam_gradients_of_m_rows(problem: Problem) -> None:
    optimizer, x = make("MSAM", problem), problem.weights()
    data = list(zip(problem.inputs.split(3), problem.targets.split(3), strict=True))
    assert [len(inputs) for inputs, _ in data] == [3, 3, 2]
    parts = [Objective.from_module(problem.model, nn.MSELoss(), pair) for pair in data]
    for _ in range(4):
        loss, update = torch.zeros(()).to(x), torch.zeros_like(x)
        for part, (inputs, _) in zip(parts, data, strict=True):
            g = part.gradient(x)
            update += len(inputs) / 8 * part.gradient(x + 0.1 * g / g.norm())
            loss += len(inputs) / 8 * part.value(x)
        x = x - LR * update
        torch.testing.assert_close(step(problem, optimizer), loss)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)


def test_msam_of_the_whole_batch_is_sam(device: torch.device) -> None:
    one, other = Problem(device), Problem(device)
    whole, sam = make("MSAM", one, m=8), make("SAM", other)
    for _ in range(3):
        step(one, whole)
        step(other, sam)
    assert torch.equal(one.weights(), other.weights())


def test_eigensam_leans_towards_the_top_eigenvector_of_the_dense_hessian(problem: Problem) -> None:
    optimizer, x = make("EigenSAM", problem, power_steps=300, every=2), problem.weights()
    for t in range(4):
        g = problem.objective.gradient(x)
        if t % 2 == 0:  # the eigenvector is kept in between
            values, vectors = torch.linalg.eigh(problem.objective.hessian(x))
            v = vectors[:, values.abs().argmax()]
        u = g / g.norm()
        d = u + 0.5 * torch.sign(g @ v) * (v - (u @ v) * u)
        x = x - LR * problem.objective.gradient(x + 0.1 * d / d.norm())
        step(problem, optimizer)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-9)


def test_amp_ascends_in_the_ball(problem: Problem) -> None:
    for inner_lr in (0.01, 0.5):  # stays inside, is scaled back
        optimizer, x = make("AMP", problem, inner_lr=inner_lr), problem.weights()
        inside = []
        for _ in range(3):
            delta = torch.zeros_like(x)
            for _ in range(3):
                delta = delta + inner_lr * problem.objective.gradient(x + delta)
                inside.append(bool(delta.norm() <= 0.1))
                delta = delta if inside[-1] else 0.1 * delta / delta.norm()
            x = x - LR * problem.objective.gradient(x + delta)
            step(problem, optimizer)
            torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)
        assert all(inside) == (inner_lr == 0.01)


def test_amp_with_one_long_step_is_sam(device: torch.device) -> None:
    one, other = Problem(device), Problem(device)
    amp, sam = make("AMP", one, inner_lr=1e6, inner_steps=1), make("SAM", other)
    step(one, amp)
    step(other, sam)
    torch.testing.assert_close(one.weights(), other.weights(), rtol=0, atol=1e-13)


def test_diametrical_risk_steps_with_the_gradient_at_the_worst_point_it_tried(
    problem: Problem,
) -> None:
    optimizer, objective = make("DiametricalRisk", problem), problem.objective
    worst = None
    for t in range(4):
        x, tried = problem.weights(), list[Tensor]()
        step(problem, optimizer, lambda tried=tried: tried.append(problem.weights()))
        first, *points, last = tried
        assert torch.equal(first, x)
        radii = (torch.stack(points) - x).norm(dim=1)
        torch.testing.assert_close(radii, torch.full_like(radii, 0.1))
        assert len(points) == (5 if t == 0 else 6)
        assert len(torch.unique(torch.stack(points), dim=0)) == len(points)
        if worst is not None:  # the worst direction of the step before is tried again
            torch.testing.assert_close(points[0] - x, worst)
        losses = objective.value(torch.stack(points))
        torch.testing.assert_close(last, points[int(losses.argmax())], rtol=0, atol=1e-13)
        expected = x - LR * objective.gradient(last)
        torch.testing.assert_close(problem.weights(), expected, rtol=0, atol=1e-13)
        worst = last - x


def test_the_directions_of_diametrical_risk_are_uniform_on_the_sphere(
    device: torch.device,
) -> None:
    x = nn.Parameter(torch.zeros(3, dtype=torch.float64, device=device))
    risk = optim.DiametricalRisk([x], torch.optim.SGD([x], lr=0.1), rho=1.0, directions=4000)
    points: list[Tensor] = []

    def closure() -> Tensor:
        points.append(x.detach().clone())
        return x.sum()

    risk.step(closure)
    v = torch.stack(points[1:-1])
    assert float(v.mean(dim=0).abs().max()) < 4 * (1 / math.sqrt(3 * 4000))
    covariance = v.T @ v / len(v)
    expected = torch.eye(3, dtype=torch.float64, device=device) / 3
    torch.testing.assert_close(covariance, expected, rtol=0, atol=0.03)


@pytest.mark.parametrize("name", ["GSAM", "EigenSAM"])
def test_with_alpha_zero_it_is_sam(name: str, device: torch.device) -> None:
    one, other = Problem(device), Problem(device)
    optimizers = make(name, one, alpha=0.0), make("SAM", other)
    for _ in range(3):
        step(one, optimizers[0])
        step(other, optimizers[1])
    torch.testing.assert_close(one.weights(), other.weights(), rtol=0, atol=1e-14)


@every_optimizer
def test_at_a_stationary_point_nothing_becomes_nan(name: str, problem: Problem) -> None:
    with torch.no_grad():
        for p in problem.model.parameters():
            p.zero_()
    problem.targets.zero_()
    optimizer = make(name, problem)
    for _ in range(4):
        assert step(problem, optimizer).isfinite()
        assert bool(problem.weights().isfinite().all())
