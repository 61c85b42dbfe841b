"""Gradients scaled by a torch.amp.GradScaler, in each of several backward passes of a step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.amp.grad_scaler import OptState
from torch.optim import Optimizer

from samlib._precision import wide_dtype
from samlib._validation import shown
from samlib.optim.shards import part


def enabled(scaler: Any) -> Any:
    """Return the scaler, or None where it does nothing."""
    if scaler is not None and not hasattr(scaler, "is_enabled"):
        raise TypeError(f"scaler must be a torch.amp.GradScaler, got {shown(scaler)}")
    return scaler if scaler is not None and scaler.is_enabled() else None


def scaled(loss: Tensor, scaler: Any) -> Tensor:
    """Scale a loss, if there is a scaler."""
    result: Tensor = loss if scaler is None else scaler.scale(loss)
    return result


class _Pass:
    """What a GradScaler takes for an optimizer: it is stepped where its gradients are finite."""

    def __init__(self) -> None:
        self.param_groups: list[dict[str, Any]] = []
        self.finite = False

    def step(self) -> None:
        self.finite = True


class Passes:
    """Unscales one backward pass after the other.

    A GradScaler unscales an optimizer's gradients once between two updates and remembers whether
    they were finite. Each pass of a step is an optimizer of its own to it, so an infinity in any
    of them makes ``scaler.update()`` back off.
    """

    def __init__(self) -> None:
        self._passes: list[_Pass] = []
        self._used = 0

    def unscale(self, scaler: Any, optimizer: Optimizer) -> bool:
        """Unscale the gradients of the optimizer; return whether all of them are finite."""
        _require_scaled(scaler, optimizer)
        if self._used == len(self._passes):
            self._passes.append(_Pass())
        current = self._passes[self._used]
        self._used += 1
        current.param_groups, current.finite = optimizer.param_groups, False
        scaler.step(current)
        return current.finite

    def start_over(self) -> None:
        """Begin a new step."""
        self._used = 0


def _require_scaled(scaler: Any, optimizer: Optimizer) -> None:
    """Refuse an optimizer whose gradients the scaler unscaled already: it would not again."""
    states = getattr(scaler, "_per_optimizer_states", {})
    if id(optimizer) in states and states[id(optimizer)]["stage"] is OptState.UNSCALED:
        raise RuntimeError(
            "scaler.unscale_(optimizer) was called before first_step(scaler), which unscales "
            "the gradients itself; call it before scaler.step(optimizer) only"
        )


# ------------------------------------------------------------- a GradScaler that calls step()


def is_calling(optimizer: Optimizer) -> bool:
    """Whether a GradScaler is calling the optimizer's step(): it leaves what it found there."""
    return "grad_scale" in vars(optimizer)


def unscale_as_told(optimizer: Any, gradients: Iterable[Tensor]) -> bool:
    """Unscale by what the calling GradScaler left, in place; return whether all is finite."""
    if bool(optimizer.found_inf):
        return False
    if optimizer.grad_scale is not None:
        _unscale(gradients, optimizer.grad_scale)
    return True


def hang_up(optimizer: Optimizer) -> None:
    """Remove what a calling GradScaler takes away itself, unless step() raises."""
    vars(optimizer).pop("grad_scale", None)
    vars(optimizer).pop("found_inf", None)


def _unscale(gradients: Iterable[Tensor], scale: Tensor) -> None:
    """Divide the gradients by the scale, in place and to the bit as a GradScaler does."""
    inverse = scale.to(wide_dtype(scale.device)).reciprocal().float()
    for gradient in gradients:
        values = gradient._values() if gradient.is_sparse else part(gradient)
        values.mul_(inverse.to(values.device))
