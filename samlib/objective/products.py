"""Products with the Hessian at one point: of one vector, or of several together."""

from __future__ import annotations

import torch
from torch import Tensor

from samlib._validation import require_points, require_vector
from samlib.linalg.operator import ByBatch, Product


class Products:
    """v ↦ ∇²L(x) v for many v [dim] in turn.

    Parameters
    ----------
    product
        v [dim] ↦ Hv, and V [n, dim] ↦ the n products.
    x
        The point, [dim].
    by_batch
        The same of single batches, if ∇²L is the mean over several.
    """

    def __init__(self, product: Product, x: Tensor, by_batch: ByBatch | None = None) -> None:
        self._product, self._x = product, x
        self.by_batch = by_batch

    def __call__(self, v: Tensor) -> Tensor:
        """Hv for v [dim]."""
        return self._product(require_vector("v", v, self._x))

    def together(self, vectors: Tensor) -> Tensor:
        """The products with vectors [n, dim], several at once where that pays and fits."""
        return self._product(require_points("vectors", vectors, len(self._x)))


# Measured on perceptrons: several products at once save what each operation costs beside its
# arithmetic. Where numbers no longer stay in the processor's cache, they cost up to a third more.
_BYTES_OF_SMALL, _BYTES_IN_CACHE = 2**19, 2**23
_FEWEST = 4

# An accelerator is slow to start operations, however small, and has memory for large ones.
_BYTES_ELSEWHERE = 2**28


def how_many_pay(needed: int, device: torch.device, vectors: int) -> int:
    """How many products are made at once on a device, if each needs so many bytes."""
    if device.type != "cpu":
        return max(1, _BYTES_ELSEWHERE // needed)
    pays = needed <= _BYTES_OF_SMALL and vectors >= _FEWEST
    return _BYTES_IN_CACHE // needed if pays else 1
