"""The losses of single rows, as the components of a loss over one batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.func import vmap

from samlib._batching import how_many_at_once
from samlib._precision import wide_dtype
from samlib._validation import require_indices
from samlib.objective.average import AverageLoss
from samlib.objective.batch import Batch, is_row_by_row, tensors, to_device
from samlib.objective.batch_loss import BatchLoss
from samlib.objective.derivatives import Derivative, ScalarFunction
from samlib.objective.rounding_unit import with_rounding_unit
from samlib.objective.rows import rows_make
from samlib.objective.second_pass import Pass

T = TypeVar("T")


class Rows:
    """The losses of the rows, each times how much it counts, so that the loss is their mean.

    Parameters
    ----------
    average
        The loss over one batch.
    batch
        This batch.
    check
        Whether to make sure, before they are used, that it is their mean.
    """

    def __init__(self, average: AverageLoss, batch: BatchLoss, *, check: bool) -> None:
        self._average, self._batch, self._to_check = average, batch, check

    def __len__(self) -> int:
        return self._batch.rows

    def require_mean(self) -> None:
        """Raise if the loss of the batch is not a mean over its rows; look once.

        Raises
        ------
        ValueError
            If it is not.
        """
        if not self._to_check:
            return
        x = self._average.network.flatten()
        batch = self._on(x)
        loss, unit = with_rounding_unit(lambda: batch(x))
        self._average.check(x, Pass(loss, 1, len(self)))
        kind = rows_make(batch, x, float(loss), unit, alike=True)
        if kind != "mean":
            does = "sums" if kind == "sum" else "ignores or weighs targets, or compares rows"
            raise ValueError(
                f"this objective has no components: {self._batch.loss.name} is not a mean over "
                f"rows (it {does}); give one of torch's losses, such as torch.nn.CrossEntropyLoss()"
            )
        self._to_check = False

    def alone(self, k: int) -> ScalarFunction:
        """The loss of row k."""

        def row(x: Tensor) -> Tensor:
            return self._on(x).row(k)(x)

        if self._shares is None:
            return row
        share = float(self._shares[k])
        if share == 0:  # the loss of a row that is ignored is 0/0
            return lambda x: 0 * x.sum()
        return lambda x: share * row(x)

    def at(self, derive: Callable[[ScalarFunction], Derivative], x: Tensor, k: Tensor) -> Tensor:
        """What ``derive`` makes of row k's loss at x, for each of x [batch, dim] and k [batch]."""
        require_indices("k", k, x, len(self))
        result = self._together(derive, x, k)
        if self._shares is None:
            return result
        share = self._shares.to(result)[k].reshape(-1, *[1] * (result.dim() - 1))
        return torch.where(share == 0, 0, share * result)

    def _together(
        self, derive: Callable[[ScalarFunction], Derivative], x: Tensor, k: Tensor
    ) -> Tensor:
        batch, together = self._on(x), self._average.together

        def of_row(x: Tensor, row: Batch) -> Tensor:
            return derive(batch.one_row(row))(x)[0]

        if together.obstacle is None and is_row_by_row(batch.batch):
            at_once = how_many_at_once(self._average.network.dim)
            try:
                result: Tensor = vmap(of_row, chunk_size=at_once)(x, batch.some_rows(k))
                return result
            except Exception as error:  # row by row, it shows whether this is vmap's fault
                obstacle = error
        else:
            obstacle = None
        pairs = zip(x, k.tolist(), strict=True)
        each = [derive(batch.row(j))(point)[0] for point, j in pairs]
        if obstacle is not None:
            together.meets(obstacle)
        return torch.stack(each) if each else x.new_empty(0)

    def _on(self, x: Tensor) -> BatchLoss:
        """The loss with its batch where x is: moved once, because it is asked for often."""
        there = to_device(self._batch.batch, x.device)
        if there is not self._batch.batch:
            self._batch = self._batch.instead(there)
        return self._batch

    @functools.cached_property
    def _shares(self) -> Tensor | None:
        """How much each row counts, 1 on average; None if all count alike."""
        device = tensors(self._batch.batch)[0].device  # where no step has to wait for them
        shares = self._batch.shares(wide_dtype(device), device) * len(self)
        return None if bool((shares == shares[0]).all()) else shares


class Lazy(Sequence[T]):
    """So many things, each made when it is asked for."""

    def __init__(self, make: Callable[[int], T], length: int) -> None:
        self._make, self._length = make, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, k: Any) -> Any:
        numbers = range(self._length)[k]
        return [self._make(j) for j in numbers] if isinstance(k, slice) else self._make(numbers)
