"""SAM's edge of stability: how curved a loss may be before the steps grow.

Near a minimum, L = ½ xᵀHx, a step x − η∇L(x + s∇L(x)) multiplies the gradient along an eigenvector
of H by 1 − ηλ(1 + sλ), with s = ρ/‖g‖ for SAM and s = ρ without the normalization. So it grows
where ηλ(1 + sλ) > 2 (Long and Bartlett, 2024). SAM ends at the edge: there the gradient turns
around in each step, the two-cycle of Bartlett, Long and Bousquet (2023).
"""

from __future__ import annotations

import math

import torch

from samlib.optim import SharpnessAware


def edge(lr: float, curvature: float, reach: float) -> float:
    """ηλ(1 + sλ), to be compared with :func:`edge_limit`; s is the length of ε per gradient."""
    return lr * curvature * (1 + reach * curvature)


def edge_error(lr: float, curvature: float, reach: float, error: float) -> float:
    """How far an error of λ moves ηλ(1 + sλ), to first order."""
    return abs(lr * (1 + 2 * reach * curvature)) * error


def why_no_edge(optimizer: SharpnessAware) -> str:
    """Why ηλ(1 + sλ) would say nothing about an optimizer; empty if it does."""
    base, groups = optimizer.base_optimizer, optimizer.param_groups
    if not optimizer.has_edge:
        return f"none is known for {type(optimizer).__name__}"
    if type(base) is not torch.optim.SGD:
        return f"none is known around {type(base).__name__}, only around SGD"
    for name in ("lr", "rho", "momentum", "dampening", "nesterov", "maximize"):
        if len({float(group[name]) for group in groups}) > 1:
            return f"the parameter groups differ in {name}"
    return "the base optimizer maximizes" if groups[0]["maximize"] else ""


def edge_limit(optimizer: SharpnessAware) -> float:
    """The largest ηλ(1 + sλ) with which the steps do not grow: 2 for SGD as it is.

    With momentum β it is 2(1 + β), with Nesterov's 2(1 + β)/(1 + 2β), for ‖g‖ as it is now; a
    dampening τ divides it by 1 − τ. Weight decay μ takes ημ off. (Set z = −1 in the recursion
    along an eigenvector: where it is left through z = −1 the steps begin to grow.)
    """
    group = optimizer.param_groups[0]
    momentum, dampening = float(group["momentum"]), float(group["dampening"])
    decay = max(float(group["weight_decay"]) for group in optimizer.param_groups)
    limit = 2 * (1 + momentum)
    if group["nesterov"]:
        limit /= 1 + 2 * momentum
    if momentum:  # torch leaves dampening alone otherwise
        limit = limit / (1 - dampening) if dampening < 1 else math.inf
    return limit - float(group["lr"]) * decay
