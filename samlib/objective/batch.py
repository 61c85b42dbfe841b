"""A batch of data, whatever it is made of: tensors in tuples, lists, mappings, dataclasses."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from samlib._validation import shown

Batch = Any
"""A tensor, or a container of tensors, such as a DataLoader gives."""

_PARTS = 3


def map_leaves(function: Callable[[Any], Any], batch: Batch) -> Any:
    """Put what ``function`` makes of it in the place of each part that is no container."""
    if isinstance(batch, Mapping):
        entries = {key: map_leaves(function, part) for key, part in batch.items()}
        if isinstance(batch, dict) or not hasattr(batch, "__setitem__"):
            return entries
        changed: Any = copy.copy(batch)  # with the attributes that such a class may have
        for key, part in entries.items():
            changed[key] = part
        return changed
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):  # a named tuple
        return type(batch)(*(map_leaves(function, part) for part in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(map_leaves(function, part) for part in batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        names = [field.name for field in dataclasses.fields(batch) if field.init]
        parts = {name: map_leaves(function, getattr(batch, name)) for name in names}
        return dataclasses.replace(batch, **parts)
    return function(batch)


def leaves(batch: Batch) -> Iterator[Any]:
    """What a batch is made of, part by part, in the order of :func:`map_leaves`."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for part in batch.values():
            yield from leaves(part)
    elif isinstance(batch, (tuple, list)):
        for part in batch:
            yield from leaves(part)
    elif dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        for field in dataclasses.fields(batch):
            if field.init:
                yield from leaves(getattr(batch, field.name))
    else:
        yield batch


def tensors(batch: Batch) -> list[Tensor]:
    """The tensors of a batch."""
    return [part for part in leaves(batch) if isinstance(part, Tensor)]


def with_tensors(batch: Batch, parts: Sequence[Tensor]) -> Batch:
    """The batch with other tensors in the order of its own."""
    others = iter(parts)
    return map_leaves(lambda part: next(others) if isinstance(part, Tensor) else part, batch)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on a device; itself if they are there."""
    if all(_is_on(device, part) for part in leaves(batch)):
        return batch
    # What is no tensor may hold some, as a graph does, and know how to move them.
    return map_leaves(lambda part: part.to(device) if hasattr(part, "to") else part, batch)


def _is_on(device: torch.device, part: Any) -> bool:
    return part.device == device if isinstance(part, Tensor) else not hasattr(part, "to")


def rows_of(batch: Batch) -> int:
    """How many rows a batch has: the first dimension of its first tensor that has one.

    Raises
    ------
    TypeError
        If there is no such tensor.
    """
    for part in tensors(batch):
        if part.dim():
            return len(part)
    raise TypeError(
        "a batch of data must hold a tensor whose first dimension counts its rows, or size must "
        f"say how much it counts; got {shown(batch)}"
    )


def sliced(batch: Batch, chosen: slice | Tensor, rows: int) -> Batch:
    """Some of the rows of a batch; what has one row for all of them stays as it is."""

    def some(part: Any) -> Any:
        if not _has_rows(part, rows):
            return part
        return part[chosen if isinstance(chosen, slice) else chosen.to(part.device)]

    return map_leaves(some, batch)


def in_parts(batch: Batch) -> list[Batch]:
    """A batch cut into up to three; none if it cannot be cut."""
    rows = rows_of(batch)
    if rows < 2 or not all(_may_be_cut(part, rows) for part in leaves(batch)):
        return []
    # Of different lengths, so that no two of them are alike by the order of the rows.
    cuts = sorted({0, rows // 4, rows // 2, rows})
    return [sliced(batch, slice(i, j), rows) for i, j in itertools.pairwise(cuts)]


def is_cuttable(batch: Batch) -> bool:
    """Whether rows of a batch can be taken out of it."""
    parts = list(leaves(batch))
    rows = [len(part) for part in parts if isinstance(part, Tensor) and part.dim()]
    return bool(rows) and all(_may_be_cut(part, rows[0]) for part in parts)


def is_row_by_row(batch: Batch) -> bool:
    """Whether every tensor of a batch has one entry for each row, and there is nothing else."""
    rows = rows_of(batch)
    return all(_has_rows(part, rows) for part in leaves(batch))


def _has_rows(part: Any, rows: int) -> bool:
    return isinstance(part, Tensor) and part.dim() > 0 and len(part) == rows


def _may_be_cut(part: Any, rows: int) -> bool:
    if isinstance(part, Tensor):
        return part.dim() == 0 or len(part) in (1, rows)
    return part is None or isinstance(part, (bool, int, float))
