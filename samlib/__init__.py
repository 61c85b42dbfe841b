"""samlib: sharpness-aware minimization, measured.

The library behind the interactive textbook on how SAM minimizes sharpness. An
:class:`Objective` is a loss on a flat parameter vector; rules update a point;
:func:`simulate` runs them; the curvature functions measure where they are.
"""

from samlib import claims, landscapes, optim, plotting, problems, rules, widgets
from samlib.curvature import EigenResult, alignment, top_eigenpairs
from samlib.objective import ModuleObjective, Objective
from samlib.trajectory import Trajectory, simulate

__version__ = "0.1.0"

__all__ = [
    "EigenResult",
    "ModuleObjective",
    "Objective",
    "Trajectory",
    "alignment",
    "claims",
    "landscapes",
    "optim",
    "plotting",
    "problems",
    "rules",
    "simulate",
    "top_eigenpairs",
    "widgets",
]
