"""A loss as a function of a network's outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from samlib.objective.batch import Batch
from samlib.objective.loss_call import LossCall, watched
from samlib.objective.losses import Loss, LossOfOutputs, targets_of
from samlib.objective.sizes import kind_and_options


@dataclass(frozen=True)
class OutputLoss:
    """ℓ, with the outputs that it was given.

    Attributes
    ----------
    outputs
        What the network gave.
    loss
        ℓ: outputs ↦ a scalar.
    kind
        The class or function of the loss.
    option
        (name, default) ↦ one of its options.
    targets
        What the outputs are compared with.
    call
        The call that gave the loss, where the outputs are what one of torch's losses was given,
        and not what the model returned.
    before
        How many entries the targets of the batches before have.
    """

    outputs: Tensor
    loss: Callable[[Tensor], Tensor]
    kind: Any
    option: Callable[..., Any]
    targets: Any
    call: LossCall | None = None
    before: int = 0


def output_loss(loss: Loss, model: nn.Module, batch: Batch) -> OutputLoss:
    """Evaluate a network on a batch, and see its loss as one of outputs.

    If ``loss`` is one of the model's outputs and these are one tensor, they are the outputs. Else
    they are what one of torch's losses was given, if this gave the loss: the logits, of a loss
    that a language model computes itself.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if isinstance(loss, LossOfOutputs):
        outputs = loss.outputs(model, batch)
        if isinstance(outputs, Tensor):
            kind, option = kind_and_options(loss.loss_fn)
            return OutputLoss(
                outputs, lambda y: loss.of_outputs(y, batch), kind, option, targets_of(batch)
            )
        call = watched(lambda: loss.of_outputs(outputs, batch))[1]
    else:
        call = watched(lambda: loss(model, batch))[1]
    if call is None:
        raise TypeError(
            "this matrix needs the outputs of the model in one tensor, and the loss as a function "
            f"of them: give from_module a model with one tensor of outputs, or let {loss.name} "
            "return what one of torch's losses gives, such as "
            "torch.nn.functional.cross_entropy(logits, labels)"
        )
    return OutputLoss(call.outputs, call.loss, call.function, call.option, call.targets, call)
