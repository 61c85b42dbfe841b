"""Interactive figures: widgets in a notebook, live on a page without a kernel, a still in print."""

from samlib.widgets.alignment import Alignment
from samlib.widgets.explicit_bias import ExplicitBias
from samlib.widgets.explore import Explore, explore
from samlib.widgets.limiting_flow import LimitingFlow
from samlib.widgets.one_loss import OneLossThreeDestinations
from samlib.widgets.opposite_drifts import OppositeDrifts
from samlib.widgets.spectrum_in_training import SpectrumInTraining
from samlib.widgets.three_notions import ThreeNotions

__all__ = [
    "Alignment",
    "ExplicitBias",
    "Explore",
    "LimitingFlow",
    "OneLossThreeDestinations",
    "OppositeDrifts",
    "SpectrumInTraining",
    "ThreeNotions",
    "explore",
]
