"""What stands in ``.grad``: the gradients of a pass, and those that came from before the step."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import torch
from torch import Tensor

from samlib.optim.shards import arranged_like, is_spread, part, spread_like
from samlib.optim.space import Space

_MARK = "_left_by_samlib"  # on a gradient: its version when a step left it


def gradient_of(parameter: Tensor) -> Tensor:
    """Give the gradient of a parameter, zero where it has none."""
    if parameter.grad is None:
        return torch.zeros_like(parameter)
    gradient = parameter.grad
    return arranged_like(gradient, parameter) if is_spread(gradient) else gradient


def gradients_of(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Give the gradient of each parameter, zero where it has none."""
    found = [(p, p.grad) for p in parameters]
    return [
        gradient_of(p) if gradient is None or hasattr(gradient, "to_local") else gradient
        for p, gradient in found
    ]


def with_gradient(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Give those parameters that have a gradient, at least one."""
    found = [p for p in parameters if p.grad is not None]
    if not found:
        raise ValueError("no parameter has a gradient: each pass must call backward() on the loss")
    return found


def clear(parameters: Iterable[Tensor]) -> None:
    """Leave the parameters without a gradient."""
    for p in parameters:
        p.grad = None


def replace(parameters: Iterable[Tensor], gradients: Iterable[Tensor]) -> None:
    """Leave copies of gradients, of this process's parts, with the parameters."""
    for p, gradient in zip(parameters, gradients, strict=True):
        p.grad = spread_like(gradient.clone(), p)


class Leftovers:
    """Tells gradients that were accumulated before a step from those that a step left behind.

    A closure is evaluated again at the perturbed weights, earlier backward passes are not: their
    gradients would enter only half of the step. What a step of the family leaves in ``.grad``
    carries a mark, and is dropped as long as nothing was added to it; whatever else is there the
    closure itself must clear. One that does so step after step may well lose micro-batches, and is
    warned of once.
    """

    def __init__(self) -> None:
        self.begun = False
        self._held: dict[Tensor, tuple[Tensor, int]] = {}
        self._any = torch.tensor(False)
        self._lost, self._lost_before, self._warned = False, False, False

    def begin(self, parameters: list[Tensor]) -> None:
        """Begin a step: drop what the last one left, hold what else there is."""
        self.begun = True
        for p, gradient in _left(parameters):
            if getattr(gradient, _MARK, None) == gradient._version:
                p.grad = None
            else:
                self._held[p] = (gradient, gradient._version)
        if self._held:  # on the device; looked at only if the closure clears nothing
            self._any = _any_nonzero([gradient for gradient, _ in self._held.values()])

    def require_cleared(self, advice: str) -> None:
        """Refuse if the closure, which has run once, added to gradients that were held."""
        kept = [
            (p, held, version)
            for p, (held, version) in self._held.items()
            if held._version != version or (p.grad is not None and part(p.grad) is held)
        ]
        if kept and bool(Space([p for p, _, _ in kept]).any(self._any)):
            raise RuntimeError(
                "step(closure) found gradients of earlier backward passes in .grad, and the "
                "closure does not clear them. They would enter only the first gradient of the "
                f"step, because the closure alone is evaluated again at perturbed weights. {advice}"
            )
        self._lost |= bool(self._held) and not kept
        if self._lost and self._lost_before and not self._warned and bool(self._any):
            self._warned = True
            warnings.warn(
                "for two steps now the closure has cleared gradients of earlier backward passes. "
                f"If those were micro-batches of the step, they are lost. {advice}",
                RuntimeWarning,
                stacklevel=2,
            )
        for p, gradient, version in kept:  # zeros, which count as no gradient
            if gradient._version == version:
                p.grad = None
        self._held = {}

    def end(self, parameters: list[Tensor]) -> None:
        """Mark what the step leaves, but not what it refused."""
        for p, gradient in _left(parameters):
            if not self._held or p not in self._held:
                setattr(gradient, _MARK, gradient._version)
        self._held, self.begun = {}, False
        self._lost_before, self._lost = self._lost, False


def _left(parameters: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The parameters with a gradient, and this process's part of it: fully_shard adds to that."""
    found = [(p, p.grad) for p in parameters]
    return [
        (p, part(gradient) if hasattr(gradient, "to_local") else gradient)
        for p, gradient in found
        if gradient is not None
    ]


def _any_nonzero(gradients: list[Tensor]) -> Tensor:
    entries = [g._values() if g.is_sparse else g for g in gradients]
    return torch.stack([each.any().to(gradients[0].device) for each in entries]).any()
