"""A second pass over the data, which shows whether the loss is the same in every pass."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from samlib.objective.data import Batch
from samlib.objective.dependence import Dependence
from samlib.objective.network import Network
from samlib.objective.rounding import nearly, roundings_of, with_rounding_unit
from samlib.objective.rows import NO_MEAN_OVER_ROWS, Kind, parts_of, require_no_sum, rows_make
from samlib.objective.sizes import Size, WeightedMean, weigh


@dataclass
class Pass:
    """What a pass over the data gave: the loss, and from how many batches and rows.

    The loss is None if no label counted.
    """

    loss: Tensor | None = None
    batches: int = 0
    rows: int = 0


def check_again(
    network: Network, batches: Iterable[Batch], size: Size | None, x: Tensor, first: Pass
) -> None:
    """Compare the loss at x [dim] with that of a second pass over the data.

    The random numbers that torch's global generators give afterwards do not change by it.

    Raises
    ------
    ValueError
        If the loss differs by more than rounding, or reads parameters from elsewhere than the
        model, or sums over the rows of batches.

    Warns
    -----
    UserWarning
        If there are parameters that it does not depend on, or it is no mean over rows.
    """
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        second = _SecondPass(network, size, x.detach())
        for batch in batches:
            second.add(*batch)
        second.compare(first)
        second.warn()


class _SecondPass:
    """The loss at x once more, with a closer look at one of the batches."""

    def __init__(self, network: Network, size: Size | None, x: Tensor) -> None:
        self._network, self._size, self._x = network, size, x
        self._dependence = Dependence(network)
        self._mean = WeightedMean()
        self._seen = Pass()
        self._one: tuple[Batch, Tensor] | None = None  # that can be taken apart, if there is one
        self._draws = False
        self._rows_make: Kind = "mean"
        self._row_shapes: set[torch.Size] = set()
        self._unit = torch.finfo(x.dtype).eps

    def add(self, inputs: Any, targets: Tensor) -> None:
        """Evaluate a batch."""
        self._seen.batches += 1
        self._seen.rows += len(targets)
        self._row_shapes.add(targets.shape[1:])
        weight = weigh(self._size, targets)
        if float(weight) == 0:
            return
        watched = self._one is None
        loss = (self._watched if watched else self._dependence.loss)(self._x, inputs, targets)
        if self._one is None or not parts_of(self._one[0], self._size):
            self._one = (inputs, targets), loss
        self._mean.add((loss,), weight)

    def _watched(self, x: Tensor, inputs: Any, targets: Tensor) -> Tensor:
        before = _random_state(x)
        loss, unit = with_rounding_unit(lambda: self._dependence.loss(x, inputs, targets))
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
            raise ValueError("every target of data is ignored by loss_fn, or has weight 0")
        one, two = float(first.loss.detach()), float(self._mean.parts[0])
        (batch, loss), suspicious = self._one, not nearly(one, two, self._unit)
        suspicious &= math.isfinite(one) and math.isfinite(two)
        values = f"the loss at one x was {one:.9g} in one pass over data and {two:.9g} in the next"
        if (suspicious or self._draws) and self._changes_on(batch):
            raise _changed(
                f"{values}: the model or loss_fn draws random numbers, as dropout does that does "
                "not ask for self.training, or keeps a state"
            )
        if seen.batches > 1:
            self._rows_make = rows_make(
                self._network, self._size, self._x, batch, float(loss), self._unit
            )
            require_no_sum(self._rows_make)
        if suspicious and abs(one - two) > roundings_of(self._network, self._x, batch, self._unit):
            batches = "loss_fn is not a mean over rows, and batches are put together anew"
            rows = "the rows change, by augmentation or sampling perhaps"
            raise _changed(f"{values}: {rows if self._rows_make == 'mean' else batches}")

    def warn(self) -> None:
        """Name what is not wrong in itself, but perhaps not what was meant."""
        self._dependence.warn()
        if self._rows_make == "neither":
            warnings.warn(NO_MEAN_OVER_ROWS, stacklevel=2)
        elif self._size is None and len(self._row_shapes) > 1:
            numbers = sorted(shape.numel() for shape in self._row_shapes)
            warnings.warn(
                f"rows of data have {numbers[0]} to {numbers[-1]} targets, and each row counts "
                "alike, because loss_fn is not one of torch's; to count each target, give it as "
                "one of those, such as torch.nn.CrossEntropyLoss()",
                stacklevel=2,
            )

    def _changes_on(self, batch: Batch) -> bool:
        one, two = (self._network.number(self._x, *batch) for _ in range(2))
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
