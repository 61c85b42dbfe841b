"""Update rules, and what happens when they are repeated."""

from samlib.dynamics.rules import Rule
from samlib.dynamics.simulation import simulate
from samlib.dynamics.trajectory import RECORDABLE, Trajectory

__all__ = [
    "RECORDABLE",
    "Rule",
    "Trajectory",
    "simulate",
]
