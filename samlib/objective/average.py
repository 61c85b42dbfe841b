"""The loss of a network averaged over data: one batch, or batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from samlib.objective.batch import Batch, tensors, to_device
from samlib.objective.batch_loss import BatchLoss
from samlib.objective.data import is_one_batch, require_batches, require_lasting
from samlib.objective.derivatives import (
    Derivative,
    ScalarFunction,
    kept_graph,
    reverse_over_forward,
    value,
)
from samlib.objective.losses import Loss
from samlib.objective.network import Network
from samlib.objective.points import Together, is_transformed
from samlib.objective.second_pass import Pass, check_again, nothing_counts
from samlib.objective.shares import BatchSize
from samlib.objective.weighted_mean import WeightedMean


class AverageLoss:
    """x ↦ the mean of a network's loss over data.

    Parameters
    ----------
    network
        The network.
    loss
        (model, batch) ↦ the loss of a batch.
    data
        One batch, or what gives batches again and again.
    size
        What a batch counts by; None: by what the loss is seen to divide by, or else its rows.
    require
        Returns a batch, or raises where it is none for x.
    check
        Whether the first evaluation is followed by a second pass that is compared with it.

    Attributes
    ----------
    in_one_batch
        Whether the data are one batch.
    together
        Evaluates points together.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        data: Any,
        *,
        size: BatchSize | None,
        require: Callable[[Batch, Tensor], Batch],
        check: bool,
    ) -> None:
        self.network, self._loss = network, loss
        self._size = loss.size if size is None else size
        self.in_one_batch = is_one_batch(data)
        if check:
            require_lasting(data)
        self.data: Any = require_batches(data)
        self._require, self._to_check = require, check
        self.together = Together()

    @property
    def described(self) -> str:
        """The data, in few words."""
        if self.in_one_batch:
            return f"rows={self.one_batch.rows}"
        loads = isinstance(self.data, DataLoader)
        return f"data={'DataLoader' if loads else type(self.data).__name__}"

    def mean(self, derive: Callable[[ScalarFunction], Derivative], *points: Tensor) -> Tensor:
        """The mean over the data of what ``derive`` makes of a batch's loss, at points x, ..."""
        mean, seen, units = WeightedMean(), Pass(), set()
        for batch in self._batches(points[0]):
            seen.batches += 1
            seen.rows += batch.rows
            if batch.may_count:
                parts = self.together(derive(batch), partial(_kind, derive, batch), *points)
                units.add(batch.unit)
                _require_one_unit(units, batch)
                mean.add(parts if self._to_check else parts[:1], batch.weight)
        if seen.batches == 0:
            raise ValueError("data gave no batch; it must be possible to iterate it repeatedly")
        if mean.parts is None:
            raise nothing_counts()
        if self._to_check and mean.parts[1].numel():
            seen.loss = mean.parts[1].reshape(-1)[0]
            self.check(points[0].reshape(-1, self.network.dim)[0], seen)
        return mean.parts[0]

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v, for many v [dim] in turn."""
        derive = reverse_over_forward if x.is_cuda and self.network.convolves else kept_graph
        if not self.in_one_batch:
            return lambda v: self.mean(lambda loss: lambda x, v: derive(loss, x)(v), x, v)
        (batch,) = self._batches(x)
        product = derive(batch, x)

        def checked(v: Tensor) -> Tensor:
            image, loss = product(v)
            self.check(x, Pass(loss, 1, batch.rows))
            return image

        return checked

    def of_first_batch(self, x: Tensor) -> Tensor:
        """The loss at x [dim] of the first batch alone."""
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            return next(self._batches(x))(x)

    def check(self, x: Tensor, first: Pass) -> None:
        """Compare a first pass at x [dim] with a second one, once."""
        if self._to_check and not is_transformed(x):
            check_again(self._batches(x), x, first)
            self._to_check = False

    def batch_losses(self, x: Tensor) -> Iterator[BatchLoss]:
        """The losses of the batches that may count, for what is done at x [dim], checked before."""
        if self._to_check:
            self.mean(value, x)
        none, passed_over = True, 0
        for batch in self._batches(x):
            if batch.may_count:
                none, batch.passed_over = False, passed_over
                yield batch
            else:
                passed_over += batch.targets_at_most
        if none:
            raise nothing_counts()

    @property
    def one_batch(self) -> BatchLoss:
        """The loss of the only batch, where it lies."""
        (batch,) = self.data
        return BatchLoss(self.network, self._loss, batch, self._size)

    def _batches(self, x: Tensor) -> Iterator[BatchLoss]:
        for batch in self.data:
            there = to_device(self._require(batch, x), x.device)
            yield BatchLoss(self.network, self._loss, there, self._size)


def _kind(derive: Any, batch: BatchLoss) -> Hashable:
    """What decides about the memory that a derivative needs at a point."""
    return derive, *(part.shape for part in tensors(batch.batch))


def _require_one_unit(units: set[str], batch: BatchLoss) -> None:
    if len(units) > 1:
        raise ValueError(
            f"{batch.loss.name} is what one of torch's losses gives in some batches and not in "
            "others, so that it is not known what they count by; say so with size="
        )
