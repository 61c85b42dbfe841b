"""How likely it is that a Lanczos chain has overlooked an eigenvalue.

The Christoffel function of the chain's spectral measure bounds what part its random start can have
along an eigenvector that it has not seen.
"""

from __future__ import annotations

from scipy.special import betainc

from samlib.linalg.lanczos import Lanczos

# Beyond this sum of squares the probability is zero for every dimension there is.
_CERTAIN = 1e60


def most_mass(chain: Lanczos, level: float) -> float:
    """The most that the spectral measure of a chain's start can have at one point outside.

    With the polynomials p₀, p₁, … that are orthonormal under that measure, it is 1/Σpⱼ(μ)², the
    Christoffel function. It falls on the way out from the Ritz values.
    """
    projected, beta = chain.on_host, chain.seen.beta
    diagonal, beside = projected.diagonal().tolist(), [*projected.diagonal(1).tolist(), beta]
    before, here, total, last = 0.0, 1.0, 1.0, 0.0
    for at, following in zip(diagonal, beside, strict=True):
        if following == 0:
            return 0.0
        before, here = here, ((level - at) * here - last * before) / following
        total, last = total + here * here, following
        if total > _CERTAIN:
            return 0.0
    return 1 / total


def probability_of_less(mass: float, dim: int) -> float:
    """How often a random unit vector of Rᴰ has, squared, a smaller part than this along an axis."""
    return float(betainc(0.5, (dim - 1) / 2, min(mass, 1.0))) if dim > 1 else float(mass > 1)


def probability_of_missing(chain: Lanczos, level: float, dim: int) -> float:
    """How likely a chain is to be as it is if its matrix has an eigenvalue of ``level`` or more.

    The chain began in a random direction of a space of this dimension. That has a part along the
    eigenvector, and seldom so small a one that the chain cannot see it. Where the largest Ritz
    value is above the level, the eigenvalue is there: 1.
    """
    if float(chain.seen.values[0]) > level:
        return 1.0
    return 0.0 if chain.seen.exhausted else probability_of_less(most_mass(chain, level), dim)
