"""The loss of a network averaged over data: one pair of tensors, or batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from samlib._batching import how_many_at_once
from samlib.objective.batch_loss import BatchLoss
from samlib.objective.data import Pairs, require_batch, require_data, require_lasting, require_like
from samlib.objective.derivatives import (
    Derivative,
    ScalarFunction,
    kept_graph,
    reverse_over_forward,
    value,
)
from samlib.objective.network import Network
from samlib.objective.points import at_points, is_transformed
from samlib.objective.second_pass import Pass, check_again
from samlib.objective.sizes import WeightedMean, size_of, weigh


class AverageLoss:
    """x ↦ the mean of a network's loss over data.

    Parameters
    ----------
    network
        The network with its loss.
    data
        One pair (inputs, targets) of tensors, or what gives such pairs again and again.
    check
        Whether the first evaluation is followed by a second pass that is compared with it.

    Attributes
    ----------
    pair
        The data, if they are one pair of tensors.
    size
        What the loss of a batch divides by, None if that is not known.
    """

    def __init__(self, network: Network, data: tuple[Any, Any] | Pairs, *, check: bool) -> None:
        self.network, self.size = network, size_of(network.loss_fn)
        self.pair = require_data(data)
        if check:
            require_lasting(data)
        self.data: Any = data if self.pair is None else [self.pair]
        self._to_check = check

    @property
    def described(self) -> str:
        """The data, in few words."""
        if self.pair is not None:
            return f"rows={len(self.pair[1])}"
        loads = isinstance(self.data, DataLoader)
        return f"data={'DataLoader' if loads else type(self.data).__name__}"

    def mean(self, derive: Callable[[ScalarFunction], Derivative], *points: Tensor) -> Tensor:
        """The mean over the data of what ``derive`` makes of a batch's loss, at points x, ..."""
        mean, seen = WeightedMean(), Pass()
        for inputs, targets in self._batches(points[0]):
            seen.batches += 1
            seen.rows += len(targets)
            weight = 1 if self.pair is not None else weigh(self.size, targets)
            if isinstance(weight, Tensor) or weight:
                derived, at_once = derive(self._on(inputs, targets)), self._points_at_once(inputs)
                parts = at_points(derived, *points, at_once=at_once)
                mean.add(parts if self._to_check else parts[:1], weight)
        if seen.batches == 0:
            raise ValueError("data gave no batch; it must be possible to iterate it repeatedly")
        if mean.parts is None:
            raise ValueError("every target of data is ignored by loss_fn, or has weight 0")
        if self._to_check and mean.parts[1].numel():
            seen.loss = mean.parts[1].reshape(-1)[0]
            self.check(points[0].reshape(-1, self.network.dim)[0], seen)
        return mean.parts[0]

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v, for many v [dim] in turn."""
        derive = reverse_over_forward if x.is_cuda and self.network.convolves else kept_graph
        if self.pair is None:
            return lambda v: self.mean(lambda loss: lambda x, v: derive(loss, x)(v), x, v)
        product, rows = derive(self._on(*self.pair), x), len(self.pair[1])

        def checked(v: Tensor) -> Tensor:
            image, loss = product(v)
            self.check(x, Pass(loss, 1, rows))
            return image

        return checked

    def of_first_batch(self, x: Tensor) -> Tensor:
        """The loss at x [dim] of the first batch alone."""
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            return self.network.loss(x, *next(self._batches(x)))

    def check(self, x: Tensor, first: Pass) -> None:
        """Compare a first pass at x [dim] with a second one, once."""
        if self._to_check and not is_transformed(x):
            check_again(self.network, self._batches(x), self.size, x, first)
            self._to_check = False

    def batch_losses(self, x: Tensor) -> Iterator[BatchLoss]:
        """The losses of the batches that count, for what is done at x [dim], checked before."""
        if self._to_check:
            self.mean(value, x)
        before, none = 0, True
        for inputs, targets in self._batches(x):
            batch = BatchLoss(self.network, inputs, targets, self.size, before)
            before += targets.numel()
            if isinstance(batch.weight, Tensor) or batch.weight:
                none = False
                yield batch
        if none:
            raise ValueError("every target of data is ignored by loss_fn, or has weight 0")

    def _batches(self, x: Tensor) -> Iterator[tuple[Any, Tensor]]:
        for batch in self.data:
            inputs, targets = require_batch(batch)
            if isinstance(inputs, Tensor):
                require_like(x, inputs)
            yield inputs, targets

    def _points_at_once(self, inputs: Any) -> int:
        if not isinstance(inputs, Tensor):
            return 1
        # Hidden layers are counted as a multiple of the input: a guess, on the safe side.
        return how_many_at_once(max(self.network.dim, 16 * inputs.numel()))

    def _on(self, inputs: Any, targets: Any) -> ScalarFunction:
        return lambda x: self.network.loss(x, inputs, targets)
