"""The Gauss-Newton matrix of a network's loss, as an operator."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import torch
from torch import Tensor

from samlib.curvature.through_outputs import require_network, through_outputs
from samlib.linalg import Operator
from samlib.linalg.operator import Product
from samlib.objective import BatchLoss, Objective, OutputLoss
from samlib.objective.dependence import require_of_outputs
from samlib.objective.derivatives import kept_graph
from samlib.objective.output_layer import ManyLogits


def gauss_newton(objective: Objective, x: Tensor) -> Operator:
    """The Gauss-Newton matrix G = Jᵀ ∇²ℓ J, averaged over the data, as an operator.

    J is the Jacobian of the network's outputs in x, and ∇²ℓ the second derivative of the loss in
    the outputs. G is what the Hessian would be if the network were linear: the Hessian has the
    second derivatives of the outputs besides, each times the slope of the loss in it. The two are
    equal where the loss of every row is at its minimum (an interpolating network), and G is
    positive semidefinite if ℓ is convex (Schraudolph, 2002; Martens, 2020, section 6). Products
    are exact, up to rounding.

    G depends on what counts as the outputs: of NLLLoss after LogSoftmax it is zero, where
    CrossEntropyLoss of the logits has the same values.

    Parameters
    ----------
    objective
        The loss of a network, from :meth:`Objective.from_module` or :meth:`Objective.from_loss`.
        The outputs are what the network gives, if that is one tensor and the loss one of outputs
        and targets. Else the loss must be what one of torch's losses gives, as in a language
        model that computes its loss itself, and the outputs are what this was given, the logits.
        It must depend on x through them alone: a penalty on the weights has no place in ℓ.
    x
        One point, [dim].

    Raises
    ------
    TypeError
        If objective is not a network's, or there are no such outputs.
    ValueError
        If x has the wrong shape, or the loss reads parameters beside the outputs.

    Warns
    -----
    UserWarning
        If ∇²ℓ is zero on the first batch, so that G shows nothing of the loss.

    Examples
    --------
    >>> import torch, samlib
    >>> data = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [1.0]])
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> objective = samlib.Objective.from_module(model, torch.nn.MSELoss(), data)
    >>> samlib.gauss_newton(objective, objective.flat_parameters()).to_dense()
    tensor([[5.]])
    """
    network = require_network(objective, x)
    x = x.detach().clone()
    (whole,) = network.processes.whole(x)

    def look() -> tuple[bool, bool]:
        """Whether a last layer makes many logits of a batch, and whether the loss is linear."""
        first = next(network.batches(whole), None)
        if first is None:
            return False, False
        require_of_outputs(first, whole)
        by_layer = first.has_layer(whole)
        return by_layer, not by_layer and _is_linear(first, whole)

    by_layer, linear = network.processes.agreed(look, whole)
    if linear:
        warnings.warn(_NO_CURVATURE, stacklevel=2)
    return through_outputs(network, x, _second_derivative, by_layer=by_layer)


def _second_derivative(batch: BatchLoss, x: Tensor, loss: OutputLoss) -> Product:
    with ManyLogits() if batch.network.makes_many_classes else nullcontext():
        product = kept_graph(loss.loss, loss.outputs)
    return lambda v: product(v)[0]


def _is_linear(batch: BatchLoss, x: Tensor) -> bool:
    """Whether the second derivative of the loss in the outputs is 0."""
    with torch.no_grad():
        loss = batch.output_loss(batch.network.unflatten(x.detach()))
    shape = loss.outputs.shape
    probe = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(loss.outputs)
    return bool((_second_derivative(batch, x, loss)(probe) == 0).all())


_NO_CURVATURE = (
    "the second derivative of loss_fn in the outputs of the model is 0, and so is the Gauss-Newton "
    "matrix; if loss_fn is NLLLoss, give the network's logits to CrossEntropyLoss"
)
