"""The trace of the Hessian, estimated with its standard error."""

from __future__ import annotations

import warnings

import torch
from scipy.special import ndtr, stdtrit
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_fraction,
    require_points,
    require_seed,
)
from samlib.curvature.eigenpairs import DENSE_DIM, KEPT_VECTORS
from samlib.estimate import Estimate
from samlib.linalg.lanczos import Lanczos, random_direction
from samlib.objective import Objective, require_objective

# The probability that a normal deviate is at most two standard deviations above its mean.
_WITHIN_TWO = float(ndtr(2.0))


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
    if objective.dim <= DENSE_DIM:
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
    most = min(KEPT_VECTORS, max_products // 2)
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
        wanted = min(max_products, wanted + min(wanted // 2, KEPT_VECTORS))


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
