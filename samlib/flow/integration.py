"""Γ near a point, with a flow on it that lowers a sharpness."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from samlib._progress import ProgressBar
from samlib.flow.retraction import WHOLE_SPECTRUM_DIM, eigenpairs_in_range, retract, zero_up_to
from samlib.objective import Objective


@dataclass(frozen=True, eq=False)
class Place:
    """A point of Γ, with S, the non-zero eigenvalues [rank] and their eigenvectors [dim, rank]."""

    x: Tensor
    values: Tensor
    vectors: Tensor
    eigengap: Tensor
    gradient_norm: Tensor
    value: Tensor

    @property
    def top_eigenvalue(self) -> Tensor:
        """λ₁."""
        return self.values[0]

    @property
    def trace(self) -> Tensor:
        """Tr ∇²L."""
        return self.values.sum()

    @property
    def smallest_nonzero_eigenvalue(self) -> Tensor:
        """λ_M."""
        return self.values[-1]


class Gamma:
    """Γ near a point, with a limiting flow on it.

    The velocity at a point off Γ is the one at its retraction on Γ: then the flow of R^D
    leaves Γ only by the integrator's error, which does not feed back, and the integrator needs to
    know nothing of Γ.
    """

    def __init__(
        self,
        objective: Objective,
        x: Tensor,
        rank: int,
        regularizer: str | Callable[[Tensor], Tensor],
        gap_rtol: float,
    ) -> None:
        self.objective, self.rank, self.regularizer = objective, rank, regularizer
        self.gap_rtol = gap_rtol
        self.evaluations = 0
        self._like = x
        self._last: tuple[NDArray[np.float64], Place] | None = None
        self.begin = self.at(x.cpu().double().numpy())

    def integrate(
        self, times: NDArray[np.float64], rtol: float, atol: float, bar: ProgressBar
    ) -> tuple[NDArray[np.float64], str]:
        """Return the states at those times that could be reached, and why not at all."""
        begin = self._like.cpu().double().numpy()
        if times[-1] == 0:
            return begin[None, :], ""

        def margin(time: float, state: NDArray[np.float64]) -> float:
            return self.margin(self.at(state))

        margin.terminal = True  # type: ignore[attr-defined]

        def velocity(time: float, state: NDArray[np.float64]) -> NDArray[np.float64]:
            bar.update(max(0, int(100 * time / times[-1]) - bar.n))
            result: NDArray[np.float64] = self._velocity(self.at(state)).cpu().double().numpy()
            return result

        solution = solve_ivp(
            velocity,
            (0.0, float(times[-1])),
            begin,
            method="DOP853",
            t_eval=times,
            events=margin,
            rtol=rtol,
            atol=atol,
        )
        problem = "" if solution.status == 0 else str(solution.message)
        if solution.status == 1:
            problem = f"{self.obstacle} at τ = {solution.t_events[0][0]:.6g}"
        return np.asarray(solution.y).T.reshape(-1, len(begin)), problem

    @property
    def name(self) -> str:
        """What S is called."""
        if isinstance(self.regularizer, str):
            return self.regularizer
        return getattr(self.regularizer, "__name__", type(self.regularizer).__name__)

    @property
    def obstacle(self) -> str:
        """What ends a flow."""
        return (
            f"the eigenvalue that it follows meets another one (their distance falls below "
            f"{self.gap_rtol:g} λ₁) or the rank of the Hessian falls below {self.rank}"
        )

    def margin(self, place: Place) -> float:
        """Positive as long as the flow is well defined (Assumptions 3.3 and 4.4)."""
        gap = float(place.eigengap) / self.gap_rtol
        rest = float(place.values[-1] / zero_up_to(place.values))
        return math.log(max(min(gap, rest), 1e-300))

    def at(self, state: NDArray[np.float64]) -> Place:
        """The point of Γ next to state, and the curvature there."""
        if self._last is None or not np.array_equal(self._last[0], state):
            self.evaluations += 1
            self._last = (state.copy(), self._place(torch.from_numpy(state).to(self._like)))
        return self._last[1]

    def _place(self, x: Tensor) -> Place:
        point = x if self._last is None else self._retract(x, self._last[1])
        values, vectors = self._eigenpairs(point)
        gaps = (values[:-1] - values[1:]) / values[0]
        gap = values.new_tensor(torch.inf)
        if len(gaps) and self.regularizer == "top_eigenvalue":
            gap = gaps[0]
        elif len(gaps) and self.regularizer == "smallest_nonzero_eigenvalue":
            gap = gaps[-1]
        length = self.objective.gradient(point).norm()
        return Place(point, values, vectors, gap, length, self._value(point, values))

    def _value(self, x: Tensor, values: Tensor) -> Tensor:
        """S at a point of Γ, where ∇²L has these non-zero eigenvalues."""
        if callable(self.regularizer):
            value = self.regularizer(x).detach()
            if value.shape != () or not bool(value.isfinite()):
                raise ValueError(f"regularizer must return one finite number, got {value}")
            return value
        return {"top_eigenvalue": values[0], "trace": values.sum()}.get(
            self.regularizer, values[-1]
        )

    def _retract(self, x: Tensor, last: Place) -> Tensor:
        """The point of Γ next to x, with the eigenvectors of the last place if they are good."""
        everything = torch.ones_like(last.values, dtype=torch.bool)
        point, step = retract(self.objective, x, last.values, last.vectors, everything)
        if not bool(step <= 1000 * torch.finfo(x.dtype).eps * x.norm()):
            point, _ = retract(self.objective, x, *self._eigenpairs(x), everything)
        return point

    def _eigenpairs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The non-zero eigenvalues of ∇²L(x), [rank], and their eigenvectors, [dim, rank]."""
        known = None if self.objective.dim <= WHOLE_SPECTRUM_DIM else self.rank
        values, vectors = eigenpairs_in_range(self.objective, x[None], known)
        return values[0, : self.rank], vectors[0, :, : self.rank]

    def _velocity(self, place: Place) -> Tensor:
        """−½ P⊥ ∇S on Γ, [dim]."""
        vectors = place.vectors
        slope = self._slope(place)
        return -(slope - vectors @ (vectors.mT @ slope)) / 2

    def _slope(self, place: Place) -> Tensor:
        """∇S, up to its part across Γ, [dim]."""
        if callable(self.regularizer):
            return _gradient(self.regularizer, place.x)
        # Of Tr = Σ vᵢᵀ∇²L vᵢ over an eigenbasis, the zero eigenvalues' share has no derivative
        # along Γ: ∇²L v = 0 there for every tangent v, and moving along Γ it stays so.
        followed = {
            "top_eigenvalue": place.vectors[:, :1],
            "trace": place.vectors,
            "smallest_nonzero_eigenvalue": place.vectors[:, -1:],
        }[self.regularizer]
        return _curvature_gradient(self.objective, place.x, followed.mT)


def _curvature_gradient(objective: Objective, x: Tensor, directions: Tensor) -> Tensor:
    """∇ₓ Σ vᵢᵀ∇²L(x)vᵢ with the directions [k, dim] held fixed: Σ ∂³L[vᵢ, vᵢ, ·].

    For simple eigenvalues and their eigenvectors this is the gradient of their sum: the change of
    a unit eigenvector does not contribute at first order.
    """
    directions = directions.detach().contiguous()

    def curvature(x: Tensor) -> Tensor:
        images = objective.hessian_vector_product(x.expand_as(directions), directions)
        return (images * directions).sum()

    return _gradient(curvature, x)


def _gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∇ of a function of x, [dim]; zero if it does not depend on x."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        value = function(at)
        if not value.requires_grad:
            return torch.zeros_like(x)
        (slope,) = torch.autograd.grad(value, at, materialize_grads=True)
    return slope
