"""Update rules, and what happens when they are repeated."""

from samlib.dynamics.cycles import AscentCycle, ascent_cycle, two_cycle_multipliers
from samlib.dynamics.rules import Rule
from samlib.dynamics.simulation import simulate
from samlib.dynamics.trajectory import RECORDABLE, Trajectory

__all__ = [
    "RECORDABLE",
    "AscentCycle",
    "Rule",
    "Trajectory",
    "ascent_cycle",
    "simulate",
    "two_cycle_multipliers",
]
