"""Curvature matrices JᵀMJ, with J the Jacobian of a network's outputs and M a matrix on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from samlib._validation import require_instance
from samlib.curvature.hessian import FINE, moved_by_rounding
from samlib.linalg import Operator
from samlib.linalg.operator import Product
from samlib.objective import BatchLoss, ModuleObjective, Objective, OutputLoss, WeightedMean
from samlib.objective.process_group import Found

Middle = Callable[[BatchLoss, Tensor, OutputLoss], Product]
"""(a batch, x, its loss of the outputs there) ↦ the product with M, a symmetric map on them."""


def require_network(objective: Objective, x: Tensor) -> ModuleObjective:
    """Return the objective if it is a network's and x is one point for it, otherwise raise."""
    require_instance(
        "objective",
        objective,
        ModuleObjective,
        "of a network, made by Objective.from_module or from_loss",
    )
    assert isinstance(objective, ModuleObjective)
    objective.look(x)
    return objective


def through_outputs(
    objective: ModuleObjective, x: Tensor, middle: Middle, *, by_layer: bool = False
) -> Operator:
    """The mean over the data of JᵀMJ at x [dim], which must stay as it is.

    Where several processes hold the data, the mean is over the rows of all.

    ``by_layer``: where a last layer makes many logits, of which the loss is the cross-entropy and
    M its second derivative, they are never held all at once.

    Over one pair of tensors the linearized network is kept. Over batches it is made anew for each,
    so that memory does not grow with their number.
    """
    unit, shards = objective.rounding_unit(x), objective.shards

    def nearby() -> Operator:
        moved = moved_by_rounding(x, unit, shards=shards)
        return through_outputs(objective, moved, middle, by_layer=by_layer)

    return Operator(
        objective.dim,
        x.device,
        x.dtype,
        _product(objective, x, middle, by_layer),
        rounding=unit,
        nearby=None if unit <= FINE else nearby,
        shards=shards,
    )


def _product(objective: ModuleObjective, x: Tensor, middle: Middle, by_layer: bool) -> Product:
    """The product with the mean over the rows of all processes."""
    processes = objective.processes
    (x,) = processes.whole(x)
    find = processes.agreed(lambda: _product_here(objective, x, middle, by_layer), x)

    def product(v: Tensor) -> Tensor:
        (whole,) = processes.whole(v)
        return processes.mean(lambda: find(whole), whole)

    return product


def _product_here(
    objective: ModuleObjective, x: Tensor, middle: Middle, by_layer: bool
) -> Callable[[Tensor], Found]:
    """The product with the mean over the rows of this process."""

    def of(batch: BatchLoss, before: int) -> tuple[Product, int]:
        if by_layer and (found := batch.through_layer(x)):
            linear, layer = found[0], found[1].gauss_newton()
            return lambda v: linear.pull(layer(linear.push(v))), 0
        network, loss = batch.through_outputs(x)
        inner = middle(batch, x, replace(loss, before=before))
        return lambda v: network.pull(inner(network.push(v))), loss.targets.numel()

    if objective.in_one_batch and (only := next(objective.batches(x), None)):
        kept = of(only, 0)[0]
        return lambda v: Found(kept(v), only.weight, only.unit)

    def find(v: Tensor) -> Found:
        mean, before, units = WeightedMean(), 0, {""}
        for batch in objective.batches(x):
            one, targets = of(batch, before + batch.passed_over)
            before += targets
            mean.add((one(v),), batch.weight)
            units.add(batch.unit)
        if mean.parts is None:
            return Found(torch.zeros_like(v), 0, "")
        return Found(mean.parts[0], mean.weight, max(units))

    return find
