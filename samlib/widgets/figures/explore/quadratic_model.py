"""The loss to second order at a point, and what it predicts of the three sharpnesses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from samlib.linalg import Lanczos, maximize_quadratic

# The quadratic model is drawn at these radii.
MODEL_RADII = tuple(10 ** (k / 20) for k in range(-80, 21))

# So many products span the Krylov space of the gradient; one more is for v₁.
KRYLOV_PRODUCTS = 20


@dataclass(frozen=True, eq=False, repr=False)
class QuadraticModel:
    """L to second order at x: what it says about the three sharpnesses, for any ρ.

    The worst direction of L(x) + g·ρv + ½ρ² vᵀHv over the unit ball lies in the Krylov space of g
    or, in the hard case, has a part along v₁: it is looked for in the span of the first vectors
    of that space and v₁.
    """

    slope: Tensor
    curvature: Tensor
    mean_curvature: float

    @property
    def along_gradient(self) -> float:
        """gᵀHg/‖g‖²; 0 where the gradient is zero."""
        square = self.slope.square().sum()
        return float(self.slope @ self.curvature @ self.slope / square) if square > 0 else 0.0

    def predict(self, rho: Tensor) -> dict[str, Tensor]:
        """The three sharpnesses at radii ρ [n]."""
        rho = rho.double()
        worst = maximize_quadratic(
            rho[:, None, None] ** 2 * self.curvature, rho[:, None] * self.slope
        )[1]
        norm = float(self.slope.norm())
        return {
            "worst": worst,
            "ascent": rho * norm + rho**2 * self.along_gradient / 2,
            "average": rho**2 * self.mean_curvature / 2,
        }


def small_model(
    product: Callable[[Tensor], Tensor], gradient: Tensor, top: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient and Hessian in the span of the gradient's Krylov space and v₁, on the CPU.

    Parameters
    ----------
    product
        v ↦ ∇²L(x) v.
    gradient, top
        ∇L(x) and v₁, both [dim].
    """
    dim = len(gradient)
    first = gradient if bool(gradient.any()) else top
    krylov = Lanczos(product, first, capacity=KRYLOV_PRODUCTS + 1)
    while krylov.size < min(KRYLOV_PRODUCTS, dim) and not krylov.grow().exhausted:
        pass
    outside = top - (krylov.basis @ top) @ krylov.basis
    if krylov.size < dim and float(outside.norm()) > 1e-3:
        krylov.open_block(top)
        krylov.grow(at_most=1)
    slope = krylov.basis @ gradient
    return slope.double().cpu(), krylov.projected.double().cpu()
