"""How much the rows of a batch count in its loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.func import vmap

from samlib._validation import require_callable, shown
from samlib.objective.batch import Batch, is_row_by_row, map_leaves, sliced

BatchSize = Callable[[Batch], "int | float | Tensor"]
"""Maps a batch to the number of units that its loss is the mean of."""


SizeArgument = BatchSize | Literal["batch"] | None
"""How the user says what a batch counts by."""


def one_for_each_batch(batch: Batch) -> int:
    """The size of a batch whose loss belongs to the whole of it, and not to its rows."""
    return 1


def shares_of_rows(
    size: BatchSize | None, batch: Batch, rows: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """How much each row of a batch counts in its loss, as a share of all: [rows].

    Rows count alike where the size is not known, or that of one row times their number.
    """
    alike = torch.full((rows,), 1 / rows, dtype=dtype, device=device)
    if size is None:
        return alike
    first = size(sliced(batch, slice(0, 1), rows))
    if not isinstance(first, Tensor) and size(batch) == rows * first:
        return alike
    if isinstance(first, Tensor) and is_row_by_row(batch):
        sizes = torch.as_tensor(vmap(size)(map_leaves(lambda part: part.unsqueeze(1), batch)))
    else:
        each = [size(sliced(batch, slice(k, k + 1), rows)) for k in range(rows)]
        sizes = torch.stack([torch.as_tensor(one) for one in each])
    sizes = sizes.to(device, dtype)
    return sizes / sizes.sum()


def require_size(size: SizeArgument) -> BatchSize | None:
    """Return ``size`` as a function of a batch, otherwise raise."""
    if size is None:
        return None
    if isinstance(size, str):
        if size != "batch":
            raise ValueError(
                f"size must be a function of a batch, 'batch' or None, got {shown(size)}"
            )
        return one_for_each_batch
    return require_callable("size", size, "batch ↦ how many units its loss is the mean of")
