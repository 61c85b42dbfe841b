"""The arithmetic that a loss is really computed in, and what it does to the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from samlib.objective.data import Batch
from samlib.objective.network import Network

# Two values of one number may lie so many roundings apart.
_ROUNDINGS = 16

_PERTURBATIONS = 4


def with_rounding_unit(function: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """Evaluate a function; give its result and the unit roundoff of the arithmetic it used.

    That is the largest ``torch.finfo(dtype).eps`` of the real floating-point dtypes that its
    operations gave, also inside autocast or a network that is narrower than its loss; 0 if none
    gave any.
    """
    with _Coarsest() as coarsest:  # type: ignore[no-untyped-call]
        result = function()
    return result, coarsest.eps


class _Coarsest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the largest eps among the tensors that operations return."""

    eps = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(part, Tensor) and part.is_floating_point():
                self.eps = max(self.eps, torch.finfo(part.dtype).eps)
        return result


def nearly(one: float, two: float, unit: float) -> bool:
    """Say whether two numbers differ by no more than a few roundings of the larger."""
    return abs(one - two) <= _ROUNDINGS * unit * max(abs(one), abs(two))


def roundings_of(network: Network, x: Tensor, batch: Batch, unit: float) -> float:
    """How far apart two values of a loss may be where terms cancel in it, as in a fitted network.

    Measured: x and the inputs are changed by one unit in their last places, at random. At least
    one unit, which is what a logarithm near 0 is off by, however small it is.
    """
    inputs, targets = batch
    generator = torch.Generator().manual_seed(0)

    def changed(values: Any) -> Any:
        if not (isinstance(values, Tensor) and values.is_floating_point()):
            return values
        signs = 2 * torch.randint(2, values.shape, generator=generator) - 1
        return values * (1 + unit * signs.to(values))

    there = network.number(x, inputs, targets)
    away = [network.number(changed(x), changed(inputs), targets) for _ in range(_PERTURBATIONS)]
    return max(unit, *(_ROUNDINGS * abs(loss - there) for loss in away))
