"""A small one of each result that samlib makes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import samlib
from samlib import rules, training
from samlib.landscapes import FourDimensional, Quadratic
from tests.samlib.arguments.world import rows


@functools.cache
def trajectory() -> samlib.Trajectory:
    start = torch.full((4,), 0.1, dtype=torch.float64)
    return samlib.simulate(FourDimensional(), rules.SAM(0.01, 0.1), start, 2, record=("x", "loss"))


@functools.cache
def flow() -> samlib.FlowPath:
    start = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64)
    return samlib.limiting_flow(FourDimensional(), start, "trace", [0.0, 0.1])


@functools.cache
def density() -> samlib.SpectralDensity:
    return samlib.spectral_density(Quadratic([2.0, 1.0]), torch.zeros(2))


@functools.cache
def layers() -> samlib.Layers:
    model = nn.Linear(3, 2).double()
    objective = samlib.Objective.from_module(model, nn.MSELoss(), rows())
    return samlib.layerwise(objective, objective.flat_parameters(), by="parameter")


@functools.cache
def history() -> training.History:
    model = nn.Linear(3, 2).double()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    return training.fit(model, rows(), sgd, loss_fn=nn.MSELoss(), epochs=2)


MADE: dict[type, Callable[[], Any]] = {
    samlib.Trajectory: trajectory,
    samlib.FlowPath: flow,
    samlib.SpectralDensity: density,
    training.History: history,
}
