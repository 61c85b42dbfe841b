"""How the eigenvalues of the Hessian are distributed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_number,
    require_one_point,
    require_seed,
)
from samlib.curvature.hessian import operators
from samlib.curvature.small import is_small
from samlib.linalg import Lanczos, Operator, random_direction
from samlib.linalg.dense import eigh
from samlib.linalg.operator import empty_vector
from samlib.objective import Objective


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

    def __repr__(self) -> str:
        low, high = float(self.nodes.min()), float(self.nodes.max())
        return (
            f"SpectralDensity(eigenvalues from {low:.3g} to {high:.3g}, {len(self.nodes)} probes, "
            f"{self.products} products)"
        )


def spectral_density(
    loss: Objective | Operator,
    x: Tensor | None = None,
    *,
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
    loss
        The loss, or the operator whose spectrum is wanted: :func:`samlib.gauss_newton`, say.
    x
        One point, [dim]. Left out with an operator.
    probes
        The number of random vectors, at least 2.
    steps
        The number of products, and quadrature nodes, per probe.
    width
        Standard deviation of the Gaussian that smooths the density, by default 1/200 of the
        range of the spectrum, or what rounding may move an eigenvalue by if that is more.
    points
        The number of points of the grid.
    seed
        Fixes the random vectors, the same on every device.
    progress
        Whether to show a bar if it takes more than two seconds.

    Raises
    ------
    TypeError
        If loss is neither an objective nor an operator, or x is missing or given beside one.
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
    points_of, _ = operators(loss, x)
    if x is not None:
        require_one_point("x", x, loss.shards.length)
    for name, count, minimum in (("probes", probes, 2), ("steps", steps, 1), ("points", points, 2)):
        require_count(name, count, minimum=minimum)
    if width is not None:
        width = require_number("width", width, positive=True)
    seed = require_seed("seed", seed)
    require_flag("progress", progress)
    operator = next(points_of)
    if is_small(loss):
        nodes = eigh(operator.to_dense())[0].cpu().double().unsqueeze(0)
        weights = torch.full_like(nodes, 1 / loss.dim)
        products = loss.dim
    else:
        nodes, weights, products = _lanczos_quadrature(operator, probes, steps, seed, progress)
    if not bool(nodes.isfinite().all()):
        raise ValueError("the Hessian at x is not finite")
    span = float(nodes.max() - nodes.min()) or max(abs(float(nodes.max())), 1.0)
    sigma = span * max(1 / 200, operator.unit) if width is None else width
    grid = torch.linspace(
        float(nodes.min()) - 4 * sigma, float(nodes.max()) + 4 * sigma, points, dtype=torch.float64
    ).to(nodes.device)
    bumps = torch.exp(-(((grid[:, None, None] - nodes) / sigma) ** 2) / 2)
    each = (weights * bumps).sum(dim=-1) / (sigma * math.sqrt(2 * math.pi))
    error = each.std(dim=-1) / math.sqrt(len(nodes)) if len(nodes) > 1 else 0 * each[:, 0]
    return SpectralDensity(grid, each.mean(dim=-1), error, nodes, weights, sigma, products)


def _lanczos_quadrature(
    operator: Operator, probes: int, steps: int, seed: int, progress: bool
) -> tuple[Tensor, Tensor, int]:
    """Nodes and weights [probes, steps] of one Gauss quadrature per random vector, and its cost."""
    x, shards = empty_vector(operator), operator.shards

    def product(vector: Tensor) -> Tensor:
        return operator.matvec(vector.to(operator.dtype)).to(vector.dtype)

    generator = torch.Generator().manual_seed(seed)
    steps, products = min(steps, operator.dim), 0
    nodes = torch.zeros(probes, steps, dtype=torch.float64)
    weights = torch.zeros_like(nodes)
    with ProgressBar(probes * steps, "spectral density", progress) as bar:
        for i in range(probes):
            invariant = 100 * torch.finfo(x.dtype).eps
            start = random_direction(x, generator, shards)
            krylov = Lanczos(product, start, steps, invariant=invariant, shards=shards)
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
