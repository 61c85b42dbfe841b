"""A small network: fitted by gradient descent, trained by SAM, and the limiting flows beside it."""

from __future__ import annotations

import functools
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from samlib import rules
from samlib.dynamics import simulate
from samlib.flow import limiting_flow, project_to_minimizers
from samlib.problems import interpolating_network
from samlib.widgets.core.draws import mulberry32
from samlib.widgets.core.runs import diverging_in_silence

if TYPE_CHECKING:
    from samlib.dynamics.rules import Rule
    from samlib.flow import FlowPath

CHECKPOINTS = 60
MOST_STEPS = 600_000

# Gradient descent fits the network with this learning rate, until ‖∇L‖ is below that.
FIT_LR, FIT_NORM, FIT_MOST = 0.1, 1e-4, 100_000

# The network has so many data points; a batch of all of them is the full batch.
POINTS = 5

# How many directions of SAM are looked at between two checkpoints, about.
SAMPLES = 16

# A run that is farther away than so many times the length of the weights has diverged.
FAR = 100


def checkpoint_steps(time: float, lr: float, rho: float) -> Tensor:
    """The steps at evenly spaced checkpoints of a run until τ = ηρ² · step, [61]."""
    # The factor is for a quotient that rounding has put below the whole number that it is.
    steps = math.floor((time / (lr * rho * rho)) * (1 + 1e-12))
    last = min(max(steps, 1), MOST_STEPS)
    return torch.arange(CHECKPOINTS + 1) * last // CHECKPOINTS


def is_near(x: Tensor) -> Tensor:
    """Which of the points of a run have not diverged."""
    near: Tensor = x.norm(dim=-1) <= FAR * x[0].norm()
    return near


def _draws(rule: Rule, seed: int, first: int, last: int) -> Tensor | None:
    """The points in the batches of steps first … last − 1, [steps, 1, batch_size]."""
    if not isinstance(rule, rules.StochasticSAM):
        return None
    words = mulberry32(seed, (last - first) * POINTS, first * POINTS)
    order = np.argsort(words.reshape(-1, POINTS), axis=-1, kind="stable")
    return torch.from_numpy(order[:, None, : rule.batch_size].copy())


@functools.lru_cache(maxsize=16)
def weights_along(network: int, rule: Rule, seed: int, steps: tuple[int, ...]) -> Tensor:
    """The weights at these steps, [steps, 50]."""
    objective = interpolating_network(seed=network).objective
    points = [fitted_weights(network)]
    for first, last in pairwise(steps):
        x, count = points[-1], last - first
        if count:
            draws = _draws(rule, seed, first, last)
            with diverging_in_silence():
                run = simulate(
                    objective,
                    rule,
                    x,
                    count,
                    every=count,
                    record=("x",),
                    progress=False,
                    draws=draws,
                )
            x = run.x[0, -1]
            if not bool(x.isfinite().all()) or not bool(objective.value(x).isfinite()):
                points += [torch.full_like(x, torch.nan)] * (len(steps) - len(points))
                break
        points.append(x)
    return torch.stack(points)


@functools.lru_cache(maxsize=16)
def curvature_on_gamma(
    network: int, rule: Rule, seed: int, steps: tuple[int, ...]
) -> dict[str, Tensor]:
    """λ₁ and the trace at the points of Γ beside a run."""
    objective = interpolating_network(seed=network).objective
    x = weights_along(network, rule, seed, steps)
    near = is_near(x)
    values = x.new_full((2, len(x)), torch.nan)
    with diverging_in_silence():
        found = project_to_minimizers(objective, x[near], progress=False)
    spectrum = torch.linalg.eigvalsh(objective.hessian(found.x))
    curvatures = torch.stack([spectrum[:, -1], spectrum.sum(dim=-1)])
    values[:, near] = torch.where(found.converged, curvatures, torch.nan)
    return {"top_eigenvalue": values[0], "trace": values[1]}


@functools.cache
def fitted_weights(network: int) -> Tensor:
    """Where gradient descent leaves the weights of the network with this seed, [50]."""
    objective, x = interpolating_network(seed=network)
    rule = rules.GradientDescent(FIT_LR)
    for _ in range(FIT_MOST // 1000):
        run = simulate(objective, rule, x, 1000, record=("x", "gradient"), progress=False)
        there = (run.gradient[0].norm(dim=-1) < FIT_NORM).nonzero()
        x = run.x[0, int(there[0]) if len(there) else -1]
        if len(there):
            break
    return x


@functools.lru_cache(maxsize=64)
def flow_from_fit(network: int, name: Any, times: tuple[float, ...]) -> FlowPath:
    """The limiting flow of a regularizer from the fitted weights, at these times."""
    objective = interpolating_network(seed=network).objective
    with diverging_in_silence():  # a flow that ends early is shown so, too
        return limiting_flow(objective, fitted_weights(network), name, times, progress=False)


@functools.lru_cache(maxsize=64)
def corrected_flow(
    network: int, lr: float, rho: float | None, times: tuple[float, ...]
) -> FlowPath | None:
    """The flow of λ₁ at a rate (and a radius) from the fitted weights; None beyond 2/λ₁."""
    objective, start = interpolating_network(seed=network).objective, fitted_weights(network)
    first = flow_from_fit(network, "top_eigenvalue", (0.0,))
    if lr * float(first.top_eigenvalue[0]) >= 2:
        return None
    with diverging_in_silence():
        return limiting_flow(
            objective, start, "top_eigenvalue", times, lr=lr, rho=rho, progress=False
        )
