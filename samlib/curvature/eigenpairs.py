"""The largest eigenvalues of the Hessian and their eigenvectors, each with its residual."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_callable,
    require_count,
    require_flag,
    require_fraction,
    require_points,
    require_tensor,
    shown,
)
from samlib.estimate import show_with_error
from samlib.linalg.lanczos import Lanczos, random_direction
from samlib.objective import Objective, require_objective

# Below this many parameters a dense symmetric eigendecomposition of a whole batch is cheaper
# than Lanczos point by point.
DENSE_DIM = 64

# Lanczos vectors that are kept at once: more cost memory, fewer cost products.
KEPT_VECTORS = 40


@dataclass(frozen=True, eq=False)
class EigenResult:
    """Eigenpairs of ∇²L(x), with the evidence for them.

    Attributes
    ----------
    values
        [..., k], largest first.
    vectors
        [..., dim, k], orthonormal columns; the sign of each is arbitrary.
    residuals
        ‖∇²L v − λ v‖ for each pair, [..., k]. Some exact eigenvalue lies within this distance.
    products
        The number of Hessian-vector products spent per point.
    converged
        Whether every residual is within what was asked for; NaN is not.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    products: int
    converged: bool

    def to_dataframe(self) -> pd.DataFrame:
        """One row per point and eigenvalue: point, index, value, residual."""
        k = self.values.shape[-1]
        points = self.values.numel() // k
        return pd.DataFrame(
            {
                "point": np.repeat(np.arange(points), k),
                "index": np.tile(np.arange(1, k + 1), points),
                "value": self.values.reshape(-1).cpu().numpy(),
                "residual": self.residuals.reshape(-1).cpu().numpy(),
            }
        )

    def __repr__(self) -> str:
        return (
            f"EigenResult({show_with_error(self.values, self.residuals)}, "
            f"{self.products} products{'' if self.converged else ', not converged'})"
        )


def top_eigenpairs(
    objective: Objective,
    x: Tensor,
    k: int = 1,
    rtol: float = 1e-3,
    start: Tensor | None = None,
    max_products: int = 300,
    progress: bool = True,
    *,
    on_product: Callable[[], object] | None = None,
) -> EigenResult:
    """The k algebraically largest eigenvalues of ∇²L(x), with their eigenvectors.

    Lanczos iteration with full reorthogonalization. It stops on residuals, not on a small change
    of the eigenvalue: ‖∇²L v − λ v‖ ≤ rtol · (the largest |eigenvalue| seen). The error of an
    isolated eigenvalue is then of the order of its squared residual. A multiple eigenvalue is
    found as often as it occurs, but of several within rtol of each other one may stand for the
    others. Where the Hessian is not finite, so for example after divergence, the eigenpairs are
    NaN. Memory is that of about 40 vectors, or 3k if that is more.

    Parameters
    ----------
    objective
        The loss.
    x
        [..., dim]; points of a batch are treated one after the other, or by one dense
        eigendecomposition when dim ≤ 64.
    k
        How many eigenpairs, at most dim.
    rtol
        The residual, relative to the spectral scale, at which to stop.
    start
        A first guess [dim] for v₁, for example the one of a nearby point; random (from a fixed
        seed) if not given. It saves products, at a risk: a guess that is closer to another
        eigenvector than rtol resolves is answered with that one. Where λ₂ overtakes λ₁ along a
        path, the old v₁ is such a guess: mix in some of v₂, and start anew now and then, as
        :class:`samlib.training.SharpnessMonitor` does.
    max_products
        Stop after so many Hessian-vector products per point, converged or not.
    progress
        Whether to show a bar if it takes more than two seconds.
    on_product
        Called without arguments after each Hessian-vector product. An exception that it raises
        stops the computation, and is raised here.

    Raises
    ------
    ValueError
        If k, rtol or max_products is out of range, x or start has the wrong shape, or start is
        zero or not finite.

    Warns
    -----
    RuntimeWarning
        If ``max_products`` did not suffice; ``converged`` is then False.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([3.0, 1.0, 2.0])
    >>> samlib.top_eigenpairs(quadratic, torch.zeros(3), k=2).values
    tensor([3., 2.])
    """
    require_points("x", x, require_objective(objective).dim)
    require_count("k", k, minimum=1)
    if k > objective.dim:
        raise ValueError(f"k must be at most dim = {objective.dim}, got {shown(k)}")
    require_count("max_products", max_products, minimum=k)
    require_fraction("rtol", rtol)
    _require_start(start, objective.dim)
    require_flag("progress", progress)
    if on_product is not None:
        require_callable("on_product", on_product, "() ↦ anything")
    if objective.dim <= DENSE_DIM:
        return dense_eigenpairs(objective, x, k)
    points = x.reshape(-1, objective.dim)
    with ProgressBar(len(points) * max_products, "top eigenpairs", progress) as bar:
        results = [
            _lanczos(objective, point, k, rtol, start, max_products, bar, on_product)
            for point in points
        ]
    return collect_eigenpairs(results, x.shape[:-1], max_products)


