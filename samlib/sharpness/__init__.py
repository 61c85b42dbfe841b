"""The three notions of sharpness, the sharpness of single components, and what they become on Γ."""

from samlib.sharpness.notions import (
    Sharpness,
    ascent_direction_sharpness,
    average_direction_sharpness,
)
from samlib.sharpness.regularizers import LimitingRegularizers, limiting_regularizers
from samlib.sharpness.stochastic import stochastic_sharpness
from samlib.sharpness.worst_direction import worst_direction_sharpness

__all__ = [
    "LimitingRegularizers",
    "Sharpness",
    "ascent_direction_sharpness",
    "average_direction_sharpness",
    "limiting_regularizers",
    "stochastic_sharpness",
    "worst_direction_sharpness",
]
