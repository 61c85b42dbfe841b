"""A loss on a flat parameter vector, of a function or of a network on data."""

from samlib.objective.data import Pairs, require_batch, require_data
from samlib.objective.derivatives import ScalarFunction
from samlib.objective.objective import LossFunction, ModuleObjective, Objective, require_objective

__all__ = [
    "LossFunction",
    "ModuleObjective",
    "Objective",
    "Pairs",
    "ScalarFunction",
    "require_batch",
    "require_data",
    "require_objective",
]
