"""Both errors of full-batch SAM beyond its limiting flow, at a point of Γ."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from samlib._validation import require_number, require_one_point, shown
from samlib.flow.arguments import require_followable, require_rank
from samlib.flow.retraction import eigenpairs_in_range, zero_up_to
from samlib.flow.two_cycle import TwoCycle, second_error, third_derivative, two_cycle
from samlib.objective import Objective, require_objective

_SIMPLE = 1e-4  # how far λ₁ must be from λ₂, relative to λ₁


@dataclass(frozen=True, eq=False)
class FlowCorrections:
    """What :func:`flow_corrections` calculated at a point of Γ.

    Velocities are per unit of slow time, τ = ηρ²t.

    Attributes
    ----------
    flow
        −½ P⊥∇λ₁, the limiting flow (eq. 7), [dim].
    speed_factor
        (2/(2 − ηλ₁))², the first error: SAM is faster, because it looks from a wall, [].
    second
        The second error, from the lopsided two-cycle: what it adds to the velocity, [dim].
    velocity
        speed_factor · flow + second, the velocity of Φ(SAM), [dim].
    top_eigenvalue
        λ₁, [].
    direction
        v₁, with the sign that points to the wall where the gradient is longer, [dim].
    half_length
        d = ηρλ₁/(2 − ηλ₁): SAM bounces between the centre ± d v₁, [].
    reach
        s = ρ + d, how far from Γ it takes its gradients, [].
    centre
        Of the two-cycle, relative to the point of Γ below it, [dim]. Of order ρ².
    lopsidedness
        How unequal the gradients on the two walls are: the difference of their lengths over the
        sum, []. Not negative; where it is not small against 1, what is here is not accurate.
    tilt
        The direction of the gradient is ±(top eigenvector at SAM's own point) + tilt: the mean of
        the two walls, orthogonal to v₁, [dim].
    angle
        Of the gradient with that eigenvector, ‖tilt‖ radians, [].
    """

    flow: Tensor
    speed_factor: Tensor
    second: Tensor
    velocity: Tensor
    top_eigenvalue: Tensor
    direction: Tensor
    half_length: Tensor
    reach: Tensor
    centre: Tensor
    lopsidedness: Tensor
    tilt: Tensor
    angle: Tensor


def flow_corrections(
    objective: Objective, x: Tensor, *, lr: float, rho: float, rank: int | None = None
) -> FlowCorrections:
    """How full-batch SAM moves above a point of Γ at a finite learning rate and radius.

    Our calculation, not in the paper, tested but not proved. SAM bounces along the top eigenvector
    v₁, between walls that are not equally steep: b = ∂²(∇L)[v₁, v₁] pushes its two-cycle aside and
    tilts its gradients. The result is the drift of Φ(SAM) to first order in ρ/η,

    dX/dτ = (2/(2 − ηλ₁))² (−½P⊥∇λ₁) − (2/(2 − ηλ₁)) Σᵢ (2δᵢ/(2 − ηλᵢ)) P⊥∂²(∇L)[v₁, vᵢ],

    i from 2 to M, where the two walls tilt the gradient by different amounts tᵢ ± δᵢ. For small η
    the sum is (ρ²/η) Σᵢ b₁bᵢ/(2λᵢ(λ₁² − λᵢ²)) P⊥∂²(∇L)[v₁, vᵢ]: it can hasten or slow the drift, or
    turn it. The first part is exact as ρ → 0 at fixed η. What is left out is of order ρ², smaller
    than the second part by a factor of order η; how large that factor is depends on the loss.

    Parameters
    ----------
    objective
        The loss. Its Hessian-vector product must be differentiable by torch, as those of samlib's
        own objectives are.
    x
        [dim], on Γ: for instance from :func:`project_to_minimizers`.
    lr, rho
        η and ρ. The two-cycle needs η < 2/λ₁.
    rank
        M. Required beyond 512 parameters, where Lanczos computes that many eigenpairs; up to 512
        it is counted, and checked if given.

    Returns
    -------
    FlowCorrections
        On the device and in the dtype of x.

    Raises
    ------
    TypeError
        If x has another dtype than float32 or float64.
    ValueError
        If an argument has the wrong shape or range, x is not on Γ, or λ₁ is not simple there: less
        than 1e-4 λ₁ above λ₂.

    Examples
    --------
    A valley whose walls along y₁ are unequal, L = ½(2 + x)y₁² + ½y₂² + ½y₁³ + y₁²y₂ + κxy₁y₂: the
    second error changes its sign with κ.

    >>> import torch, samlib
    >>> from samlib.flow import flow_corrections
    >>> origin = torch.zeros(3, dtype=torch.float64)
    >>> for kappa in (1.0, -1.0):
    ...     def loss(z):
    ...         x, y1, y2 = z
    ...         quadratic = (2 + x) * y1**2 / 2 + y2**2 / 2 + kappa * x * y1 * y2
    ...         return quadratic + y1**3 / 2 + y1**2 * y2
    ...     valley = samlib.Objective(loss, dim=3)
    ...     found = flow_corrections(valley, origin, lr=0.05, rho=0.02)
    ...     print(f"{float(found.flow[0]):.3f} {float(found.second[0]):.4f}")
    -0.500 0.0090
    -0.500 -0.0090
    """
    require_one_point("x", x, require_objective(objective).dim)
    require_followable("x", x)
    lr = require_number("lr", lr, positive=True)
    rho = require_number("rho", rho, positive=True)
    rank = require_rank(rank, objective)
    x = x.detach()
    values, vectors = _eigenpairs_on_gamma(objective, x, rank)
    if not lr * float(values[0]) < 2:
        raise ValueError(f"lr must be below 2/λ₁ = {2 / float(values[0]):.6g}, got {shown(lr)}")
    bend = third_derivative(objective, x, vectors[:, 0], vectors[:, 0])
    cycle = two_cycle(values, vectors, bend, lr, rho)
    along = bend - vectors @ (vectors.mT @ bend)
    factor = (cycle.reach / rho) ** 2
    second = second_error(objective, x, values, vectors, bend, lr=lr, rho=rho)
    tilt = _tilt(cycle, values, vectors, bend, along)
    return FlowCorrections(
        flow=-along / 2,
        speed_factor=factor,
        second=second,
        velocity=second - factor * along / 2,
        top_eigenvalue=values[0],
        direction=torch.where(cycle.lopsidedness < 0, -vectors[:, 0], vectors[:, 0]),
        half_length=cycle.half_length,
        reach=cycle.reach,
        centre=_centre(cycle, values, vectors, bend, along, rho),
        lopsidedness=cycle.lopsidedness.abs(),
        tilt=tilt,
        angle=tilt.norm(),
    )


def _tilt(cycle: TwoCycle, values: Tensor, vectors: Tensor, bend: Tensor, along: Tensor) -> Tensor:
    """How the gradient tilts against the top eigenvector at its own point, [dim].

    There the eigenvector itself has turned, by d bᵢ/(λ₁ − λᵢ) towards vᵢ. Along Γ nothing holds
    the gradient back: its part there is ½d²b, its eigenvector turns by d b/λ₁.
    """
    others = vectors[:, 1:]
    turned = cycle.half_length * (others.mT @ bend) / (values[0] - values[1:])
    return others @ (cycle.tilt - turned) - cycle.half_length / (2 * values[0]) * along


def _centre(
    cycle: TwoCycle, values: Tensor, vectors: Tensor, bend: Tensor, along: Tensor, rho: float
) -> Tensor:
    """Where the walls balance, relative to Φ of the two ends, [dim].

    SAM's gradients are taken around the centre plus ρ times the tilt, and their mean is zero where
    that is −½s²bᵢ/λᵢ. On its way to Γ gradient flow from the ends moves by −d²b/(4λ₁) along it.
    """
    across = -(cycle.reach**2) / 2 * (vectors.mT @ bend) / values
    across[1:] -= rho * cycle.tilt
    return vectors @ across + cycle.half_length**2 / (4 * values[0]) * along


def _eigenpairs_on_gamma(
    objective: Objective, x: Tensor, rank: int | None
) -> tuple[Tensor, Tensor]:
    """The non-zero eigenvalues [M] of ∇²L(x), largest first, and their eigenvectors [dim, M]."""
    found, found_vectors = eigenpairs_in_range(objective, x[None], rank)
    values, vectors = found[0], found_vectors[0]
    top, zero = float(values[0]), float(zero_up_to(values))
    slope = float(objective.gradient(x).norm())
    tolerance = max(1e-8, 1000 * torch.finfo(x.dtype).eps) * (1 + float(x.norm()))
    minimizer = top > 0 and float(values[-1]) >= -zero and slope <= tolerance * top
    if not minimizer:
        raise ValueError(
            f"x must be on Γ, with ∇L = 0 and eigenvalues of ∇²L that are not negative nor all 0, "
            f"got {shown(x)}, where ‖∇L‖ = {slope:.2g} and the eigenvalues are from "
            f"{float(values[-1]):.2g} to {top:.6g}; try project_to_minimizers(objective, x).x"
        )
    known = int((values > zero).sum())
    if rank is not None and known != rank:
        raise ValueError(f"rank must be {known}, as there are non-zero eigenvalues, got {rank}")
    if known > 1 and not top - float(values[1]) > _SIMPLE * top:
        raise ValueError(
            f"λ₁ must be simple at x, more than {_SIMPLE:g} λ₁ above λ₂, got {shown(x)} with "
            f"λ₁ = {top:.6g} and λ₂ = {float(values[1]):.6g}"
        )
    return values[:known], vectors[:, :known]
