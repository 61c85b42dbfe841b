"""The distributions of labels that losses stand for: a loss is −log of the label's probability.

Each label is one of the units that the loss is a mean over: a class, or an entry of the targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from samlib.linalg.dense import at_least_single

Options = Callable[..., Any]


@dataclass(frozen=True)
class Predictive:
    """What the outputs of a network say about a label.

    Attributes
    ----------
    of_classes
        Whether a label is a class, with outputs [rows, classes, ...]; else there is one label for
        each entry of the outputs.
    scores
        (outputs, the outputs that predict, u) ↦ the slope of −log p in the outputs, for labels
        drawn from the prediction with u, uniform in (0, 1), one for each label.
    weights
        (outputs, targets) ↦ how much each label counts in the loss, before it is divided.
    """

    of_classes: bool
    scores: Callable[[Tensor, Tensor, Tensor], Tensor]
    weights: Callable[[Tensor, Tensor], Tensor]

    def labels(self, outputs: Tensor, targets: Tensor) -> torch.Size:
        """The shape of the labels.

        Raises
        ------
        ValueError
            If outputs and targets do not fit together entry by entry.
        """
        if self.of_classes:
            return outputs[:, 0].shape
        if outputs.shape != targets.shape:
            raise ValueError(
                "the outputs of model must have the shape of the targets, got "
                f"{tuple(outputs.shape)} and {tuple(targets.shape)}"
            )
        return outputs.shape


def predictive(kind: Any, option: Options) -> Predictive:
    """The distribution that a loss stands for.

    Raises
    ------
    ValueError
        If none is known.
    """
    if kind in (nn.CrossEntropyLoss, F.cross_entropy):
        return Predictive(True, _of_logits, lambda y, t: _class_weights(y, t, option))
    if kind in (nn.NLLLoss, F.nll_loss):
        return Predictive(True, _of_log_probabilities, lambda y, t: _class_weights(y, t, option))
    if kind in (nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits):
        return Predictive(False, _of_binary_logits, lambda y, t: _binary_weights(y, t, option))
    if kind in (nn.MSELoss, F.mse_loss) and option("weight", None) is None:
        return Predictive(False, _of_means, lambda y, t: torch.ones_like(y))
    name = getattr(kind, "__name__", repr(kind))
    raise ValueError(
        "labels='sampled' needs a loss_fn that stands for a distribution of labels: "
        "CrossEntropyLoss, NLLLoss, BCEWithLogitsLoss or MSELoss, or their functions in "
        f"torch.nn.functional; got {name}. See labels='empirical', or samlib.gauss_newton"
    )


def _of_logits(outputs: Tensor, predicting: Tensor, u: Tensor) -> Tensor:
    drawn = _drawn_classes(at_least_single(predicting).softmax(dim=1), u)
    return outputs.softmax(dim=1) - _one_hot(drawn, outputs)


def _of_log_probabilities(outputs: Tensor, predicting: Tensor, u: Tensor) -> Tensor:
    return -_one_hot(_drawn_classes(at_least_single(predicting).exp(), u), outputs)


def _of_binary_logits(outputs: Tensor, predicting: Tensor, u: Tensor) -> Tensor:
    probability = at_least_single(predicting).sigmoid()
    return outputs.sigmoid() - (u.to(probability) < probability).to(outputs)


def _of_means(outputs: Tensor, predicting: Tensor, u: Tensor) -> Tensor:
    # (y − t)² is −log of the normal density with variance 1/2, but for a constant.
    noise: Tensor = torch.special.ndtri(u).to(outputs)
    return -math.sqrt(2) * noise


def _drawn_classes(probabilities: Tensor, u: Tensor) -> Tensor:
    """The class at which the sum of the probabilities [rows, classes, ...] passes u [rows, ...]."""
    below = probabilities.cumsum(dim=1)
    passed = below <= u.unsqueeze(1).to(below) * below[:, -1:]
    return passed.sum(dim=1).clamp(max=probabilities.shape[1] - 1)


def _one_hot(classes: Tensor, outputs: Tensor) -> Tensor:
    return torch.zeros_like(outputs).scatter(1, classes.unsqueeze(1), 1)


def _class_weights(outputs: Tensor, targets: Tensor, option: Options) -> Tensor:
    weight: Tensor | None = option("weight", None)
    classes, smoothing = outputs.shape[1], option("label_smoothing", 0.0)
    of_class = torch.ones(classes).to(outputs) if weight is None else weight.to(outputs)
    if targets.is_floating_point():  # probabilities of the classes
        smooth = targets * (1 - smoothing) + smoothing / classes
        shares: Tensor = smooth.to(outputs).movedim(1, -1) * of_class
        return shares.sum(dim=-1)
    kept = targets != option("ignore_index", -100)
    own = of_class[torch.where(kept, targets, 0)]
    counts: Tensor = ((1 - smoothing) * own + smoothing * of_class.mean()) * kept
    return counts


def _binary_weights(outputs: Tensor, targets: Tensor, option: Options) -> Tensor:
    weight, positive = option("weight", None), option("pos_weight", None)
    result: Tensor = torch.ones_like(outputs) if weight is None else weight.expand_as(outputs)
    return result if positive is None else result * (1 + (positive - 1) * targets)
