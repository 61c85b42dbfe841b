"""A small network with its rows and optimizers, for the tests of training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import samlib
from samlib import problems

MSE = nn.MSELoss()


def rows(device: torch.device | str = "cpu", count: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return inputs.to(device), torch.sin(inputs.sum(dim=1, keepdim=True)).to(device)


def network(device: torch.device | str = "cpu") -> nn.Sequential:
    return problems.perceptron((4, 6, 1), seed=0, device=str(device))


def sgd(model: nn.Module, lr: float = 0.1, **more: Any) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr, **more)


def sam(model: nn.Module, rho: float = 0.1) -> samlib.optim.SAM:
    return samlib.optim.SAM(model.parameters(), sgd(model), rho=rho)


def weights(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def noisy_network() -> nn.Sequential:
    body = network()
    return nn.Sequential(body[0], nn.Dropout(0.5), *body[1:])
