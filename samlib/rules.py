"""The update rules that :func:`samlib.simulate` repeats: see :mod:`samlib.dynamics.rules`."""

from samlib.dynamics.rules import (
    SAM,
    AscentLossDescent,
    GradientDescent,
    Rule,
    StochasticSAM,
    UnnormalizedSAM,
)
from samlib.linalg import unit_direction

__all__ = [
    "SAM",
    "AscentLossDescent",
    "GradientDescent",
    "Rule",
    "StochasticSAM",
    "UnnormalizedSAM",
    "unit_direction",
]
