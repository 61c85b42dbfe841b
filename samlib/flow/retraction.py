"""Newton steps onto the minimizer manifold Γ, in the range of the Hessian."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from samlib.curvature import top_eigenpairs
from samlib.objective import Objective

# Up to this many parameters the whole spectrum is computed, from the Hessian as a matrix; beyond,
# Lanczos computes as many eigenpairs as the caller says are not zero.
WHOLE_SPECTRUM_DIM = 512

_NEWTON_STEPS = 20


def eigenpairs_in_range(objective: Objective, x: Tensor, rank: int | None) -> tuple[Tensor, Tensor]:
    """Eigenvalues [batch, k], largest first, and eigenvectors [batch, dim, k] of ∇²L(x).

    All of them for a small dimension, otherwise as many as the rank says.
    """
    if objective.dim > WHOLE_SPECTRUM_DIM:
        assert rank is not None
        products = min(objective.dim, 300 + 10 * rank)
        found = top_eigenpairs(
            objective, x, k=rank, rtol=1e-8, max_products=products, progress=False
        )
        return found.values, found.vectors
    hessian = objective.hessian(x)
    finite = hessian.isfinite().all(dim=(-2, -1), keepdim=True)
    values, vectors = torch.linalg.eigh(torch.where(finite, hessian, 0.0))
    return values.flip(-1), vectors.flip(-1)


def zero_up_to(values: Tensor) -> Tensor:
    """Up to what size an eigenvalue counts as zero beside the first of values [..., k]."""
    return values[..., :1].abs() * max(1e-8, 100 * torch.finfo(values.dtype).eps)


def likely_rank(values: Tensor) -> Tensor:
    """The rank of ∇²L on Γ, guessed nearby from all its eigenvalues, [batch, dim] → [batch].

    The zero eigenvalues have grown a little, in either direction: the guess is the place of the
    largest drop. It is checked on Γ, and replaced by a count if it was wrong.
    """
    zero = zero_up_to(values)
    rest = torch.maximum(values[:, 1:].abs(), values[:, -1:].abs())
    rest = torch.cat([rest, torch.zeros_like(zero)], dim=-1).maximum(zero)
    drop = torch.where(values > zero, values / rest, 0.0)
    return torch.where(drop.amax(dim=-1) > 0, drop.argmax(dim=-1) + 1, 0)


def retract(
    objective: Objective, x: Tensor, values: Tensor, vectors: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor]:
    """Move points near Γ onto it by Newton steps in the span of the eigenvectors to be kept.

    The eigenpairs are those at x or nearby, and kept fixed: the error then still shrinks at each
    step by a factor of the order of the distance. Stops when no step is less than half as long
    as the one before. Returns the points [..., dim] and the length of the last step [...].
    """
    inverse = torch.where(kept, 1 / values, 0.0)
    step = x.new_full(x.shape[:-1], torch.inf)
    rounding = 4 * torch.finfo(x.dtype).eps
    for _ in range(_NEWTON_STEPS):
        coefficients = inverse * (vectors.mT @ objective.gradient(x).unsqueeze(-1)).squeeze(-1)
        move = (vectors @ coefficients.unsqueeze(-1)).squeeze(-1)
        x = x - move
        before, step = step, move.norm(dim=-1)
        if bool(((step <= rounding * x.norm(dim=-1)) | (step >= before / 2)).all()):
            break
    return x, step


def largest_known(values: Tensor) -> float:
    """The largest of the values that are not NaN."""
    known = values[~values.isnan()]
    return float(known.max()) if known.numel() else math.nan
