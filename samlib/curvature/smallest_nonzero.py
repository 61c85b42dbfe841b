"""λ_M, the smallest eigenvalue of a curvature matrix on Γ that is not zero."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_fraction,
    require_probability,
    shown,
)
from samlib.curvature.eigenpairs import (
    EigenResult,
    collect_eigenpairs,
    small_eigenpairs,
    top_eigenpairs,
)
from samlib.curvature.hessian import operators
from samlib.curvature.small import is_small, unit_of
from samlib.linalg import Lanczos, Operator, random_direction
from samlib.linalg.christoffel import most_mass, probability_of_less
from samlib.linalg.operator import empty_vector, rounding_error
from samlib.objective import Objective

# Whether a smaller eigenvalue may be missing is asked at so many places.
_PLACES = 24


def smallest_nonzero_eigenvalue(
    loss: Objective | Operator,
    x: Tensor | None = None,
    *,
    rank: int | None = None,
    rtol: float = 1e-3,
    zero_rtol: float | None = None,
    confidence: float = 0.99,
    max_products: int = 300,
    progress: bool = True,
) -> EigenResult:
    """λ_M, the smallest eigenvalue of ∇²L(x) that is not zero, for x on Γ.

    On the manifold of minimizers the Hessian has rank M and no negative eigenvalue, so λ_M is
    well defined; S^Asc = λ_M/2 (Definition 4.1). Lanczos starts inside the range of ∇²L, where
    λ_M is the smallest eigenvalue and so is found as quickly as the largest; it goes on until a
    smaller one has at most the probability 1 − ``confidence``. Away from Γ the eigenvalues that
    vanish on it are merely small: give the rank, or a ``zero_rtol``.

    Parameters
    ----------
    loss
        The loss, or an operator, as for :func:`top_eigenpairs`.
    x
        [..., dim]; points of a batch are treated one after the other, or densely at once when
        dim ≤ 64. Left out with an operator.
    rank
        M, if it is known: for a squared loss that is interpolated, the number of targets. The
        result is then the M-th largest eigenvalue.
    rtol
        The residual, relative to λ₁, at which to stop; not above a tenth of λ_M itself.
    zero_rtol
        Eigenvalues up to this multiple of λ₁ count as zero. By default the square root of the
        unit of rounding: 1.5e-8 in float64, 3.5e-4 in float32. Not used if the rank is given.
    confidence
        The probability with which no smaller eigenvalue is skipped, at least 0 and below 1.
    max_products
        Stop after so many products per point; as many vectors are kept.
    progress
        Whether to show a bar if it takes more than two seconds.

    Returns
    -------
    EigenResult
        With k = 1. NaN, and not converged, where no eigenvalue is above zero.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

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
    points, shape = operators(loss, x)
    require_count("max_products", max_products, minimum=1)
    require_fraction("rtol", rtol)
    require_probability("confidence", confidence)
    if zero_rtol is not None:
        require_fraction("zero_rtol", zero_rtol)
    require_flag("progress", progress)
    if rank is not None and require_count("rank", rank, minimum=1) > loss.dim:
        raise ValueError(f"rank must be at most dim = {loss.dim}, got {shown(rank)}")
    if is_small(loss):
        return _small(loss, x, rank, rtol, zero_rtol)
    if rank is not None:
        return _last(
            top_eigenpairs(
                loss,
                x,
                k=rank,
                rtol=rtol,
                confidence=confidence,
                max_products=max(max_products, rank),
                progress=progress,
            )
        )
    with ProgressBar(shape.numel() * max_products, "smallest eigenvalue", progress) as bar:
        results = [
            _SearchInRange(point, rtol, zero_rtol, confidence, max_products, bar).run()
            for point in points
        ]
    result = collect_eigenpairs(results, shape)
    if not result.converged and bool(result.values.isfinite().any()):
        warnings.warn(
            f"the smallest eigenvalue was not sure after max_products={max_products}; a residual "
            f"is {float(result.residuals.nan_to_num(0).max()):.2g}",
            RuntimeWarning,
            stacklevel=2,
        )
    return result


def _last(pairs: EigenResult) -> EigenResult:
    return replace(
        pairs,
        values=pairs.values[..., -1:],
        vectors=pairs.vectors[..., -1:],
        residuals=pairs.residuals[..., -1:],
        errors=pairs.errors[..., -1:],
    )


