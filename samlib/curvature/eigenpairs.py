"""The largest eigenvalues of a curvature matrix and their eigenvectors, each with its error."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from samlib._precision import wide_dtype
from samlib._progress import ProgressBar
from samlib._validation import (
    require_callable,
    require_count,
    require_flag,
    require_fraction,
    require_probability,
    require_tensor,
    shown,
)
from samlib.curvature.hessian import operators
from samlib.curvature.small import is_small, small_matrices
from samlib.estimate import show_with_error
from samlib.linalg import Operator, Shards
from samlib.linalg.dense import eigh
from samlib.linalg.eigen_search import Eigenpairs, EigenSearch
from samlib.linalg.operator import empty_vector, rounding_error
from samlib.objective import Objective


@dataclass(frozen=True, eq=False)
class EigenResult:
    """Eigenpairs of a curvature matrix H, such as ∇²L(x), with the evidence for them.

    Attributes
    ----------
    values
        [..., k], largest first.
    vectors
        [..., dim, k], orthonormal columns; the sign of each is arbitrary.
    residuals
        ‖Hv − λv‖ for each pair, [..., k], rounding included: some exact eigenvalue lies within this
        distance.
    errors
        How far each value may be from the eigenvalue of its number, [..., k]: its residual, in a
        cluster those of all in it, and for the last ones more where a larger eigenvalue could not
        be excluded.
    confidence
        The probability with which no eigenvalue is skipped beyond the errors: 1 where all of them
        are known, 0 where none was looked for.
    products
        The number of matrix-vector products spent per point.
    converged
        Whether every error is within what was asked for; NaN is not.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    errors: Tensor
    confidence: float
    products: int
    converged: bool

    def to_dataframe(self) -> pd.DataFrame:
        """One row per point and eigenvalue: point, index, value, error, residual."""
        k = self.values.shape[-1]
        points = self.values.numel() // k
        numbers = {"value": self.values, "error": self.errors, "residual": self.residuals}
        return pd.DataFrame(
            {
                "point": np.repeat(np.arange(points), k),
                "index": np.tile(np.arange(1, k + 1), points),
                **{name: each.reshape(-1).cpu().numpy() for name, each in numbers.items()},
            }
        )

    def __repr__(self) -> str:
        return (
            f"EigenResult({show_with_error(self.values, self.errors)}, "
            f"{self.products} products{'' if self.converged else ', not converged'})"
        )


def top_eigenpairs(
    loss: Objective | Operator,
    x: Tensor | None = None,
    *,
    k: int = 1,
    rtol: float = 1e-3,
    confidence: float = 0.99,
    guess: Tensor | None = None,
    max_products: int = 300,
    on_product: Callable[[], object] | None = None,
    progress: bool = True,
) -> EigenResult:
    """The k algebraically largest eigenvalues of ∇²L(x), with their eigenvectors.

    Lanczos iteration with full reorthogonalization. It stops on residuals, not on a small change
    of the eigenvalue: ‖∇²L v − λ v‖ ≤ rtol · (the largest |eigenvalue| seen). The error of an
    isolated eigenvalue is then of the order of its squared residual.

    A residual says that an eigenvalue is near, not which one it is: a larger one may have been
    skipped, because the start has hardly a part along its vector, or because it is a copy of
    another. So a second iteration, from a random vector, then searches the orthogonal complement
    until a larger eigenvalue there has at most the probability 1 − ``confidence``, and takes in
    what it finds. This typically costs three to ten products more, and some thirty
    where the largest eigenvalues are clustered.

    Where the Hessian is not finite, so for example after divergence, the eigenpairs are NaN. Memory
    is that of about 50 vectors, and 110, or 9k if that is more, where the complement is searched.

    Parameters
    ----------
    loss
        The loss, or the operator whose eigenvalues are wanted: :func:`samlib.gauss_newton`, say.
    x
        [..., dim]; points of a batch are treated one after the other, or by one dense
        eigendecomposition when dim ≤ 64. Left out with an operator.
    k
        How many eigenpairs, at most dim.
    rtol
        The error, relative to the spectral scale, at which to stop.
    confidence
        The probability with which no eigenvalue is skipped, at least 0 and below 1; with 0 the
        complement is not searched.
    guess
        A first guess [dim] for v₁, or [dim, n] for v₁, …, vₙ, for example those of a nearby point.
        It saves products; that it may be closer to other eigenvectors is what the search in the
        complement is for.
    max_products
        Stop after so many matrix-vector products per point, converged or not.
    on_product
        Called without arguments after each product, for example to show how far it is, or to stop
        it by an exception. Not called where dim ≤ 64.
    progress
        Whether to show a bar if it takes more than two seconds.

    Raises
    ------
    TypeError
        If loss is neither an objective nor an operator, or x is missing or given beside one.
    ValueError
        If k, rtol, confidence or max_products is out of range, x or guess has the wrong shape, or
        guess is zero or not finite.

    Warns
    -----
    RuntimeWarning
        If the errors are larger than asked for, because ``max_products`` did not suffice, the
        complement is too crowded to be sure, or the arithmetic is too coarse; ``converged`` is
        then False.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([3.0, 1.0, 2.0])
    >>> samlib.top_eigenpairs(quadratic, torch.zeros(3), k=2).values
    tensor([3., 2.])
    """
    points, shape = operators(loss, x)
    dim = loss.dim
    require_count("k", k, minimum=1)
    if k > dim:
        raise ValueError(f"k must be at most dim = {dim}, got {shown(k)}")
    require_count("max_products", max_products, minimum=k)
    require_fraction("rtol", rtol)
    require_probability("confidence", confidence)
    _require_guess(guess, loss.shards)
    if on_product is not None:
        require_callable("on_product", on_product, "a function without arguments")
    require_flag("progress", progress)
    if is_small(loss):
        return small_eigenpairs(loss, x, k, rtol)
    with ProgressBar(shape.numel() * max_products, "top eigenpairs", progress) as bar:

        def done() -> None:
            bar.update()
            if on_product is not None:
                on_product()

        results, obstacles = zip(
            *(_search(point, k, rtol, confidence, guess, max_products, done) for point in points),
            strict=True,
        )
    if obstacle := next(filter(None, obstacles), ""):
        warnings.warn(obstacle, RuntimeWarning, stacklevel=2)
    return collect_eigenpairs(results, shape)


