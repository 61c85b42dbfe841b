"""Quadratics with a given spectrum, which count their Hessian-vector products."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import Tensor

from samlib import Objective


class Diagonal(Objective):
    """½ Σ sᵢ xᵢ². Random directions do not care about rotations, so none is needed."""

    def __init__(self, spectrum: Tensor) -> None:
        super().__init__(lambda x: (spectrum.to(x) * x**2).sum() / 2, len(spectrum))
        self.spectrum = spectrum.double()
        self.products = 0

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        spectrum = self.spectrum.to(x)

        def product(v: Tensor) -> Tensor:
            self.products += 1
            return spectrum * v

        return product


class Watched(Diagonal):
    """Counts the numbers that live in tensors at each product."""

    most_vectors = 0

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        inner = super().hessian_operator(x)

        def product(v: Tensor) -> Tensor:
            if self.products % 9:  # looking takes longer than the product
                return inner(v)
            storages = {
                t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
                for t in gc.get_objects()
                if type(t) is Tensor
            }
            self.most_vectors = max(
                self.most_vectors, sum(storages.values()) // (v.element_size() * self.dim)
            )
            return inner(v)

        return product


def uniform(count: int) -> Tensor:
    """Return the same random numbers in [0, 1] each time."""
    return torch.rand(count, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
