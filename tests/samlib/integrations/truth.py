"""SAM written out by hand, to compare the loops with: no optimizer of samlib takes part."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]

RHO = 0.05
# The same sums in another order, in float64, over a dozen steps of a small network.
CLOSE = {"rtol": 0.0, "atol": 1e-12}


def network(seed: int = 0, dropout: float = 0.0, dtype: torch.dtype = torch.float64) -> Any:
    """A small network with weights of its own; the same for the same seed."""
    torch.manual_seed(seed)
    middle = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), *middle, nn.Linear(5, 2)).to(dtype)


def batches(count: int = 8, rows: int = 4, dtype: torch.dtype = torch.float64) -> list[Batch]:
    """Random regression data, in batches."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    return [(normal(rows, 3), normal(rows, 2)) for _ in range(count)]


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def mse(model: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def closure_of(model: nn.Module, batch: Batch) -> Callable[[], Tensor]:
    """The closure of an optimizer on a batch."""

    def closure() -> Tensor:
        loss = mse(model, batch)
        loss.backward()
        return loss

    return closure


def sam_by_hand(
    model: nn.Module,
    steps: Iterable[Sequence[Any]],
    bases: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
    *,
    rho: float = RHO,
    loss: Callable[[nn.Module, Any], Tensor] = mse,
    clip: float | None = None,
    divisor: int | None = None,
    after: Callable[[], Any] = lambda: None,
) -> list[float]:
    """Train by SAM on the mean loss of the micro-batches of each step; return the losses at w.

    The mean is their sum over ``divisor`` where a library divides by that in every step.
    """
    parameters, losses = list(model.parameters()), []
    for micro_batches in steps:

        def mean_loss(given: Sequence[Any] = micro_batches) -> Tensor:
            return torch.stack([loss(model, each) for each in given]).sum() / (
                divisor or len(given)
            )

        value = mean_loss()
        losses.append(float(value.detach()))
        first = torch.autograd.grad(value, parameters)
        length = torch.sqrt(sum((g.double() ** 2).sum() for g in first))
        before = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            for p, g in zip(parameters, first, strict=True):
                p += (rho * g / length).to(p)
        second = torch.autograd.grad(mean_loss(), parameters)
        with torch.no_grad():
            for p, kept, g in zip(parameters, before, second, strict=True):
                p.copy_(kept)
                p.grad = g
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        for base in bases if isinstance(bases, Sequence) else [bases]:
            base.step()
        after()
    return losses


def in_steps(data: Sequence[Any], micro_batches: int = 1) -> list[Sequence[Any]]:
    """Micro-batches, gathered into those of each step."""
    return [data[i : i + micro_batches] for i in range(0, len(data), micro_batches)]


def by_hand(
    start: nn.Module, data: Sequence[Any], micro_batches: int = 1, *, lr: float = 0.1, **given: Any
) -> nn.Module:
    """A copy of the network, trained by SAM around SGD."""
    model = copy.deepcopy(start)
    base = torch.optim.SGD(model.parameters(), lr=lr)
    sam_by_hand(model, in_steps(data, micro_batches), base, **given)
    return model


class Masks:
    """Keeps the masks that the dropout layers of a network draw."""

    def __init__(self, model: nn.Module) -> None:
        self.drawn: list[Tensor] = []
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        self.drawn.append(output == 0)

    def assert_each_drawn_in_both_passes(self, micro_batches: int) -> None:
        """Pass by pass: the masks of a step's micro-batches, and the same once more."""
        for step in in_steps(self.drawn, 2 * micro_batches):
            first, second = step[:micro_batches], step[micro_batches:]
            assert all(map(torch.equal, first, second))
        assert len({tuple(mask.flatten().tolist()) for mask in self.drawn}) == len(self.drawn) / 2
