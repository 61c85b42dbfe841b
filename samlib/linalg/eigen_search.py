"""The largest eigenvalues of a symmetric matrix that is known by its products, none skipped."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib.linalg.christoffel import probability_of_missing
from samlib.linalg.lanczos import (
    PRODUCTS_BETWEEN_LOOKS,
    PRODUCTS_ELSEWHERE,
    Lanczos,
    random_direction,
)
from samlib.linalg.operator import Product
from samlib.linalg.shards import Shards
from samlib.linalg.subspace import Subspace

# Lanczos vectors that are kept at once: more cost memory, fewer cost products.
KEPT_VECTORS = 40

# So many of them make room for a chain from the complement.
_ROOM = 20

# And so many for the vectors by which a space is extended: it is copied meanwhile.
_SPARE = 10

# A missing eigenvalue is looked for from this part of the tolerance above the last one on.
_MARGIN = 0.5

# Where a search ends before it is sure, the margin is widened so much at each try.
_WIDER = 1.2


@dataclass(frozen=True)
class Eigenpairs:
    """The k largest eigenvalues [k], their vectors [dim, k], and what is known of their errors.

    ``residuals`` holds ‖Hv − λv‖ for each, [k], ``image`` Hv of the first, [dim]; ``scale`` is the
    largest |eigenvalue| seen. That an eigenvalue above ``ceiling`` is missing in the list has at
    most the probability ``risk``.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    image: Tensor
    scale: float
    ceiling: float
    risk: float
    products: int

    @property
    def errors(self) -> Tensor:
        """How far each value may be from the eigenvalue of its number if none is missing, [k]."""
        return errors_in_clusters(self.values, self.residuals)


