"""Training data: one batch, or anything that gives batches again and again."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
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
from samlib.objective.batch import Batch, leaves, tensors

Pairs = Iterable[Any]
"""Gives batches, (inputs, targets) for one, each time it is iterated."""

Data = tuple[Any, ...] | Mapping[str, Any] | Pairs
"""One batch, or what gives batches."""


def is_one_batch(data: Any) -> bool:
    """Whether data are one batch, and not what gives batches.

    One batch is a tensor, a mapping, or a tuple of such; a list gives batches.
    """
    if isinstance(data, (Tensor, Mapping)):
        return True
    return isinstance(data, tuple) and any(isinstance(part, Tensor) for part in data)


def require_batches(data: Any) -> Iterable[Batch]:
    """Return data as what gives batches, again and again, otherwise raise ``TypeError``."""
    if is_one_batch(data):
        return [data]
    if not isinstance(data, Iterable) or isinstance(data, str):
        raise TypeError(
            "data must be one batch, a mapping or a tuple of tensors, or give batches when "
            f"iterated, got {shown(data)}"
        )
    if isinstance(data, Iterator):
        raise TypeError(
            "data can be iterated only once, and it is needed many times; give a list "
            f"or a DataLoader, got {shown(data)}"
        )
    return data


def require_data(data: Any) -> tuple[Any, ...] | Mapping[str, Any] | None:
    """Return data if it is one batch of inputs and targets, None if it gives such; else raise."""
    if isinstance(data, list) and any(isinstance(part, Tensor) for part in data):
        data = tuple(data)
    if isinstance(data, (tuple, Mapping)) and is_one_batch(data):
        require_batch(data)
        return data
    if isinstance(data, (Tensor, str)) or not isinstance(data, Iterable):
        raise TypeError(
            "data must be a pair (inputs, targets) of tensors or give such pairs when iterated, "
            f"got {shown(data)}"
        )
    require_batches(data)
    return None


def require_batch(batch: Any) -> None:
    """Raise unless this is a batch of inputs and targets.

    It is a mapping, or a tuple or list whose last entry are the targets, a tensor with as many
    rows as each tensor among the inputs.
    """
    if isinstance(batch, Mapping):
        if not any(isinstance(part, Tensor) and part.dim() for part in leaves(batch)):
            raise TypeError(f"a batch of data must hold tensors with rows, got {shown(batch)}")
        return
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise TypeError(
            f"data must give pairs (inputs, targets), got {shown(batch)}"
            + (f" of length {len(batch)}" if isinstance(batch, (tuple, list)) else "")
        )
    *inputs, targets = batch
    if not isinstance(targets, Tensor) or targets.dim() == 0:
        raise TypeError(
            "targets must be a tensor with one entry per row, got "
            + ("a scalar" if isinstance(targets, Tensor) else shown(targets))
        )
    for part in inputs:
        rows = len(part) if isinstance(part, Tensor) and part.dim() else len(targets)
        if rows != len(targets) or rows == 0:
            raise ValueError(
                "inputs and targets must have the same number of rows, at least one; "
                f"got {rows} and {len(targets)}"
            )


def require_like(x: Tensor, inputs: Any) -> None:
    """Raise unless the inputs have the dtype of x if they are no integers."""
    for part in tensors(inputs):
        if part.is_floating_point() and part.dtype != x.dtype:
            raise ValueError(
                f"x has dtype {x.dtype}, the inputs {part.dtype}; give both in one dtype"
            )


def require_lasting(data: Any, *, alone: bool = True) -> None:
    """Refuse a DataLoader whose sampler is known to give other rows in each pass.

    What is not known, a sampler of one's own, an IterableDataset or an augmentation, shows only
    when two passes are compared. ``alone`` says that no other process has more rows.
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
    if alone and type(sampler) is DistributedSampler and sampler.num_replicas > 1:
        warnings.warn(
            f"data has a DistributedSampler, the share of process {sampler.rank} of "
            f"{sampler.num_replicas}: the objective is the loss of these rows alone; for "
            "that of all rows say process_group=torch.distributed.group.WORLD",
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
