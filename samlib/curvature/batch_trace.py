"""The trace of a mean over batches, each of which has random vectors of its own.

One random vector tells of the trace of a matrix with a variance of 2‖H‖², whatever H is the mean
of. A product with H takes products with the Hessians of all batches anyway; if each has a vector
of its own, their errors are independent, and the mean over B batches has a B-th of the variance,
where the batches are alike, at the same cost. It is never more, where they are positive
semi-definite. A batch that is visited takes several vectors at once, for which one graph of its
gradient is enough.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from samlib._batching import how_many_at_once
from samlib._precision import wide_dtype
from samlib._progress import ProgressBar
from samlib.estimate import Estimate, students_factor
from samlib.linalg import Operator, random_direction
from samlib.linalg.operator import empty_vector, rounding_error

# So many vectors for each batch show how many are needed.
_FIRST = 2

# If that is more than this, a subspace of top eigenvectors takes fewer products.
MOST_PASSES = 16


def trace_by_batch(
    operator: Operator, rtol: float, seed: int, max_products: int, bar: ProgressBar
) -> Estimate:
    """The trace from visits to the batches; not converged as soon as it would take many vectors."""
    generator = torch.Generator().manual_seed(seed)
    x, coarse = empty_vector(operator), operator.nearby is not None
    at_once = max(1, how_many_at_once(max(1, len(x))))
    common = random_direction(x, generator, operator.shards)
    first = min(_FIRST, at_once)
    passes, image = visit(operator, generator, first, common if coarse else None)
    rounded = rounding_error(operator, common, image).to(passes) if coarse else passes.new_zeros(())
    told = 0
    while True:
        n = len(passes)
        mean = torch.cat([passes.mean(dim=0), rounded[None]])
        value, variance, freedom, rounding = mean.tolist()
        sampling = (variance / n) ** 0.5 * students_factor(n * freedom)
        error = (sampling**2 + (rounding + operator.unit * abs(value)) ** 2) ** 0.5
        spent = n + 2 * coarse
        bar.update(spent - told)
        told = spent
        converged = error <= rtol * abs(value)
        allowed = (rtol * value) ** 2 - (error**2 - sampling**2)
        many = not n * sampling**2 <= MOST_PASSES * allowed
        if converged or many or spent >= max_products:
            return Estimate(x.new_tensor(value), x.new_tensor(error), spent, converged)
        missing = min(math.ceil(n * sampling**2 / allowed) - n, at_once, max_products - spent)
        passes = torch.cat([passes, visit(operator, generator, max(1, missing))[0]])


def visit(
    operator: Operator, generator: torch.Generator, count: int, common: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """So many estimates of the trace, and what H makes of a vector that all batches have besides.

    For each, from one vector for each batch: the trace, its variance, and that one's degrees of
    freedom, [count, 3]. With a random unit vector ω, t = d ωᵀHω is unbiased, with variance
    2d E‖Hω − (ωᵀHω)ω‖². A sum of variances is known as well as from (Σ vₖ)² / Σ vₖ² values (Welch
    and Satterthwaite).
    """
    assert operator.by_batch is not None
    x, shards = empty_vector(operator), operator.shards
    given = [] if common is None else [common]

    def draw() -> Tensor:
        own = [random_direction(x, generator, shards) for _ in range(count)]
        return torch.stack([*given, *own]).to(operator.dtype)

    sums, total = x.new_zeros(4, count, dtype=wide_dtype(x.device)), torch.zeros_like(x)
    for vectors, images, weight in operator.by_batch(draw):
        vectors, images = vectors.to(x), images.to(x)
        w = torch.as_tensor(weight).to(sums)
        if common is not None:
            total = total + torch.where(w > 0, w * images[0], 0).to(x)
        vectors, images = vectors[len(given) :], images[len(given) :]
        quotients = shards.dot(vectors, images).to(sums)
        spreads = shards.norm(images - quotients[:, None].to(x) * vectors).square().to(sums)
        variances = w**2 * spreads
        seen = torch.stack([w.expand(count), w * quotients, variances, variances**2])
        sums = sums + torch.where(w > 0, seen, 0)
    weights, quotients, spreads, squares = sums
    found, variance = shards.dim * quotients / weights, 2 * shards.dim * spreads / weights**2
    freedom = torch.where(squares > 0, spreads**2 / squares, 1)
    return torch.stack([found, variance, freedom], dim=1), total / weights[0].to(x)
