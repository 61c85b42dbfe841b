"""Whether the loss of a batch is a mean over its rows, as its weight takes it to be."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from samlib.objective.batch_loss import BatchLoss
from samlib.objective.rounding import nearly, roundings_of
from samlib.objective.rounding_unit import with_rounding_unit

Kind = Literal["mean", "sum", "neither"]


def rows_make(
    batch: BatchLoss, x: Tensor, whole: float, unit: float, *, alike: bool = False
) -> Kind:
    """Say what the loss at x [dim] makes of its rows, from a batch and its parts.

    A batch that cannot be cut passes for a mean. ``whole`` is its loss. Rows are to count
    ``alike``, if no size was given, or as the loss of each part was seen to count them.
    """
    if not math.isfinite(whole):
        return "mean"
    parts = [part for part in batch.parts() if part.may_count]
    if not parts:
        return "mean"
    try:
        losses = [part.number(x) for part in parts]
        sizes = [float(part.known_weight if alike else part.weight) for part in parts]
    except Exception:  # a loss of whole batches, of pairs say
        return "neither"
    counted = [(n, loss) for n, loss in zip(sizes, losses, strict=True) if n]
    mean = sum(n * loss for n, loss in counted) / (sum(sizes) or 1)
    if nearly(whole, mean, unit):
        return "mean"
    if nearly(whole, sum(losses), unit):
        return "sum"
    return "mean" if abs(whole - mean) <= roundings_of(batch, x, unit) else "neither"


def is_mean_over_rows(batch: BatchLoss, x: Tensor) -> bool:
    """Whether a loss is the mean of those of the rows, weighted by their shares, at x [dim]."""
    loss, unit = with_rounding_unit(lambda: batch(x.detach()))
    return rows_make(batch, x, float(loss.detach()), unit, alike=True) == "mean"


def no_mean_over_rows(name: str) -> str:
    """Name a loss that is none."""
    return (
        f"{name} is not a mean over rows (it ignores or weighs targets, or compares rows with one "
        "another, as a contrastive loss does), so that the mean of the batches' losses, weighted "
        "by their rows, is not the loss of all data; give one of torch's losses, say with size= "
        "what a batch counts by, or say size='batch' if the loss is meant for whole batches"
    )


def require_no_sum(kind: Kind, name: str) -> None:
    """Raise if the loss sums over rows."""
    if kind == "sum":
        raise ValueError(
            f"{name} must average over the rows, and it sums: twice the rows give twice the loss; "
            "divide by their number, as reduction='mean' does"
        )
