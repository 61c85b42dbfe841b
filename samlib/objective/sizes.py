"""What a loss divides by: the size of a batch, by which it counts in the mean over all batches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Size = Callable[[Tensor], "int | float | Tensor"]
"""Maps the targets of a batch to the number that the loss of this batch was divided by."""

_OVER_ELEMENTS: tuple[Any, ...] = (
    *(nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.SoftMarginLoss),
    *(nn.BCELoss, nn.BCEWithLogitsLoss, nn.KLDivLoss, nn.PoissonNLLLoss, nn.HingeEmbeddingLoss),
    *(F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.soft_margin_loss),
    *(F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.kl_div),
    *(F.poisson_nll_loss, F.hinge_embedding_loss),
)

_BY_WEIGHT = (F.mse_loss, F.l1_loss, F.huber_loss)  # of single elements, where one is given

_OVER_LABELS: tuple[Any, ...] = (nn.CrossEntropyLoss, nn.NLLLoss, F.cross_entropy, F.nll_loss)

LOSSES = (*_OVER_ELEMENTS, *_OVER_LABELS)


def size_of(loss_fn: Any) -> Size | None:
    """What one of torch's losses divides by; None for any other.

    Raises
    ------
    ValueError
        If its reduction is "sum", or it is one of torch's and that is "none".
    """
    kind, option = kind_and_options(loss_fn)
    reduction = option("reduction", "mean")
    if reduction == "sum":
        raise ValueError("loss_fn must average over the rows, got one with reduction='sum'")
    if _is_any(kind, LOSSES) and reduction == "none":
        raise ValueError("loss_fn must return a scalar tensor, got one with reduction='none'")
    return size_with(kind, option)


def is_of_torch(loss_fn: Any) -> bool:
    """Whether it is one of torch's losses of which it is known what they divide by."""
    return _is_any(kind_and_options(loss_fn)[0], LOSSES)


def size_with(kind: Any, option: Callable[[str, Any], Any]) -> Size | None:
    """What one of torch's losses divides by, with these options; None for any other."""
    elements, labels = _is_any(kind, _OVER_ELEMENTS), _is_any(kind, _OVER_LABELS)
    reduction = option("reduction", "mean")
    if not (elements or labels) or reduction not in ("mean", "batchmean"):
        return None
    if option("size_average", None) is not None or option("reduce", None) is not None:
        return None  # what torch had before reduction
    if elements and reduction == "mean":
        if _is_any(kind, _BY_WEIGHT) and option("weight", None) is not None:
            return lambda targets: option("weight", None).sum()
        return Tensor.numel
    if labels and not _smooths_without_weight(option):
        return functools.partial(_labels, option=option)
    return len if elements else None  # reduction="batchmean"


def _is_any(kind: Any, some: tuple[Any, ...]) -> bool:
    return any(kind is one for one in some)


def kind_and_options(loss_fn: Any) -> tuple[Any, Callable[[str, Any], Any]]:
    """The class or function, and how to ask for its options, which may still change."""
    if isinstance(loss_fn, functools.partial) and not loss_fn.args:
        return loss_fn.func, loss_fn.keywords.get
    kind = type(loss_fn) if isinstance(loss_fn, nn.Module) else loss_fn
    return kind, functools.partial(getattr, loss_fn)


def _labels(targets: Tensor, *, option: Callable[[str, Any], Any]) -> int | Tensor:
    """The number of labels that are not ignored, or the sum of the weights of their classes."""
    if targets.is_floating_point():  # probabilities: [classes] or [rows, classes, ...]
        return targets.numel() // targets.shape[min(1, targets.dim() - 1)]
    kept: Tensor = targets != option("ignore_index", -100)
    weight: Tensor | None = option("weight", None)
    if weight is None:
        return torch.count_nonzero(kept)
    return (weight[torch.where(kept, targets, 0)] * kept).sum()


def _smooths_without_weight(option: Callable[[str, Any], Any]) -> bool:
    """Whether a label that divides the loss by nothing adds to it all the same."""
    weight: Tensor | None = option("weight", None)
    smooths = option("label_smoothing", 0) > 0
    return smooths and weight is not None and not bool((weight > 0).all())
