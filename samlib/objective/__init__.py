"""A loss on a flat parameter vector, of a function or of a network on data."""

from samlib.objective.batch import Batch
from samlib.objective.batch_loss import BatchLoss
from samlib.objective.data import Data, Pairs, require_batch, require_data
from samlib.objective.derivatives import ScalarFunction
from samlib.objective.losses import Loss, LossFunction, ModelLossFunction, require_one_loss
from samlib.objective.network import Chosen
from samlib.objective.objective import (
    ModuleObjective,
    Objective,
    require_objective,
)
from samlib.objective.output_loss import OutputLoss
from samlib.objective.shares import SizeArgument
from samlib.objective.weighted_mean import WeightedMean

__all__ = [
    "Batch",
    "BatchLoss",
    "Chosen",
    "Data",
    "Loss",
    "LossFunction",
    "ModelLossFunction",
    "ModuleObjective",
    "Objective",
    "OutputLoss",
    "Pairs",
    "ScalarFunction",
    "SizeArgument",
    "WeightedMean",
    "require_batch",
    "require_data",
    "require_objective",
    "require_one_loss",
]
