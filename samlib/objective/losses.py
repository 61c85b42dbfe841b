"""The loss of a batch: of a model and a batch, or of the model's outputs and targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from samlib._validation import require_callable, shown
from samlib.objective.batch import Batch, rows_of
from samlib.objective.data import is_one_batch, require_batch, require_batches, require_data
from samlib.objective.sizes import Size, is_of_torch, size_of

LossFunction = Callable[[Any, Any], Tensor]
"""(outputs, targets) ↦ a scalar."""

ModelLossFunction = Callable[[Any, Any], Tensor]
"""(model, batch) ↦ a scalar."""


class Loss(Protocol):
    """(model, batch) ↦ a scalar.

    Attributes
    ----------
    size
        What the loss of a batch divides by, where that is known of the loss itself.
    name
        The argument that the user gave it as.
    """

    size: Size | None
    name: str

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """Give the loss of a batch."""
        ...

    def require_data(self, data: Any, *, sized: bool = False) -> Any:
        """Return data if they can be what the loss is averaged over, otherwise raise."""
        ...

    def require_batch(self, batch: Batch) -> None:
        """Raise unless this can be a batch of such data."""
        ...


def require_one_loss(loss_fn: LossFunction | None, loss: ModelLossFunction | None) -> Loss:
    """Return the loss that was given one way or the other, otherwise raise ``TypeError``."""
    if (loss_fn is None) == (loss is None):
        raise TypeError(
            "either loss_fn, a function of outputs and targets, or loss, a function of model and "
            f"batch, must be given; got loss_fn={shown(loss_fn)} and loss={shown(loss)}"
        )
    return LossOfModel(loss) if loss is not None else LossOfOutputs(loss_fn)  # type: ignore[arg-type]


class LossOfModel:
    """A function of model and batch, as it is."""

    name = "loss"

    def __init__(self, loss: ModelLossFunction) -> None:
        self._loss = require_callable("loss", loss, "(model, batch) ↦ a scalar tensor")
        self.size: Size | None = None

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """Give the loss of a batch."""
        return require_scalar(self.name, self._loss(model, batch))

    def require_data(self, data: Any, *, sized: bool = False) -> Any:
        """Return data, batches that may be anything; one must have rows, unless it has a size."""
        require_batches(data)
        if is_one_batch(data) and not sized:
            rows_of(data)
        return data

    def require_batch(self, batch: Batch) -> None:
        """Let any batch pass."""


class LossOfOutputs:
    """loss_fn(model(inputs), targets) for batches (inputs, ..., targets) or mappings.

    A mapping is both, inputs by name and targets.
    """

    name = "loss_fn"

    def __init__(self, loss_fn: LossFunction) -> None:
        self.loss_fn = require_callable("loss_fn", loss_fn, "(outputs, targets) ↦ a scalar tensor")
        size = size_of(loss_fn)
        self._is_of_torch = size is not None or is_of_torch(loss_fn)
        self.size: Size | None = None
        if size is not None:
            self.size = lambda batch: size(targets_of(batch))

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """Give the loss of a batch."""
        return self.of_outputs(self.outputs(model, batch), batch)

    def outputs(self, model: nn.Module, batch: Batch) -> Any:
        """What the model gives for a batch."""
        return call(model, inputs_of(batch))

    def require_data(self, data: Any, *, sized: bool = False) -> Any:
        """Return data, batches of inputs and targets; a list of two tensors is one of them."""
        one = require_data(data)
        return data if one is None else one

    def require_batch(self, batch: Batch) -> None:
        """Raise unless this is a batch of inputs and targets, as the loss takes them."""
        require_batch(batch)
        if isinstance(batch, Mapping) and self._is_of_torch:
            raise TypeError(
                "loss_fn is one of torch's, of outputs and targets, and data gives batches by "
                "name; write Objective.from_loss(model, loss, data) with loss(model, batch), such "
                "as model(**batch).loss, or give pairs (inputs, targets)"
            )

    def of_outputs(self, outputs: Any, batch: Batch) -> Tensor:
        """Give the loss of outputs that the model gave for a batch."""
        return require_scalar(self.name, self.loss_fn(outputs, targets_of(batch)))


def call(model: nn.Module, inputs: Any) -> Any:
    """model(inputs), model(*inputs) of a tuple or list, or model(**inputs) of a mapping."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, (tuple, list)):
        return model(*inputs)
    return model(inputs)


def inputs_of(batch: Batch) -> Any:
    """All of a mapping; of a tuple or list, what comes before the last."""
    if isinstance(batch, Mapping):
        return batch
    return batch[0] if len(batch) == 2 else batch[:-1]


def targets_of(batch: Batch) -> Any:
    """All of a mapping; of a tuple or list, the last."""
    return batch if isinstance(batch, Mapping) else batch[-1]


def require_scalar(name: str, loss: Any) -> Tensor:
    """Return a loss if it is a scalar tensor, otherwise raise ``ValueError``."""
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(f"{name} must return a scalar tensor (shape []), got {got}")
    return loss
