"""The runs that the figure SpectrumInTraining shows, as training_sweep.py has computed them."""

from __future__ import annotations

import functools
import json
import math
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# What is computed: see training_sweep.py, which writes this file.
DATA = Path(__file__).parent / "data" / "training_sweep.json"
METHODS = ("sam", "one_sam")
RHOS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
STEPS = tuple(round(6000 * (k / 40) ** 2) for k in range(41))

# So many of the largest eigenvalues are stored one by one. All are counted in bins, of equal width
# in sign(λ) log(1 + |λ|/unit): ten to a factor of ten; 0 is in the middle of a bin.
TOP = 10
BINS: Mapping[str, float] = {"unit": 1e-3, "width": math.log(10) / 10, "first": -31, "last": 39}

# The runs that are shown beside each other. Gradient descent is SAM with ρ = 0.
RUNS = ("gradient_descent", "sam", "one_sam")

# The axis of the arrays along which their numbers change little from one to the next.
CHECKPOINTS = 2

Array = npt.NDArray[np.float64]


class Sweep(NamedTuple):
    """What the file holds.

    Attributes
    ----------
    arrays
        By name, [method, ρ, checkpoint]: loss, test_accuracy, gradient_norm, trace, alignment
        (with v₁) and top_alignment (with the span of the ten top eigenvectors);
        eigenvalues [..., 10], the largest first; counts [..., bins]. Counts are exact, all else
        is rounded, by at most 0.005 %.
    facts
        All else: provenance, settings and the values of another seed.
    """

    arrays: Mapping[str, Array]
    facts: Mapping[str, Any]


@functools.cache
def read_sweep() -> Sweep:
    """The runs that ship with samlib."""
    facts = json.loads(DATA.read_text(encoding="utf8"))
    return Sweep({name: decode(text) for name, text in facts["arrays"].items()}, facts)


def decode(text: Mapping[str, Any]) -> Array:
    """An array, from the differences between each checkpoint and the one before."""
    folded = np.array(from_leb128(b64decode(text["leb128"]))).reshape(text["shape"])
    differences = np.where(folded % 2, -(folded + 1) // 2, folded // 2)
    numbers = differences.cumsum(axis=CHECKPOINTS)
    array: Array = np.exp(numbers * text["log"]) if "log" in text else numbers.astype(float)
    array.flags.writeable = False
    return array


def from_leb128(data: bytes) -> list[int]:
    """Unsigned integers, seven bits a byte, the lowest first; the eighth says that more follow."""
    numbers, value, shift = [], 0, 0
    for byte in data:
        value += (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value, shift = 0, 0
    return numbers


def bin_edges() -> Array:
    """The bins' edges, ascending."""
    places = BINS["width"] * (np.arange(BINS["first"], BINS["last"] + 2) - 0.5)
    edges: Array = np.sign(places) * BINS["unit"] * np.expm1(np.abs(places))
    return edges


def edge_of_stability(lr: float, rho: float, norm: float) -> float:
    """The λ at which a step of SAM along an eigenvector ceases to be stable; 2/η for ρ = 0.

    η λ (1 + ρλ/‖g‖) = 2, for a gradient of norm ‖g‖ (Long and Bartlett, 2024).
    """
    if rho == 0:
        return 2 / lr
    # The same as (‖g‖/2ρ)(√(1 + 8ρ/(η‖g‖)) − 1), without its cancellation for small ρ.
    return 4 / (lr * (1 + math.sqrt(1 + 8 * rho / (lr * norm))))


def row_of(run: str, rho: float) -> tuple[int, int]:
    """Where a run stands in the arrays: its method and its ρ, by number."""
    j = 0 if run == "gradient_descent" else RHOS.index(rho)
    return METHODS.index("one_sam" if run == "one_sam" else "sam"), j
