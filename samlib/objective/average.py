"""The loss of a network averaged over data: one batch, or batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from samlib.linalg.operator import ByBatch, Product
from samlib.objective.batch import Batch, tensors, to_device
from samlib.objective.batch_loss import BatchLoss
from samlib.objective.data import is_one_batch, require_batches, require_lasting
from samlib.objective.dependence import Dependence, warn_of_unused
from samlib.objective.derivatives import (
    Derivative,
    ScalarFunction,
    gradient,
    kept_graph,
    plain_gradient,
    reverse_over_forward,
    value,
)
from samlib.objective.gathering import Gathering
from samlib.objective.losses import Loss
from samlib.objective.network import Network
from samlib.objective.own_rows import require_own_rows
from samlib.objective.points import Function, Together, at_points, is_transformed
from samlib.objective.process_group import Found, Processes
from samlib.objective.products import how_many_pay
from samlib.objective.rounding_unit import with_rounding_unit
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
    processes
        Those that share the rows; each has its own data.
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
        processes: Processes,
        check: bool,
    ) -> None:
        self.network, self._loss = network, loss
        self._processes = processes
        self._size = loss.size if size is None else size
        self.in_one_batch = is_one_batch(data)
        if check:
            require_lasting(data, alone=not processes.several)
            require_own_rows(data, processes.group)
        self.data: Any = require_batches(data)
        self._require, self._to_check = require, check
        self._dependence = Dependence(network)
        self.together, self._products_together = Together(), Together(how_many_pay)

    @property
    def described(self) -> str:
        """The data, in few words."""
        if self.in_one_batch:
            return f"rows={self.one_batch.rows}"
        loads = isinstance(self.data, DataLoader)
        return f"data={'DataLoader' if loads else type(self.data).__name__}"

    def mean(self, derive: Callable[[ScalarFunction], Derivative], *points: Tensor) -> Tensor:
        """The mean over the data of what ``derive`` makes of a batch's loss, at points x, ..."""
        points = self._processes.whole(*points)
        if self._gathering is not None and points[0].dim() > 1:
            return _one_by_one(partial(self.mean, derive), *points)
        first = self._is_first(points[0])
        mean = self._processes.mean(lambda: self._here(derive, *points), *points)
        if first:
            self._conclude(points[0])
        return mean

    def _here(self, derive: Callable[[ScalarFunction], Function], *points: Tensor) -> Found:
        """The mean over the data of this process."""
        mean, seen, units = WeightedMean(), Pass(), set()
        if self._gathering is not None and derive is gradient:
            derive = plain_gradient
        for batch in self._batches(points[0]):
            seen.batches += 1
            seen.rows += batch.rows
            if batch.may_count:
                parts = self.together(
                    derive(self._weighed(batch)), partial(_kind, derive, batch), *points
                )
                units.add(batch.unit)
                _require_one_unit(units, batch)
                mean.add(parts if self._to_check else parts[:1], batch.weight)
        if mean.parts is None:
            self._require_elsewhere(seen)
            return Found(at_points(derive(_zero), *points, at_once=1)[0], 0, "")
        if self._is_first(points[0]):
            seen.loss = mean.parts[1].reshape(-1)[0]
            self._check_here(points[0].reshape(-1, points[0].shape[-1])[0], seen)
        return Found(mean.parts[0], mean.weight, units.pop())

    def _require_elsewhere(self, seen: Pass) -> None:
        """Raise unless other processes have rows that count, if this one has none."""
        if self._processes.several:
            return
        if seen.batches == 0:
            raise ValueError("data gave no batch; it must be possible to iterate it repeatedly")
        raise nothing_counts()

    def hessian_operator(self, x: Tensor) -> Product:
        """v ↦ ∇²L(x) v, for many v [dim] in turn or for several [n, dim]."""
        (x,) = self._processes.whole(x)
        find = self._processes.agreed(lambda: self._product_here(x), x)

        def product(v: Tensor) -> Tensor:
            if self._processes.several and v.dim() > 1:
                return _one_by_one(product, v)
            (whole,) = self._processes.whole(v)
            first = self._is_first(x)
            image = self._processes.mean(lambda: find(whole), x, whole)
            if first:
                self._conclude(x)
            return image

        return product

    def _product_here(self, x: Tensor) -> Callable[[Tensor], Found]:
        if not self.in_one_batch:
            return lambda v: self._here(lambda loss: lambda x, v: self._products(loss, x)(v), x, v)
        (batch,) = self._batches(x)
        product = self._products(batch, x)

        def find(v: Tensor) -> Found:
            self._weigh(batch)
            image, loss = product(v)
            if self._is_first(x) and (batch.weight or not self._processes.several):
                self._check_here(x, Pass(loss.reshape(-1)[0], 1, batch.rows))
            return Found(image, batch.weight, batch.unit)

        return find

    def by_batch(self, x: Tensor) -> ByBatch | None:
        """Products with the Hessians of single batches at x [dim], where there are several here."""
        if self.in_one_batch or self._processes.several:
            return None

        def products(draw: Callable[[], Tensor]) -> Iterator[tuple[Tensor, Tensor, float | Tensor]]:
            self.look(x)
            units: set[str] = set()
            for batch in self.batch_losses(x):
                vector = draw()
                image = self._products(batch, x)(vector)[0]
                units.add(batch.unit)
                _require_one_unit(units, batch)
                yield vector, image, batch.weight

        return products

    def _products(self, loss: ScalarFunction, x: Tensor) -> Function:
        """v ↦ ∇²L(x) v, and L(x), of the loss of a batch: for v [dim] or several [n, dim]."""
        convolves = self.network.convolves  # of which several at once cost more than one by one
        forwards = x.is_cuda and convolves and self._gathering is None
        derive = reverse_over_forward if forwards else kept_graph
        product: Function = derive(loss, x)
        if convolves:
            return partial(at_points, product, at_once=1)
        return partial(self._products_together, product, partial(_kind, derive, loss))

    def rounding_unit(self, x: Tensor) -> float:
        """The unit roundoff of the arithmetic of the first batch's loss at x [dim]."""
        (x,) = self._processes.whole(x)
        return self._processes.largest(lambda: self._unit_here(x), x)

    def _unit_here(self, x: Tensor) -> float:
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            batch = next(self._batches(x), None)
            return 0.0 if batch is None else with_rounding_unit(lambda: batch(x))[1]

    def check(self, x: Tensor, first: Pass) -> None:
        """Compare a first pass at x [dim] with a second one, once."""
        if self._is_first(x):
            self._check_here(x, first)
            self._conclude(x)

    def _is_first(self, x: Tensor) -> bool:
        """Whether an evaluation at x [..., dim] is to be followed by a second one."""
        return self._to_check and x.numel() > 0 and not is_transformed(x)

    @property
    def _gathering(self) -> Gathering | None:
        return self._processes.gathering

    def _weighed(self, batch: BatchLoss) -> ScalarFunction:
        """The loss of a batch, whose derivatives are added up with the weight that it has."""
        if self._gathering is None:
            return batch

        def loss(x: Tensor) -> Tensor:
            value = batch(x)
            self._weigh(batch)
            return value

        return loss

    def _weigh(self, batch: BatchLoss) -> None:
        if self._gathering is not None:  # nothing is sent of what counts nothing
            self._gathering.weight = float(batch.weight) or None

    def _check_here(self, x: Tensor, first: Pass) -> None:
        if self._gathering is not None:
            self._gathering.weight = None
        check_again(self._batches(x), x, first, self._dependence, several=self._processes.several)

    def _conclude(self, x: Tensor) -> None:
        """Warn of parameters that no batch of any process uses. There is no third pass."""
        unused = set(self._dependence.unused)
        names = list(self.network.parameters)
        nowhere = self._processes.in_all([name in unused for name in names], x)
        self._to_check = False
        warn_of_unused([name for name, flag in zip(names, nowhere, strict=True) if flag])

    def look(self, x: Tensor) -> None:
        """Evaluate at x, if that was not done before, so that the loss is checked."""
        if self._to_check:
            self.mean(value, x)

    def batch_losses(self, x: Tensor) -> Iterator[BatchLoss]:
        """The losses of this process's batches that may count, for what is done at x [dim]."""
        none, passed_over = True, 0
        for batch in self._batches(x):
            if batch.may_count:
                none, batch.passed_over = False, passed_over
                yield batch
            else:
                passed_over += batch.targets_at_most
        if none and not self._processes.several:
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


def _one_by_one(function: Callable[..., Tensor], *points: Tensor) -> Tensor:
    shape = points[0].shape[:-1]
    each = zip(*(point.reshape(-1, point.shape[-1]) for point in points), strict=True)
    results = torch.stack([function(*some) for some in each])
    return results.reshape(*shape, *results.shape[1:])


def _kind(derive: Any, loss: ScalarFunction) -> Hashable:
    """What decides about the memory that a derivative needs at a point."""
    parts = tensors(loss.batch) if isinstance(loss, BatchLoss) else ()
    return derive, *(part.shape for part in parts)


def _require_one_unit(units: set[str], batch: BatchLoss) -> None:
    if len(units) > 1:
        raise ValueError(
            f"{batch.loss.name} is what one of torch's losses gives in some batches and not in "
            "others, so that it is not known what they count by; say so with size="
        )


def _zero(x: Tensor) -> Tensor:
    """The loss of no rows."""
    return 0 * x.sum()
