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
    """Counts the vectors that live in tensors at each product, beyond those there at the start."""

    most_vectors = 0

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        inner = super().hessian_operator(x)
        forget_tensors()

        def product(v: Tensor) -> Tensor:
            if self.products % 9 == 0:  # looking takes longer than the product
                vectors = bytes_in_tensors() // (v.element_size() * self.dim)
                self.most_vectors = max(self.most_vectors, vectors)
            return inner(v)

        return product


def forget_tensors() -> None:
    """Leave what is there now out of what `bytes_in_tensors` looks at: tests before left a lot."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def bytes_in_tensors() -> int:
    """Return how many bytes the tensors hold that are not forgotten, each storage counted once."""
    tensors = (found for found in gc.get_objects() if type(found) is Tensor)
    storages = (tensor.untyped_storage() for tensor in tensors)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def uniform(count: int) -> Tensor:
    """Return the same random numbers in [0, 1] each time."""
    return torch.rand(count, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