class EigenSearch:
    """The search for the k largest eigenpairs of one matrix.

    Lanczos runs until the residuals are small, and restarts when it has ``KEPT_VECTORS`` vectors.
    From a guess it is block Lanczos, which goes on with the largest residuals alone.
    Then other chains, each from a random vector of the complement, look for what it has not seen,
    until an eigenvalue there is improbable, or comes up and joins the others.

    Parameters
    ----------
    product
        v ↦ Hv for v [dim].
    like
        A vector with the dimension, the dtype and the device to compute in.
    k
        How many pairs.
    rtol
        The error at which to stop, relative to the largest |eigenvalue| seen: the residual, and in
        a cluster that of all in it.
    risk
        The probability of a skipped eigenvalue at which to stop; 1: look for none.
    max_products
        Stop after so many products.
    shards
        How vectors lie over processes; each has all of them if not given. ``dim`` in shapes is
        then what this one holds.
    """

    def __init__(
        self,
        product: Product,
        like: Tensor,
        k: int,
        *,
        rtol: float,
        risk: float,
        max_products: int,
        shards: Shards | None = None,
    ) -> None:
        self._product, self._like, self._k = product, like, k
        self._shards = Shards(len(like)) if shards is None else shards
        self._rtol, self._risk, self._left = rtol, risk, max_products
        self._most = max_products
        self._capacity = max(KEPT_VECTORS, 3 * k)
        self._generator = torch.Generator().manual_seed(0)
        self._scale = 0.0
        self._in_vain = False  # a chain has become as long as it may, and was not sure

    def run(self, guess: Tensor | None = None) -> Eigenpairs:
        """Search, from a random direction or from ``guess`` [dim, n], n vectors."""
        space, ceiling, risk = self._begun(guess)
        while self._left and math.isfinite(self._scale):
            if len(space) == self._shards.dim:
                ceiling, risk = -math.inf, 0.0
                break
            values, coefficients, residuals = space.ritz(self._k)
            if not self._settled(values, residuals):
                space = self._refined(space, coefficients, residuals)
            elif len(space) >= self._k and risk <= self._risk and self._is_near(space, ceiling):
                break
            else:
                # The longer one is let go of before a chain is made.
                space = space.compressed(self._capacity - _ROOM)
                space, ceiling, risk = self._searched(space)
        if not math.isfinite(self._scale):
            return self._nothing()
        return self._result(space, ceiling, risk)

    def _begun(self, guess: Tensor | None) -> tuple[Subspace, float, float]:
        """The first space, above what nothing is missing in it, and its risk."""
        if guess is not None and guess.shape[1] > 1:
            return self._span(guess), math.inf, 1.0
        chain = self._first_chain(None if guess is None else guess[:, 0])
        space = Subspace.of(chain)
        if guess is None and self._sees_all(chain) and math.isfinite(self._scale):
            return space, *self._reach(chain, space, 0)
        return space, math.inf, 1.0

    def _result(self, space: Subspace, ceiling: float, risk: float) -> Eigenpairs:
        values, coefficients, residuals = space.ritz(self._k)
        vectors = space.vectors(coefficients)
        products = self._most - self._left
        image = values[0].to(vectors) * vectors[:, 0] + space.residual(coefficients[:, 0])
        return Eigenpairs(values, vectors, residuals, image, self._scale, ceiling, risk, products)

    def _nothing(self) -> Eigenpairs:
        """NaN: a product was not finite."""
        nan = self._like.new_full((len(self._like), self._k), torch.nan)
        products = self._most - self._left
        return Eigenpairs(nan[0], nan, nan[0], nan[:, 0], math.nan, math.nan, 1.0, products)

    # --------------------------------------------------------------------------- what is asked for

    def _allowed(self) -> float:
        return self._rtol * self._scale

    def _settled(self, values: Tensor, residuals: Tensor) -> bool:
        errors = errors_in_clusters(values[: self._k], residuals[: self._k])
        return float(errors.max()) <= self._allowed()

    def _is_near(self, space: Subspace, ceiling: float) -> bool:
        """Whether the last one is known as well as asked for, or was searched for in vain."""
        last = float(space.ritz(self._k)[0][-1])
        return self._risk == 1 or ceiling - last <= self._allowed() or self._in_vain

    def _level(self, space: Subspace) -> float:
        """Above this, nothing must be missing."""
        values, _, residuals = space.ritz(self._k)
        error = float(errors_in_clusters(values, residuals)[-1])
        return float(values[-1]) + max(error, _MARGIN * self._allowed())

    def _sees_all(self, chain: Lanczos) -> bool:
        """Whether one chain can tell that nothing is missing: copies of λ₁ alone do not matter."""
        return self._k == 1 and chain.products == chain.size

    # -------------------------------------------------------------------------------------- chains

    def _first_chain(self, guess: Tensor | None) -> Lanczos:
        """Lanczos on the whole space, until k pairs have small residuals or it is exhausted."""
        # Invariant to a tenth of what is asked for: beyond it, iteration would follow noise.
        chain = Lanczos(
            self._product,
            (self._random_direction() if guess is None else guess).to(self._like),
            min(self._capacity, self._left),
            invariant=self._rtol / 10,
            shards=self._shards,
        )
        while self._grow(chain):
            if chain.size >= self._k and self._settled(chain.seen.values, chain.seen.residuals):
                if guess is not None or chain.full or not self._sees_all(chain):
                    break
                level = self._level(Subspace.of(chain))
                if probability_of_missing(chain, level, self._shards.dim) <= self._risk:
                    break
            if chain.full:
                chain.restart(keep=self._k + (self._capacity - 2 * self._k) // 4)
        return chain

    def _span(self, guess: Tensor) -> Subspace:
        """The span of a guess, and of random vectors if it has less than k."""
        more = [self._random_direction() for _ in range(self._k - guess.shape[1])]
        rows = torch.stack([*guess.to(self._like).unbind(-1), *more])
        space = Subspace.nothing(rows, self._shards)
        return self._extended(space, torch.eye(len(space.remainders), dtype=torch.float64))

    def _random_direction(self) -> Tensor:
        return random_direction(self._like, self._generator, self._shards)

    def _grow(self, chain: Lanczos) -> bool:
        """Let a chain grow, and say whether it can grow further."""
        before = chain.products
        seen = chain.grow(at_most=self._left)
        self._left -= chain.products - before
        self._scale = max(self._scale, seen.scale) if math.isfinite(seen.beta) else math.nan
        return self._left > 0 and not seen.exhausted and math.isfinite(seen.beta)

    def _refined(self, space: Subspace, coefficients: Tensor, residuals: Tensor) -> Subspace:
        """Improve the worst pairs, by what H makes of them outside of the space."""
        at_once = PRODUCTS_BETWEEN_LOOKS.get(self._like.device.type, PRODUCTS_ELSEWHERE)
        unsettled = int((residuals > self._allowed()).sum())
        worst = residuals.topk(max(1, min(at_once, unsettled, len(space.remainders)))).indices
        weights = space.couplings @ coefficients[:, worst]
        if len(space) + at_once > self._capacity - _SPARE:
            space = space.compressed(self._capacity - _ROOM)
        return self._extended(space, weights)

    def _extended(self, space: Subspace, weights: Tensor) -> Subspace:
        weights = weights[:, : self._left]
        self._left -= weights.shape[1]
        space = space.extended(self._product, weights)
        self._scale = max(self._scale, space.scale) if space.is_finite else math.nan
        return space

    def _searched(self, space: Subspace) -> tuple[Subspace, float, float]:
        """Look for what the space does not hold: the space with it, a ceiling, and the risk."""
        level = self._level(space) if len(space) >= self._k else None
        start = self._random_direction()
        chain = space.chain(self._product, start, level, min(self._capacity, self._left))
        dim = self._shards.dim - len(space)
        while self._grow(chain) and not chain.full:
            if level is None or float(chain.seen.values[0]) > level:
                if float(chain.seen.residuals[0]) <= self._allowed():
                    break
            elif probability_of_missing(chain, level, dim) <= self._risk:
                break
        ceiling, risk = math.inf, 1.0
        if not math.isfinite(self._scale):
            return space, ceiling, risk
        if level is not None:
            ceiling, risk = self._reach(chain, space, len(space))
            self._in_vain = chain.full
        return space.joined(chain, level, self._capacity - _ROOM), ceiling, risk

    def _reach(self, chain: Lanczos, space: Subspace, known: int) -> tuple[float, float]:
        """Above what a chain is sure that nothing is missing, and its risk; so many are known."""
        last, level = float(space.ritz(self._k)[0][-1]), self._level(space)
        margin = level - last
        while float(chain.seen.values[0]) <= level and margin <= 2 * self._scale:
            risk = probability_of_missing(chain, last + margin, self._shards.dim - known)
            if risk <= self._risk:
                return last + margin, risk
            margin *= _WIDER
        return math.inf, 1.0


def errors_in_clusters(values: Tensor, residuals: Tensor) -> Tensor:
    """How far Ritz values, largest first, may be from eigenvalues in the same order, [k].

    Orthonormal vectors have as many eigenvalues beside their Ritz values, each within the norm of
    all residuals together (Kahan; Parlett, 1998, §11.5). Their vectors are those of one cluster
    where the residuals leave open which eigenvalue belongs to which value.
    """
    apart = values[:-1] - values[1:] > residuals[:-1] + residuals[1:]
    cluster = torch.cat([apart.new_zeros(1), apart]).cumsum(0)
    squares = torch.zeros_like(residuals).index_add(0, cluster, residuals.square())
    return squares[cluster].sqrt()
