"""How far random directions climb in a bowl of many dimensions, as a share of the worst one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from samlib.widgets.core.draws import mulberry32

# So many directions are drawn, of up to so many dimensions: those of the chapter's network.
DIRECTIONS, MOST = 1000, 1210


def spectrum(dimension: int) -> NDArray[np.float64]:
    """The eigenvalues λ_i = λ₁/i of the bowl, for λ₁ = 1."""
    return 1.0 / np.arange(1, dimension + 1)


def directions(dimension: int, seed: int) -> NDArray[np.float64]:
    """Vectors whose directions are uniformly distributed, [directions, dimension].

    They are Gaussian, by Box and Muller's method from two words of mulberry32 for each pair of
    coordinates. More dimensions add coordinates and change none.
    """
    pairs = MOST // 2
    words = mulberry32(seed, DIRECTIONS * 2 * pairs).reshape(DIRECTIONS, pairs, 2)
    words = words[:, : -(-dimension // 2)]
    radius = np.sqrt(-2 * np.log((words[..., 0] + 0.5) / 2**32))
    angle = 2 * np.pi * words[..., 1] / 2**32
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    gaussian: NDArray[np.float64] = both.reshape(DIRECTIONS, -1)[:, :dimension]
    return gaussian


def shares(dimension: int, seed: int) -> NDArray[np.float64]:
    """uᵀ∇²L u/λ₁ of each direction u: the rise of L along it over the largest one, [directions]."""
    squares = directions(dimension, seed) ** 2
    found: NDArray[np.float64] = squares @ spectrum(dimension) / squares.sum(axis=1)
    return found


def average_share(dimension: int) -> float:
    """Tr ∇²L/(Dλ₁), the mean over all directions of a sphere."""
    return float(spectrum(dimension).mean())
