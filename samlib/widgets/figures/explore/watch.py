"""A measurement that can be watched, and stopped between two evaluations of the loss."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib.objective import Objective
from samlib.widgets.core.background import Stopped

# Points are evaluated so many at a time, so that one can stop in between.
POINTS_AT_ONCE = 64


@dataclass
class Watch:
    """Counts evaluations, says how far a stage of the measurement is, and ends it by Stopped."""

    stopped: threading.Event
    report: Callable[[Watch], None]
    name: str = ""
    done: int = 0
    most: int = 1

    def begin(self, name: str, most: int) -> None:
        """Begin a stage that takes ``most`` evaluations, or fewer."""
        self.name, self.done, self.most = name, 0, most
        self(0)

    def __call__(self, evaluations: int) -> None:
        """So many more are done."""
        if self.stopped.is_set():
            raise Stopped
        self.done += evaluations
        self.report(self)


class WatchedObjective(Objective):
    """A loss that tells a watch about every evaluation.

    Values, gradients and products with the kept graph count; where many points are asked for at
    once, they are evaluated some at a time.
    """

    def __init__(self, objective: Objective, watch: Watch) -> None:
        super().__init__(objective.value, objective.dim)
        self.objective = objective
        self.watch = watch

    def value(self, x: Tensor) -> Tensor:
        """L(x): [..., dim] → [...]."""
        return self._counted(self.objective.value, x)

    def gradient(self, x: Tensor) -> Tensor:
        """∇L(x): [..., dim] → [..., dim]."""
        return self._counted(self.objective.gradient, x)

    def hessian_vector_product(self, x: Tensor, v: Tensor) -> Tensor:
        """∇²L(x) v. x and v have shape [..., dim] and broadcast against each other."""
        return self.objective.hessian_vector_product(x, v)

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v at one point x [dim]."""
        product = self.objective.hessian_operator(x)

        def counted(v: Tensor) -> Tensor:
            image = product(v)
            self.watch(1)
            return image

        return counted

    def _counted(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        points = x.reshape(-1, self.dim)
        if x.dim() == 1 or len(points) <= POINTS_AT_ONCE:
            result = function(x)
            self.watch(len(points))
            return result
        parts = []
        for some in torch.split(points, POINTS_AT_ONCE):
            parts.append(function(some))
            self.watch(len(some))
        together = torch.cat(parts)
        return together.reshape(*x.shape[:-1], *together.shape[1:])
