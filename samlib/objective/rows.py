"""Whether the loss of a batch is a mean over its rows, as its weight takes it to be."""

from __future__ import annotations

import itertools
import math
from typing import Literal

from torch import Tensor

from samlib.objective.data import Batch
from samlib.objective.network import Network
from samlib.objective.rounding import nearly, roundings_of
from samlib.objective.sizes import Size, weigh

Kind = Literal["mean", "sum", "neither"]


def parts_of(batch: Batch, size: Size | None) -> list[tuple[Batch, float]]:
    """A batch in up to three parts, with their sizes; none if it cannot be taken apart."""
    inputs, targets = batch
    rows = len(targets)
    if rows < 2 or not isinstance(inputs, Tensor):
        return []
    # Of different lengths, so that no two of them are alike by the order of the rows.
    cuts = sorted({0, rows // 4, rows // 2, rows})
    parts = [(inputs[i:j], targets[i:j]) for i, j in itertools.pairwise(cuts)]
    sizes = [float(weigh(size, some)) for _, some in parts]
    return [(part, n) for part, n in zip(parts, sizes, strict=True) if n]


def rows_make(
    network: Network, size: Size | None, x: Tensor, batch: Batch, whole: float, unit: float
) -> Kind:
    """Say what the loss at x [dim] makes of its rows, from a batch and its parts.

    A batch that cannot be taken apart passes for a mean. ``whole`` is its loss.
    """
    parts = parts_of(batch, size)
    if not parts or not math.isfinite(whole):
        return "mean"
    try:
        losses = [network.number(x, *part) for part, _ in parts]
    except (RuntimeError, ValueError, IndexError):  # a loss of whole batches, of pairs say
        return "neither"
    mean = sum(n * loss for (_, n), loss in zip(parts, losses, strict=True))
    mean /= sum(n for _, n in parts)
    if nearly(whole, mean, unit):
        return "mean"
    if nearly(whole, sum(losses), unit):
        return "sum"
    return "mean" if abs(whole - mean) <= roundings_of(network, x, batch, unit) else "neither"


NO_MEAN_OVER_ROWS = (
    "loss_fn is not a mean over rows (it ignores or weighs targets, or compares rows with one "
    "another), so that the mean of the batches' losses, weighted by their rows, is not the loss of "
    "all data; give one of torch's losses, such as torch.nn.CrossEntropyLoss(ignore_index=...), or "
    "all data as one pair of tensors"
)


def require_no_sum(kind: Kind) -> None:
    """Raise if the loss sums over rows."""
    if kind == "sum":
        raise ValueError(
            "loss_fn must average over the rows, and it sums: twice the rows give twice the loss; "
            "divide by their number, as reduction='mean' does"
        )
