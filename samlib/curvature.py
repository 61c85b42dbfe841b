"""Curvature of a loss without its Hessian matrix: eigenpairs, trace, spectral density, alignment.

Everything here knows ∇²L(x) by its products with vectors. Every result carries its evidence: an
eigenvalue its residual, an estimate its standard error, and all of them what they cost.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import ndtr, stdtrit
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_fraction,
    require_number,
    require_one_point,
    require_points,
    require_seed,
    require_tensor,
    shown,
)
from samlib.estimate import Estimate, show_with_error
from samlib.lanczos import Lanczos, random_direction
from samlib.objective import Objective, require_objective

# Below this many parameters a dense symmetric eigendecomposition of a whole batch is cheaper
# than Lanczos point by point.
_DENSE_DIM = 64

# Lanczos vectors that are kept at once: more cost memory, fewer cost products.
_KEPT_VECTORS = 40

# The probability that a normal deviate is at most two standard deviations above its mean.
_WITHIN_TWO = float(ndtr(2.0))


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
    if objective.dim <= _DENSE_DIM:
        return _dense_eigenpairs(objective, x, k)
    points = x.reshape(-1, objective.dim)
    with ProgressBar(len(points) * max_products, "top eigenpairs", progress) as bar:
        results = [
            _lanczos(objective, point, k, rtol, start, max_products, bar) for point in points
        ]
    return _collect_eigenpairs(results, x.shape[:-1], max_products)


def alignment(
    objective: Objective, x: Tensor, k: int = 1, rtol: float = 1e-3, progress: bool = True
) -> Tensor:
    """The cosine of the angle between ∇L(x) and the top-k eigenspace of ∇²L(x): [..., dim] → [...].

    ‖P ∇L‖/‖∇L‖, P the projection on the span of the k top eigenvectors; for k = 1 it is
    |cos∠(∇L, v₁)|. It is NaN where the gradient is exactly zero or not finite.

    Parameters
    ----------
    objective
        The loss.
    x
        [..., dim].
    k, rtol, progress
        As for :func:`top_eigenpairs`.

    Raises
    ------
    ValueError
        If k or rtol is out of range, or x has the wrong shape.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 1.0])
    >>> samlib.alignment(quadratic, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor([1., 0.])
    """
    require_points("x", x, require_objective(objective).dim)
    vectors = top_eigenpairs(objective, x, k, rtol, progress=progress).vectors
    gradient = objective.gradient(x)
    coefficients = (vectors * gradient.unsqueeze(-1)).sum(dim=-2)
    inside = torch.linalg.vector_norm(coefficients, dim=-1)
    cosine: Tensor = inside / torch.linalg.vector_norm(gradient, dim=-1)
    return cosine.clamp(max=1.0)


def _dense_eigenpairs(objective: Objective, x: Tensor, k: int) -> EigenResult:
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
    capacity = max(_KEPT_VECTORS, 3 * k)
    # Invariant to a tenth of what is asked for: beyond it, iteration would follow noise.
    krylov = Lanczos(
        objective.hessian_operator(x), first, min(capacity, max_products), invariant=rtol / 10
    )
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


def _collect_eigenpairs(
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


def smallest_nonzero_eigenvalue(
    objective: Objective,
    x: Tensor,
    rank: int | None = None,
    rtol: float = 1e-3,
    zero_rtol: float | None = None,
    max_products: int = 300,
    progress: bool = True,
) -> EigenResult:
    """λ_M, the smallest eigenvalue of ∇²L(x) that is not zero, for x on Γ.

    On the manifold of minimizers the Hessian has rank M and no negative eigenvalue, so λ_M is
    well defined; S^Asc = λ_M/2 (Definition 4.1). Lanczos starts inside the range of ∇²L, where
    λ_M is the smallest eigenvalue and so is found as quickly as the largest. Away from Γ the
    eigenvalues that vanish on it are merely small: give the rank, or a ``zero_rtol``.

    Parameters
    ----------
    objective
        The loss.
    x
        [..., dim]; points of a batch are treated one after the other, or densely at once when
        dim ≤ 64.
    rank
        M, if it is known: for a squared loss that is interpolated, the number of targets. The
        result is then the M-th largest eigenvalue.
    rtol
        The residual, relative to λ₁, at which to stop; not above a tenth of λ_M itself.
    zero_rtol
        Eigenvalues up to this multiple of λ₁ count as zero. By default the square root of the
        machine epsilon: 1.5e-8 in float64, 3.5e-4 in float32. Not used if the rank is given.
    max_products
        Stop after so many Hessian-vector products per point; as many vectors are kept.
    progress
        Whether to show a bar if it takes more than two seconds.

    Returns
    -------
    EigenResult
        With k = 1. NaN, and not converged, where no eigenvalue is above zero.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Warns
    -----
    RuntimeWarning
        If ``max_products`` did not suffice.

    Examples
    --------
    >>> import torch, samlib
    >>> landscape = samlib.landscapes.FourDimensional()
    >>> samlib.smallest_nonzero_eigenvalue(landscape, torch.tensor([1.0, 1.0, 0.0, 0.0])).values
    tensor([2.])
    """
    require_points("x", x, require_objective(objective).dim)
    require_count("max_products", max_products, minimum=1)
    require_fraction("rtol", rtol)
    if zero_rtol is not None:
        require_fraction("zero_rtol", zero_rtol)
    require_flag("progress", progress)
    if rank is not None and require_count("rank", rank, minimum=1) > objective.dim:
        raise ValueError(f"rank must be at most dim = {objective.dim}, got {shown(rank)}")
    zero = math.sqrt(torch.finfo(x.dtype).eps) if zero_rtol is None else zero_rtol
    if objective.dim <= _DENSE_DIM:
        return _dense_smallest(objective, x, rank, zero)
    if rank is not None:
        most = max(max_products, rank)
        top = top_eigenpairs(objective, x, rank, rtol, max_products=most, progress=progress)
        return EigenResult(
            top.values[..., -1:],
            top.vectors[..., -1:],
            top.residuals[..., -1:],
            top.products,
            top.converged,
        )
    points = x.reshape(-1, objective.dim)
    with ProgressBar(len(points) * max_products, "smallest eigenvalue", progress) as bar:
        results = [
            _smallest_in_range(objective, point, rtol, zero, max_products, bar) for point in points
        ]
    return _collect_eigenpairs(results, x.shape[:-1], max_products)


def _dense_smallest(objective: Objective, x: Tensor, rank: int | None, zero: float) -> EigenResult:
    pairs = _dense_eigenpairs(objective, x, objective.dim)
    values = pairs.values
    if rank is None:
        index = (values > zero * values.abs().amax(dim=-1, keepdim=True)).sum(dim=-1) - 1
    else:
        index = torch.full_like(values[..., 0], rank - 1, dtype=torch.int64)
    found = index >= 0
    at = index.clamp(min=0).unsqueeze(-1)
    vectors = pairs.vectors.gather(-1, at.unsqueeze(-2).expand(*values.shape, 1))
    found_each = found.unsqueeze(-1)
    return EigenResult(
        torch.where(found_each, values.gather(-1, at), torch.nan),
        torch.where(found_each.unsqueeze(-1), vectors, torch.nan),
        torch.where(found_each, pairs.residuals.gather(-1, at), torch.nan),
        pairs.products,
        pairs.converged and bool(found.all()),
    )


def _smallest_in_range(
    objective: Objective, x: Tensor, rtol: float, zero: float, max_products: int, bar: ProgressBar
) -> EigenResult:
    product = objective.hessian_operator(x)
    start = product(random_direction(x, torch.Generator().manual_seed(0)))
    nan = x.new_full((objective.dim, 1), torch.nan)
    if not bool(start.norm() > 0):  # a zero Hessian, or one that is not finite
        return EigenResult(nan[0], nan, nan[0], 1, False)
    krylov = Lanczos(product, start, capacity=max_products, invariant=zero)
    while True:
        before = krylov.products
        ritz = krylov.grow()
        bar.update(krylov.products - before)
        index = int((ritz.values > zero * ritz.scale).sum()) - 1
        value, residual = float(ritz.values[index]), float(ritz.residuals[index])
        settled = index >= 0 and residual <= min(rtol * ritz.scale, value / 10)
        if settled or krylov.full or ritz.exhausted or not math.isfinite(ritz.beta):
            break
    if index < 0:  # nothing above zero
        return EigenResult(nan[0], nan, nan[0], krylov.products + 1, False)
    vector = krylov.vectors(ritz, index + 1)[:, index:]
    return EigenResult(
        x.new_tensor([value]), vector, x.new_tensor([residual]), krylov.products + 1, settled
    )


def trace(
    objective: Objective,
    x: Tensor,
    rtol: float = 0.02,
    seed: int = 0,
    max_products: int = 400,
    progress: bool = True,
) -> Estimate:
    """Tr ∇²L(x), with its standard error.

    Half of the products go to Lanczos, whose subspace holds most of the dominant eigenvectors; the
    trace on it is exact. The other half estimate the trace on its complement: H is averaged over
    random unit vectors, of which the part outside the subspace is scaled back to unit length. This
    is Hutch++ (Meyer, Musco, Musco and Woodruff, 2021) with the subspace of Chen and Hallman (2023)
    and the scaling of Epperly, Tropp and Webber (2024). Where eigenvalues decay, the error falls
    much faster than Hutchinson's 1/√products, until the subspace has its full 40 vectors. The
    random vectors know nothing of the subspace, so the value is unbiased; its error is measured by
    how far they are from eigenvectors, with Student's factor for their number. Exact when dim ≤ 64.

    Parameters
    ----------
    objective
        The loss.
    x
        [..., dim]; points of a batch are treated one after the other.
    rtol
        The standard error, relative to the trace, at which to stop.
    seed
        Fixes the random vectors, the same on every device.
    max_products
        Stop after so many Hessian-vector products per point. At most 141 vectors are kept at once.
    progress
        Whether to show a bar if it takes more than two seconds.

    Raises
    ------
    ValueError
        If rtol or max_products is out of range, or x has the wrong shape.

    Warns
    -----
    RuntimeWarning
        If ``max_products`` did not suffice; ``converged`` is then False.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([3.0, 1.0, 2.0])
    >>> samlib.trace(quadratic, torch.zeros(3))
    Estimate(6, 3 products)
    """
    require_points("x", x, require_objective(objective).dim)
    require_count("max_products", max_products, minimum=4)
    require_fraction("rtol", rtol)
    seed = require_seed("seed", seed)
    require_flag("progress", progress)
    if objective.dim <= _DENSE_DIM:
        hessian = objective.hessian(x)
        finite = hessian.isfinite().all(dim=-1).all(dim=-1)
        value = torch.where(finite, hessian.diagonal(dim1=-2, dim2=-1).sum(dim=-1), torch.nan)
        error = torch.where(finite, torch.zeros_like(value), torch.nan)
        return Estimate(value, error, objective.dim, bool(finite.all()))
    points = x.reshape(-1, objective.dim)
    with ProgressBar(len(points) * max_products, "trace", progress) as bar:
        results = [
            _deflated_trace(objective, point, rtol, seed, max_products, bar) for point in points
        ]
    result = Estimate(
        torch.stack([r.value for r in results]).reshape(x.shape[:-1]),
        torch.stack([r.error for r in results]).reshape(x.shape[:-1]),
        max(r.products for r in results),
        all(r.converged for r in results),
    )
    if not result.converged and bool(result.value.isfinite().all()):
        warnings.warn(
            f"trace stopped at max_products={max_products} with a standard error of "
            f"{float((result.error / result.value.abs()).max()):.2g} relative to the value",
            RuntimeWarning,
            stacklevel=2,
        )
    return result


def _deflated_trace(
    objective: Objective, x: Tensor, rtol: float, seed: int, max_products: int, bar: ProgressBar
) -> Estimate:
    """The trace at one point, with half as many products again until the error is small."""
    product = objective.hessian_operator(x)
    generator = torch.Generator().manual_seed(seed)
    most = min(_KEPT_VECTORS, max_products // 2)
    krylov = Lanczos(product, random_direction(x, generator), most)
    tests: list[Tensor] = []
    images: list[Tensor] = []
    settled = x.new_empty(2, 0)
    wanted, products = min(12, max_products), 0
    while True:
        _deflate(krylov, min(wanted // 2, most), generator)
        more = wanted - krylov.products - settled.shape[1] - len(tests)
        new = [random_direction(x, generator) for _ in range(more)]
        tests, images = tests + new, images + [product(vector) for vector in new]
        outside = [_outside(krylov, *pair) for pair in zip(tests, images, strict=True)]
        seen = torch.cat([settled, torch.stack(outside, dim=1)], dim=1)
        value = krylov.projected.trace() + seen[0].double().mean()
        error = _standard_error(seen[1].double())
        bar.update(wanted - products)
        products = wanted
        converged = bool(error <= rtol * value.abs())
        if converged or products == max_products or not bool(value.isfinite()):
            return Estimate(value.to(x), error.to(x), products, converged)
        if krylov.products == most:  # these vectors will not be needed again
            tests, images, settled = [], [], seen
        wanted = min(max_products, wanted + min(wanted // 2, _KEPT_VECTORS))


def _deflate(krylov: Lanczos, products: int, generator: torch.Generator) -> None:
    """Spend so many products in all, from a new vector where the space is exhausted."""
    while krylov.products < products:
        ritz = krylov.grow(at_most=products - krylov.products)
        if ritz.exhausted and not krylov.full:
            krylov.open_block(random_direction(krylov.basis[0], generator))


def _outside(krylov: Lanczos, vector: Tensor, image: Tensor) -> Tensor:
    """An estimate t of the trace outside the subspace, and half its variance.

    ``vector`` is a random unit vector ω, ``image`` is Hω. Let B be H on the complement, of
    dimension d, and u the direction of ω there: uniform, so that t = d uᵀBu is unbiased, with
    variance 2d E‖Bu − (uᵀBu)u‖².
    """
    basis = krylov.basis
    complement = len(vector) - len(basis)
    inside = basis @ vector
    vector = vector - inside @ basis
    image = image - krylov.remainder * inside[-1]  # what H makes outside of the part inside
    image = image - (basis @ image) @ basis
    quotient = (vector @ image) / (vector @ vector)
    spread = (image - quotient * vector).square().sum() / (vector @ vector)
    return complement * torch.stack([quotient, spread])


def _standard_error(spreads: Tensor) -> Tensor:
    """The standard error of the mean of estimates whose variance is twice the mean of these.

    At worst, with one eigenvalue outside, the variance is known as well as from as many normal
    values: Student's t keeps 95 % within two errors then.
    """
    students = float(stdtrit(len(spreads), _WITHIN_TWO)) / 2
    return (2 * spreads.mean() / len(spreads)).sqrt() * students


@dataclass(frozen=True, eq=False)
class SpectralDensity:
    """How the eigenvalues of ∇²L(x) are distributed.

    Attributes
    ----------
    grid
        The eigenvalues λ at which the density is given, [points].
    density
        The density there, smoothed by a Gaussian of standard deviation ``width``; it integrates
        to one.
    error
        Its standard error, [points]: the spread between the probes.
    nodes, weights
        The quadrature behind it, [probes, steps]: the mean of f over the spectrum is about
        ``(weights * f(nodes)).sum(-1).mean()``.
    width
        The smoothing, in units of λ.
    products
        The number of Hessian-vector products spent.
    """

    grid: Tensor
    density: Tensor
    error: Tensor
    nodes: Tensor
    weights: Tensor
    width: float
    products: int

    def to_dataframe(self) -> pd.DataFrame:
        """One row per point of the grid: eigenvalue, density, error."""
        columns = {"eigenvalue": self.grid, "density": self.density, "error": self.error}
        return pd.DataFrame({name: column.cpu().numpy() for name, column in columns.items()})

    def plot(self, ax: Any = None) -> Any:
        """Draw the density on a logarithmic axis, with its error; return the axes."""
        from samlib.plotting import plot_spectral_density

        return plot_spectral_density(self, ax)

    def __repr__(self) -> str:
        low, high = float(self.nodes.min()), float(self.nodes.max())
        return (
            f"SpectralDensity(eigenvalues from {low:.3g} to {high:.3g}, {len(self.nodes)} probes, "
            f"{self.products} products)"
        )


def spectral_density(
    objective: Objective,
    x: Tensor,
    probes: int = 8,
    steps: int = 60,
    width: float | None = None,
    points: int = 500,
    seed: int = 0,
    progress: bool = True,
) -> SpectralDensity:
    """The density of the eigenvalues of ∇²L(x), by stochastic Lanczos quadrature.

    From each of a few random vectors, Lanczos makes a Gauss quadrature of the spectrum (Golub and
    Meurant, 1994; for networks Ghorbani, Krishnan and Xiao, 2019). Their mean is the density, their
    spread its error. When dim ≤ 64 the eigenvalues are computed exactly.

    Parameters
    ----------
    objective
        The loss.
    x
        One point, [dim].
    probes
        The number of random vectors, at least 2.
    steps
        The number of products, and quadrature nodes, per probe.
    width
        Standard deviation of the Gaussian that smooths the density, by default 1/200 of the
        range of the spectrum.
    points
        The number of points of the grid.
    seed
        Fixes the random vectors, the same on every device.
    progress
        Whether to show a bar if it takes more than two seconds.

    Raises
    ------
    ValueError
        If x is not one point, a count is out of range, width is not positive, or the Hessian is
        not finite.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([3.0, 1.0, 2.0])
    >>> samlib.spectral_density(quadratic, torch.zeros(3))
    SpectralDensity(eigenvalues from 1 to 3, 1 probes, 3 products)
    """
    require_one_point("x", x, require_objective(objective).dim)
    for name, count, minimum in (("probes", probes, 2), ("steps", steps, 1), ("points", points, 2)):
        require_count(name, count, minimum=minimum)
    if width is not None:
        width = require_number("width", width, positive=True)
    seed = require_seed("seed", seed)
    require_flag("progress", progress)
    if objective.dim <= _DENSE_DIM:
        nodes = _dense_eigenpairs(objective, x, objective.dim).values.double().unsqueeze(0)
        weights = torch.full_like(nodes, 1 / objective.dim)
        products = objective.dim
    else:
        nodes, weights, products = _lanczos_quadrature(objective, x, probes, steps, seed, progress)
    if not bool(nodes.isfinite().all()):
        raise ValueError("the Hessian at x is not finite")
    span = float(nodes.max() - nodes.min()) or max(abs(float(nodes.max())), 1.0)
    sigma = span / 200 if width is None else width
    grid = torch.linspace(
        float(nodes.min()) - 4 * sigma, float(nodes.max()) + 4 * sigma, points, dtype=torch.float64
    ).to(nodes.device)
    bumps = torch.exp(-(((grid[:, None, None] - nodes) / sigma) ** 2) / 2)
    each = (weights * bumps).sum(dim=-1) / (sigma * math.sqrt(2 * math.pi))
    error = each.std(dim=-1) / math.sqrt(len(nodes)) if len(nodes) > 1 else 0 * each[:, 0]
    return SpectralDensity(grid, each.mean(dim=-1), error, nodes, weights, sigma, products)


def _lanczos_quadrature(
    objective: Objective, x: Tensor, probes: int, steps: int, seed: int, progress: bool
) -> tuple[Tensor, Tensor, int]:
    """Nodes and weights [probes, steps] of one Gauss quadrature per random vector, and its cost."""
    product = objective.hessian_operator(x)
    generator = torch.Generator().manual_seed(seed)
    steps, products = min(steps, objective.dim), 0
    nodes = torch.zeros(probes, steps, dtype=torch.float64)
    weights = torch.zeros_like(nodes)
    with ProgressBar(probes * steps, "spectral density", progress) as bar:
        for i in range(probes):
            invariant = 100 * torch.finfo(x.dtype).eps
            krylov = Lanczos(product, random_direction(x, generator), steps, invariant)
            while True:
                before = krylov.products
                ritz = krylov.grow()
                bar.update(krylov.products - before)
                # An exhausted space is the whole of the spectrum that this vector sees.
                if krylov.full or ritz.exhausted or not math.isfinite(ritz.beta):
                    break
            products += krylov.products
            nodes[i], weights[i] = ritz.values[0], 0.0
            nodes[i, : len(ritz.values)] = ritz.values
            weights[i, : len(ritz.values)] = ritz.vectors[0] ** 2
    return nodes, weights, products
