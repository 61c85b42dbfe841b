"""λ_M, the smallest eigenvalue of the Hessian on Γ that is not zero."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_fraction,
    require_points,
    shown,
)
from samlib.curvature.eigenpairs import (
    DENSE_DIM,
    EigenResult,
    collect_eigenpairs,
    dense_eigenpairs,
    top_eigenpairs,
)
from samlib.linalg.lanczos import Lanczos, random_direction
from samlib.objective import Objective, require_objective


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
    if objective.dim <= DENSE_DIM:
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
    return collect_eigenpairs(results, x.shape[:-1], max_products)


def _dense_smallest(objective: Objective, x: Tensor, rank: int | None, zero: float) -> EigenResult:
    pairs = dense_eigenpairs(objective, x, objective.dim)
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
