"""A subspace on which a symmetric matrix is known, and the search for what it does not hold.

Lanczos sees through the space that grows from one vector. An eigenvalue whose vector has hardly a
part in that start, or that is a copy of another, is not in the space yet when all residuals are
small already: a residual says that an eigenvalue is near, not which one it is. Here is what can be
said of the others.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from samlib.linalg.lanczos import Lanczos
from samlib.linalg.operator import Product
from samlib.linalg.shards import Shards


@dataclass(frozen=True)
class Subspace:
    """Orthonormal rows Q with HQᵀ = QᵀG + EᵀC: what H makes of them, inside and outside.

    Attributes
    ----------
    basis
        Q, [m, dim], on the device.
    projected
        G = QHQᵀ, [m, m], float64 on the host.
    remainders, couplings
        E, [c, dim] on the device, orthogonal to Q; C, [c, m], float64 on the host.
    shards
        How vectors lie over processes; ``dim`` is what this one holds.
    """

    basis: Tensor
    projected: Tensor
    remainders: Tensor
    couplings: Tensor
    shards: Shards

    @classmethod
    def of(cls, krylov: Lanczos) -> Subspace:
        """What Lanczos has found so far."""
        projected, beta = krylov.on_host, krylov.seen.beta
        couplings = projected.new_zeros(1, len(projected))
        couplings[0, -1] = beta
        outside = int(beta > 0)
        remainders = krylov.following[None][:outside]
        return cls(krylov.basis, projected, remainders, couplings[:outside], krylov.shards)

    def __len__(self) -> int:
        return len(self.basis)

    def ritz(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """The top k Ritz values [k], their coefficients [m, k], and residuals ‖Hq − θq‖ [k]."""
        values, vectors = torch.linalg.eigh((self.projected + self.projected.T) / 2)
        values, vectors = values.flip(0)[:k], vectors.flip(1)[:, :k]
        outside = self.couplings @ vectors
        squares = (outside * (self._gram @ outside)).sum(dim=0)
        return values, vectors, squares.clamp(min=0).sqrt()

    @functools.cached_property
    def _gram(self) -> Tensor:
        """EEᵀ, float64 on the host."""
        return self.shards.inner(self.remainders, self.remainders.T).cpu().double()

    def vectors(self, coefficients: Tensor) -> Tensor:
        """Vectors of the full space, [dim, k], from their coefficients [m, k]."""
        result: Tensor = self.basis.T @ coefficients.to(self.basis)
        return result

    def residual(self, coefficients: Tensor) -> Tensor:
        """What H makes of one vector, of coefficients [m], outside of the space: [dim]."""
        result: Tensor = (self.couplings @ coefficients).to(self.basis) @ self.remainders
        return result

    def compressed(self, keep: int) -> Subspace:
        """The space of the top ``keep`` Ritz vectors."""
        if keep >= len(self):
            return self
        values, change, _ = self.ritz(keep)
        basis = combine_rows(self.basis, self.basis[:0], change)
        return replace(
            self, basis=basis, projected=values.diag(), couplings=self.couplings @ change
        )

    def outside(self, product: Product, level: float | None) -> Product:
        """H on the complement of the space, as it decides what is above ``level``.

        By Sylvester's law of inertia, H has as many eigenvalues above μ as G has and as the Schur
        complement PHP + EᵀSE has, S = C(μ − G)⁻¹Cᵀ, P the projection onto the complement. Ritz
        values above μ would lower it and are left out: then it has at least as many. Without a
        level it is PHP. (P itself is left to the chain that uses it.)
        """
        if level is None or not len(self.remainders):
            return product
        remainders, schur = self.remainders, self._schur(level).to(self.basis)
        inner = self.shards.inner
        return lambda vector: product(vector) + (schur @ inner(remainders, vector)) @ remainders

    def chain(self, product: Product, start: Tensor, level: float | None, most: int) -> Lanczos:
        """Lanczos with ``outside(level)`` on the complement, from the part of the start there."""
        for _ in range(2):
            start = start - self.shards.inner(self.basis, start) @ self.basis
            start = start / self.shards.norm(start)
        scale = float(self.ritz(len(self))[0].abs().max())
        outside = self.outside(product, level)
        return Lanczos(outside, start, most, avoided=self.basis, scale=scale, shards=self.shards)

    def _schur(self, level: float) -> Tensor:
        values, vectors, _ = self.ritz(len(self))
        outside = self.couplings @ vectors
        below = values < level
        scaled = outside[:, below] / (level - values[below])
        return scaled @ outside[:, below].T

    def joined(self, chain: Lanczos, level: float | None, keep: int) -> Subspace:
        """The space of the top ``keep`` Ritz vectors of this one and a chain from its complement.

        No product is needed: what H makes of the chain follows from what ``outside(level)`` made.
        """
        grown = Subspace.of(chain)
        inside = self.shards.inner(self.remainders, grown.basis.T).cpu().double()  # EWᵀ
        schur = inside.new_zeros(len(inside), len(inside)) if level is None else self._schur(level)
        cross = self.couplings.T @ inside
        below = grown.projected - inside.T @ schur @ inside
        projected = torch.cat(
            [torch.cat([self.projected, cross], 1), torch.cat([cross.T, below], 1)]
        )
        couplings = projected.new_zeros(len(inside) + len(grown.couplings), len(projected))
        couplings[: len(inside), : len(self)] = self.couplings
        couplings[len(inside) :, len(self) :] = grown.couplings
        couplings[: len(inside), len(self) :] = -schur @ inside
        rest = self.remainders - inside.to(self.basis) @ grown.basis
        remainders = torch.cat([rest, grown.remainders])
        values, vectors = torch.linalg.eigh((projected + projected.T) / 2)
        keep = min(keep, len(projected))
        values, change = values.flip(0)[:keep], vectors.flip(1)[:, :keep]
        basis = combine_rows(self.basis, grown.basis, change)
        return Subspace(basis, values.diag(), remainders, couplings @ change, self.shards)


def combine_rows(first: Tensor, second: Tensor, change: Tensor) -> Tensor:
    """changeᵀ · [first; second] for two bases with the same columns."""
    move = change.T.to(first)
    result: Tensor = move[:, : len(first)] @ first
    return result.addmm_(move[:, len(first) :], second) if len(second) else result
