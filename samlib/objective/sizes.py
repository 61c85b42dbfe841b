"""What a loss divides by: the size of a batch, by which it counts in the mean over all batches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap
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

_OVER_LABELS: tuple[Any, ...] = (nn.CrossEntropyLoss, nn.NLLLoss, F.cross_entropy, F.nll_loss)


def size_of(loss_fn: Any) -> Size | None:
    """What one of torch's losses divides by; None for any other.

    Raises
    ------
    ValueError
        If its reduction is "sum", or it is one of torch's and that is "none".
    """
    kind, option = kind_and_options(loss_fn)
    elements, labels = (any(kind is one for one in some) for some in (_OVER_ELEMENTS, _OVER_LABELS))
    reduction = option("reduction", "mean")
    if reduction == "sum":
        raise ValueError("loss_fn must average over the rows, got one with reduction='sum'")
    if (elements or labels) and reduction == "none":
        raise ValueError("loss_fn must return a scalar tensor, got one with reduction='none'")
    if elements and reduction == "mean":
        return Tensor.numel
    if labels and not _smooths_without_weight(option):
        return functools.partial(_labels, option=option)
    return len if elements else None  # reduction="batchmean"


def weigh(size: Size | None, targets: Tensor) -> float | Tensor:
    """The size of a batch, its rows if none is known; a number, unless one had to wait for it."""
    weight = len(targets) if size is None else size(targets)
    if isinstance(weight, Tensor) and weight.device.type == "cpu":
        return float(weight)
    return weight


def shares_of_rows(size: Size | None, targets: Tensor, dtype: torch.dtype) -> Tensor:
    """How much each row of a batch counts in its loss, as a share of all: [rows]."""
    rows = len(targets)
    if size is None or not isinstance(size(targets[:1]), Tensor):
        return torch.full((rows,), 1 / rows, dtype=dtype, device=targets.device)
    sizes = torch.as_tensor(vmap(size)(targets.unsqueeze(1))).to(dtype)
    return sizes / sizes.sum()


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


class WeightedMean:
    """The mean of tensors that come one after another, each with a weight ≥ 0.

    What has weight 0 is passed over, also where it is not finite.
    """

    def __init__(self) -> None:
        self.parts: tuple[Tensor, ...] | None = None
        self._total: float | Tensor = 0

    def add(self, parts: tuple[Tensor, ...], weight: float | Tensor) -> None:
        """Take in tensors of the shapes of those before."""
        if isinstance(weight, Tensor):  # stays on its device: nobody has to wait for it
            weight = weight.to(torch.promote_types(parts[0].dtype, torch.float32))
        before, self._total = self._total, self._total + weight
        if self.parts is None:
            self.parts = parts
            return
        share = weight / self._total
        self.parts = tuple(
            _towards(mean, part, share, before)
            for mean, part in zip(self.parts, parts, strict=True)
        )


def _towards(mean: Tensor, part: Tensor, share: float | Tensor, before: float | Tensor) -> Tensor:
    if not isinstance(share, Tensor):
        return mean + (part - mean) * share
    moved = torch.where(torch.as_tensor(before) > 0, mean + (part - mean) * share.to(mean), part)
    return torch.where(share > 0, moved, mean)
