"""A network for the figure Explore, its loss without samlib, and a loss held up at will."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import torch
from torch import Tensor, nn

from samlib.widgets import Explore, explore

PATIENCE = 60
RADII = (0.05, 0.4)
ROWS = torch.zeros(3, 2), torch.zeros(3, 1)


class Problem:
    """A small trained network with 92 parameters, too many for samlib's dense Hessians."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.inputs = torch.randn(40, 6, generator=generator, dtype=torch.float64)
        self.targets = torch.randn(40, 2, generator=generator, dtype=torch.float64)
        self.model = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 2)).double()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.2)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.mse_loss(self.model(self.inputs), self.targets).backward()
            optimizer.step()
        optimizer.zero_grad()
        self.x = nn.utils.parameters_to_vector(self.model.parameters()).detach()

    def explore(self, **options: Any) -> Explore:
        return explore(self.model, nn.MSELoss(), (self.inputs, self.targets), **options)

    def loss(self, x: Tensor) -> Tensor:
        """L at x, by hand."""
        w1, b1, w2, b2 = torch.split(x, [60, 10, 20, 2])
        hidden = torch.tanh(self.inputs @ w1.reshape(10, 6).T + b1)
        return ((hidden @ w2.reshape(2, 10).T + b2 - self.targets) ** 2).mean()

    def gradient(self) -> Tensor:
        return torch.autograd.functional.jacobian(self.loss, self.x)

    def hessian(self) -> Tensor:
        return torch.autograd.functional.hessian(self.loss, self.x)


class Gate:
    """A loss that can be held up, and counts how often it is asked."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.calls = 0
        self.fail = False

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        assert self.open.wait(PATIENCE)
        self.calls += 1
        if self.fail:
            raise ArithmeticError("it went wrong")
        return nn.functional.mse_loss(outputs, targets)


def until(look: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end
        time.sleep(0.005)


def hold_up(figure: Explore, gate: Gate, rho: float) -> None:
    """Begin to measure at ρ, and hold it up after some evaluations."""
    before = gate.calls
    figure.rho = rho
    until(lambda: gate.calls > before + 2)
    gate.open.clear()


def state_of(html: str) -> str:
    found = re.search(r'<script type="application/json">(.*?)</script>', html)
    assert found is not None
    return found[1]
