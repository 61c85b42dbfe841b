"""The Hessian of a loss at a point, as an operator."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from samlib._validation import require_instance, require_one_point, require_points, shown
from samlib.linalg import Operator, Shards
from samlib.linalg.operator import Product
from samlib.objective import Objective, require_objective
from samlib.objective.products import Products

# Where the arithmetic is that of float64, its rounding is small beside everything else, and a few
# units of it need no measurement.
FINE = torch.finfo(torch.float64).eps


def hessian(objective: Objective, x: Tensor) -> Operator:
    """∇²L(x) as an operator: its products are exact, up to rounding.

    Parameters
    ----------
    objective
        The loss.
    x
        One point, [dim]; where vectors are spread over processes, what this one holds of it.

    Raises
    ------
    ValueError
        If x has the wrong shape.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([3.0, 1.0])
    >>> samlib.hessian(quadratic, torch.zeros(2)) @ torch.ones(2)
    tensor([3., 1.])
    """
    shards = require_objective(objective).shards
    require_one_point("x", x, shards.length)
    return _hessian_at(objective, x, objective.rounding_unit(x))


def _hessian_at(objective: Objective, x: Tensor, unit: float) -> Operator:
    """The Hessian, computed with this unit of rounding, which is the same nearby."""
    shards = objective.shards
    product = objective.hessian_operator(x)
    known = product if isinstance(product, Products) else None
    return Operator(
        objective.dim,
        x.device,
        x.dtype,
        product,
        matmat=_by_columns(known) if known else None,
        by_batch=known.by_batch if known else None,
        rounding=unit,
        nearby=None
        if unit <= FINE
        else lambda: _hessian_at(objective, moved_by_rounding(x, unit, shards=shards), unit),
        shards=shards,
    )


def _by_columns(product: Products) -> Product:
    return lambda vectors: product.together(vectors.T).T


def moved_by_rounding(
    x: Tensor, unit: float, *, seed: int = 0, shards: Shards | None = None
) -> Tensor:
    """x with every entry moved by about one relative unit of rounding, at random but fixed."""
    shards = Shards(x.shape[-1]) if shards is None else shards
    generator = torch.Generator().manual_seed(seed)
    noise = shards.part(torch.randn(shards.dim, generator=generator, dtype=torch.float64))
    return x * (1 + unit * noise).to(x.dtype).to(x.device)


def operators(
    loss: Objective | Operator, x: Tensor | None
) -> tuple[Iterator[Operator], torch.Size]:
    """The operators that (objective, x) or an operator alone stand for, and their batch shape.

    Raises
    ------
    TypeError
        If the loss is neither, or x is missing for an objective, or given beside an operator.
    """
    require_instance("loss", loss, (Objective, Operator), "a samlib.Objective or samlib.Operator")
    if isinstance(loss, Operator):
        if x is not None:
            raise TypeError(f"x must be left out beside an operator, got {shown(x)}")
        return iter([loss]), torch.Size()
    if x is None:
        raise TypeError("x must be a torch.Tensor, points of the objective, got None")
    require_points("x", x, loss.shards.length)
    points = x.reshape(-1, x.shape[-1])
    return (hessian(loss, point) for point in points), torch.Size(x.shape[:-1])
