"""Training data: one pair of tensors, or anything that gives such pairs again and again."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from samlib._validation import shown

Pairs = Iterable[tuple[Any, Any]]

Batch = tuple[Any, Tensor]
"""Inputs and targets, with equally many rows."""


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


def require_batch(batch: Any) -> Batch:
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


def require_like(x: Tensor, inputs: Tensor) -> None:
    """Raise unless the inputs are on the device of x, and in its dtype if they are no integers."""
    if inputs.device != x.device:
        raise ValueError(
            f"x is on {x.device}, the inputs on {inputs.device}; move one of them first"
        )
    if inputs.is_floating_point() and inputs.dtype != x.dtype:
        raise ValueError(
            f"x has dtype {x.dtype}, the inputs {inputs.dtype}; give both in one dtype"
        )


def require_lasting(data: tuple[Any, Any] | Pairs) -> None:
    """Refuse a DataLoader whose sampler is known to give other rows in each pass.

    What is not known, a sampler of one's own, an IterableDataset or an augmentation, shows only
    when two passes are compared.
    """
    if not isinstance(data, DataLoader) or isinstance(data.dataset, IterableDataset):
        return
    sampler: Any = data.sampler
    size, drop_last = data.batch_size, False
    if data.batch_sampler is not None:
        if type(data.batch_sampler) is not BatchSampler:
            return
        sampler, size = data.batch_sampler.sampler, data.batch_sampler.batch_size
        drop_last = data.batch_sampler.drop_last
    if reason := _changes(sampler):
        raise ValueError(
            f"data has a {type(sampler).__name__} {reason}, so that every pass sees another loss; "
            "give all rows once, as with shuffle=False, or a fixed list of batches: list(data)"
        )
    shuffles = type(sampler) in (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
    shuffles |= type(sampler) is DistributedSampler and sampler.shuffle
    if shuffles and drop_last and size and len(sampler) % size:
        raise ValueError(
            "data shuffles and drops its last batch, so that every pass sees another loss; "
            "make the DataLoader with drop_last=False or shuffle=False"
        )
    if type(sampler) is DistributedSampler and sampler.num_replicas > 1:
        warnings.warn(
            f"data has a DistributedSampler, the share of process {sampler.rank} of "
            f"{sampler.num_replicas}: the objective is the loss of these rows alone",
            stacklevel=2,
        )


def _changes(sampler: Any) -> str:
    """Say how a sampler of torch draws other rows each time; nothing if it does not."""
    if type(sampler) is RandomSampler:
        if sampler.replacement:
            return "with replacement"
        rows = len(sampler.data_source)
        return f"of {len(sampler)} of {rows} rows" if len(sampler) % rows else ""
    if type(sampler) is WeightedRandomSampler:
        if sampler.replacement:
            return "with replacement"
        rows = len(sampler.weights)
        return f"of {len(sampler)} of {rows} rows" if len(sampler) != rows else ""
    return ""
