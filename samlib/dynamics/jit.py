"""Numba as the compiled runs use it: the types of what they call, and a cache that heals."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numba
from numba import types

# Numba is only partly typed: its decorators are taken as they come.
njit: Any = numba.njit

VECTOR = types.float64[::1]
MATRIX = types.float64[:, ::1]
CUBE = types.float64[:, :, ::1]

GRADIENT = types.void(MATRIX, MATRIX, VECTOR, MATRIX)
"""x, w, p → g: the gradients g at x [dim, batch] for weights w of the terms and parameters p."""

PRODUCT = types.void(MATRIX, MATRIX, MATRIX, VECTOR, MATRIX)
"""x, v, w, p → h: the products h with the Hessians."""


def is_whole(path: Path) -> bool:
    """Say whether Numba can read a file of its cache: an index, or compiled code."""
    try:
        with path.open("rb") as file:
            first = pickle.load(file)
            if path.suffix == ".nbc":
                return isinstance(first, tuple)
            return isinstance(first, str) and isinstance(pickle.load(file), tuple)
    except Exception:  # unpickling raises whatever the bytes lead to
        return False


def remove_broken_cache(source: str) -> None:
    """Remove what a full disk or a killed process left broken of a file's compiled code.

    Numba would raise; what is missing it compiles again.
    """
    # Never compiled: it only tells where Numba keeps the code of this folder.
    folder = Path(njit(is_whole, cache=True).stats.cache_path)
    for path in folder.glob(f"{Path(source).stem}.*.nb[ci]"):
        if not is_whole(path):
            path.unlink(missing_ok=True)
