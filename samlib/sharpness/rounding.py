"""What rounding does to a difference of losses, of which little may be left beside it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from samlib.curvature.hessian import FINE, moved_by_rounding
from samlib.objective import Objective

# x is moved so often. The root mean square of what that changes is an error with so much to spare.
_MOVES = 3
_MEASURED = 3.0


def rounding_of(loss: Tensor) -> Tensor:
    """What rounding at least does to a value of L: a few units of the numbers that it is in."""
    return 4 * torch.finfo(loss.dtype).eps * loss.abs()


def measured_rounding(
    objective: Objective, x: Tensor, function: Callable[[Tensor], Tensor], there: Tensor
) -> Tensor:
    """About how far rounding has moved there = function(x), beside what `rounding_of` says.

    The function is evaluated where x is moved by one unit of rounding. So it shows where terms
    cancel, as in a fitted network, and where a network is coarser than its loss. Zero, without an
    evaluation, in float64.
    """
    moves = evaluations_for_rounding(objective, x)
    if not moves:
        return torch.zeros_like(there)
    unit = objective.rounding_unit(x)
    moved = [
        function(moved_by_rounding(x, unit, seed=seed, shards=objective.shards)) - there
        for seed in range(moves)
    ]
    measured: Tensor = _MEASURED * torch.stack(moved).square().mean(dim=0).sqrt()
    return measured


def evaluations_for_rounding(objective: Objective, x: Tensor) -> int:
    """How often `measured_rounding` evaluates its function: not at all in float64."""
    return _MOVES if objective.rounding_unit(x) > FINE else 0
