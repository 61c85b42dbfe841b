"""Linear systems with a positive definite matrix that is known by its products with vectors.

Conjugate gradients (Hestenes and Stiefel, 1952), for several right-hand sides side by side.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]

# How many iterations are done between two looks at the residuals, which make a device wait.
_BETWEEN_LOOKS = 8


class NotPositiveDefinite(ValueError):  # noqa: N818 - what it says of the matrix, as in SciPy
    """A direction was met along which the matrix is not positive."""


def conjugate_gradients(
    product: Product,
    right: Tensor,
    *,
    rtol: float = 1e-8,
    precondition: Product | None = None,
    max_products: int = 1000,
) -> Tensor:
    """X with AX = B, [dim, n], from A's products with matrices [dim, n].

    It stops when each residual is within rtol of its right-hand side.

    Parameters
    ----------
    product
        V [dim, n] ↦ AV [dim, n], with A symmetric and positive definite.
    right
        B, [dim, n].
    rtol
        Of the residuals, relative to the columns of B.
    precondition
        V ↦ approximately A⁻¹V, symmetric and positive definite too.
    max_products
        At most so many products with n vectors each.

    Raises
    ------
    NotPositiveDefinite
        If A shows a direction along which it is not positive.

    Warns
    -----
    RuntimeWarning
        If so many products did not suffice.

    Examples
    --------
    >>> import torch
    >>> from samlib.linalg.conjugate_gradients import conjugate_gradients
    >>> diagonal = torch.tensor([[4.0], [2.0]])
    >>> conjugate_gradients(lambda v: diagonal * v, torch.ones(2, 1)).T
    tensor([[0.2500, 0.5000]])
    """
    improve = precondition or (lambda vectors: vectors)
    solution, residual = torch.zeros_like(right), right.clone()
    enough = rtol * right.norm(dim=0)
    towards = improve(residual)
    direction, energy = towards, _columns(residual, towards)
    bad = torch.zeros((), dtype=torch.bool, device=right.device)
    for count in range(max_products + 1):
        if count % _BETWEEN_LOOKS == 0 or count == max_products:
            _require_positive(bad)
            if bool((residual.norm(dim=0) <= enough).all()):
                return solution
        image = product(direction)
        curvature = _columns(direction, image)
        bad |= ((curvature <= 0) & (residual.norm(dim=0) > enough)).any()
        step = torch.where(curvature > 0, energy / curvature, 0.0)
        solution = solution + step * direction
        residual = residual - step * image
        towards = improve(residual)
        before, energy = energy, _columns(residual, towards)
        direction = towards + torch.where(before > 0, energy / before, 0.0) * direction
    rest = float((residual.norm(dim=0) / right.norm(dim=0)).nan_to_num().max())
    warnings.warn(
        f"conjugate gradients stopped at max_products={max_products} with residuals of {rest:.1g}",
        RuntimeWarning,
        stacklevel=2,
    )
    return solution


def _require_positive(bad: Tensor) -> None:
    if bool(bad):
        raise NotPositiveDefinite("the matrix is not positive along every direction")


def _columns(one: Tensor, other: Tensor) -> Tensor:
    """The inner products of the columns of two matrices, [n]."""
    return (one * other).sum(dim=0)
