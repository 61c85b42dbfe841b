"""Γ near a point: where a state of R^D belongs on it, and the curvature there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samlib.flow.retraction import WHOLE_SPECTRUM_DIM, eigenpairs_in_range, retract
from samlib.objective import Objective


@dataclass(frozen=True, eq=False)
class Place:
    """A point of Γ, the non-zero eigenvalues of ∇²L [rank], their eigenvectors [dim, rank]."""

    x: Tensor
    values: Tensor
    vectors: Tensor
    gradient_norm: Tensor

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

    def tangent(self, vectors: Tensor) -> Tensor:
        """P⊥ of vectors [..., dim]: their parts along Γ."""
        across = self.vectors @ (self.vectors.mT @ vectors.unsqueeze(-1))
        return vectors - across.squeeze(-1)


class Gamma:
    """Γ near a point. A state off Γ belongs to its retraction on Γ.

    Of a velocity on Γ this makes one in R^D whose flow leaves Γ only by the integrator's error,
    which does not feed back: the integrator needs to know nothing of Γ.
    """

    def __init__(self, objective: Objective, x: Tensor, rank: int) -> None:
        self.objective, self.rank = objective, rank
        self.evaluations = 0
        self._like = x
        self._last: tuple[NDArray[np.float64], Place] | None = None
        self.begin = self.at(self.state(x))

    def state(self, x: Tensor) -> NDArray[np.float64]:
        """A point as the integrator wants it."""
        result: NDArray[np.float64] = x.cpu().double().numpy()
        return result

    def at(self, state: NDArray[np.float64]) -> Place:
        """The point of Γ next to a state, and the curvature there."""
        if self._last is None or not np.array_equal(self._last[0], state):
            self.evaluations += 1
            self._last = (state.copy(), self._place(torch.from_numpy(state).to(self._like)))
        return self._last[1]

    def _place(self, x: Tensor) -> Place:
        point = x if self._last is None else self._retract(x, self._last[1])
        values, vectors = self._eigenpairs(point)
        return Place(point, values, vectors, self.objective.gradient(point).norm())

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
