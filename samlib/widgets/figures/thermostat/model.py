"""What a step of SAM does to the gradient's components on a quadratic, and where that balances."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from samlib.landscapes import Landscape, Quadratic


class QuadraticForm(Landscape):
    """½ Σ_i λ_i x_i² with eigenvalues of any sign: a bowl, or a saddle.

    The coordinates are the eigenbasis of the Hessian. A saddle has no minimizers, and so no Γ.
    """

    formulas = Quadratic.formulas

    def __init__(self, eigenvalues: Sequence[float]) -> None:
        super().__init__(len(eigenvalues), len(eigenvalues), parameters=list(eigenvalues))


def multiplier(eigenvalues: Tensor, norm: Tensor, *, lr: float, rho: float) -> Tensor:
    """m = 1 − ηλ − ηρλ²/‖∇L‖, by which a step of SAM multiplies the gradient along an eigenvector.

    ``norm`` is ‖∇L‖ and broadcasts against the eigenvalues. Where it is 0, m is −∞; without ρ it is
    gradient descent's 1 − ηλ.
    """
    descent = 1 - lr * eigenvalues
    if rho == 0:
        return descent.expand_as(eigenvalues * norm)
    pull = torch.where(eigenvalues == 0, 0.0, lr * rho * eigenvalues.square() / norm)
    return descent - pull


def balance(top: float, *, lr: float, rho: float) -> float:
    """ηρλ₁²/(2 − ηλ₁), the ‖∇L‖ at which m(λ₁) = −1; NaN where there is none.

    There is none if no eigenvalue is positive, and for ηλ₁ ≥ 2.
    """
    product = lr * top
    return lr * rho * top * top / (2 - product) if 0 < product < 2 else math.nan


def first_point(eigenvalues: Sequence[float], start: Sequence[float], norm: float) -> Tensor:
    """The multiple of ``start`` at which ‖∇L‖ is ``norm``, or ``start`` if no multiple has it."""
    point = torch.tensor(start, dtype=torch.float64)
    size = float((torch.tensor(eigenvalues, dtype=torch.float64) * point).square().sum().sqrt())
    scale = norm / size if size > 0 else math.inf
    return point * scale if math.isfinite(scale) else point


def ranks(eigenvalues: Sequence[float]) -> list[int]:
    """The place of each eigenvalue, 1 for the largest; of equal ones the first comes first."""
    order = sorted(range(len(eigenvalues)), key=lambda i: -eigenvalues[i])
    return [order.index(i) + 1 for i in range(len(eigenvalues))]
