"""Which of torch's losses gave a loss, and with what: seen while it is computed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from samlib._validation import is_at_hand
from samlib.objective.points import untransformed
from samlib.objective.sizes import LOSSES, size_with


@dataclass(frozen=True)
class LossCall:
    """A call of one of torch's losses.

    Attributes
    ----------
    function
        Which, such as ``torch.nn.functional.cross_entropy``.
    outputs, targets
        What it was given.
    options
        Its other arguments, by name.
    """

    function: Callable[..., Tensor]
    outputs: Tensor
    targets: Tensor
    options: dict[str, Any]

    def loss(self, outputs: Tensor) -> Tensor:
        """The loss of other outputs."""
        return self.function(outputs, self.targets, **self.options)

    def option(self, name: str, default: Any = None) -> Any:
        """One of the other arguments."""
        return self.options.get(name, default)

    def size_of(self, targets: Tensor) -> int | float | Tensor:
        """What the loss of such targets divides by, one for each row if that is not known."""
        size = size_with(self.function, self.option)
        return len(targets) if size is None else size(targets)

    @property
    def size(self) -> int | float | Tensor | None:
        """What the loss divides by, None if it does not divide or that is not known."""
        size = size_with(self.function, self.option)
        return None if size is None else size(self.targets)


_LOSSES = frozenset(LOSSES)
_signature = functools.cache(inspect.signature)


class _Watching(TorchFunctionMode):
    """Keeps what torch's losses were called with and what they gave."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[LossCall, Tensor]] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _LOSSES:
            bound = _signature(func).bind(*args, **(kwargs or {})).arguments
            outputs, targets, *_ = bound.values()
            options = dict(list(bound.items())[2:])
            self.calls.append((LossCall(func, outputs, targets, options), result))
        return result


def watched(function: Callable[[], Tensor]) -> tuple[Tensor, LossCall | None]:
    """Evaluate a loss; give also the call whose result it is, if one of torch's losses gave it."""
    with _Watching() as watching:
        loss = function()
    return loss, next((call for call, result in watching.calls if result is loss), None)


def size_of_call(call: LossCall | None) -> int | float | Tensor | None:
    """What the loss was divided by, as a number if it is on the CPU; None if that is not known."""
    size = None if call is None else call.size
    if not isinstance(size, Tensor):
        return size
    return as_number(untransformed(size.detach()))


def as_number(size: Tensor) -> float | Tensor:
    """A tensor with one number as this number, if nobody has to wait for it."""
    return float(size) if is_at_hand(size) else size
