"""Every optimizer of samlib.optim, a small network to train, and one step of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samlib import Objective, optim
from samlib.optim import SharpnessAware


class Problem:
    """A small network with data, its closure, and the objective that it is."""

    def __init__(self, device: torch.device, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(device)

        self.model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double().to(device)
        with torch.no_grad():
            for p in self.model.parameters():
                p.copy_(normal(*p.shape))
        self.inputs, self.targets = normal(8, 3), normal(8, 2)
        data = (self.inputs, self.targets)
        self.objective = Objective.from_module(self.model, nn.MSELoss(), data)

    def weights(self) -> Tensor:
        return self.objective.flat_parameters()

    def closure(self, optimizer: torch.optim.Optimizer) -> Callable[[], Tensor]:
        def evaluate() -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(self.model(self.inputs), self.targets)
            loss.backward()
            return loss

        return evaluate

    def sam(self, rho: float = 0.1, lr: float = 0.05, **base: Any) -> optim.SAM:
        sgd = torch.optim.SGD(self.model.parameters(), lr=lr, **base)
        return optim.SAM(self.model.parameters(), sgd, rho=rho)


LR = 0.05
SCALE = 1024.0
FAMILY: dict[str, Callable[..., SharpnessAware]] = {
    "SAM": partial(optim.SAM, rho=0.1),
    "UnnormalizedSAM": partial(optim.UnnormalizedSAM, rho=0.1),
    "ASAM": partial(optim.ASAM, rho=0.3, eta=0.02),
    "GSAM": partial(optim.GSAM, rho=0.1, alpha=0.4),
    "LookSAM": partial(optim.LookSAM, rho=0.1, alpha=0.7, every=3),
    "MSAM": partial(optim.MSAM, rho=0.1, m=3),
    "EigenSAM": partial(optim.EigenSAM, rho=0.1, alpha=0.5, every=3, power_steps=4),
    "AWP": partial(optim.AWP, rho=0.05),
    "AMP": partial(optim.AMP, rho=0.1, inner_lr=0.5, inner_steps=3),
    "DiametricalRisk": partial(optim.DiametricalRisk, rho=0.1, directions=5),
}
CLASSES = {name: getattr(optim, name) for name in FAMILY}
TAKES_LOSS = [name for name, of in CLASSES.items() if of.takes_loss]
IN_TWO_STEPS = [name for name, of in CLASSES.items() if of.in_two_steps]

every_optimizer = pytest.mark.parametrize("name", FAMILY)
two_step_optimizers = pytest.mark.parametrize("name", IN_TWO_STEPS)


def make(name: str, problem: Problem, momentum: float = 0.0, **settings: Any) -> SharpnessAware:
    parameters = list(problem.model.parameters())
    base = torch.optim.SGD(parameters, lr=LR, momentum=momentum)
    return FAMILY[name](parameters, base, **settings)


def step(problem: Problem, optimizer: SharpnessAware, before: Any = lambda: None) -> Any:
    """One step with the closure that the optimizer asks for; ``before`` runs in every call."""

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        before()
        return nn.functional.mse_loss(problem.model(inputs), targets)

    def backward(inputs: Tensor, targets: Tensor) -> Tensor:
        value = loss(inputs, targets)
        value.backward()
        return value

    if optimizer.takes_batch:
        return optimizer.step(backward, problem.inputs, problem.targets)
    call = loss if optimizer.takes_loss else backward
    return optimizer.step(lambda: call(problem.inputs, problem.targets))


def two_step(problem: Problem, optimizer: SharpnessAware, micro_batches: int = 1) -> None:
    """One step in a loop of one's own, gradients accumulated over micro-batches."""

    def backward(create_graph: bool = False) -> None:
        pairs = zip(
            problem.inputs.chunk(micro_batches), problem.targets.chunk(micro_batches), strict=True
        )
        for inputs, targets in pairs:
            loss = nn.functional.mse_loss(problem.model(inputs), targets) / micro_batches
            loss.backward(create_graph=create_graph)

    optimizer.zero_grad()
    backward(create_graph=getattr(optimizer, "refreshes", False))
    for _ in range(optimizer.ascents):
        optimizer.first_step()
        backward()
    optimizer.second_step()


def scaler_for(device: torch.device, **settings: Any) -> torch.amp.GradScaler:
    return torch.amp.GradScaler(device.type, init_scale=SCALE, **settings)


def scaled_step(
    problem: Problem,
    optimizer: optim.SharpnessAware,
    scaler: torch.amp.GradScaler,
    spoil_call: int = 0,
) -> Any:
    """One step with a closure, the loss of the given call multiplied by infinity."""
    calls = 0

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        value = nn.functional.mse_loss(problem.model(inputs), targets)
        return value * torch.inf if calls == spoil_call else value

    def backward(inputs: Tensor, targets: Tensor) -> Tensor:
        value = loss(inputs, targets)
        scaler.scale(value).backward()
        return value

    data = (problem.inputs, problem.targets)
    if optimizer.takes_batch:
        return optimizer.step(backward, *data, scaler=scaler)
    by_loss = optimizer.takes_loss
    return optimizer.step(lambda: (loss if by_loss else backward)(*data), scaler=scaler)
