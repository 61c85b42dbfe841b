"""The losses of the figure ThreeNotions, and the rise of L on a circle around a point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samlib.landscapes import CurvedValley, DoubleWell, Quadratic

if TYPE_CHECKING:
    from samlib.landscapes import Landscape

# The eigenvalues of the losses that are quadratic.
SPECTRA: Mapping[str, tuple[float, float]] = {"bowl": (2.0, 1.0), "ravine": (0.3, 6.0)}

# Points of the circle for its mean: exact for polynomials of this degree less one.
AROUND = 360


def make_loss(name: str) -> Landscape:
    """The loss "bowl", "ravine", "curved valley" or "saddle"."""
    if name in SPECTRA:
        return Quadratic(SPECTRA[name])
    if name == "saddle":
        return DoubleWell()
    return CurvedValley()


def angles_around() -> NDArray[np.float64]:
    """Equally spaced angles around the circle."""
    return np.linspace(0, 2 * math.pi, AROUND, endpoint=False, dtype=np.float64)


def rise(objective: Landscape, x: Tensor, rho: float, angles: NDArray[np.float64]) -> Tensor:
    """L(x + ρu) − L(x) at angles of u, for x [2]."""
    u = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], axis=-1))
    return objective.value(x + rho * u) - objective.value(x)
