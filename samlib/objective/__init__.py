"""A loss on a flat parameter vector, of a function or of a network on data."""

from samlib.objective.batch_loss import BatchLoss
from samlib.objective.data import Pairs, require_batch, require_data
from samlib.objective.derivatives import ScalarFunction
from samlib.objective.network import LossFunction
from samlib.objective.objective import ModuleObjective, Objective, require_objective
from samlib.objective.sizes import WeightedMean, kind_and_options

__all__ = [
    "BatchLoss",
    "LossFunction",
    "ModuleObjective",
    "Objective",
    "Pairs",
    "ScalarFunction",
    "WeightedMean",
    "kind_and_options",
    "require_batch",
    "require_data",
    "require_objective",
]
