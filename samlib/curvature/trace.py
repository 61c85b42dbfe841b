"""The trace of the Hessian, estimated with its standard error."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from samlib._batching import how_many_at_once
from samlib._precision import wide_dtype
from samlib._progress import ProgressBar
from samlib._validation import require_count, require_flag, require_fraction, require_seed
from samlib.curvature.batch_trace import trace_by_batch
from samlib.curvature.hessian import operators
from samlib.curvature.small import is_small, small_matrices
from samlib.estimate import Estimate, students_factor
from samlib.linalg import Lanczos, Operator, random_direction
from samlib.linalg.eigen_search import KEPT_VECTORS
from samlib.linalg.operator import empty_vector, rounding_error
from samlib.objective import Objective

# Two for a subspace, and two beside it.
FEWEST_PRODUCTS = 4


def trace(
    loss: Objective | Operator,
    x: Tensor | None = None,
    *,
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
    how far they are from eigenvectors, with Student's factor for their number. Exact but for
    rounding when dim ≤ 64.

    Data in several batches need less: in each pass over them every batch has a random vector of its
    own, at the cost of one product, and where they are many, a pass or two is all it takes.

    Parameters
    ----------
    loss
        The loss, or the operator whose trace is wanted: :func:`samlib.gauss_newton`, say.
    x
        [..., dim]; points of a batch are treated one after the other. Left out with an operator.
    rtol
        The standard error, relative to the trace, at which to stop.
    seed
        Fixes the random vectors, the same on every device.
    max_products
        Stop after so many matrix-vector products per point. At most 141 vectors are kept at once.
    progress
        Whether to show a bar if it takes more than two seconds.

    Raises
    ------
    TypeError
        If loss is neither an objective nor an operator, or x is missing or given beside one.
    ValueError
        If rtol or max_products is out of range, or x has the wrong shape.

    Warns
    -----
    RuntimeWarning
        If ``max_products`` did not suffice, or the arithmetic is too coarse; ``converged`` is then
        False.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([3.0, 1.0, 2.0])
    >>> samlib.trace(quadratic, torch.zeros(3).double())
    Estimate(6, 3 products)
    """
    points, shape = operators(loss, x)
    require_count("max_products", max_products, minimum=FEWEST_PRODUCTS)
    require_fraction("rtol", rtol)
    seed = require_seed("seed", seed)
    require_flag("progress", progress)
    if is_small(loss):
        return _of_small(loss, x, rtol)
    with ProgressBar(shape.numel() * max_products, "trace", progress) as bar:
        results = [_trace(point, rtol, seed, max_products, bar) for point in points]
    result = Estimate(
        torch.stack([r.value for r in results]).reshape(shape),
        torch.stack([r.error for r in results]).reshape(shape),
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


def _of_small(loss: Objective | Operator, x: Tensor | None, rtol: float) -> Estimate:
    matrix, moved, unit = small_matrices(loss, x)
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    value = diagonal.sum(dim=-1)
    if moved is None:
        error = 10 * unit * diagonal.abs().sum(dim=-1)
    else:
        error = 2 * (moved.diagonal(dim1=-2, dim2=-1) - diagonal).norm(dim=-1)
        error = error + unit * value.abs()
    value = torch.where(matrix.isfinite().all(dim=-1).all(dim=-1), value, torch.nan)
    error = torch.where(value.isnan(), torch.nan, error)
    products = loss.dim * (1 if moved is None else 2)
    return Estimate(value, error, products, bool((error <= rtol * value.abs()).all()))


def _trace(
    operator: Operator, rtol: float, seed: int, max_products: int, bar: ProgressBar
) -> Estimate:
    if operator.by_batch is None:
        return _deflated_trace(operator, rtol, seed, max_products, bar)
    found = trace_by_batch(operator, rtol, seed, max_products, bar)
    left = max_products - found.products
    if found.converged or left < FEWEST_PRODUCTS or not bool(found.value.isfinite()):
        return found
    deflated = _deflated_trace(operator, rtol, seed, left, bar)
    return replace(deflated, products=found.products + deflated.products)


class _Tests:
    """Random unit vectors ω and their images Hω, in blocks that are sent together."""

    def __init__(self, operator: Operator, generator: torch.Generator) -> None:
        self._operator, self._generator = operator, generator
        self.blocks: list[tuple[Tensor, Tensor]] = []
        self.count = 0

    def draw(self, count: int) -> None:
        """Send so many new vectors through H."""
        x, shards = empty_vector(self._operator), self._operator.shards
        at_once = how_many_at_once(max(1, len(x)))
        for first in range(0, count, at_once):
            vectors = x.new_empty(min(at_once, count - first), len(x))
            for row in vectors:
                row.copy_(random_direction(x, self._generator, shards))
            images = self._operator @ vectors.to(self._operator.dtype).T
            self.blocks.append((vectors, images.T.to(x.dtype)))
        self.count += count

    def outside(self, krylov: Lanczos) -> Tensor:
        """What they say of the trace outside the subspace, [2, count]."""
        return torch.cat([estimate_outside(krylov, *block) for block in self.blocks], dim=1)

    def rounding(self) -> Tensor:
        """What rounding may do to the trace, from what it does to one product with a unit vector.

        If the errors of the entries are independent, they have this mean square: Σ_i E_ii² ≈
        ‖E‖²/D, and ‖E‖²/D is the mean of ‖Eω‖² over unit vectors ω.
        """
        vectors, images = self.blocks[0]
        return rounding_error(self._operator, vectors[0], images[0])


def _deflated_trace(
    operator: Operator, rtol: float, seed: int, max_products: int, bar: ProgressBar
) -> Estimate:
    """The trace of one operator, with half as many products again until the error is small."""
    x, shards = empty_vector(operator), operator.shards

    def product(vector: Tensor) -> Tensor:
        return operator.matvec(vector.to(operator.dtype)).to(vector.dtype)

    generator = torch.Generator().manual_seed(seed)
    wide = wide_dtype(x.device)
    most = min(KEPT_VECTORS, max_products // 2)
    krylov = Lanczos(product, random_direction(x, generator, shards), most, shards=shards)
    tests, settled = _Tests(operator, generator), x.new_empty(2, 0)
    wanted, products = min(12, max_products), 0
    rounding: Tensor | None = None
    while True:
        _deflate(krylov, min(wanted // 2, most), generator)
        tests.draw(wanted - krylov.products - settled.shape[1] - tests.count)
        seen = torch.cat([settled, tests.outside(krylov)], dim=1)
        value = krylov.projected.trace() + seen[0].to(wide).mean()
        if rounding is None:
            rounding = tests.rounding().to(wide)
        own = operator.unit * value.abs()
        error = torch.hypot(_standard_error(seen[1].to(wide)), rounding + own)
        bar.update(wanted - products)
        products = wanted
        converged, finite = torch.stack([error <= rtol * value.abs(), value.isfinite()]).tolist()
        if converged or products == max_products or not finite:
            spent = products + (operator.nearby is not None)
            return Estimate(value.to(x), error.to(x), spent, converged)
        if krylov.products == most:  # these vectors will not be needed again
            tests, settled = _Tests(operator, generator), seen
        wanted = min(max_products, wanted + min(wanted // 2, KEPT_VECTORS))


def _deflate(krylov: Lanczos, products: int, generator: torch.Generator) -> None:
    """Spend so many products in all, from a new vector where the space is exhausted."""
    while krylov.products < products:
        ritz = krylov.grow(at_most=products - krylov.products)
        if ritz.exhausted and not krylov.full:
            krylov.open_block(random_direction(krylov.basis[0], generator, krylov.shards))


def estimate_outside(krylov: Lanczos, vectors: Tensor, images: Tensor) -> Tensor:
    """Estimates t [n] of the trace outside the subspace, and half the variance of each: [2, n].

    ``vectors`` are random unit vectors ω, [n, dim], and ``images`` are Hω. Let B be H on the
    complement, of dimension d, and u the direction of ω there: uniform, so that t = d uᵀBu is
    unbiased, with variance 2d E‖Bu − (uᵀBu)u‖².
    """
    basis, shards = krylov.basis, krylov.shards
    complement = shards.dim - len(basis)
    inside = shards.inner(basis, vectors.T).T
    vectors = vectors - inside @ basis
    # What H makes outside of the part inside is a multiple of the remainder.
    images = images - inside[:, -1:] * krylov.remainder
    images = images - shards.inner(basis, images.T).T @ basis
    squares = shards.dot(vectors, vectors)
    quotients = shards.dot(vectors, images) / squares
    spreads = shards.norm(images - quotients[:, None] * vectors).square() / squares
    return complement * torch.stack([quotients, spreads])


def _standard_error(spreads: Tensor) -> Tensor:
    """The standard error of the mean of estimates whose variance is twice the mean of these.

    At worst, with one eigenvalue outside, the variance is known as well as from as many normal
    values: Student's t keeps 95 % within two errors then.
    """
    return (2 * spreads.mean() / len(spreads)).sqrt() * students_factor(len(spreads))