def dense_eigenpairs(objective: Objective, x: Tensor, k: int) -> EigenResult:
    """The k top eigenpairs at all points at once, by one dense eigendecomposition."""
    hessian = objective.hessian(x)
    finite = hessian.isfinite().all(dim=(-2, -1), keepdim=True)
    values, vectors = torch.linalg.eigh(torch.where(finite, hessian, 0.0))
    values = torch.where(finite[..., 0], values, torch.nan).flip(-1)[..., :k]
    vectors = torch.where(finite, vectors, torch.nan).flip(-1)[..., :k]
    residuals = (hessian @ vectors - vectors * values.unsqueeze(-2)).norm(dim=-2)
    return EigenResult(values, vectors, residuals, objective.dim, bool(finite.all()))


def _lanczos(
    objective: Objective,
    x: Tensor,
    k: int,
    rtol: float,
    start: Tensor | None,
    max_products: int,
    bar: ProgressBar,
    on_product: Callable[[], object] | None = None,
) -> EigenResult:
    """The k top eigenpairs at one point.

    When the Krylov space is exhausted, that is, invariant, its eigenpairs are exact, but it may
    not hold all of those that are asked for: iteration goes on in its orthogonal complement, from
    a random vector, until the newest block has nothing above the k-th pair. Where it is nearly
    exhausted, all residuals are small, and say as little about what it does not hold; those that
    are small beside the others, however, are small because the pair has converged. A given start
    that lies in an invariant subspace says nothing about the others, so it is never the last block.
    """
    generator = torch.Generator().manual_seed(0)
    first = random_direction(x, generator) if start is None else start.to(x)
    capacity = max(KEPT_VECTORS, 3 * k)
    product = objective.hessian_operator(x)

    def counted(v: Tensor) -> Tensor:
        image = product(v)
        if on_product is not None:
            on_product()
        return image

    # Invariant to a tenth of what is asked for: beyond it, iteration would follow noise.
    krylov = Lanczos(counted, first, min(capacity, max_products), invariant=rtol / 10)
    while True:
        before = krylov.products
        ritz = krylov.grow(at_most=max_products - before)
        bar.update(krylov.products - before)
        if not math.isfinite(ritz.beta):
            nan = x.new_full((objective.dim, k), torch.nan)
            return EigenResult(nan[0], nan, nan[0], krylov.products, False)
        allowed = rtol * ritz.scale
        newest = krylov.newest() if krylov.block else ritz
        exact_start = start is not None and not krylov.block and ritz.beta == 0
        residual = max(float(ritz.residuals[:k].max()), float(newest.residuals[0]))
        converged = krylov.size == objective.dim or (
            krylov.size >= k
            and residual <= allowed
            and (
                ritz.beta > allowed
                or (residual <= ritz.beta / 10 and not ritz.exhausted)
                or float(newest.values[0]) <= float(ritz.values[k - 1]) + allowed / 10
            )
            and not exact_start
        )
        if converged or krylov.products == max_products:
            break
        if krylov.full:
            krylov.restart(keep=k + (capacity - 2 * k) // 4)
        if ritz.exhausted:
            krylov.open_block(random_direction(x, generator))
    return EigenResult(
        ritz.values[:k].to(x),
        krylov.vectors(ritz, k),
        ritz.residuals[:k].to(x),
        krylov.products,
        converged,
    )


def _require_start(start: Tensor | None, dim: int) -> None:
    if start is None:
        return
    if require_tensor("start", start).shape != (dim,):
        raise ValueError(f"start must have shape [{dim}], got {tuple(start.shape)}")
    if not 0 < float(start.norm()) < math.inf:
        raise ValueError(f"start must be finite and not zero, got {shown(start)}")


def collect_eigenpairs(
    results: list[EigenResult], shape: torch.Size, max_products: int
) -> EigenResult:
    """Put the results of single points together, with one warning for all that did not converge."""
    residuals = [float(result.residuals.max()) for result in results if not result.converged]
    worst = max((residual for residual in residuals if math.isfinite(residual)), default=None)
    if worst is not None:
        warnings.warn(
            f"Lanczos stopped at max_products={max_products} with residual {worst:.2g}",
            RuntimeWarning,
            stacklevel=3,
        )
    vectors = torch.stack([result.vectors for result in results])
    values = torch.stack([result.values for result in results])
    return EigenResult(
        values.reshape(*shape, *values.shape[1:]),
        vectors.reshape(*shape, *vectors.shape[1:]),
        torch.stack([result.residuals for result in results]).reshape(*shape, *values.shape[1:]),
        max(result.products for result in results),
        all(result.converged for result in results),
    )
