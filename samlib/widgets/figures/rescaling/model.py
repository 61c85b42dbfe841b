"""The network that the figure Rescaling shows, as training.py has trained it, and its rescaling."""

from __future__ import annotations

import functools
import json
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from samlib.objective import Objective

# What training.py writes.
DATA = Path(__file__).parent / "data" / "relu_digits.json"

INPUTS, HIDDEN, OUTPUTS = 64, 16, 10
DIM = HIDDEN * INPUTS + HIDDEN + OUTPUTS * HIDDEN + OUTPUTS

# A pixel has a whole number from 0 to 16.
WHITE = 16

# The largest distance from the minimum at which the loss is shown, and at how many distances.
REACH, PLACES = 1.5, 121

# What the page is told of these.
SIZES: Mapping[str, float] = {
    "inputs": INPUTS,
    "hidden": HIDDEN,
    "outputs": OUTPUTS,
    "white": WHITE,
    "reach": REACH,
    "places": PLACES,
}


class Trained(NamedTuple):
    """A network, the digits it has learned, and some that it has not seen.

    Attributes
    ----------
    weights
        W₁ [16, 64], b₁, W₂ [10, 16] and b₂ in one vector, [1210].
    inputs, targets
        What it was trained on, [100, 64] and [100]: pixels from 0 to 1, without their mean.
    images, new_inputs, new_targets
        The digits that are shown, with their mean, without it, and what they are.
    """

    weights: Tensor
    inputs: Tensor
    targets: Tensor
    images: Tensor
    new_inputs: Tensor
    new_targets: Tensor


def network() -> nn.Sequential:
    """64 inputs, 16 units with ReLU, 10 outputs, in float64."""
    return nn.Sequential(
        nn.Linear(INPUTS, HIDDEN, dtype=torch.float64),
        nn.ReLU(),
        nn.Linear(HIDDEN, OUTPUTS, dtype=torch.float64),
    )


def squared_error(outputs: Tensor, wanted: Tensor) -> Tensor:
    """Half the squared distance from the wanted outputs, on average over the rows."""
    return (outputs - wanted).square().sum(dim=1).mean() / 2


@functools.cache
def read_trained() -> Trained:
    """The network that ships with samlib."""
    stored = json.loads(DATA.read_text(encoding="utf8"))
    weights = np.frombuffer(b64decode(stored["weights"]), dtype="<f4").astype(float)
    pixels = np.frombuffer(b64decode(stored["pixels"]), dtype=np.uint8).reshape(-1, INPUTS)
    labels = torch.tensor([int(label) for label in stored["labels"]])
    rows = len(pixels) - stored["new"]
    images = torch.from_numpy(pixels / WHITE)
    inputs = images - images[:rows].mean(dim=0)
    return Trained(
        weights=torch.from_numpy(weights),
        inputs=inputs[:rows],
        targets=labels[:rows],
        images=images[rows:],
        new_inputs=inputs[rows:],
        new_targets=labels[rows:],
    )


@functools.cache
def objective() -> Objective:
    """The training loss as a function of the 1,210 weights."""
    trained = read_trained()
    wanted = nn.functional.one_hot(trained.targets, OUTPUTS).double()
    return Objective.from_module(network(), squared_error, (trained.inputs, wanted))


def scaling(alpha: float) -> Tensor:
    """The diagonal of T: α for W₁ and b₁, 1/α for W₂, 1 for b₂, [1210]."""
    first = HIDDEN * (INPUTS + 1)
    parts = ((first, alpha), (OUTPUTS * HIDDEN, 1 / alpha), (OUTPUTS, 1.0))
    return torch.cat([torch.full((n,), factor, dtype=torch.float64) for n, factor in parts])


def outputs(weights: Tensor) -> Tensor:
    """What a network with these weights [1210] answers to the digits that are shown, [12, 10]."""
    model = network()
    nn.utils.vector_to_parameters(weights, model.parameters())
    with torch.no_grad():
        answers: Tensor = model(read_trained().new_inputs)
    return answers


@functools.cache
def curvatures() -> Tensor:
    """The diagonal of the Hessian at α = 1, exactly, [1210]."""
    diagonal: Tensor = objective().hessian(read_trained().weights).diagonal()
    return diagonal


def distances() -> Tensor:
    """Where the profile is shown, [121], from −1.5 to 1.5, densest at 0."""
    part = torch.linspace(-1, 1, PLACES, dtype=torch.float64)
    return REACH * part * part.square()


def plain(value: float) -> str:
    """Three significant digits without an exponent: 2.98, 812, 4090, 16,200."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 10_000 else f"{rounded:g}"
