"""What an optimizer keeps from step to step, beside the state of its base optimizer."""

from __future__ import annotations

import torch
from torch import Tensor

from samlib.optim.shards import arranged_like, part, spread_like
from samlib.optim.vectors import flatten, split


class Memory:
    """The number of steps taken, and one vector: a direction or an eigenvector to come back to."""

    def __init__(self) -> None:
        self.steps = 0
        self._pieces: dict[Tensor, Tensor] = {}

    @property
    def empty(self) -> bool:
        """Whether no vector was kept yet."""
        return not self._pieces or not self.steps

    def keep(self, vector: Tensor, parameters: list[Tensor]) -> None:
        """Keep a vector [D] for those parameters."""
        for p, piece in zip(parameters, split(vector, parameters), strict=True):
            own = piece.detach().view(part(p).shape)
            self._pieces[p] = spread_like(own.to(part(p), copy=True), p)

    def recall(self, parameters: list[Tensor]) -> Tensor:
        """Give the vector [D] for those parameters; zero for new ones."""
        return flatten([self._pieces.get(p, torch.zeros_like(p)) for p in parameters])

    def pieces(self, parameters: list[Tensor]) -> dict[Tensor, Tensor]:
        """Give the vector's pieces by parameter, to be saved; zero where none was kept yet."""
        return {
            p: self._pieces[p] if p in self._pieces else torch.zeros_like(p) for p in parameters
        }

    def load(self, steps: int, pieces: dict[Tensor, Tensor]) -> None:
        """Take over what was saved."""
        self.steps = steps
        self._pieces = {
            p: arranged_like(piece.detach().to(p.device, p.dtype, copy=True), p)
            for p, piece in pieces.items()
        }
