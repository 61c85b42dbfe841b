"""samlib: sharpness-aware minimization, measured.

The library behind the interactive textbook on how SAM minimizes sharpness. An
:class:`Objective` is a loss on a flat parameter vector; rules update a point;
:func:`simulate` runs them; the curvature functions measure where they are.
"""

from samlib import (
    claims,
    datasets,
    landscapes,
    networks,
    optim,
    plotting,
    problems,
    rules,
    training,
    widgets,
)
from samlib.curvature import (
    EigenResult,
    SpectralDensity,
    alignment,
    fisher,
    gauss_newton,
    hessian,
    hessian_block,
    smallest_nonzero_eigenvalue,
    spectral_density,
    top_eigenpairs,
    trace,
)
from samlib.dynamics import Trajectory, simulate
from samlib.estimate import Estimate
from samlib.flow import FlowPath, Projection, limiting_flow, project_to_minimizers
from samlib.linalg import Operator
from samlib.objective import ModuleObjective, Objective
from samlib.sharpness import (
    Layers,
    LimitingRegularizers,
    Sharpness,
    ascent_direction_sharpness,
    average_direction_sharpness,
    layerwise,
    limiting_regularizers,
    stochastic_sharpness,
    worst_direction_sharpness,
)

__version__ = "0.1.0"

__all__ = [
    "EigenResult",
    "Estimate",
    "FlowPath",
    "Layers",
    "LimitingRegularizers",
    "ModuleObjective",
    "Objective",
    "Operator",
    "Projection",
    "Sharpness",
    "SpectralDensity",
    "Trajectory",
    "alignment",
    "ascent_direction_sharpness",
    "average_direction_sharpness",
    "claims",
    "datasets",
    "fisher",
    "gauss_newton",
    "hessian",
    "hessian_block",
    "landscapes",
    "layerwise",
    "limiting_flow",
    "limiting_regularizers",
    "networks",
    "optim",
    "plotting",
    "problems",
    "project_to_minimizers",
    "rules",
    "simulate",
    "smallest_nonzero_eigenvalue",
    "spectral_density",
    "stochastic_sharpness",
    "top_eigenpairs",
    "trace",
    "training",
    "widgets",
    "worst_direction_sharpness",
]
