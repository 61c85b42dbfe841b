"""Lanczos iteration: a symmetric matrix, known by its products, seen through a small subspace.

The basis is fully reorthogonalized and restarted when it is full (thick restart; Wu and Simon,
2000), so memory is bounded. On an accelerator the host waits for the device once in four products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib._precision import wide_dtype
from samlib.linalg.operator import Product
from samlib.linalg.shards import Shards

# Looking at the small matrix costs nothing on the CPU; elsewhere it makes the host wait.
PRODUCTS_BETWEEN_LOOKS = {"cpu": 1}
PRODUCTS_ELSEWHERE = 4

# A change of basis rewrites so many columns at a time, to need no second basis beside the first.
_COLUMNS_AT_ONCE = 2**16


@dataclass(frozen=True)
class RitzPairs:
    """Eigenpairs of H seen through the basis, on the host, in float64, largest value first.

    ``residuals`` holds ‖H q − θ q‖ for each. ``beta`` is the norm of the part of the last image
    outside the basis, 0 if it is no more than rounding; ``exhausted`` says that the subspace
    counts as invariant. ``beta`` is NaN where H is not finite.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    beta: float
    exhausted: bool = False

    @property
    def scale(self) -> float:
        """The largest |eigenvalue| seen."""
        return float(self.values.abs().max())


class Lanczos:
    """An orthonormal basis Q that grows by one Hessian-vector product at a time, and QᵀHQ.

    Parameters
    ----------
    product
        v ↦ H v for v [dim].
    start
        The first direction, [dim], not zero.
    capacity
        How many vectors may be kept.
    invariant
        The subspace counts as invariant when ``beta`` is at most this multiple of the scale of H.
        Rounding always counts as zero.
    avoided
        Orthonormal rows [n, dim]: H is seen on their complement, in which the start lies.
    scale
        Of H, if it is known: at least that large is what is rounded.
    shards
        How vectors lie over processes; each has all of them if not given. ``dim`` in shapes is
        then what this one holds.
    """

    def __init__(
        self,
        product: Product,
        start: Tensor,
        capacity: int,
        *,
        invariant: float = 0.0,
        avoided: Tensor | None = None,
        scale: float = 0.0,
        shards: Shards | None = None,
    ) -> None:
        self._product = product
        self.shards = Shards(len(start)) if shards is None else shards
        self._avoided = start.new_empty(0, len(start)) if avoided is None else avoided
        self._scale = scale
        self._capacity = min(capacity, self.shards.dim - len(self._avoided))
        self._rounding = 10 * torch.finfo(start.dtype).eps
        self._invariant = max(invariant, self._rounding)
        self._basis = start.new_empty(self._capacity + 1, len(start))
        wide = wide_dtype(start.device)
        self._projected = start.new_zeros(self._capacity, self._capacity, dtype=wide)
        self._betas = start.new_zeros(self._capacity, dtype=wide)
        self._basis[0] = start / self.shards.norm(start)
        self.size = 0
        self.products = 0
        self._host = torch.empty(0, 0, dtype=torch.float64)
        self.seen = _ritz_pairs(self._host, 0.0)

    @property
    def full(self) -> bool:
        """Whether the basis has to be restarted before it can grow."""
        return self.size == self._capacity

    def grow(self, at_most: int | None = None) -> RitzPairs:
        """Spend as many products as fit between two looks, and look: see ``seen``."""
        wanted = PRODUCTS_BETWEEN_LOOKS.get(self._basis.device.type, PRODUCTS_ELSEWHERE)
        first, room = self.size, self._capacity - self.size
        for _ in range(min(wanted, room, room if at_most is None else at_most)):
            self._extend()
        self.seen = self._look(first)
        return self.seen

    def _extend(self) -> None:
        j = self.size
        known = self._basis[: j + 1]
        image = self._outside(self._product(known[j]))
        coefficients = self.shards.inner(known, image)
        image = image - coefficients @ known
        # Twice, for orthogonality to rounding: the second time at unit length, because of a short
        # remainder a large part is rounding, which lies anywhere.
        tiny = torch.finfo(image.dtype).tiny
        length = self.shards.norm(image)
        following = image / length.clamp(min=tiny)
        correction = self.shards.inner(known, following)
        following = self._outside(following - correction @ known)
        column = (coefficients + length * correction).to(self._projected)
        self._projected[: j + 1, j] = self._projected[j, : j + 1] = column
        shortened = self.shards.norm(following)
        self._betas[j] = (length * shortened).to(self._betas)
        self._basis[j + 1] = following / shortened.clamp(min=tiny)
        self.size += 1
        self.products += 1

    def _outside(self, vector: Tensor) -> Tensor:
        """The part of a vector that is orthogonal to the rows to be avoided."""
        if not len(self._avoided):
            return vector
        return vector - self.shards.inner(self._avoided, vector) @ self._avoided

    def _look(self, first: int) -> RitzPairs:
        small = self._projected[: self.size, : self.size]
        together = torch.cat([small, self._betas[None, : self.size]])
        host = together.cpu().double()
        self._host = projected = host[:-1]
        betas = host[-1]
        for m in range(first + 1, self.size + 1):
            seen, beta = projected[:m, :m], float(betas[m - 1])
            if not (bool(seen.isfinite().all()) and math.isfinite(beta)):
                nan = torch.full((m,), torch.nan, dtype=torch.float64)
                return RitzPairs(nan, seen * torch.nan, nan, torch.nan)
            scale = max(float(seen.abs().max()), self._scale)
            if beta <= self._invariant * scale:
                self.size = m  # what came after an invariant subspace does not belong to it
                return _ritz_pairs(seen, beta if beta > self._rounding * scale else 0.0, True)
        return _ritz_pairs(seen, beta)

    def open_block(self, vector: Tensor) -> None:
        """Go on in the complement of the basis, from ``vector``."""
        known = self._basis[: self.size]
        for _ in range(2):
            vector = vector - self.shards.inner(known, vector) @ known
            vector = vector / self.shards.norm(vector)
        self._basis[self.size] = vector

    def restart(self, keep: int) -> None:
        """Keep the ``keep`` top Ritz vectors (thick restart)."""
        ritz = _ritz_pairs(self.on_host, 0.0)
        following = self._basis[self.size].clone()
        rotate_rows(self._basis[: self.size], ritz.vectors[:, :keep])
        self._basis[keep] = following
        self._projected.zero_()
        self._host = ritz.values[:keep].diag()
        self._projected[:keep, :keep] = self._host.to(self._projected)
        self.size = keep

    def vectors(self, ritz: RitzPairs, k: int) -> Tensor:
        """The Ritz vectors of the k top pairs in the full space, [dim, k]."""
        result: Tensor = self._basis[: self.size].T @ ritz.vectors[:, :k].to(self._basis)
        return result

    @property
    def basis(self) -> Tensor:
        """The orthonormal vectors, [size, dim]."""
        return self._basis[: self.size]

    @property
    def following(self) -> Tensor:
        """The unit vector along the part of the last image outside the basis, [dim]."""
        return self._basis[self.size]

    @property
    def remainder(self) -> Tensor:
        """The part of the last image outside the basis, [dim]: HQ is QT but for this, last."""
        return self._basis[self.size] * self._betas[self.size - 1].to(self._basis)

    @property
    def projected(self) -> Tensor:
        """QᵀHQ, [size, size], on the device, in float64 where it has that."""
        return self._projected[: self.size, : self.size]

    @property
    def on_host(self) -> Tensor:
        """The same as last looked at, float64 on the host: nobody waits for it."""
        return self._host[: self.size, : self.size]


