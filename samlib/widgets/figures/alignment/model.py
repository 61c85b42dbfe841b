"""What the figure Alignment shows of a run: its limit, λ₁, and the shares of its gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from samlib.landscapes import FourDimensional, Quadratic

if TYPE_CHECKING:
    from samlib.landscapes import Landscape

# A gradient below this has arrived: among subnormal numbers its direction is noise.
ARRIVED = 1e-150


def make_loss(landscape: str, eigenvalues: Sequence[float]) -> Landscape:
    """The quadratic with these eigenvalues, or the loss of Figure 1."""
    if landscape == "quadratic":
        return Quadratic(eigenvalues)
    return FourDimensional()


def cycle_radius(lr: float, rho: float, lambda1: float) -> float:
    """ηρλ₁/(2 − ηλ₁), where Theorem 4.8 sees ‖x‖ end; infinite beyond ηλ₁ = 2."""
    product = lr * lambda1
    return float(product * rho / (2 - product)) if product < 2 else math.inf


def nearest_top_eigenvalue(objective: Landscape, x: Tensor | Sequence[float]) -> float:
    """λ₁ at the minimizer nearest to x [dim]."""
    point = torch.as_tensor(x, dtype=torch.float64)
    return float(objective.minimizer_manifold.top_eigenvalue(point))


def gradient_shares(objective: Landscape, x: Tensor) -> Tensor:
    """(∂_i L)²/‖∇L‖² at points x [..., dim], the same shape; NaN where the gradient is zero."""
    gradient = objective.gradient(x)
    # Scaled first, so that squares of a tiny gradient do not underflow.
    size = gradient.abs().amax(dim=-1, keepdim=True)
    squares = (gradient / size).masked_fill(size <= ARRIVED, math.nan).square()
    return squares / squares.sum(dim=-1, keepdim=True)
