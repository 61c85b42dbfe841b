"""The batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

import torch
from torch import Tensor

from samlib._validation import require_count, shown
from samlib.objective.data import Pairs, require_batch, require_data

Data = tuple[Any, Any] | Pairs


class Batches:
    """The batches of an epoch, anew each time it is iterated."""

    def __init__(self, data: Data, batch_size: int | None, seed: int | None) -> None:
        self._pair = require_data(data)
        if self._pair is None and batch_size is not None:
            raise ValueError(
                f"data already comes in batches; batch_size must be None, got {batch_size}"
            )
        rows = 0 if self._pair is None else len(self._pair[1])
        if batch_size is not None:
            batch_size = require_count("batch_size", batch_size, minimum=1)
            if batch_size > rows:
                raise ValueError(
                    f"batch_size must be at most the {rows} rows, got {shown(batch_size)}"
                )
        self._data, self._size, self._generator = data, batch_size, None
        if batch_size is not None and seed is not None:
            # Apart from the other random numbers: the batches are the same on every device.
            self._generator = torch.Generator().manual_seed(seed)

    @property
    def per_epoch(self) -> int | None:
        """The number of batches of an epoch; None if it is not known beforehand."""
        if self._pair is None:
            return len(self._data) if isinstance(self._data, Sized) else None
        return 1 if self._size is None else -(-len(self._pair[1]) // self._size)

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        if self._pair is None:
            empty = True
            for batch in self._data:
                empty = False
                yield require_batch(batch)
            if empty:
                raise ValueError("data gave no batch")
        elif self._size is None:
            yield self._pair
        else:
            inputs, targets = self._pair
            order = torch.randperm(len(targets), generator=self._generator).to(targets.device)
            for chosen in torch.split(order, self._size):
                yield inputs[chosen.to(inputs.device)], targets[chosen]
