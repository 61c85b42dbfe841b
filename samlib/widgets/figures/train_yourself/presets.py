"""The states of the figure TrainYourself that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULTS: Mapping[str, Any] = {
    "rho": 0.1,
    "lr": 0.5,
    "first": "gradient_descent",
    "second": "sam",
    "batch": 32,
    "rows": 500,
    "shuffled": 0.0,
    "network": "perceptron",
    "width": 32,
    "loss": "squared",
    "seed": 0,
    "precision": "float32",
    "switch_step": 0,
    "switch_rho": 0.3,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # Gradient descent climbs to 2/η and is thrown back; SAM stays below, at an edge of its own.
    "edge": DEFAULTS,
    # Labels that mean nothing, learned by heart.
    "memorize": {**DEFAULTS, "rows": 200, "shuffled": 1.0, "panels": ("loss",)},
    # Which answers first to a larger ρ: λ₁ or the gradient?
    "switch": {**DEFAULTS, "rho": 0.05, "switch_step": 500, "panels": ("gradient",)},
}
