"""A small training loop, with monitors that measure the network while it learns."""

from samlib.training.effect import SAMEffect
from samlib.training.history import History, Reading
from samlib.training.loop import fit
from samlib.training.monitors import AccuracyMonitor, SharpnessMonitor

__all__ = [
    "AccuracyMonitor",
    "History",
    "Reading",
    "SAMEffect",
    "SharpnessMonitor",
    "fit",
]
