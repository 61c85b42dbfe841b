"""The batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

import torch

from samlib._validation import require_count, shown
from samlib.objective import Batch, Data
from samlib.objective.batch import rows_of, sliced, tensors, to_device
from samlib.objective.data import is_one_batch, require_batches


class Batches:
    """The batches of an epoch, anew each time it is iterated.

    Parameters
    ----------
    data
        One batch, or what gives batches.
    batch_size
        How many rows of one batch make a step; None: all of them.
    seed
        Fixes which ones.
    device
        Where one batch that all steps take as it is goes, once; None: it stays where it is.
    """

    def __init__(
        self,
        data: Data,
        batch_size: int | None,
        seed: int | None,
        device: torch.device | None = None,
    ) -> None:
        self._in_one = is_one_batch(data)
        self._data: Any = data if self._in_one else require_batches(data)
        if not self._in_one and batch_size is not None:
            raise ValueError(
                f"data already comes in batches; batch_size must be None, got {batch_size}"
            )
        self._rows = rows_of(data) if self._in_one else 0
        if batch_size is not None:
            batch_size = require_count("batch_size", batch_size, minimum=1)
            if batch_size > self._rows:
                raise ValueError(
                    f"batch_size must be at most the {self._rows} rows, got {shown(batch_size)}"
                )
        if self._in_one and batch_size is None and device is not None:
            self._data = to_device(self._data, device)
        self._size, self._generator = batch_size, None
        if batch_size is not None and seed is not None:
            # Apart from the other random numbers: the batches are the same on every device.
            self._generator = torch.Generator().manual_seed(seed)

    @property
    def per_epoch(self) -> int | None:
        """The number of batches of an epoch; None if it is not known beforehand."""
        if not self._in_one:
            return len(self._data) if isinstance(self._data, Sized) else None
        return 1 if self._size is None else -(-self._rows // self._size)

    def __iter__(self) -> Iterator[Batch]:
        if not self._in_one:
            empty = True
            for batch in self._data:
                empty = False
                yield batch
            if empty:
                raise ValueError("data gave no batch")
        elif self._size is None:
            yield self._data
        else:
            order = torch.randperm(self._rows, generator=self._generator)
            order = order.to(tensors(self._data)[0].device)  # one copy an epoch, not one a step
            for chosen in torch.split(order, self._size):
                yield sliced(self._data, chosen, self._rows)
