"""Where the simulations of the tests start, and on what."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import Tensor

from samlib.landscapes import Landscape

START = torch.tensor([0.5, 0.5, 0.1, 0.2], dtype=torch.float64)


def f1(x: Tensor) -> Tensor:
    return x[..., 0] ** 2 + 6 * x[..., 1] ** 2 + 8


def f2(x: Tensor) -> Tensor:
    return 4 * (1 - x[..., 0]) ** 2 + (1 - x[..., 1]) ** 2 + 1


def starts(landscape: Landscape, batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return 0.5 * torch.randn(batch, landscape.dim, generator=generator, dtype=torch.float64)


def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> object:
        return None if name == "numba" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
