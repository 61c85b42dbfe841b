"""What the calls are made with, and what a call that fails must not have changed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

from samlib import optim
from samlib.landscapes import FourDimensional


def rows() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(6, 3, generator=generator, dtype=torch.float64),
        torch.randn(6, 2, generator=generator, dtype=torch.float64),
    )


class World:
    """A network in the middle of its training, and what else the calls are made with."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 2)
        ).double()
        self.inputs, self.targets = self.data = rows()
        self.loss_fn = nn.MSELoss()
        self.base = self.sgd(self.groups())
        self.backward()
        self.base.step()
        self.base.zero_grad()
        self.model[2].eval()
        self.optimizer = self.sgd(self.groups())
        self.objective = FourDimensional()
        self.x = torch.tensor([[0.5, 0.5, 0.1, 0.2], [0.4, 0.3, 0.2, 0.1]], dtype=torch.float64)
        self.k = torch.tensor([0, 1])
        self.instance: Any = None

    def groups(self) -> list[dict[str, Any]]:
        first, *others = self.model.parameters()
        return [{"params": [first]}, {"params": others}]

    def sgd(self, parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.01, momentum=0.9)

    def loss(self) -> Tensor:
        loss: Tensor = self.loss_fn(self.model(self.inputs), self.targets)
        return loss

    def loss_of_batch(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        loss: Tensor = self.loss_fn(model(batch[0]), batch[1])
        return loss

    def loss_and_backward(self, *batch: Tensor) -> Tensor:
        loss = self.loss()
        loss.backward()
        return loss

    def backward(self, create_graph: bool = False) -> None:
        self.model.zero_grad()
        self.loss().backward(create_graph=create_graph)

    def state(self) -> list[Any]:
        """Everything that a call with a wrong argument must leave as it was."""
        parameters = list(self.model.parameters())
        own = self.instance.state_dict() if isinstance(self.instance, optim.SharpnessAware) else {}
        return fingerprint(
            [
                torch.get_rng_state(),
                hash(random.getstate()),
                np.random.get_state()[1:3],
                torch.get_default_dtype(),
                torch.is_grad_enabled(),
                self.model.state_dict(),
                [p.grad for p in parameters],
                [p.requires_grad for p in parameters],
                [module.training for module in self.model.modules()],
                [len(module._forward_pre_hooks) for module in self.model.modules()],
                len(nn.modules.module._global_forward_pre_hooks),
                self.base.state_dict(),
                self.optimizer.state_dict(),
                own,
                [self.x, self.k, self.inputs, self.targets],
                plt.get_fignums(),
            ]
        )


def fingerprint(value: Any) -> Any:
    """Something that can be compared, to the last bit."""
    if isinstance(value, Tensor):
        return str(value.dtype), tuple(value.shape), value.detach().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, Mapping):
        return {key: fingerprint(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [fingerprint(each) for each in value]
    return value