def _small(
    loss: Objective | Operator,
    x: Tensor | None,
    rank: int | None,
    rtol: float,
    zero_rtol: float | None,
) -> EigenResult:
    pairs = small_eigenpairs(loss, x, loss.dim, rtol)
    values = pairs.values
    if rank is None:
        zero = math.sqrt(unit_of(loss, x)) if zero_rtol is None else zero_rtol
        index = (values > zero * values.abs().amax(dim=-1, keepdim=True)).sum(dim=-1) - 1
    else:
        index = torch.full_like(values[..., 0], rank - 1, dtype=torch.int64)
    found = index >= 0
    at = index.clamp(min=0).unsqueeze(-1)
    vectors = pairs.vectors.gather(-1, at.unsqueeze(-2).expand(*values.shape, 1))
    found_each = found.unsqueeze(-1)

    def chosen(numbers: Tensor) -> Tensor:
        return torch.where(found_each, numbers.gather(-1, at), torch.nan)

    return replace(
        pairs,
        values=chosen(values),
        vectors=torch.where(found_each.unsqueeze(-1), vectors, torch.nan),
        residuals=chosen(pairs.residuals),
        errors=chosen(pairs.errors),
        converged=pairs.converged and bool(found.all()),
    )


class _SearchInRange:
    """The search for the smallest eigenvalue above zero at one point."""

    def __init__(
        self,
        operator: Operator,
        rtol: float,
        zero_rtol: float | None,
        confidence: float,
        max_products: int,
        bar: ProgressBar,
    ) -> None:
        self._operator, self._rtol = operator, rtol
        self._zero = math.sqrt(operator.unit) if zero_rtol is None else zero_rtol
        self._risk, self._most, self._bar = 1 - confidence, max_products, bar
        self._random = random_direction(
            empty_vector(operator), torch.Generator().manual_seed(0), operator.shards
        )

    def _product(self, vector: Tensor) -> Tensor:
        return self._operator.matvec(vector.to(self._operator.dtype)).to(vector.dtype)

    def run(self) -> EigenResult:
        """Let Lanczos run inside of the range until the smallest eigenvalue is settled and sure."""
        start, shards = self._product(self._random), self._operator.shards
        length = float(shards.norm(start))
        if not length > 0:  # a zero matrix, or one that is not finite
            return self._nothing(1)
        chain = Lanczos(
            self._product, start, capacity=self._most, invariant=self._zero, shards=shards
        )
        while True:
            before = chain.products
            seen = chain.grow()
            self._bar.update(chain.products - before)
            index = int((seen.values > self._zero * seen.scale).sum()) - 1
            value, residual = float(seen.values[index]), float(seen.residuals[index])
            settled = index >= 0 and residual <= min(self._rtol * seen.scale, value / 10)
            margin = max(residual, self._rtol * min(seen.scale, value) / 10)
            risk = self._risk_of_missing(chain, value - margin, length) if settled else 1.0
            if settled and risk <= self._risk:
                break
            if chain.full or seen.exhausted or not math.isfinite(seen.beta):
                break
        if index < 0:  # nothing above zero
            return self._nothing(chain.products + 1)
        vector = chain.vectors(seen, index + 1)[:, index:]
        image = vector[:, 0] * value + chain.remainder * float(seen.vectors[-1, index])
        rounding = rounding_error(self._operator, vector[:, 0], image, scale=seen.scale)
        error = torch.hypot(rounding.to(vector), vector.new_tensor(residual))[None]
        # Nothing was excluded nearer by.
        beyond = error.clamp(min=margin) if risk < 1 else error
        converged = settled and risk <= self._risk and float(beyond) <= self._rtol * seen.scale
        products = chain.products + 1 + (self._operator.nearby is not None)
        values = vector.new_tensor([value])
        return EigenResult(values, vector, error, beyond, 1 - risk, products, converged)

    def _nothing(self, products: int) -> EigenResult:
        nan = torch.full_like(self._random, torch.nan)
        return EigenResult(nan[:1], nan[:, None], nan[:1], nan[:1], 0.0, products, False)

    def _risk_of_missing(self, chain: Lanczos, most: float, length: float) -> float:
        """The probability that an eigenvalue between zero and ``most`` was overlooked.

        The start is Hg/‖Hg‖ with a random g, so a part m of it, squared, along an eigenvector of
        μ is a part m‖Hg‖²/μ² of g.
        """
        if chain.seen.exhausted:
            return 0.0
        if self._risk == 1:
            return 1.0
        scale, dim = chain.seen.scale, self._operator.dim
        if most <= self._zero * scale:
            return 0.0
        places = np.geomspace(self._zero * scale, most, _PLACES)
        masses = (most_mass(chain, mu) * (length / mu) ** 2 for mu in places)
        return max(probability_of_less(mass, dim) for mass in masses)
