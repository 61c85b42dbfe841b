"""Networks with layers, and their dense Hessians, by parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

import samlib


class Logits(nn.Module):
    """A language model of transformers, as a network from tokens to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(tokens).logits.transpose(1, 2)


def perceptron() -> tuple[nn.Module, Any, Tensor, Tensor]:
    layers = nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3)
    return nn.Sequential(*layers), nn.MSELoss(), torch.randn(9, 6), torch.randn(9, 3)


def convolutional() -> tuple[nn.Module, Any, Tensor, Tensor]:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Softplus(), nn.Flatten(), nn.Linear(36, 3)
    )
    return model, nn.CrossEntropyLoss(), torch.randn(8, 1, 5, 5), torch.randint(3, (8,))


def transformer() -> tuple[nn.Module, Any, Tensor, Tensor]:
    transformers = pytest.importorskip("transformers")
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 6, "vocab_size": 9, "n_positions": 6}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    tokens = torch.randint(9, (4, 6))
    model = Logits(transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **ends)))
    return model, nn.CrossEntropyLoss(), tokens, tokens.roll(-1, 1)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Any, Tensor, Tensor]]] = {
    "perceptron": perceptron,
    "convolutional": convolutional,
    "transformer": transformer,
}


@dataclass(frozen=True)
class Dense:
    """A network's loss and its derivatives at its parameters, by parameter."""

    model: nn.Module
    loss_fn: Any
    data: tuple[Tensor, Tensor]
    objective: samlib.ModuleObjective
    parameters: dict[str, Tensor]
    gradients: dict[str, Tensor]
    blocks: dict[str, dict[str, Tensor]]

    @property
    def x(self) -> Tensor:
        return self.objective.flat_parameters()

    def block(self, names: Sequence[str]) -> Tensor:
        """The second derivatives in these parameters, [n, n]."""
        return torch.cat([torch.cat([self.blocks[a][b] for b in names], dim=1) for a in names])

    def loss(self, parameters: dict[str, Tensor]) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            outputs = functional_call(self.model, parameters, (self.data[0],))
        loss: Tensor = self.loss_fn(outputs, self.data[1])
        return loss


def dense(name: str) -> Dense:
    """One of the networks, in eval mode and float64, with all second derivatives."""
    torch.manual_seed(0)
    model, loss_fn, inputs, targets = NETWORKS[name]()
    model = model.double().eval()
    data = tuple(t.double() if t.is_floating_point() else t for t in (inputs, targets))
    inputs, targets = data
    weights = dict(model.named_parameters())
    with sdpa_kernel(SDPBackend.MATH):
        loss = loss_fn(model(inputs), targets)
    first = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    # Row by row: torch.func.hessian is wrong for layer norm, whose statistics it takes as constant.
    second = {
        name: rows_of(g, list(weights.values())) for name, g in zip(weights, first, strict=True)
    }
    return Dense(
        model,
        loss_fn,
        (inputs, targets),
        samlib.Objective.from_module(model, loss_fn, (inputs, targets)),
        {name: p.detach() for name, p in weights.items()},
        {name: g.detach() for name, g in zip(weights, first, strict=True)},
        {name: dict(zip(weights, blocks, strict=True)) for name, blocks in second.items()},
    )


def rows_of(gradient: Tensor, weights: list[nn.Parameter]) -> list[Tensor]:
    """The derivatives of each entry of a gradient, [entries, n] for each of the weights."""
    rows = [torch.autograd.grad(g, weights, retain_graph=True) for g in gradient.reshape(-1)]
    return [torch.stack([row.reshape(-1) for row in of_one]) for of_one in zip(*rows, strict=True)]
