"""How SAM on mini-batches drifts along Γ at a finite learning rate (our calculation).

The chain of :mod:`samlib.flow.chain` has the stationary moments S = M E(w a aᵀ) K⁻¹, and in the
slow time τ, of which a step takes ηρ²,

    dX/dτ = −(1/M) Σ_kj S_kj P⊥ ∇²f_k ∇f_j.

For S = I this is the trace flow, for S = s u uᵀ with the top eigenvector u of K that of λ₁, s times
as fast. The part of S that is symmetric lowers ½ Σ S_kj K_kj/M, with S held fixed; the rest of S is
no gradient of such a function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_number,
    require_one_point,
    require_seed,
    shown,
)
from samlib.flow.arguments import require_followable
from samlib.flow.chain import ChainMoments, run_chains
from samlib.flow.chain_walk import Sampling, require_batch_size, require_gram
from samlib.objective import Objective, require_objective

# How many groups of chains the error of a drift is taken from.
_GROUPS = 16

# A component's Hessian is of rank one up to so much, relative to itself.
_RANK_ONE = 1e-3


@dataclass(frozen=True, eq=False)
class ChainDrift:
    """The velocity of SAM along Γ at a point, from the chain of its residuals.

    Attributes
    ----------
    velocity
        dX/dτ, [dim]. One step takes ηρ² of the slow time τ.
    error
        Its standard error, [dim].
    moments
        The stationary moments of the chain that it was computed from.
    gradients
        The ∇f_k, [M, dim], each up to its sign, as the moments refer to them.
    """

    velocity: Tensor
    error: Tensor
    moments: ChainMoments
    gradients: Tensor

    def __repr__(self) -> str:
        return (
            f"ChainDrift(‖velocity‖={float(self.velocity.norm()):.4g} ± "
            f"{float(self.error.norm()):.1g}, examples={len(self.gradients)})"
        )


def chain_drift(
    objective: Objective,
    x: Tensor,
    *,
    lr: float,
    batch_size: int | None = 1,
    samples: int = 2**20,
    seed: int = 0,
    progress: bool = True,
) -> ChainDrift:
    """The drift dX/dτ of SAM on mini-batches at a point of Γ, as ρ → 0 at fixed η.

    Parameters
    ----------
    objective
        A loss with components L_k, each the loss of one output: on Γ, where each is minimal,
        ∇²L_k has rank one. It is touched by derivatives of ``component_gradient`` alone.
    x
        A point of Γ [dim], such as :func:`samlib.project_to_minimizers` finds.
    lr, batch_size, samples, seed, progress
        As for :func:`residual_chain`.

    Returns
    -------
    ChainDrift
        On the device and in the dtype of x.

    Raises
    ------
    ValueError
        If the objective has no components, the Hessian of one does not have rank one at x (x is
        not on Γ, or an example has several outputs), the gradients ∇f_k are linearly dependent,
        or an argument is out of range.

    Examples
    --------
    In the two valleys, each example has its own speed (2/(2 − ηh))²; with h₁ = 6 and h₂ = 2 on
    the floor, 1-SAM drifts to the left above η = 0.0948, although the trace falls to the right.

    >>> import torch, samlib
    >>> from samlib.flow import chain_drift
    >>> valleys, floor = samlib.landscapes.TwoValleys(), torch.zeros(3).double()
    >>> for lr in (0.05, 0.15):
    ...     drift = chain_drift(valleys, floor, lr=lr, samples=2**16)
    ...     print(f"{float(drift.velocity[0]):+.3f}")
    +0.097
    -0.273
    """
    x = require_one_point("x", x, require_objective(objective).dim).detach()
    require_followable("x", x)
    lr = require_number("lr", lr, positive=True)
    batch_size = require_batch_size(batch_size)
    samples = require_count("samples", samples, minimum=1)
    generator = torch.Generator().manual_seed(require_seed("seed", seed))
    require_flag("progress", progress)
    gradients = component_slopes(objective, x)
    gram = require_gram(gradients @ gradients.mT)
    with ProgressBar(None, "chain of residuals", progress) as bar:
        averages = run_chains(gram, Sampling(lr, batch_size, samples, generator, bar))
    moments = averages.moments(gram)
    groups = averages.speeds(gram).to(x).chunk(_GROUPS)
    spread = torch.stack(
        [velocity_along_gamma(objective, x, gradients, s.mean(dim=0)) for s in groups]
    )
    return ChainDrift(
        velocity=velocity_along_gamma(objective, x, gradients, moments.speeds),
        error=spread.std(dim=0) / math.sqrt(len(groups)),
        moments=moments,
        gradients=gradients,
    )


def component_slopes(objective: Objective, x: Tensor) -> Tensor:
    """The ∇f_k at a point of Γ, [M, dim], each up to its sign: ∇²L_k = ∇f_k ∇f_kᵀ.

    Raises
    ------
    ValueError
        If the objective has no components, or one has a Hessian of another rank than one.
    """
    points = x.expand(number_of_components(objective), -1)
    generator = torch.Generator().manual_seed(0)
    probes, others = torch.randn(2, *points.shape, generator=generator).to(x)
    once = _component_products(objective, points, probes)
    twice = _component_products(objective, points, once)
    slopes = twice / (once * twice).sum(dim=-1, keepdim=True).sqrt()
    once = _component_products(objective, points, others)
    rest = once - slopes * (slopes * others).sum(dim=-1, keepdim=True)
    wrong = ~(rest.norm(dim=-1) <= _RANK_ONE * once.norm(dim=-1))
    if bool(wrong.any()):
        raise ValueError(
            f"∇²L_k must have rank one at x, as it has on Γ if each example has one output; it has "
            f"not for k = {int(wrong.nonzero()[0])}, at x with {shown(x)}"
        )
    return slopes


def number_of_components(objective: Objective) -> int:
    """M of a finite sum; raise if the objective is none."""
    if objective.components is None:
        raise ValueError(
            "this objective has no components: the chain needs a landscape or "
            "Objective.from_module(model, loss_fn, (inputs, targets)) with one pair of tensors"
        )
    return len(objective.components)


def _component_products(objective: Objective, x: Tensor, v: Tensor) -> Tensor:
    """∇²L_k(x_k) v_k for all k, [M, dim]; part of a graph if x is."""
    with torch.enable_grad():
        at = x if x.requires_grad else x.detach().clone().requires_grad_()
        k = torch.arange(len(x), device=x.device)
        slope = (objective.component_gradient(at, k) * v).sum()
        (image,) = torch.autograd.grad(slope, at, create_graph=x.requires_grad)
    return image


def velocity_along_gamma(
    objective: Objective, x: Tensor, gradients: Tensor, speeds: Tensor
) -> Tensor:
    """−(1/M) Σ_kj S_kj P⊥ ∇²f_k ∇f_j, [dim], for M examples."""
    towards = speeds @ gradients / len(gradients)
    return -bends(objective, x, gradients, towards).sum(dim=0)


def bends(objective: Objective, x: Tensor, gradients: Tensor, towards: Tensor) -> Tensor:
    """P⊥ ∇²f_k v_k for the rows v_k of towards, each in the span of the ∇f_j, [M, dim].

    Along a tangent c of Γ, ∂³L_k[u, g, c] = h ∇²f_k[u, c] + ⟨g, u⟩ ∇²f_k[g, c] with g = ∇f_k and
    h = ‖g‖², and ∂³L_k[g, g, c] = 2h ∇²f_k[g, c]. So ∇²f_k[v, c] = ∂³L_k[v − ½⟨g, v⟩g/h, g, c]/h.
    """
    curvatures = gradients.square().sum(dim=-1, keepdim=True)
    along = (gradients * towards).sum(dim=-1, keepdim=True) / curvatures
    first, second = towards - along / 2 * gradients, gradients / curvatures
    with torch.enable_grad():
        at = x.expand(len(gradients), -1).clone().requires_grad_()
        curvature = (_component_products(objective, at, first) * second).sum() + 0 * at.sum()
        (slopes,) = torch.autograd.grad(curvature, at)
    gram, across = gradients @ gradients.mT, slopes @ gradients.mT
    coefficients = torch.linalg.solve(gram.cpu().double(), across.mT.cpu().double()).mT
    tangent: Tensor = slopes - coefficients.to(slopes) @ gradients
    return tangent