def _require_guess(guess: Tensor | None, shards: Shards) -> None:
    if guess is None:
        return
    shape = require_tensor("guess", guess).shape
    if not (guess.numel() > 0 and shape[:1] == (shards.length,) and len(shape) <= 2):
        raise ValueError(
            f"guess must have shape [{shards.length}] or [{shards.length}, n], got {tuple(shape)}"
        )
    wide = guess.to(wide_dtype(guess.device)).reshape(shards.length, -1)
    if not bool(((shards.norm(wide.T) > 0) & (shards.norm(wide.T) < math.inf)).all()):
        raise ValueError(f"guess must be finite and not zero, got {shown(guess)}")


def small_eigenpairs(
    loss: Objective | Operator, x: Tensor | None, k: int, rtol: float
) -> EigenResult:
    """The k top eigenpairs at all points at once, by one dense eigendecomposition."""
    matrix, moved, unit = small_matrices(loss, x)
    values, vectors = eigh(matrix)
    scale = values.abs().amax(dim=-1, keepdim=True)
    values, vectors = values[..., :k], vectors[..., :k]
    residuals = (matrix @ vectors - vectors * values.unsqueeze(-2)).norm(dim=-2)
    if moved is None:
        rounding = 10 * unit * scale.expand_as(values)
    else:
        rounding = 2 * ((moved - matrix) @ vectors).norm(dim=-2)
        rounding = rounding + unit * values.abs() + torch.finfo(values.dtype).eps * scale
    errors = torch.hypot(residuals, rounding)
    products = loss.dim * (1 if moved is None else 2)
    converged = bool((errors <= rtol * scale).all())
    return EigenResult(values, vectors, errors, errors, 1.0, products, converged)


def _search(
    operator: Operator,
    k: int,
    rtol: float,
    confidence: float,
    guess: Tensor | None,
    max_products: int,
    done: Callable[[], None],
) -> tuple[EigenResult, str]:
    """The k top eigenpairs of one operator, and what keeps their errors large, if anything."""
    like = empty_vector(operator)

    def product(vector: Tensor) -> Tensor:
        image = operator.matvec(vector.to(operator.dtype)).to(vector.dtype)
        done()
        return image

    search = EigenSearch(
        product,
        like,
        k,
        rtol=rtol,
        risk=1 - confidence,
        max_products=max_products,
        shards=operator.shards,
    )
    found = search.run(None if guess is None else guess.reshape(len(like), -1))
    values, residuals = found.values.to(like), found.residuals.to(like)
    # Of what rounding does to the products, the one with the top eigenvector is looked at.
    top = found.vectors[:, 0]
    scale = found.scale if math.isfinite(found.scale) else 0.0
    rounding = rounding_error(operator, top, found.image, scale=scale).to(like)
    errors = torch.hypot(found.errors.to(like), rounding)
    sure = confidence == 0 or found.risk <= 1 - confidence
    beyond = found.ceiling - values if sure and confidence else torch.zeros_like(values)
    obstacle = _obstacle(found, operator.unit, float(rounding), rtol, sure, max_products)
    result = EigenResult(
        values,
        found.vectors,
        torch.hypot(residuals, rounding),
        torch.maximum(errors, beyond),
        1 - found.risk,
        found.products + (operator.nearby is not None),
        math.isfinite(found.scale) and not obstacle,
    )
    return result, obstacle


def _obstacle(
    found: Eigenpairs, unit: float, rounding: float, rtol: float, sure: bool, max_products: int
) -> str:
    """What keeps an error larger than asked for; nothing where the matrix is not finite."""
    if not math.isfinite(found.scale):
        return ""
    allowed, error = rtol * found.scale, float(found.errors.max())
    last, beyond = float(found.values[-1]), found.ceiling - float(found.values[-1])
    if error > allowed or not sure:
        return f"Lanczos stopped at max_products={max_products} with an error of {error:.2g}"
    if rounding > allowed:
        return (
            f"rounding in the arithmetic of the loss (its unit is {unit:.1g}) leaves an error of "
            f"{rounding:.2g} in the eigenvalues; float64 would do better"
        )
    if found.risk < 1 and beyond > allowed:
        return (
            "next to the last eigenvalue the spectrum is crowded: one that is up to "
            f"{beyond:.2g} larger than {last:.4g} may have been skipped"
        )
    return ""


def collect_eigenpairs(results: Sequence[EigenResult], shape: torch.Size) -> EigenResult:
    """Put the results of single points together."""

    def together(name: str) -> Tensor:
        values = torch.stack([getattr(result, name) for result in results])
        return values.reshape(*shape, *values.shape[1:])

    return EigenResult(
        together("values"),
        together("vectors"),
        together("residuals"),
        together("errors"),
        min(result.confidence for result in results),
        max(result.products for result in results),
        all(result.converged for result in results),
    )
