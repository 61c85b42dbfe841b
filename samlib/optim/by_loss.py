"""What optimizers share that take the loss itself, to differentiate it twice or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from samlib.optim.base import SharpnessAware
from samlib.optim.grad_scaler import scaled


class ByLoss(SharpnessAware):
    """A closure here returns the loss and does not call backward()."""

    takes_loss = True

    def _loss(self, closure: Callable[[], Any]) -> Tensor:
        loss = closure()
        self._require_cleared()
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise TypeError(f"the closure must return the loss as a tensor, got {loss!r}")
        if any(p.grad is not None for p in self._parameters()):
            raise ValueError(
                f"the closure of {type(self).__name__} must not call backward(): it returns the "
                "loss, which is differentiated here"
            )
        return loss

    def _evaluate(self, closure: Callable[[], Any], scaler: Any) -> Any:
        loss = self._loss(closure)
        torch.autograd.backward(scaled(loss, scaler))
        return loss.detach()
