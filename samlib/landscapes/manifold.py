"""Γ, the set of minimizers of a landscape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from samlib._validation import (
    require_callable,
    require_count,
    require_point,
    shown,
)


class MinimizerManifold:
    """Γ, the set of minimizers of a landscape, and the curvature on it.

    Parameters
    ----------
    dim
        D, the dimension of the surrounding space.
    normal
        The coordinates that vanish on Γ; their number is M, the rank of ∇²L there.
    curvatures
        Maps x [..., dim] on Γ to the M non-zero eigenvalues of ∇²L(x), [..., M], in any order.
    """

    def __init__(
        self, dim: int, normal: Sequence[int], curvatures: Callable[[Tensor], Tensor]
    ) -> None:
        self.dim = require_count("dim", dim, minimum=1)
        if isinstance(normal, str) or not isinstance(normal, Iterable):
            raise TypeError(f"normal must be a sequence of coordinates, got {shown(normal)}")
        self.normal = tuple(
            require_count("every entry of normal", i, minimum=0, maximum=dim - 1) for i in normal
        )
        self._curvatures = require_callable("curvatures", curvatures, "x [..., dim] ↦ [..., M]")

    def nearest(self, x: Tensor) -> Tensor:
        """The point of Γ nearest to x: [..., dim] → [..., dim]."""
        on_manifold = require_point("x", x, self.dim).clone()
        on_manifold[..., list(self.normal)] = 0.0
        return on_manifold

    def distance(self, x: Tensor) -> Tensor:
        """The Euclidean distance from x to Γ: [..., dim] → [...]."""
        normal = require_point("x", x, self.dim)[..., list(self.normal)]
        distance: Tensor = torch.linalg.vector_norm(normal, dim=-1)
        return distance

    def eigenvalues(self, x: Tensor) -> Tensor:
        """λ₁ ≥ … ≥ λ_M > 0 at the point of Γ nearest to x: [..., dim] → [..., M]."""
        return self._curvatures(self.nearest(x)).sort(dim=-1, descending=True).values

    def top_eigenvalue(self, x: Tensor) -> Tensor:
        """λ₁ at the point of Γ nearest to x. S^Max = λ₁/2 (Definition 4.1)."""
        return self.eigenvalues(x)[..., 0]

    def smallest_nonzero_eigenvalue(self, x: Tensor) -> Tensor:
        """λ_M at the point of Γ nearest to x. S^Asc = λ_M/2 (Definition 4.1)."""
        return self.eigenvalues(x)[..., -1]

    def trace(self, x: Tensor) -> Tensor:
        """Tr ∇²L at the point of Γ nearest to x. S^Avg = Tr/(2D) (Definition 4.1)."""
        return self._curvatures(self.nearest(x)).sum(dim=-1)
