"""How far rounding moves a loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from samlib.objective.batch_loss import BatchLoss

# Two values of one number may lie so many roundings apart.
_ROUNDINGS = 16

_PERTURBATIONS = 4


def nearly(one: float, two: float, unit: float) -> bool:
    """Say whether two numbers differ by no more than a few roundings of the larger."""
    return abs(one - two) <= _ROUNDINGS * unit * max(abs(one), abs(two))


def roundings_of(batch: BatchLoss, x: Tensor, unit: float) -> float:
    """How far apart two values of a loss may be where terms cancel in it, as in a fitted network.

    Measured: x and the batch are changed by one unit in their last places, at random. At least
    one unit, which is what a logarithm near 0 is off by, however small it is.
    """
    generator = torch.Generator().manual_seed(0)

    def changed(values: Any) -> Any:
        if not (isinstance(values, Tensor) and values.is_floating_point()):
            return values
        signs = 2 * torch.randint(2, values.shape, generator=generator) - 1
        return values * (1 + unit * signs.to(values))

    there = batch.number(x)
    away = [batch.changed(changed).number(changed(x)) for _ in range(_PERTURBATIONS)]
    return max(unit, *(_ROUNDINGS * abs(loss - there) for loss in away))
