"""A second pass over the data, which shows whether the loss is the same in every pass."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib.objective.batch_loss import BatchLoss
from samlib.objective.dependence import Dependence
from samlib.objective.rounding import nearly, roundings_of
from samlib.objective.rounding_unit import with_rounding_unit
from samlib.objective.rows import Kind, no_mean_over_rows, require_no_sum, rows_make
from samlib.objective.weighted_mean import WeightedMean


@dataclass
class Pass:
    """What a pass over the data gave: the loss, and from how many batches and rows.

    The loss is None if no label counted.
    """

    loss: Tensor | None = None
    batches: int = 0
    rows: int = 0


def check_again(
    batches: Iterable[BatchLoss], x: Tensor, first: Pass, dependence: Dependence, *, several: bool
) -> None:
    """Compare the loss at x [dim] with that of a second pass over the data.

    ``dependence`` learns from it, and ``several`` says that other processes have more rows. The
    random numbers that torch's global generators give afterwards do not change by it.

    Raises
    ------
    ValueError
        If the loss differs by more than rounding, or reads parameters from elsewhere than the
        model, or sums over the rows of batches.

    Warns
    -----
    UserWarning
        If it is no mean over rows.
    """
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        second = _SecondPass(x.detach(), dependence, several=several)
        for batch in batches:
            second.add(batch)
        second.compare(first)
        second.warn()


class _SecondPass:
    """The loss at x once more, with a closer look at one of the batches."""

    def __init__(self, x: Tensor, dependence: Dependence, *, several: bool) -> None:
        self._x, self._dependence, self._several = x, dependence, several
        self._mean = WeightedMean()
        self._seen = Pass()
        self._one: tuple[BatchLoss, Tensor] | None = None  # that can be cut, if there is one
        self._draws = False
        self._rows_make: Kind = "mean"
        self._row_shapes: set[torch.Size] = set()
        self._unit = torch.finfo(x.dtype).eps

    def add(self, batch: BatchLoss) -> None:
        """Evaluate a batch."""
        self._seen.batches += 1
        self._seen.rows += batch.rows
        if not batch.may_count:
            return
        loss = (self._watched if self._one is None else self._dependence.loss)(batch, self._x)
        self._row_shapes.update(batch.row_shapes)
        if self._one is None or not self._one[0].parts():
            self._one = batch, loss
        self._mean.add((loss,), batch.weight)

    def _watched(self, batch: BatchLoss, x: Tensor) -> Tensor:
        before, look = _random_state(x), self._dependence
        loss, unit = with_rounding_unit(lambda: look.loss(batch, x))
        self._draws = not torch.equal(before, _random_state(x))
        self._unit = max(self._unit, unit)
        return loss

    def compare(self, first: Pass) -> None:
        """Raise if the first pass gave another loss, saying what changed."""
        seen = self._seen
        if (seen.batches, seen.rows) != (first.batches, first.rows):
            raise _changed(
                f"data gave {first.rows} rows in {first.batches} batches in one pass and "
                f"{seen.rows} in {seen.batches} in the next"
            )
        if self._one is None or self._mean.parts is None or first.loss is None:
            raise nothing_counts()
        one, two = float(first.loss.detach()), float(self._mean.parts[0])
        (batch, loss), suspicious = self._one, not nearly(one, two, self._unit)
        suspicious &= math.isfinite(one) and math.isfinite(two)
        values = f"the loss at one x was {one:.9g} in one pass over data and {two:.9g} in the next"
        if (suspicious or self._draws) and self._changes_on(batch):
            raise _changed(
                f"{values}: the model or {batch.loss.name} draws random numbers, as dropout does "
                "that does not ask for self.training, or keeps a state"
            )
        if (seen.batches > 1 or self._several) and not batch.is_whole:
            self._rows_make = rows_make(batch, self._x, float(loss), self._unit)
            require_no_sum(self._rows_make, batch.loss.name)
        if suspicious and abs(one - two) > roundings_of(batch, self._x, self._unit):
            name = batch.loss.name
            batches = f"{name} is not a mean over rows, and batches are put together anew"
            rows = "the rows change, by augmentation or sampling perhaps"
            by_rows = self._rows_make == "mean" and not batch.is_whole
            raise _changed(f"{values}: {rows if by_rows else batches}")

    def warn(self) -> None:
        """Name what is not wrong in itself, but perhaps not what was meant."""
        assert self._one is not None
        batch = self._one[0]
        if self._rows_make == "neither":
            warnings.warn(no_mean_over_rows(batch.loss.name), stacklevel=2)
        elif batch.unit == "rows" and len(self._row_shapes) > 1:
            numbers = sorted(shape.numel() for shape in self._row_shapes)
            warnings.warn(
                f"rows of data have {numbers[0]} to {numbers[-1]} targets, and each row counts "
                f"alike, because {batch.loss.name} is not one of torch's; to count each target, "
                "say so with size=, or let one of torch's losses give the loss, such as "
                "torch.nn.functional.cross_entropy",
                stacklevel=2,
            )

    def _changes_on(self, batch: BatchLoss) -> bool:
        one, two = (batch.number(self._x) for _ in range(2))
        return one != two if self._draws else not nearly(one, two, self._unit)


def _random_state(x: Tensor) -> Tensor:
    """The states of torch's global generators, of the CPU and of the device of x."""
    state = torch.get_rng_state()
    return torch.cat([state, torch.cuda.get_rng_state(x.device)]) if x.is_cuda else state


def _changed(what: str) -> ValueError:
    return ValueError(
        f"{what}. The loss must be the same in every pass: give the same rows each time, as with "
        "data=list(loader), and keep the network fixed in eval mode; or say check=False"
    )


def nothing_counts() -> ValueError:
    """No batch counts anything in the mean."""
    return ValueError("every target of data is ignored by the loss, or has weight 0")
