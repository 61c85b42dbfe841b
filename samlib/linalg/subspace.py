"""A subspace on which a symmetric matrix is known, and the search for what it does not hold.

Lanczos sees through the space that grows from one vector. An eigenvalue whose vector has hardly a
part in that start, or that is a copy of another, is not in the space yet when all residuals are
small already: a residual says that an eigenvalue is near, not which one it is. Here is what can be
said of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from samlib._precision import wide_dtype
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
        E, [c, dim] on the device, orthonormal and orthogonal to Q; C, [c, m], float64 on the host.
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

    @classmethod
    def nothing(cls, rows: Tensor, shards: Shards) -> Subspace:
        """The space of no vector, with these [n, dim] to be the first that it is extended by."""
        remainders, lengths = orthonormal_rows(rows, rows[:0], shards)
        empty = torch.zeros(len(rows), 0, dtype=torch.float64)
        known = lengths.diagonal() > len(rows) * torch.finfo(rows.dtype).eps * lengths.norm()
        return cls(rows[:0], empty[:0], remainders[known.to(rows.device)], empty[known], shards)

    def __len__(self) -> int:
        return len(self.basis)

    @property
    def is_finite(self) -> bool:
        """Whether what H makes of the space is."""
        return bool(self.projected.isfinite().all() and self.couplings.isfinite().all())

    @property
    def scale(self) -> float:
        """The largest |eigenvalue| seen."""
        return float(torch.linalg.eigvalsh(self.projected).abs().max())

    def ritz(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """The top k Ritz values [k], their coefficients [m, k], and residuals ‖Hq − θq‖ [k]."""
        values, vectors = torch.linalg.eigh((self.projected + self.projected.T) / 2)
        values, vectors = values.flip(0)[:k], vectors.flip(1)[:, :k]
        return values, vectors, (self.couplings @ vectors).norm(dim=0)

    def extended(self, product: Product, weights: Tensor) -> Subspace:
        """The space with more vectors: combinations of E with the weights [c, n], n ≤ c.

        Takes n products. Extended by what H makes of Ritz vectors outside, it is the space of
        block Lanczos, where those whose residuals are small already are left alone (Parlett,
        1998, §13.10).
        """
        n, m = weights.shape[1], len(self)
        turn = torch.linalg.qr(weights, mode="complete").Q.T
        turned, couplings = turn.to(self.basis) @ self.remainders, turn @ self.couplings
        basis = torch.cat([self.basis, turned[:n]])
        images = torch.stack([product(vector) for vector in turned[:n]])
        known = torch.cat([basis, turned[n:]]) if len(turned) > n else basis
        inside = self.shards.inner(known, images.T)
        fresh, lengths = orthonormal_rows(images - inside.T @ known, known, self.shards)
        seen = inside.cpu().double()
        projected = torch.zeros(m + n, m + n, dtype=torch.float64)
        projected[:m, :m] = self.projected
        projected[:, m:] = seen[: m + n]
        projected[m:, :m] = seen[:m].T
        old = torch.cat([couplings[n:], couplings.new_zeros(n, m)])
        couplings = torch.cat([old, torch.cat([seen[m + n :], lengths])], dim=1)
        return Subspace(
            basis, projected, torch.cat([turned[n:], fresh]), couplings, self.shards
        )._without_rounding()

    def _without_rounding(self) -> Subspace:
        """Without those rows of E whose couplings are no more than rounding."""
        sizes = self.couplings.norm(dim=1)
        least = 10 * torch.finfo(self.basis.dtype).eps * float(self.projected.abs().max())
        kept = ~(sizes <= least)
        if bool(kept.all()):
            return self
        remainders = self.remainders[kept.to(self.basis.device)]
        return replace(self, remainders=remainders, couplings=self.couplings[kept])

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
        remainders, lengths = orthonormal_rows(remainders, basis, self.shards)
        couplings = lengths @ couplings @ change
        return Subspace(
            basis, values.diag(), remainders, couplings, self.shards
        )._without_rounding()


def orthonormal_rows(rows: Tensor, known: Tensor, shards: Shards) -> tuple[Tensor, Tensor]:
    """Orthonormal rows U [n, dim], orthogonal to the known ones, and R with rows = RᵀU there.

    R [n, n] is upper triangular, in float64 on the host. Gram and Schmidt's method, twice; where
    nothing but rounding is left of a row, its direction is arbitrary.
    """
    tiny = torch.finfo(rows.dtype).tiny
    unit = torch.empty_like(rows)
    triangle = rows.new_zeros(len(rows), len(rows), dtype=wide_dtype(rows.device))
    for j, row in enumerate(rows):
        length = rows.new_ones(())
        for _ in range(2):
            both = shards.total(torch.cat([unit[:j] @ row, known @ row]))
            triangle[:j, j] += (length * both[:j]).to(triangle)
            row = row - both[:j] @ unit[:j] - both[j:] @ known
            shorter = shards.norm(row)
            row, length = row / shorter.clamp(min=tiny), length * shorter
        triangle[j, j] = length
        unit[j] = row
    return unit, triangle.cpu().double()


def combine_rows(first: Tensor, second: Tensor, change: Tensor) -> Tensor:
    """changeᵀ · [first; second] for two bases with the same columns."""
    move = change.T.to(first)
    result: Tensor = move[:, : len(first)] @ first
    return result.addmm_(move[:, len(first) :], second) if len(second) else result
