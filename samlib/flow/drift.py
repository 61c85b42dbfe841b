"""The velocity of a limiting flow on Γ, for each sharpness that it may lower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from samlib.flow.gamma import Gamma, Place
from samlib.flow.ties import least_norm_mixture, third_derivatives

Regularizer = Literal["top_eigenvalue", "trace", "smallest_nonzero_eigenvalue"]

REGULARIZERS = ("top_eigenvalue", "trace", "smallest_nonzero_eigenvalue")


@dataclass(frozen=True)
class Tied:
    """How many of the largest eigenvalues move as one, and whether the flow keeps them tied."""

    number: int = 1
    keeps: bool = True


class Drift:
    """−½ P⊥∇S on Γ, for λ₁ at the speed that SAM's steps of a finite learning rate give it."""

    def __init__(
        self,
        gamma: Gamma,
        regularizer: Regularizer | Callable[[Tensor], Tensor],
        lr: float | None,
    ) -> None:
        self.gamma, self.regularizer, self.lr = gamma, regularizer, lr
        self._last: tuple[Place, int, Tensor] | None = None

    @property
    def name(self) -> str:
        """What S is called."""
        if isinstance(self.regularizer, str):
            return self.regularizer
        return getattr(self.regularizer, "__name__", type(self.regularizer).__name__)

    def value(self, place: Place) -> Tensor:
        """S at a point of Γ."""
        if isinstance(self.regularizer, str):
            value: Tensor = getattr(place, self.regularizer)
            return value
        value = self.regularizer(place.x).detach()
        if value.shape != () or not bool(value.isfinite()):
            raise ValueError(f"regularizer must return one finite number, got {value}")
        return value

    def eigengap(self, place: Place) -> Tensor:
        """Between the eigenvalue that is lowered and the next one, relative to λ₁."""
        gaps = (place.values[:-1] - place.values[1:]) / place.values[0]
        if len(gaps) and self.regularizer == "top_eigenvalue":
            return gaps[0]
        if len(gaps) and self.regularizer == "smallest_nonzero_eigenvalue":
            return gaps[-1]
        return place.values.new_tensor(torch.inf)

    def velocity(self, place: Place, tied: Tied) -> Tensor:
        """dX/dτ, [dim]."""
        if self.regularizer != "top_eigenvalue":
            return -place.tangent(self._slope(place)) / 2
        slopes, mixture = self.slopes(place, tied.number), self.mixture(place, tied)
        speed = 1.0 if self.lr is None else (2 / (2 - self.lr * place.top_eigenvalue)) ** 2
        return -speed * torch.einsum("ab,abd->d", mixture, slopes) / 2

    def slopes(self, place: Place, number: int) -> Tensor:
        """T_ab = P⊥ ∂²(∇L)[v_a, v_b] of the first eigenvectors, [number, number, dim]."""
        if self._last is None or self._last[0] is not place or self._last[1] != number:
            found = third_derivatives(self.gamma.objective, place.x, place.vectors[:, :number])
            self._last = place, number, place.tangent(found)
        return self._last[2]

    def mixture(self, place: Place, tied: Tied) -> Tensor:
        """Q [number, number], positive definite or not where the tie is kept."""
        return least_norm_mixture(self.slopes(place, tied.number), bounded=not tied.keeps)

    def _slope(self, place: Place) -> Tensor:
        """∇S, up to its part across Γ, [dim]."""
        if callable(self.regularizer):
            return _gradient(self.regularizer, place.x)
        # Of Tr = Σ vᵢᵀ∇²L vᵢ over an eigenbasis, the zero eigenvalues' share has no derivative
        # along Γ: ∇²L v = 0 there for every tangent v, and moving along Γ it stays so.
        followed = {"trace": place.vectors, "smallest_nonzero_eigenvalue": place.vectors[:, -1:]}
        directions = followed[self.regularizer].mT.contiguous()

        # The change of a unit eigenvector does not contribute at first order.
        def curvature(x: Tensor) -> Tensor:
            at = x.expand_as(directions)
            return (self.gamma.objective.hessian_vector_product(at, directions) * directions).sum()

        return _gradient(curvature, place.x)


def _gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∇ of a function of x, [dim]; zero if it does not depend on x."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        value = function(at)
        if not value.requires_grad:
            return torch.zeros_like(x)
        (slope,) = torch.autograd.grad(value, at, materialize_grads=True)
    return slope
