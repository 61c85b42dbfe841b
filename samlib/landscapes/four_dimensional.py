"""The loss of the paper's Figure 1."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from samlib.landscapes.base import Formulas, Landscape
from samlib.landscapes.manifold import MinimizerManifold


def _four_dimensional_value(x: Any, w: Any, p: Any) -> Any:
    d1 = 1 - x[0]
    d2 = 1 - x[1]
    f1 = x[0] * x[0] + 6 * x[1] * x[1] + 8
    f2 = 4 * d1 * d1 + d2 * d2 + 1
    return w[0] * f1 * x[2] * x[2] + w[1] * f2 * x[3] * x[3]


def _four_dimensional_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    d1 = 1 - x[0]
    d2 = 1 - x[1]
    f1 = x[0] * x[0] + 6 * x[1] * x[1] + 8
    f2 = 4 * d1 * d1 + d2 * d2 + 1
    g[0] = w[0] * (2 * x[0] * x[2] * x[2]) - w[1] * (8 * d1 * x[3] * x[3])
    g[1] = w[0] * (12 * x[1] * x[2] * x[2]) - w[1] * (2 * d2 * x[3] * x[3])
    g[2] = w[0] * (2 * f1 * x[2])
    g[3] = w[1] * (2 * f2 * x[3])


def _four_dimensional_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    d1 = 1 - x[0]
    d2 = 1 - x[1]
    f1 = x[0] * x[0] + 6 * x[1] * x[1] + 8
    f2 = 4 * d1 * d1 + d2 * d2 + 1
    h00 = 2 * w[0] * x[2] * x[2] + 8 * w[1] * x[3] * x[3]
    h11 = 12 * w[0] * x[2] * x[2] + 2 * w[1] * x[3] * x[3]
    h02 = 4 * w[0] * x[0] * x[2]
    h12 = 24 * w[0] * x[1] * x[2]
    h03 = -16 * w[1] * d1 * x[3]
    h13 = -4 * w[1] * d2 * x[3]
    h[0] = h00 * v[0] + h02 * v[2] + h03 * v[3]
    h[1] = h11 * v[1] + h12 * v[2] + h13 * v[3]
    h[2] = h02 * v[0] + h12 * v[1] + 2 * w[0] * f1 * v[2]
    h[3] = h03 * v[0] + h13 * v[1] + 2 * w[1] * f2 * v[3]


class FourDimensional(Landscape):
    """L(x) = F₁(x₁, x₂) x₃² + F₂(x₁, x₂) x₄², the loss of the paper's Figure 1.

    F₁ = x₁² + 6x₂² + 8 and F₂ = 4(1 − x₁)² + (1 − x₂)² + 1. On Γ = {x₃ = x₄ = 0} the non-zero
    eigenvalues are 2F₁ and 2F₂. Each notion of sharpness prefers its own point of Γ: F₁, and
    with it λ₁, is least at (0, 0), F₂ (λ_M) at (1, 1), their sum (the trace) at (0.8, 1/7). The
    components are 2F₁x₃² and 2F₂x₄².

    Examples
    --------
    >>> import torch, samlib
    >>> landscape = samlib.landscapes.FourDimensional()
    >>> landscape.minimizer_manifold.top_eigenvalue(torch.zeros(4))
    tensor(16.)
    """

    formulas = Formulas(
        _four_dimensional_value, _four_dimensional_gradient, _four_dimensional_product
    )

    def __init__(self) -> None:
        super().__init__(dim=4, terms=2)
        self.minimizer_manifold = MinimizerManifold(4, (2, 3), _four_dimensional_curvatures)


def _four_dimensional_curvatures(x: Tensor) -> Tensor:
    f1 = x[..., 0] ** 2 + 6 * x[..., 1] ** 2 + 8
    f2 = 4 * (1 - x[..., 0]) ** 2 + (1 - x[..., 1]) ** 2 + 1
    return torch.stack([2 * f1, 2 * f2], dim=-1)
