"""The valley of minimizers Γ of ``FourDimensional``, and the limiting regularizers on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib.dynamics import simulate
from samlib.landscapes import FourDimensional
from samlib.rules import SAM, GradientDescent, Rule
from samlib.sharpness import LimitingRegularizers, limiting_regularizers
from samlib.widgets.core.four_dimensional import PREFERRED

# The part of Γ that the map shows: all three preferred points, and where λ₁ and λ_M meet.
REGION = (-0.5, 1.25)

# What colours the map: the notion it belongs to, its symbol, and how many S of that notion it is.
QUANTITIES: Mapping[str, tuple[str, str, int]] = {
    "top_eigenvalue": ("worst", "λ₁", 2),
    "smallest_nonzero_eigenvalue": ("ascent", "λ_M", 2),
    "trace": ("average", "Tr", 8),
}

# The runs that come from x′ to Γ: their η and ρ, how far x′ is from x, and their steps. SAM's
# two-cycle, ηρλ₁/(2 − ηλ₁) wide to either side, is about as wide as x′ is far.
ARRIVAL: Mapping[str, float] = {"lr": 0.02, "rho": 0.01, "distance": 0.004}
ARRIVAL_STEPS = 40


@dataclass(frozen=True, eq=False)
class Arrival:
    """A run from x′ to Γ.

    Attributes
    ----------
    x
        Its iterates, [steps + 1, 4].
    u
        The direction of ∇L at each of them, [steps + 1, 4].
    half_curvature
        ½uᵀ∇²L u there, [steps + 1].
    """

    x: Tensor
    u: Tensor
    half_curvature: Tensor


def on_manifold(point: Sequence[float]) -> Tensor:
    """The point of Γ with these (x₁, x₂), [4]."""
    return torch.tensor((*point, 0.0, 0.0), dtype=torch.float64)


def side_direction(approach: float) -> Tensor:
    """The direction from x to x′, [4], at an angle of so many degrees in (x₃, x₄)."""
    angle = math.radians(approach)
    return torch.tensor((0.0, 0.0, math.cos(angle), math.sin(angle)), dtype=torch.float64)


def regularizers_at(point: Sequence[float]) -> LimitingRegularizers:
    """S^Max, S^Asc and S^Avg at a point (x₁, x₂) of Γ."""
    return limiting_regularizers(FourDimensional(), on_manifold(point))


def least_regularizer(notion: str) -> float:
    """The least value of a notion's limiting regularizer on Γ."""
    return float(getattr(regularizers_at(PREFERRED[notion]), notion).value)


def arrivals_from(point: Sequence[float], approach: float) -> dict[str, Arrival]:
    """The runs of gradient descent and of SAM from x′ to Γ."""
    lr, rho = ARRIVAL["lr"], ARRIVAL["rho"]
    start = on_manifold(point) + ARRIVAL["distance"] * side_direction(approach)
    rules: dict[str, Rule] = {"gradient_descent": GradientDescent(lr), "sam": SAM(lr, rho)}
    return {name: _arrival(rule, start) for name, rule in rules.items()}


def _arrival(rule: Rule, start: Tensor) -> Arrival:
    objective = FourDimensional()
    run = simulate(objective, rule, start, ARRIVAL_STEPS, record=("x", "gradient"), progress=False)
    x, gradient = run.x[0], run.gradient[0]
    u = gradient / gradient.norm(dim=-1, keepdim=True)
    return Arrival(x, u, (u * objective.hessian_vector_product(x, u)).sum(dim=-1) / 2)