def random_direction(
    like: Tensor, generator: torch.Generator, shards: Shards | None = None
) -> Tensor:
    """Draw a unit vector of shape [dim] on the CPU, so that it is the same on every device.

    And in any number of processes: each draws all coordinates, and keeps what it holds.
    """
    shards = Shards(len(like)) if shards is None else shards
    vector = torch.randn(shards.dim, generator=generator, dtype=torch.float64)
    unit = shards.part(vector / vector.norm()).to(like.dtype)
    if like.is_cuda:  # from pinned memory the copy does not make the host wait
        unit = unit.pin_memory()
    moved: Tensor = unit.to(like.device, non_blocking=True)
    return moved


def rotate_rows(basis: Tensor, change: Tensor) -> None:
    """Replace the first k rows of a basis [m, dim] by changeᵀ · basis, in place; change [m, k]."""
    rows = change.shape[1]
    move = change.T.to(basis)
    for columns in torch.split(basis, _COLUMNS_AT_ONCE, dim=1):
        columns[:rows] = move @ columns


def _ritz_pairs(projected: Tensor, beta: float, exhausted: bool = False) -> RitzPairs:
    if not len(projected):
        empty = projected.new_empty(0)
        return RitzPairs(empty, projected, empty, beta, exhausted)
    values, vectors = torch.linalg.eigh((projected + projected.T) / 2)
    values, vectors = values.flip(0), vectors.flip(1)
    return RitzPairs(values, vectors, beta * vectors[-1].abs(), beta, exhausted)
