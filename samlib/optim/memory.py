"""What an optimizer keeps from step to step, beside the state of its base optimizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from samlib.optim.vectors import flatten, split


class Memory:
    """The number of steps taken, and one vector: a direction or an eigenvector to come back to."""

    def __init__(self) -> None:
        self.steps = 0
        self._pieces: dict[Tensor, Tensor] = {}

    @property
    def empty(self) -> bool:
        """Whether no vector was kept yet."""
        return not self._pieces

    def keep(self, vector: Tensor, parameters: list[Tensor]) -> None:
        """Keep a vector [D] for those parameters."""
        for p, piece in zip(parameters, split(vector, parameters), strict=True):
            self._pieces[p] = piece.detach().view(p.shape).to(p, copy=True)

    def recall(self, parameters: list[Tensor]) -> Tensor:
        """Give the vector [D] for those parameters; zero for new ones."""
        return flatten([self._pieces.get(p, torch.zeros_like(p)) for p in parameters])

    def state(self, parameters: list[Tensor]) -> dict[str, Any]:
        """Give what is kept by the places of the parameters, to be saved."""
        places = {p: place for place, p in enumerate(parameters)}
        return {
            "steps": self.steps,
            "vectors": {places[p]: piece for p, piece in self._pieces.items()},
        }

    def load(self, state: dict[str, Any], parameters: list[Tensor]) -> None:
        """Take over what :meth:`state` gave."""
        self.steps = state["steps"]
        self._pieces = {
            parameters[place]: piece.detach().to(parameters[place], copy=True)
            for place, piece in state["vectors"].items()
        }
