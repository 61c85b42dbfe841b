"""What is measured of a network: once for all ρ, and at each ρ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from samlib.curvature import EigenResult
from samlib.estimate import Estimate
from samlib.sharpness import Sharpness
from samlib.widgets.figures.explore.quadratic_model import QuadraticModel


@dataclass(frozen=True, eq=False)
class PointMeasurement:
    """What does not depend on ρ.

    Attributes
    ----------
    loss
        L(x).
    gradient_norm
        ‖∇L(x)‖.
    eigenvalues
        The top eigenvalues of ∇²L(x) with their residuals, on the CPU and without vectors.
    cosines
        |cos∠(∇L, v_i)| for each; NaN where the gradient is zero.
    cosine_error
        A bound of the error of the first, from the residual of λ₁ and its distance from λ₂.
    curvature_along_gradient
        gᵀ∇²L g/‖g‖² for g = ∇L(x).
    trace
        Tr ∇²L(x), with its standard error.
    quadratic
        The quadratic model at x.
    """

    loss: float
    gradient_norm: float
    eigenvalues: EigenResult
    cosines: Tensor
    cosine_error: float
    curvature_along_gradient: float
    trace: Estimate
    quadratic: QuadraticModel


@dataclass(frozen=True, eq=False)
class RadiusMeasurement:
    """What depends on ρ, as far as it is measured.

    Attributes
    ----------
    rho
        ρ.
    sharpness
        By notion, on the CPU and without the direction.
    predicted
        The same by the quadratic model at x, without an error.
    steps
        The s of the profiles, [points].
    profiles
        L(x + s d) − L(x) at these s, [points], along the unit vectors d "worst", "ascent" and
        "random".
    length
        The length of the worst v found in the unit ball, 1 on its surface.
    """

    rho: float
    sharpness: Mapping[str, Sharpness] = field(default_factory=dict)
    predicted: Mapping[str, float] = field(default_factory=dict)
    steps: Tensor = field(default_factory=lambda: torch.empty(0))
    profiles: Mapping[str, Tensor] = field(default_factory=dict)
    length: float = 1.0

    def with_sharpness(self, sharpness: Sharpness) -> RadiusMeasurement:
        """With one more sharpness, on the CPU and without its direction."""
        kept = replace(
            sharpness,
            value=sharpness.value.detach().cpu(),
            error=sharpness.error.detach().cpu(),
            direction=None,
        )
        return replace(
            self, sharpness={**self.sharpness, sharpness.notion.removesuffix("_direction"): kept}
        )

    def with_profile(self, name: str, profile: Tensor) -> RadiusMeasurement:
        """With one more profile."""
        return replace(self, profiles={**self.profiles, name: profile})

    @property
    def complete(self) -> bool:
        """Whether everything is measured."""
        return len(self.profiles) == 3 and len(self.sharpness) == 3
