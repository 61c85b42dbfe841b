"""Training data: one pair of tensors, or anything that gives such pairs again and again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor

from samlib._validation import shown

Pairs = Iterable[tuple[Any, Any]]


def require_data(data: tuple[Any, Any] | Pairs) -> tuple[Tensor, Tensor] | None:
    """Return data if it is one pair of tensors, None if it gives pairs; raise otherwise."""
    if isinstance(data, (tuple, list)) and any(isinstance(part, Tensor) for part in data):
        return require_batch(data)
    if not isinstance(data, Iterable) or isinstance(data, (str, Tensor, dict)):
        raise TypeError(
            "data must be a pair (inputs, targets) of tensors or give such pairs when iterated, "
            f"got {shown(data)}"
        )
    if isinstance(data, Iterator):
        raise TypeError(
            "data can be iterated only once, and it is needed many times; give a list "
            f"or a DataLoader, got {shown(data)}"
        )
    return None


def require_batch(batch: Any) -> tuple[Any, Tensor]:
    """Return a batch if it is a pair (inputs, targets) with equally many rows, otherwise raise."""
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(
            f"data must give pairs (inputs, targets), got {shown(batch)}"
            + (f" of length {len(batch)}" if isinstance(batch, (tuple, list)) else "")
        )
    inputs, targets = batch
    if not isinstance(targets, Tensor) or targets.dim() == 0:
        raise TypeError(
            "targets must be a tensor with one entry per row, got "
            + ("a scalar" if isinstance(targets, Tensor) else shown(targets))
        )
    rows = len(inputs) if isinstance(inputs, Tensor) else len(targets)
    if rows != len(targets) or rows == 0:
        raise ValueError(
            "inputs and targets must have the same number of rows, at least one; "
            f"got {rows} and {len(targets)}"
        )
    return inputs, targets
