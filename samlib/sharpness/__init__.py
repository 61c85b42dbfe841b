"""The three notions of sharpness, what they become on Γ; single components and single layers."""

from samlib.sharpness.layers import Layers, layerwise
from samlib.sharpness.notions import (
    Sharpness,
    ascent_direction_sharpness,
    average_direction_sharpness,
)
from samlib.sharpness.regularizers import LimitingRegularizers, limiting_regularizers
from samlib.sharpness.stochastic import stochastic_sharpness
from samlib.sharpness.worst_direction import worst_direction_sharpness

__all__ = [
    "Layers",
    "LimitingRegularizers",
    "Sharpness",
    "ascent_direction_sharpness",
    "average_direction_sharpness",
    "layerwise",
    "limiting_regularizers",
    "stochastic_sharpness",
    "worst_direction_sharpness",
]
