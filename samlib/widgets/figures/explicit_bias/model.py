"""The valley of minimizers Γ of ``FourDimensional``, and the limiting regularizers on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from samlib.landscapes import FourDimensional
from samlib.sharpness import LimitingRegularizers, limiting_regularizers
from samlib.widgets.core.four_dimensional import PREFERRED

# The part of Γ that the map shows: all three preferred points, and where λ₁ and λ_M meet.
REGION = (-0.5, 1.25)

# What colours the map: the notion it belongs to, its symbol, and how many S of that notion it is.
QUANTITIES: Mapping[str, tuple[str, str, int]] = {
    "top_eigenvalue": ("worst", "λ₁", 2),
    "smallest_nonzero_eigenvalue": ("ascent", "λ_M", 2),
    "trace": ("average", "Tr", 8),
}


def on_manifold(point: Sequence[float]) -> Tensor:
    """The point of Γ with these (x₁, x₂), [4]."""
    return torch.tensor((*point, 0.0, 0.0), dtype=torch.float64)


def side_direction(approach: float) -> Tensor:
    """The direction from x to x′, [4], at an angle of so many degrees in (x₃, x₄)."""
    angle = math.radians(approach)
    return torch.tensor((0.0, 0.0, math.cos(angle), math.sin(angle)), dtype=torch.float64)


def regularizers_at(point: Sequence[float]) -> LimitingRegularizers:
    """S^Max, S^Asc and S^Avg at a point (x₁, x₂) of Γ."""
    return limiting_regularizers(FourDimensional(), on_manifold(point))


def least_regularizer(notion: str) -> float:
    """The least value of a notion's limiting regularizer on Γ."""
    return float(getattr(regularizers_at(PREFERRED[notion]), notion).value)
