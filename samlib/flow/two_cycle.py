"""SAM's two-cycle over a point of Γ: how lopsided it is, and what that does to the drift.

Nothing here looks at its arguments: they come from a point of Γ that has been looked at, with
η λ₁ < 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from samlib.objective import Objective


@dataclass(frozen=True, eq=False)
class TwoCycle:
    """SAM's two-cycle at x ± d v₁ to first order in ρ/η, in the eigenvectors v₁, …, v_M of ∇²L(x).

    On the wall of ±v₁ the direction of the gradient is ±v₁ + Σ (tᵢ ± δᵢ) vᵢ, i from 2 to M.

    Attributes
    ----------
    half_length
        d = ηρλ₁/(2 − ηλ₁), [].
    reach
        s = ρ + d, how far from Γ SAM takes its gradients, [].
    lopsidedness
        ε: the gradient is 1 + ε times its mean length on the wall of v₁, 1 − ε on the other, [].
    tilt
        tᵢ, [M − 1].
    swing
        δᵢ, [M − 1].
    """

    half_length: Tensor
    reach: Tensor
    lopsidedness: Tensor
    tilt: Tensor
    swing: Tensor

    @property
    def bounded_swing(self) -> Tensor:
        """δᵢ, kept within what a direction can do where ε is not small.

        tanh ε stands for ε, since no gradient is less than 0 or more than twice the mean, and
        δ/√(1 + ‖δ‖²) for δ. To first order in ρ/η nothing changes.
        """
        ratio = self.lopsidedness.tanh() / self.lopsidedness
        swing = self.swing * torch.where(self.lopsidedness == 0, 1.0, ratio)
        return swing / (1 + swing.square().sum()).sqrt()


def two_cycle(values: Tensor, vectors: Tensor, bend: Tensor, lr: float, rho: float) -> TwoCycle:
    """The two-cycle over a point of Γ from the eigenpairs [M], [dim, M] of ∇²L there.

    bend is b = ∂²(∇L)[v₁, v₁], [dim].
    """
    top, others = values[0], values[1:]
    half = lr * rho * top / (2 - lr * top)
    reach = rho + half
    first, rest = (vectors.mT @ bend).tensor_split([1])
    push = -(reach**2 - half**2) / 2  # per b, of the walls' unequal steepness
    lopsidedness = push * first.squeeze() / (top * half)
    tilt = push * rest / (top * half + rho * others)
    feedback = (others / top) ** 2 * (2 - lr * top) / (2 - lr * others)
    swing = -lopsidedness * tilt / (1 - feedback)
    return TwoCycle(half, reach, lopsidedness, tilt, swing)


def second_error(
    objective: Objective,
    x: Tensor,
    values: Tensor,
    vectors: Tensor,
    bend: Tensor,
    *,
    lr: float,
    rho: float,
    bounded: bool = False,
) -> Tensor:
    """What the lopsided two-cycle adds to dΦ(SAM)/dτ at a point x of Γ, [dim].

    It is −(2/(2 − ηλ₁)) Σ (2δᵢ/(2 − ηλᵢ)) T₁ᵢ with T₁ᵢ = P⊥∂²(∇L)[v₁, vᵢ]. The arguments are those
    of :func:`two_cycle`. The sum runs over all columns of vectors but the first, and P⊥ projects
    off all of them: to leave an eigenvector out of the sum alone, leave its column out and project
    the result off it. ``bounded`` takes :attr:`TwoCycle.bounded_swing`.
    """
    cycle = two_cycle(values, vectors, bend, lr, rho)
    swing = cycle.bounded_swing if bounded else cycle.swing
    # T₁ᵢ is linear in vᵢ: one derivative gives the whole sum.
    across = vectors[:, 1:] @ (2 * swing / (2 - lr * values[1:]))
    slope = third_derivative(objective, x, vectors[:, 0], across)
    return -(cycle.reach / rho) * (slope - vectors @ (vectors.mT @ slope))


def third_derivative(objective: Objective, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """∂²(∇L)(x)[v, w], that is ∂³L(x)[v, w, ·]: all [dim]."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        curvature = objective.hessian_vector_product(at, v.detach()) @ w.detach()
        if not curvature.requires_grad:  # of a quadratic
            return torch.zeros_like(x)
        (slope,) = torch.autograd.grad(curvature, at, materialize_grads=True)
    return slope
