"""Curvature of a loss without its Hessian matrix: top eigenpairs and alignment with them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib._validation import require_count, require_point
from samlib.objective import Objective

# Below this many parameters a dense symmetric eigendecomposition of a whole batch is cheaper
# than Lanczos point by point.
_DENSE_DIM = 64


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


def top_eigenpairs(
    objective: Objective,
    x: Tensor,
    k: int = 1,
    rtol: float = 1e-3,
    start: Tensor | None = None,
    max_products: int = 300,
) -> EigenResult:
    """The k algebraically largest eigenvalues of ∇²L(x), with their eigenvectors.

    Lanczos iteration with full reorthogonalization. It stops on residuals, not on a small change
    of the eigenvalue: ‖∇²L v − λ v‖ ≤ rtol · (the largest |eigenvalue| seen). The error of an
    isolated eigenvalue is then of the order of its squared residual. Where the Hessian is not
    finite, so for example after divergence, the eigenpairs are NaN.

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
        eigenvector than rtol resolves is answered with that one.
    max_products
        Stop after so many Hessian-vector products per point, converged or not.

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
    require_point("x", x, objective.dim)
    require_count("k", k, minimum=1)
    require_count("max_products", max_products, minimum=k)
    if k > objective.dim:
        raise ValueError(f"k must be at most dim = {objective.dim}, got {k}")
    if not 0 < rtol < 1:
        raise ValueError(f"rtol must be between 0 and 1, got {rtol}")
    if start is not None and start.shape != (objective.dim,):
        raise ValueError(f"start must have shape [{objective.dim}], got {tuple(start.shape)}")
    if start is not None and not 0 < float(start.norm()) < math.inf:
        raise ValueError("start must be finite and not zero")
    if objective.dim <= _DENSE_DIM:
        return _dense_eigenpairs(objective, x, k)
    points = x.reshape(-1, objective.dim)
    results = [_lanczos(objective, point, k, rtol, start, max_products) for point in points]
    residuals = [float(result.residuals.max()) for result in results if not result.converged]
    worst = max((residual for residual in residuals if math.isfinite(residual)), default=None)
    if worst is not None:
        warnings.warn(
            f"Lanczos stopped at max_products={max_products} with residual {worst:.2g}",
            RuntimeWarning,
            stacklevel=2,
        )
    shape = x.shape[:-1]
    return EigenResult(
        torch.stack([r.values for r in results]).reshape(*shape, k),
        torch.stack([r.vectors for r in results]).reshape(*shape, objective.dim, k),
        torch.stack([r.residuals for r in results]).reshape(*shape, k),
        max(r.products for r in results),
        all(r.converged for r in results),
    )


def alignment(objective: Objective, x: Tensor, k: int = 1, rtol: float = 1e-3) -> Tensor:
    """The cosine of the angle between ∇L(x) and the top-k eigenspace of ∇²L(x): [..., dim] → [...].

    ‖P ∇L‖/‖∇L‖, P the projection on the span of the k top eigenvectors; for k = 1 it is
    |cos∠(∇L, v₁)|. It is NaN where the gradient is exactly zero or not finite.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 1.0])
    >>> samlib.alignment(quadratic, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor([1., 0.])
    """
    gradient = objective.gradient(x)
    vectors = top_eigenpairs(objective, x, k, rtol).vectors
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
) -> EigenResult:
    """Lanczos at one point. The residual of a Ritz pair is β times the last entry of its vector.

    When the Krylov space is exhausted, that is, invariant, its eigenpairs are exact, but it may
    not hold all of those that are asked for: iteration goes on in its orthogonal complement, from
    a random vector, until the newest block has nothing above the k-th pair. A given start that
    is itself an eigenvector says nothing about the others, so it is never the last block.
    """
    generator = torch.Generator().manual_seed(0)
    steps = min(max_products, objective.dim)
    basis = x.new_zeros(steps + 1, objective.dim)
    basis[0] = _random_unit_vector(x, generator) if start is None else start / start.norm()
    # The small projected matrix lives on the CPU, in float64, where it is diagonalized.
    projected = torch.zeros(steps, steps, dtype=torch.float64)
    block = 0  # where the newest Krylov space begins
    rounding = 10 * torch.finfo(x.dtype).eps
    product = objective.hessian_operator(x)
    for j in range(steps):
        image = product(basis[j])
        known = basis[: j + 1]
        coefficients = known @ image
        image = _orthogonalize(image - coefficients @ known, known)
        projected[j, j], beta = torch.stack([coefficients[j], image.norm()]).double().cpu()
        if not bool(beta.isfinite() & projected[j, j].isfinite()):
            nan = x.new_full((objective.dim, k), torch.nan)
            return EigenResult(nan[0], nan, nan[0], j + 1, False)
        values, vectors = _symmetric_eigenpairs(projected[: j + 1, : j + 1])
        scale = values.abs().max()
        residuals = beta * vectors[-1, :k].abs()
        newest, newest_vectors = values, vectors
        if block:
            newest, newest_vectors = _symmetric_eigenpairs(projected[block : j + 1, block : j + 1])
        # Invariant to a tenth of what is asked for: beyond it, iteration would follow noise.
        tolerance = rtol / 10 * scale
        exhausted = bool(beta <= tolerance)
        exact_start = block == 0 and start is not None and bool(beta <= rounding * scale)
        converged = j + 1 == objective.dim or (
            j + 1 >= k
            and bool((residuals <= rtol * scale).all())
            and bool(beta * newest_vectors[-1, 0].abs() <= rtol * scale)
            and not (exhausted and bool(newest[0] > values[k - 1] + tolerance))
            and not exact_start
        )
        if converged or j + 1 == steps:
            break
        if exhausted:
            block = j + 1
            basis[block] = _orthogonalize(_random_unit_vector(x, generator), known)
            basis[block] /= basis[block].norm()
        else:
            projected[j, j + 1] = projected[j + 1, j] = beta
            basis[j + 1] = image / image.norm()
    ritz = vectors[:, :k].to(x)
    return EigenResult(values[:k].to(x), basis[: j + 1].T @ ritz, residuals.to(x), j + 1, converged)


def _symmetric_eigenpairs(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, largest first, and eigenvectors in columns."""
    values, vectors = torch.linalg.eigh(matrix)
    return values.flip(0), vectors.flip(1)


def _orthogonalize(vector: Tensor, known: Tensor) -> Tensor:
    """Remove the rows of ``known``, twice, for orthogonality to rounding."""
    for _ in range(2):
        vector = vector - (known @ vector) @ known
    return vector


def _random_unit_vector(x: Tensor, generator: torch.Generator) -> Tensor:
    vector = torch.randn(len(x), generator=generator, dtype=torch.float64).to(x)
    unit: Tensor = vector / torch.linalg.vector_norm(vector)
    return unit
