"""Curvature matrices that are small enough to be formed."""

from __future__ import annotations

from torch import Tensor

from samlib.curvature.hessian import FINE, moved_by_rounding
from samlib.linalg import Operator
from samlib.linalg.dense import DENSE_DIM, at_least_single
from samlib.objective import Objective


def is_small(loss: Objective | Operator) -> bool:
    """Whether the matrix is formed, for all points of a batch at once."""
    return loss.dim <= DENSE_DIM and loss.shards.group is None


def unit_of(loss: Objective | Operator, x: Tensor | None) -> float:
    """The unit of rounding in the arithmetic behind a matrix."""
    if isinstance(loss, Operator):
        return loss.unit
    assert x is not None
    return loss.rounding_unit(x)


def small_matrices(
    loss: Objective | Operator, x: Tensor | None
) -> tuple[Tensor, Tensor | None, float]:
    """The matrices [..., dim, dim], the same from data moved by rounding, and its unit.

    None where the arithmetic is fine enough to need no measurement.
    """
    unit = unit_of(loss, x)
    if isinstance(loss, Operator):
        moved = None if loss.nearby is None else at_least_single(loss.nearby().to_dense())
        return at_least_single(loss.to_dense()), moved, unit
    assert x is not None
    matrix = at_least_single(loss.hessian(x))
    if unit <= FINE:
        return matrix, None, unit
    return matrix, at_least_single(loss.hessian(moved_by_rounding(x, unit))), unit
