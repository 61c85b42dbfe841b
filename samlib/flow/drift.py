"""The velocity of a limiting flow on Γ, for each sharpness that it may lower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from samlib.flow.gamma import Gamma, Place
from samlib.flow.mixtures import NO_SHARE
from samlib.flow.ties import least_norm_mixture, third_derivatives
from samlib.flow.two_cycle import second_error, third_derivative, two_cycle

Regularizer = Literal["top_eigenvalue", "trace", "smallest_nonzero_eigenvalue"]

REGULARIZERS = ("top_eigenvalue", "trace", "smallest_nonzero_eigenvalue")


@dataclass(frozen=True)
class Tied:
    """How many of the largest eigenvalues move as one, and whether the flow keeps them tied."""

    number: int = 1
    keeps: bool = True


class Drift:
    """−½ P⊥∇S on Γ; for λ₁ also with what a finite learning rate and radius add to it.

    Attributes
    ----------
    most_lopsided
        The largest |ε| of SAM's two-cycle met so far: where it is not small, the second error is
        known only roughly.
    """

    def __init__(
        self,
        gamma: Gamma,
        regularizer: Regularizer | Callable[[Tensor], Tensor],
        lr: float | None,
        rho: float | None,
    ) -> None:
        self.gamma, self.regularizer, self.lr, self.rho = gamma, regularizer, lr, rho
        self.most_lopsided = 0.0
        self._last: tuple[Place, int, tuple[Tensor, Tensor]] | None = None

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
        pulls, mixture = self._pulls(place, tied.number), self.mixture(place, tied)
        return -self._speed(place) * torch.einsum("ab,abd->d", mixture, pulls) / 2

    def slopes(self, place: Place, number: int) -> Tensor:
        """T_ab = P⊥ ∂²(∇L)[v_a, v_b] of the first eigenvectors, [number, number, dim]."""
        return self._computed(place, number)[0]

    def mixture(self, place: Place, tied: Tied) -> Tensor:
        """Q [number, number], positive definite or not where the tie is kept."""
        return least_norm_mixture(self._pulls(place, tied.number), bounded=not tied.keeps)

    def _speed(self, place: Place) -> float:
        """How many times as fast as the flow SAM is at its learning rate."""
        return 1.0 if self.lr is None else (2 / (2 - self.lr * float(place.top_eigenvalue))) ** 2

    def _pulls(self, place: Place, number: int) -> Tensor:
        """T_ab, where the velocity's second part is shared out over all T_aa.

        As tr Q = 1, −½ speed · Σ Q_ab T_ab is then the whole velocity, and the Q for which it is
        shortest keeps the eigenvalues tied under all of it.
        """
        return self._computed(place, number)[1]

    def _computed(self, place: Place, number: int) -> tuple[Tensor, Tensor]:
        if self._last is None or self._last[0] is not place or self._last[1] != number:
            found = third_derivatives(self.gamma.objective, place.x, place.vectors[:, :number])
            slopes = pulls = place.tangent(found)
            if self.lr is not None and self.rho is not None:
                second = self._second_error(place, slopes, self.lr, self.rho)
                unit = torch.eye(number).to(slopes).unsqueeze(-1)
                pulls = slopes - unit * second * (2 / self._speed(place))
            self._last = place, number, (slopes, pulls)
        return self._last[2]

    def _second_error(self, place: Place, slopes: Tensor, lr: float, rho: float) -> Tensor:
        """What the lopsided two-cycle adds to the velocity, [dim].

        In a tie, where SAM's direction goes around, the mean over the eigenvectors of Q stands for
        the mean over the directions, of which Q gives second moments only.
        """
        number, total = len(slopes), torch.zeros_like(place.x)
        shares, turn = torch.linalg.eigh(least_norm_mixture(slopes))
        directions = place.vectors[:, :number] @ turn
        values = torch.cat([place.values[:1], place.values[number:]])
        for share, direction in zip(shares.tolist(), directions.mT, strict=True):
            if share < NO_SHARE:
                continue
            bend = third_derivative(self.gamma.objective, place.x, direction, direction)
            vectors = torch.cat([direction.unsqueeze(-1), place.vectors[:, number:]], dim=1)
            cycle = two_cycle(values, vectors, bend, lr, rho)
            self.most_lopsided = max(self.most_lopsided, abs(float(cycle.lopsidedness)))
            total += share * second_error(
                self.gamma.objective, place.x, values, vectors, bend, lr=lr, rho=rho, bounded=True
            )
        return place.tangent(total)

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
