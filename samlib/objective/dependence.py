"""Which trainable parameters a network's loss depends on, and where it reads them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from samlib.objective.batch_loss import BatchLoss
from samlib.objective.network import Network
from samlib.objective.output_loss import output_loss

_NAMES_SHOWN = 5


class Dependence:
    """Learns from batches which trainable parameters the loss depends on.

    A parameter may be without use in one batch and used in the next, as an expert is to which no
    row was sent: it is unused only if it is in all of them.

    Attributes
    ----------
    unused
        The names of those that no batch has used so far.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.unused = list(network.parameters)

    def loss(self, batch: BatchLoss, x: Tensor) -> Tensor:
        """The loss of a batch; asks for its gradient as long as a parameter was not met.

        Raises
        ------
        ValueError
            If the loss depends on the model's own tensors and not only on what is in their place.
        """
        if not self.unused:
            with torch.no_grad():
                return batch(x)
        parts = {n: part.requires_grad_() for n, part in self._network.unflatten(x).items()}
        own = {n: p for n, p in self._network.parameters.items() if p.requires_grad}
        with torch.enable_grad():
            loss = batch.at(parts)
        if loss.requires_grad:
            slopes = torch.autograd.grad(loss, [*parts.values(), *own.values()], allow_unused=True)
            used = {n for n, slope in zip(parts, slopes, strict=False) if slope is not None}
            past = [n for n, g in zip(own, slopes[len(parts) :], strict=True) if g is not None]
            _require_none_past(past)
            self.unused = [name for name in self.unused if name not in used]
        return loss.detach()


def warn_of_unused(names: Sequence[str]) -> None:
    """Name the parameters that no batch used, if there are any."""
    if names:
        warnings.warn(
            f"the loss does not depend on {_shown(names)} of the model: their gradient "
            "is 0, and so are their rows of the Hessian. Freeze them with "
            "requires_grad_(False); or, if the loss should depend on them, see whether the "
            "model's forward, replaced or copied, still uses another model's weights",
            stacklevel=2,
        )


def require_of_outputs(batch: BatchLoss, x: Tensor) -> None:
    """Raise if the loss at x [dim] depends on x otherwise than through the model's outputs.

    Raises
    ------
    ValueError
        If it does, as with a penalty on the weights or on hidden layers.
    """
    parts = {n: p.detach().requires_grad_() for n, p in batch.network.unflatten(x).items()}

    def beside(model: nn.Module) -> Tensor:
        seen = output_loss(batch.loss, model, batch.batch)
        return seen.loss(seen.outputs.detach())

    with torch.enable_grad():
        loss = batch.network.evaluate(parts, beside)
    if not loss.requires_grad:
        return
    slopes = torch.autograd.grad(loss, list(parts.values()), allow_unused=True)
    if names := [n for n, slope in zip(parts, slopes, strict=True) if slope is not None]:
        raise ValueError(
            f"{batch.loss.name} depends on {_shown(names)} of the model beside its outputs, as a "
            "penalty does, and this matrix belongs to a loss of the outputs alone: leave the rest "
            f"out of {batch.loss.name}; the Hessian of the rest, as an operator of its own, can be "
            "added"
        )


def _require_none_past(names: Sequence[str]) -> None:
    if names:
        raise ValueError(
            f"model or loss reads {_shown(names)} from a variable of its own, which keeps the "
            "model's present values whatever x is; read them from the model in each call, as "
            "with model.parameters()"
        )


def _shown(names: Sequence[str]) -> str:
    some = ", ".join(repr(name) for name in names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"the trainable parameter{'s' if len(names) > 1 else ''} {some}{more}"
