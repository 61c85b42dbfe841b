"""The loss of one batch, as a function of the parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from samlib.linalg.operator import Product
from samlib.objective.batch import Batch, in_parts, map_leaves, rows_of, sliced, tensors
from samlib.objective.derivatives import kept_graph, reverse_over_forward
from samlib.objective.linearization import Linearization
from samlib.objective.loss_call import as_number, size_of_call, watched
from samlib.objective.losses import Loss
from samlib.objective.network import Network
from samlib.objective.output_layer import OutputLayer, output_layer_of
from samlib.objective.output_loss import OutputLoss, output_loss
from samlib.objective.shares import BatchSize, one_for_each_batch, shares_of_rows


class BatchLoss:
    """x ↦ the loss of a network on a batch, and how much the batch counts.

    Parameters
    ----------
    network
        The network.
    loss
        (model, batch) ↦ its loss.
    batch
        The batch.
    size
        What the loss of a batch divides by. None if that is not known beforehand: it is what
        torch's own loss divides by, if the loss is what one of them gave when it was evaluated,
        and else the rows.

    Attributes
    ----------
    passed_over
        How many targets there are in the batches before it that count nothing.
    """

    def __init__(self, network: Network, loss: Loss, batch: Batch, size: BatchSize | None) -> None:
        self.network, self.loss, self.batch = network, loss, batch
        self.passed_over = 0
        self.rows = 1 if size is not None and not _has_rows(batch) else rows_of(batch)
        self._size = size
        self._seen: int | float | Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """The loss: [dim] → []."""
        return self.at(self.network.unflatten(x))

    def at(self, parts: Mapping[str, Tensor]) -> Tensor:
        """The loss with these tensors in place of the parameters."""
        if self._size is not None:
            return self._evaluate(parts)
        loss, self._seen = self.network.evaluate(parts, self._with_size)
        return loss

    def number(self, x: Tensor) -> float:
        """The loss as a number, for which the host waits."""
        with torch.no_grad():
            return float(self(x))

    def block(self, x: Tensor, names: Sequence[str]) -> Product:
        """v ↦ the product with the Hessian at x [dim] in these parameters, the others held.

        Only they are differentiated in: what lies before them in the network costs no backward
        pass, and the others no derivatives of their own.
        """
        held = self.network.unflatten(x.detach())
        chosen = [(name, held[name].shape, held[name].dtype) for name in names]
        y = torch.cat([held[name].reshape(-1).to(x.dtype) for name in names])
        sizes = [shape.numel() for _, shape, _ in chosen]

        def loss(y: Tensor) -> Tensor:
            pieces = zip(chosen, torch.split(y, sizes), strict=True)
            parts = {name: p.reshape(shape).to(dtype) for (name, shape, dtype), p in pieces}
            return self.at({**held, **parts})

        on_gpu = x.is_cuda and self.network.convolves
        product = (reverse_over_forward if on_gpu else kept_graph)(loss, y)
        return lambda v: product(v)[0]

    # ------------------------------------------------------------------ how much it counts

    @property
    def unit(self) -> str:
        """What it counts by, once it was evaluated."""
        return "size" if self._size is not None else "rows" if self._seen is None else "labels"

    @property
    def is_whole(self) -> bool:
        """Whether the loss belongs to the batch and not to its rows."""
        return self._size is one_for_each_batch

    @property
    def row_shapes(self) -> set[torch.Size]:
        """The shape of what a row has in the last tensor of the batch, the targets perhaps."""
        last = [part for part in tensors(self.batch) if part.dim()][-1:]
        return {part.shape[1:] for part in last}

    @property
    def targets_at_most(self) -> int:
        """The number of entries of the last tensor of the batch, the targets perhaps."""
        return self.rows * sum(shape.numel() for shape in self.row_shapes)

    @property
    def weight(self) -> float | Tensor:
        """How much the batch counts in the mean over all of them, once it was evaluated.

        A number, unless one had to wait for it.
        """
        return self.known_weight if self._seen is None else self._seen

    @functools.cached_property
    def known_weight(self) -> float | Tensor:
        """How much it counts before it was evaluated: its rows, if no size is given."""
        if self._size is None:
            return self.rows
        weight = self._size(self.batch)
        return as_number(weight) if isinstance(weight, Tensor) else weight

    @property
    def may_count(self) -> bool:
        """False if the batch is known to count nothing."""
        weight = self.known_weight
        return isinstance(weight, Tensor) or weight > 0

    def shares(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """How much each row counts in the loss, as a share of all: [rows]."""
        return shares_of_rows(self._size, self.batch, self.rows, dtype, device)

    # ------------------------------------------------------------------ other batches of it

    def row(self, k: int) -> BatchLoss:
        """The loss of row k alone, which counts as one."""
        return self.one_row(sliced(self.batch, slice(k, k + 1), self.rows))

    def some_rows(self, k: Tensor) -> Batch:
        """Some of the rows of the batch: the tensors of [rows, 1, ...], to be mapped over."""
        chosen = sliced(self.batch, k, self.rows)
        return map_leaves(lambda part: part.unsqueeze(1), chosen)

    def parts(self) -> list[BatchLoss]:
        """The losses of up to three parts of the batch; none if it cannot be cut."""
        parts = in_parts(self.batch) if _has_rows(self.batch) else []
        return [self.instead(part) for part in parts]

    def one_row(self, row: Batch) -> BatchLoss:
        """The loss of a row alone, which counts as one."""
        return BatchLoss(self.network, self.loss, row, one_for_each_batch)

    def changed(self, change: Callable[[Any], Any]) -> BatchLoss:
        """The loss with every part of the batch changed."""
        return self.instead(map_leaves(change, self.batch))

    # -------------------------------------------------------------- through the outputs

    def through_outputs(self, x: Tensor) -> tuple[Linearization, OutputLoss]:
        """The outputs near x [dim], and the loss as a function of them.

        Raises
        ------
        TypeError
            If there are no such outputs in one tensor.
        """
        first: OutputLoss | None = None

        def outputs(x: Tensor) -> Tensor:
            nonlocal first
            seen = self.output_loss(self.network.unflatten(x))
            first = first or seen
            return seen.outputs

        linearized = Linearization(outputs, x, forwards=self.network.convolves)
        assert first is not None
        self._seen = size_of_call(first.call)
        return linearized, replace(first, outputs=linearized.outputs)

    def output_loss(self, parts: Mapping[str, Tensor]) -> OutputLoss:
        """The outputs with these tensors in place of the parameters, and the loss of them."""
        return self.network.evaluate(parts, lambda m: output_loss(self.loss, m, self.batch))

    def through_layer(self, x: Tensor) -> tuple[Linearization, OutputLayer] | None:
        """What a last layer makes many logits of, near x [dim], and the loss as one of the layer.

        None if the loss is something else than the cross-entropy of such logits.
        """
        layers: list[OutputLayer | None] = []

        def before_layer(x: Tensor) -> Tensor:
            loss, layer = self.network.evaluate(self.network.unflatten(x), self._with_layer)
            layers.append(layer)
            return loss if layer is None else layer.flat()

        linearized = Linearization(before_layer, x)
        return None if layers[0] is None else (linearized, layers[0])

    def has_layer(self, x: Tensor) -> bool:
        """Whether there is such a layer."""
        network = self.network
        if network.convolves or not network.makes_many_classes:  # convolutions: see Linearization
            return False
        with torch.no_grad():
            return network.evaluate(network.unflatten(x), self._with_layer)[1] is not None

    def _with_layer(self, model: nn.Module) -> tuple[Tensor, OutputLayer | None]:
        loss, self._seen = self._with_size(model)
        return loss, output_layer_of(loss)

    def _with_size(self, model: nn.Module) -> tuple[Tensor, int | float | Tensor | None]:
        if self._size is not None:
            return self.loss(model, self.batch), None
        loss, call = watched(lambda: self.loss(model, self.batch))
        return loss, size_of_call(call)

    def _evaluate(self, parts: Mapping[str, Tensor]) -> Tensor:
        return self.network.evaluate(parts, lambda model: self.loss(model, self.batch))

    def instead(self, batch: Batch) -> BatchLoss:
        """The loss of another batch."""
        return BatchLoss(self.network, self.loss, batch, self._size)


def _has_rows(batch: Batch) -> bool:
    return any(part.dim() for part in tensors(batch))
