"""The arithmetic that a loss is really computed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


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
