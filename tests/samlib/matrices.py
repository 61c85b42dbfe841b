"""Quadratics with a given matrix: they count their products, and have no dense Hessian."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from samlib import Objective

DIM = 90  # above 64, so that Lanczos is used


class Counted(Objective):
    """½ xᵀAx, which counts its Hessian-vector products."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__(lambda x: x @ (matrix.to(x) @ x) / 2, len(matrix))
        self.products = 0

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        product = super().hessian_operator(x)

        def counted(v: Tensor) -> Tensor:
            self.products += 1
            return product(v)

        return counted

    def hessian(self, x: Tensor) -> Tensor:
        raise AssertionError("Lanczos forms no Hessian")


def rotation(dim: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q


def rotated(spectrum: Tensor, seed: int = 0) -> Tensor:
    q = rotation(len(spectrum), seed)
    matrix = (q * spectrum.double()) @ q.T
    return (matrix + matrix.T) / 2


def spread(seed: int = 0, dim: int = DIM) -> Tensor:
    """An indefinite spectrum with a few separated eigenvalues on top."""
    generator = torch.Generator().manual_seed(seed)
    bulk = 2 * torch.rand(dim - 4, generator=generator, dtype=torch.float64) - 1
    return torch.cat([torch.tensor([9.0, 7.0, 5.0, 4.0], dtype=torch.float64), bulk])
