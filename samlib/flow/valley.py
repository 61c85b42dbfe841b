"""The loss at a point of a valley: its slope, the walls, and steps that their stiffness allows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib.curvature import hessian, top_eigenpairs
from samlib.flow.retraction import WHOLE_SPECTRUM_DIM
from samlib.flow.ties import third_derivatives
from samlib.linalg import Operator
from samlib.linalg.conjugate_gradients import conjugate_gradients
from samlib.objective import Objective

_RESIDUAL = 1e-6  # of eigenvectors and of solutions, relative


@dataclass(frozen=True, eq=False)
class Spot:
    """What is known of the loss at a point x [dim].

    Attributes
    ----------
    x, gradient
        The point and ∇L there, [dim].
    values, vectors
        The largest eigenvalues of ∇²L and their eigenvectors, [k] and [dim, k].
    bends
        ∂²(∇L)[v_a, v_b] of these, [k, k, dim].
    damped
        (shift, right [dim, n]) ↦ (shift + ∇²L)⁻¹ right, with |∇²L| instead of ∇²L where that is
        known as a matrix.
    """

    x: Tensor
    gradient: Tensor
    values: Tensor
    vectors: Tensor
    bends: Tensor
    damped: Callable[[float, Tensor], Tensor]


def look(objective: Objective, x: Tensor, k: int, guess: Tensor | None = None) -> Spot:
    """Look at the loss at x [dim], and at k eigenvectors, perhaps near a guess [dim, n].

    Up to 512 parameters the Hessian is a matrix; beyond, it is known by its products.
    """
    if objective.dim <= WHOLE_SPECTRUM_DIM:
        values, vectors = torch.linalg.eigh(objective.hessian(x))
        values, vectors = values.flip(-1), vectors.flip(-1)
        damped = _by_eigenvectors(values, vectors)
    else:
        operator = hessian(objective, x)
        values, vectors = _largest(operator, k, guess)
        damped = _by_products(operator, values, vectors)
    values, vectors = values[:k], vectors[:, :k].contiguous()
    bends = third_derivatives(objective, x, vectors)
    return Spot(x, objective.gradient(x), values, vectors, bends, damped)


def _largest(operator: Operator, k: int, guess: Tensor | None) -> tuple[Tensor, Tensor]:
    """The k largest eigenpairs.

    Of those behind them one may be a little larger than the last of these: that changes nothing
    unless it may be as large as λ₁.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = top_eigenpairs(operator, k=k, rtol=_RESIDUAL, guess=guess, progress=False)
    unseen = found.values[-1] + found.errors[-1]
    if not bool(unseen < found.values[0]) and len(found.values) > 1:
        for each in said:
            warnings.warn(str(each.message), RuntimeWarning, stacklevel=2)
    return found.values, found.vectors


def _by_eigenvectors(values: Tensor, vectors: Tensor) -> Callable[[float, Tensor], Tensor]:
    def damped(shift: float, right: Tensor) -> Tensor:
        return vectors @ ((vectors.mT @ right) / (shift + values.abs()).unsqueeze(-1))

    return damped


def _by_products(
    operator: Operator, values: Tensor, vectors: Tensor
) -> Callable[[float, Tensor], Tensor]:
    """By conjugate gradients; what is known of the largest eigenvectors makes them faster."""

    def damped(shift: float, right: Tensor) -> Tensor:
        known = (shift + values[-1]) / (shift + values) - 1

        def improve(residual: Tensor) -> Tensor:
            return residual + vectors @ (known.unsqueeze(-1) * (vectors.mT @ residual))

        def product(v: Tensor) -> Tensor:
            return shift * v + operator @ v

        return conjugate_gradients(product, right, rtol=_RESIDUAL, precondition=improve)

    return damped
