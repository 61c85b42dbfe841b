"""Losses for the tests of the notions of sharpness."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import samlib
from samlib import Objective

DOUBLE = {"dtype": torch.float64}


def wavy(x: Tensor) -> Tensor:
    """A loss with several local maxima on a circle of radius 1."""
    bowl = 0.1 * (x**2).sum()
    return torch.sin(3 * x[0]) * torch.cos(2 * x[1]) + bowl + 0.3 * torch.sin(2 * x[0] * x[1])


def network(seed: int = 0, rows: int = 12) -> tuple[samlib.ModuleObjective, Tensor]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 3)).double()
    data = torch.randn(rows, 4, **DOUBLE), torch.randint(0, 3, (rows,))
    objective = Objective.from_module(model, nn.CrossEntropyLoss(), data)
    return objective, objective.flat_parameters()
