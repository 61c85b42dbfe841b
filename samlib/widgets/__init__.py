"""Interactive figures: widgets in a notebook, live on a page without a kernel, a still in print."""

from samlib.widgets.figures.alignment.widget import Alignment
from samlib.widgets.figures.basin_map.widget import BasinMap
from samlib.widgets.figures.explicit_bias.widget import ExplicitBias
from samlib.widgets.figures.explore.explore import explore
from samlib.widgets.figures.explore.widget import Explore
from samlib.widgets.figures.limiting_flow.widget import LimitingFlow
from samlib.widgets.figures.one_loss.widget import OneLossThreeDestinations
from samlib.widgets.figures.opposite_drifts.widget import OppositeDrifts
from samlib.widgets.figures.random_directions.widget import RandomDirections
from samlib.widgets.figures.rescaling.widget import Rescaling
from samlib.widgets.figures.spectrum_in_training.widget import SpectrumInTraining
from samlib.widgets.figures.thermostat.widget import Thermostat
from samlib.widgets.figures.three_notions.widget import ThreeNotions
from samlib.widgets.figures.train_yourself.widget import TrainYourself

__all__ = [
    "Alignment",
    "BasinMap",
    "ExplicitBias",
    "Explore",
    "LimitingFlow",
    "OneLossThreeDestinations",
    "OppositeDrifts",
    "RandomDirections",
    "Rescaling",
    "SpectrumInTraining",
    "Thermostat",
    "ThreeNotions",
    "TrainYourself",
    "explore",
]
