"""Losses whose minimizers are curved, for the tests of the flows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from samlib import problems

NETWORK, START = problems.interpolating_network()


def double(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tilted_sphere(x: Tensor) -> Tensor:
    """Γ is the unit sphere; the one non-zero eigenvalue there is 2 + x₃."""
    return (2 + x[2]) * (x.square().sum() - 1) ** 2 / 8


def network_loss(x: Tensor) -> Tensor:
    w, b, a = x[:30].view(10, 3), x[30:40], x[40:]
    outputs = torch.tanh(NETWORK.inputs @ w.T + b) @ a / math.sqrt(10)
    return ((outputs - NETWORK.targets) ** 2).mean() / 2
