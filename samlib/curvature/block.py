"""Diagonal blocks of the Hessian of a network's loss: the curvature of single layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from samlib._validation import require_text
from samlib.curvature.hessian import FINE, moved_by_rounding
from samlib.curvature.through_outputs import require_network
from samlib.linalg import Operator
from samlib.linalg.operator import Product
from samlib.objective import ModuleObjective, Objective, WeightedMean
from samlib.objective.network import matching


def hessian_block(objective: Objective, x: Tensor, *names: str) -> Operator:
    """The diagonal block of ∇²L(x) for some of a network's parameters, a layer's say.

    It is ``hessian(objective, x).restricted(objective.where(*names))`` at a lower cost, because it
    differentiates in these parameters alone: a product costs a quarter, on average over the layers
    of a network, and least for the last. Each block keeps a graph of its own.

    Parameters
    ----------
    objective
        The loss of a network, from :meth:`Objective.from_module`.
    x
        One point, [dim].
    names
        Names of trainable parameters, as in ``model.named_parameters()``, or shell patterns.

    Raises
    ------
    TypeError
        If objective is not a network's.
    ValueError
        If x has the wrong shape, or no parameter is called so.

    Examples
    --------
    >>> import torch, samlib
    >>> data = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [1.0]])
    >>> model, loss_fn = torch.nn.Linear(1, 1), torch.nn.MSELoss()
    >>> objective = samlib.Objective.from_module(model, loss_fn, data)
    >>> samlib.hessian_block(objective, objective.flat_parameters(), "weight").to_dense()
    tensor([[5.]])
    """
    network = require_network(objective, x)
    given = [require_text("names", name) for name in names]
    found = matching(list(network.shapes), given, "names")
    chosen = [name for name in network.shapes if name in found]
    unit = objective.rounding_unit(x)
    at = x.detach().clone()  # the point stays what it was, whatever happens to x
    return Operator(
        sum(network.shapes[name].numel() for name in chosen),
        x.device,
        x.dtype,
        _product(network, at, chosen),
        rounding=unit,
        # The whole point is moved, not its part here alone: all of it is rounded on the way.
        nearby=None
        if unit <= FINE
        else lambda: hessian_block(network, moved_by_rounding(at, unit), *chosen),
    )


def _product(network: ModuleObjective, x: Tensor, names: Sequence[str]) -> Product:
    """The product with the block of the mean over the data; over several batches, one by one."""
    network.processes.require_all_rows()
    network.look(x)
    if network.in_one_batch:
        (batch,) = network.batches(x)
        return batch.block(x, names)

    def product(v: Tensor) -> Tensor:
        mean = WeightedMean()
        for batch in network.batches(x):
            mean.add((batch.block(x, names)(v),), batch.weight)
        assert mean.parts is not None
        return mean.parts[0]

    return product
