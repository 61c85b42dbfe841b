"""The Fisher matrix of a network, from the labels it was given or from labels it predicts."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from samlib._validation import require_name, require_seed
from samlib.curvature.predictive import predictive
from samlib.curvature.through_outputs import Middle, require_network, through_outputs
from samlib.linalg import Operator
from samlib.linalg.operator import Product
from samlib.objective import BatchLoss, ModuleObjective, Objective, OutputLoss
from samlib.objective.batch import tensors
from samlib.objective.dependence import require_of_outputs
from samlib.objective.rows import is_mean_over_rows
from samlib.objective.shares import shares_of_rows

Labels = Literal["empirical", "sampled"]


def fisher(
    objective: Objective, x: Tensor, *, labels: Labels = "empirical", seed: int = 0
) -> Operator:
    """The Fisher matrix F, the mean of ggᵀ over gradients g of single labels, as an operator.

    With ``labels="empirical"``, g are the gradients of the losses of the rows: the matrix of
    their second moments, Σ_k s_k ∇ℓ_k ∇ℓ_kᵀ, where L = Σ_k s_k ℓ_k and every share s_k is 1/n
    unless the loss weighs or ignores rows. It depends on the labels, vanishes with the gradients,
    and may be far from the Hessian (Kunstner, Balles and Hennig, 2019).

    With ``labels="sampled"``, labels are drawn from what the network itself predicts, one for each
    class or number that the loss is a mean over: classes with probabilities softmax(outputs) for
    CrossEntropyLoss and exp(outputs) for NLLLoss; 0 or 1 with probability σ(outputs) of a 1 for
    BCEWithLogitsLoss; for MSELoss, numbers with the outputs as means and variance 1/2, of whose
    density (y − t)² is −log, but for a constant. Weights of classes, ``pos_weight`` and
    ``ignore_index`` count as in the loss. The expectation of F over such labels is the Fisher
    matrix proper, which is equal to :func:`gauss_newton` of the same loss (of the logits, for
    NLLLoss; Martens, 2020, section 9).

    Parameters
    ----------
    objective
        The loss of a network, from :meth:`Objective.from_module`. It must depend on x through the
        outputs alone, one tensor; with "empirical" labels, the outputs have a row for each row.
    x
        One point, [dim].
    labels
        "empirical" for those of the data, "sampled" for drawn ones.
    seed
        Fixes the drawn labels: the same on every device, and for the same rows in other batches.

    Raises
    ------
    TypeError
        If objective is not a network's, or the outputs are not one tensor.
    ValueError
        If x has the wrong shape, the loss reads parameters beside the outputs or is not a mean
        over rows, or labels are to be drawn for a loss that stands for no known distribution, or
        for data that come in another order in each pass.

    Examples
    --------
    >>> import torch, samlib
    >>> data = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [1.0]])
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> objective = samlib.Objective.from_module(model, torch.nn.MSELoss(), data)
    >>> samlib.fisher(objective, torch.ones(1)).to_dense()  # the gradients are 2 and 4
    tensor([[10.]])
    """
    network = require_network(objective, x)
    require_name("labels", labels, ("empirical", "sampled"))
    seed, x = require_seed("seed", seed), x.detach().clone()
    if labels == "sampled":  # by their place among all rows
        network.processes.require_all_rows()
    (whole,) = network.processes.whole(x)

    def look() -> bool:
        first = next(network.batches(whole), None)
        return first is None or _has_fisher(first, whole, labels)

    network.processes.agreed(look, whole)
    if labels == "sampled":
        _require_same_order(network, x)
        return through_outputs(network, x, _of_drawn_labels(x, seed))
    return through_outputs(network, x, _of_given_labels)


def _has_fisher(first: BatchLoss, x: Tensor, labels: Labels) -> bool:
    """True, unless it raises since the loss of a batch has no Fisher matrix of such labels."""
    require_of_outputs(first, x)
    loss = first.through_outputs(x)[1]
    if labels == "sampled":
        predictive(loss.kind, loss.option)
        return True
    known = loss.call is not None and loss.call.size is not None
    if not known and not is_mean_over_rows(first, x):
        raise ValueError(
            "the Fisher matrix needs the gradient of each row's loss, and "
            f"{first.loss.name} is not a mean over rows (it weighs or ignores targets, or compares "
            "rows with one another); give one of torch's losses, such as "
            "torch.nn.CrossEntropyLoss()"
        )
    return True


def _of_given_labels(batch: BatchLoss, x: Tensor, loss: OutputLoss) -> Product:
    outputs = loss.outputs
    shares = _shares(batch, loss)
    if outputs.shape[:1] != shares.shape:
        raise ValueError(
            f"the outputs of model must have a row for each of {len(shares)} rows of data, "
            f"got shape {tuple(outputs.shape)}"
        )
    at = outputs.clone().requires_grad_()
    with torch.enable_grad():
        (slopes,) = torch.autograd.grad(loss.loss(at), at, materialize_grads=True)
    # The slope of ℓ in a row of the outputs is that of the row's own loss times its share.
    counts = torch.where(shares > 0, 1 / shares, 0)
    rows = slopes.flatten(1) if outputs.dim() > 1 else slopes.unsqueeze(1)

    def product(v: Tensor) -> Tensor:
        along = (rows * v.reshape(rows.shape)).sum(dim=1)
        return ((counts * along).unsqueeze(1) * rows).reshape(v.shape)

    return product


def _shares(batch: BatchLoss, loss: OutputLoss) -> Tensor:
    """How much each row of the outputs counts, as a share of all: [rows]."""
    dtype, device = loss.outputs.dtype, loss.outputs.device
    if loss.call is None:
        return batch.shares(dtype, device)
    return shares_of_rows(loss.call.size_of, loss.targets, len(loss.targets), dtype, device)


def _of_drawn_labels(drawn_at: Tensor, seed: int) -> Middle:
    """ĝĝᵀ on the outputs, with labels drawn from what the network predicts at ``drawn_at``."""

    def middle(batch: BatchLoss, x: Tensor, loss: OutputLoss) -> Product:
        outputs = predicting = loss.outputs
        known = predictive(loss.kind, loss.option)
        if x is not drawn_at:
            with torch.no_grad():
                predicting = batch.output_loss(batch.network.unflatten(drawn_at)).outputs
        labels = known.labels(outputs, loss.targets)
        # There are as many labels as targets, or, where these are probabilities, a part of that.
        before = loss.before * labels.numel() // loss.targets.numel()
        u = _uniform(labels, seed, before)
        scores = known.scores(outputs, predicting, u)
        counts = known.weights(outputs, loss.targets) / batch.weight
        if not known.of_classes:
            return lambda v: counts * scores.square() * v
        return lambda v: scores * (counts * (scores * v).sum(dim=1)).unsqueeze(1)

    return middle


def _uniform(shape: torch.Size, seed: int, before: int) -> Tensor:
    """Numbers in (0, 1), those after the first ``before`` that the seed gives."""
    bits = np.random.PCG64(seed)
    bits.advance(before)
    return torch.from_numpy(np.random.Generator(bits).random(tuple(shape)) + 2.0**-54)


def _require_same_order(objective: ModuleObjective, x: Tensor) -> None:
    """Raise if the rows come in another order in a second pass: labels are drawn by place."""
    if objective.in_one_batch:
        return
    for one, two in zip(objective.batches(x), objective.batches(x), strict=True):
        pairs = zip(tensors(one.batch), tensors(two.batch), strict=True)
        same = all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)
        if not same:
            raise ValueError(
                "data gives its rows in another order in each pass, and labels are drawn by place: "
                "make the DataLoader with shuffle=False, or see labels='empirical'"
            )
