"""Whether the loss of a batch is a mean over its rows, as its weight takes it to be."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from samlib.objective.data import Batch
from samlib.objective.network import Network
from samlib.objective.rounding import nearly, roundings_of
from samlib.objective.sizes import Size, weigh

Kind = Literal["mean", "sum", "neither"]


def rows_make(
    network: Network, size: Size | None, x: Tensor, batch: Batch, whole: float, unit: float
) -> Kind:
    """Say what the loss at x [dim] makes of its rows, from a batch and its two halves.

    A batch that cannot be halved passes for a mean. ``whole`` is its loss.
    """
    inputs, targets = batch
    if not isinstance(inputs, Tensor) or len(targets) < 2:
        return "mean"
    half = len(targets) // 2
    parts = [(inputs[:half], targets[:half]), (inputs[half:], targets[half:])]
    weights = [float(weigh(size, some)) for _, some in parts]
    if 0 in weights:
        return "mean"

    try:
        halves = [network.number(x, *part) for part in parts]
    except (RuntimeError, ValueError, IndexError):  # a loss of whole batches, of pairs say
        return "neither"
    if not all(map(math.isfinite, (whole, *halves))):
        return "mean"
    mean = sum(w * h for w, h in zip(weights, halves, strict=True)) / sum(weights)
    if nearly(whole, mean, unit):
        return "mean"
    if nearly(whole, sum(halves), unit):
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
