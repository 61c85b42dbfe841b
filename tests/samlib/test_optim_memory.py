"""The memory that a step takes beyond its base optimizer, as torch's own profiler counts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import samlib
from samlib.optim import lost_perturbation
from tests.memory import peak_bytes

WEIGHTS = 4 * (64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10)  # bytes


def training() -> tuple[nn.Module, torch.optim.Optimizer, Callable[[], Tensor]]:
    model = samlib.problems.perceptron((64, 128, 128, 10), seed=0, dtype=torch.float32)
    inputs, targets = torch.ones(2, 64), torch.arange(2)

    def closure() -> Tensor:
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), closure


def two_gradients() -> None:
    _, base, closure = training()
    for _ in range(2):
        closure()
        closure()
        base.step()


def steps(name: str, **settings: Any) -> Callable[[], None]:
    def run() -> None:
        model, base, closure = training()
        kind = getattr(samlib.optim, name)
        optimizer = kind(model.parameters(), base, rho=0.05, **settings)
        for _ in range(2):
            optimizer.step(closure)

    return run


@pytest.mark.parametrize(
    ("name", "settings", "most"),
    [
        ("SAM", {}, 1),
        ("UnnormalizedSAM", {}, 1),
        ("ASAM", {}, 1),
        ("AWP", {}, 1),
        ("AMP", {}, 2),
        ("GSAM", {"alpha": 0.1}, 4),
    ],
)
def test_a_step_takes_few_copies_of_the_weights_beyond_its_base(
    name: str, settings: dict[str, Any], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hardly any data, where what a pass of the network takes hides nothing."""
    monkeypatch.setattr(lost_perturbation, "CHUNK", 256)  # of 26,122 numbers
    copies = (peak_bytes(steps(name, **settings)) - peak_bytes(two_gradients)) / WEIGHTS
    assert copies <= most + 0.05
