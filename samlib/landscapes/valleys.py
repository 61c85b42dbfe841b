"""Valleys in two and three dimensions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from samlib.landscapes.base import Formulas, Landscape
from samlib.landscapes.manifold import MinimizerManifold


def _two_valleys_value(x: Any, w: Any, p: Any) -> Any:
    t = 2 / (1 + math.e ** (-2 * x[0])) - 1
    return (w[0] * (3 + 0.5 * t) * x[1] * x[1] + w[1] * (1 - 0.8 * t) * x[2] * x[2]) / 2


def _two_valleys_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    t = 2 / (1 + math.e ** (-2 * x[0])) - 1
    slope = 1 - t * t
    g[0] = slope * (0.25 * w[0] * x[1] * x[1] - 0.4 * w[1] * x[2] * x[2])
    g[1] = w[0] * (3 + 0.5 * t) * x[1]
    g[2] = w[1] * (1 - 0.8 * t) * x[2]


def _two_valleys_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    t = 2 / (1 + math.e ** (-2 * x[0])) - 1
    slope = 1 - t * t
    h00 = -2 * t * slope * (0.25 * w[0] * x[1] * x[1] - 0.4 * w[1] * x[2] * x[2])
    h01 = 0.5 * slope * w[0] * x[1]
    h02 = -0.8 * slope * w[1] * x[2]
    h[0] = h00 * v[0] + h01 * v[1] + h02 * v[2]
    h[1] = h01 * v[0] + w[0] * (3 + 0.5 * t) * v[1]
    h[2] = h02 * v[0] + w[1] * (1 - 0.8 * t) * v[2]


class TwoValleys(Landscape):
    """L(x, y₁, y₂) = ½ (λ₁(x) y₁² + λ₂(x) y₂²) with λ₁ = 3 + ½ tanh x and λ₂ = 1 − 0.8 tanh x.

    Along the floor Γ = {y₁ = y₂ = 0} the top eigenvalue falls to the left and the trace to the
    right, so full-batch SAM and 1-SAM, started from one point, drift apart. The components are
    λ₁(x) y₁² and λ₂(x) y₂².

    Examples
    --------
    >>> import torch, samlib
    >>> floor = samlib.landscapes.TwoValleys().minimizer_manifold
    >>> start = torch.zeros(3)
    >>> floor.top_eigenvalue(start), floor.trace(start)
    (tensor(3.), tensor(4.))
    """

    formulas = Formulas(_two_valleys_value, _two_valleys_gradient, _two_valleys_product)

    def __init__(self) -> None:
        super().__init__(dim=3, terms=2)
        self.minimizer_manifold = MinimizerManifold(3, (1, 2), _two_valleys_curvatures)


def _two_valleys_curvatures(x: Tensor) -> Tensor:
    t = torch.tanh(x[..., 0])
    return torch.stack([3 + 0.5 * t, 1 - 0.8 * t], dim=-1)


def _curved_valley_value(x: Any, w: Any, p: Any) -> Any:
    h = x[1] - x[0] * x[0] / 2
    return w[0] * h * h / 2


def _curved_valley_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    h = x[1] - x[0] * x[0] / 2
    g[0] = -w[0] * h * x[0]
    g[1] = w[0] * h


def _curved_valley_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    height = x[1] - x[0] * x[0] / 2
    h[0] = w[0] * ((x[0] * x[0] - height) * v[0] - x[0] * v[1])
    h[1] = w[0] * (v[1] - x[0] * v[0])


class CurvedValley(Landscape):
    """L(x) = ½ (x₂ − ½x₁²)²: a valley whose floor is a parabola.

    The minimizers Γ = {x₂ = ½x₁²} are a curve. Along it ∇²L has one non-zero eigenvalue,
    λ₁ = 1 + x₁², so the valley is widest where it bends most, at the origin. L has no local
    maximum: the largest value in a ball lies on its boundary.

    Examples
    --------
    >>> import torch, samlib
    >>> valley = samlib.landscapes.CurvedValley()
    >>> torch.linalg.eigvalsh(valley.hessian(torch.tensor([1.0, 0.5])))
    tensor([0., 2.])
    """

    formulas = Formulas(_curved_valley_value, _curved_valley_gradient, _curved_valley_product)

    def __init__(self) -> None:
        super().__init__(dim=2, terms=1)


def _double_well_value(x: Any, w: Any, p: Any) -> Any:
    h = x[0] * x[0] - 1
    return w[0] * (h * h / 4 + x[1] * x[1] / 2)


def _double_well_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    g[0] = w[0] * (x[0] * x[0] - 1) * x[0]
    g[1] = w[0] * x[1]


def _double_well_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    h[0] = w[0] * (3 * x[0] * x[0] - 1) * v[0]
    h[1] = w[0] * v[1]


class DoubleWell(Landscape):
    """L(x) = ¼(x₁² − 1)² + ½x₂²: two minimizers, (±1, 0), and a saddle between them.

    At the saddle, the origin, the gradient vanishes and ∇²L = diag(−1, 1). ΔL = 3x₁² ≥ 0, so L
    is subharmonic: the largest value in a ball lies on its boundary.

    Examples
    --------
    >>> import torch, samlib
    >>> samlib.landscapes.DoubleWell().hessian(torch.zeros(2)).diag()
    tensor([-1.,  1.])
    """

    formulas = Formulas(_double_well_value, _double_well_gradient, _double_well_product)

    def __init__(self) -> None:
        super().__init__(dim=2, terms=1)
