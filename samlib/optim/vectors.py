"""Parameters as one vector: the formulas of the papers are written on flat vectors.

Of parameters that are spread over processes, a vector holds the parts in this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from samlib.optim.shards import part, part_of, parts

Kind = list[tuple[torch.Size, torch.dtype, torch.device]]


def kind(tensors: Sequence[Tensor]) -> Kind:
    """What memory for a copy of the tensors, all of them plain, must agree with."""
    return [(t.shape, t.dtype, t.device) for t in tensors]


def all_dense(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors, with dense copies of the sparse ones."""
    return [t if t.layout == torch.strided else t.to_dense() for t in tensors]


def wide(dtype: torch.dtype) -> torch.dtype:
    """float32 for half precision, every other dtype itself."""
    return torch.promote_types(dtype, torch.float32)


class Gathered:
    """Many tensors as one vector, in memory that stays for the next time.

    The vector is in float32 at least: in half precision the norm of many entries overflows, and
    the entries of a direction among many underflow.
    """

    def __init__(self) -> None:
        self._kind: Kind = []
        self._vector = torch.empty(0)
        self._pieces: list[Tensor] = []

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """Copy the tensors, dense or sparse, into the vector [D] and return it."""
        tensors = parts(tensors)
        self._fit(tensors)
        torch._foreach_copy_(self._pieces, all_dense(tensors))
        return self._vector

    def take(self, vector: Tensor, like: Sequence[Tensor]) -> Tensor:
        """Copy a vector [D], with as many numbers as the tensors have, and return the copy."""
        self._fit(parts(like))
        return self._vector.copy_(vector)

    def pieces(self, vector: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Cut a vector, this one or another, into pieces that can be added to the parameters."""
        if vector is self._vector:
            views, there = self._pieces, self._kind
        else:
            own = parts(parameters)
            views, there = _views(vector, own), kind(own)
        if {each[1:] for each in there} == {(vector.dtype, vector.device)}:
            return views
        return [
            view.to(device, dtype) for view, (_, dtype, device) in zip(views, there, strict=True)
        ]

    def _fit(self, tensors: list[Tensor]) -> None:
        """Make memory for such tensors, unless it is there."""
        if self._kind != (new := kind(tensors)):
            size = sum(t.numel() for t in tensors)
            self._vector = torch.empty(size, dtype=_common(tensors), device=tensors[0].device)
            self._pieces = _views(self._vector, tensors)
            self._kind = new


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """Copy the tensors into a new vector [D] on the device of the first, in float32 at least."""
    own = all_dense(parts(tensors))
    if len({t.device for t in own}) > 1:
        own = [t.to(own[0].device) for t in own]
    return torch.cat([t.flatten() for t in own]).to(_common(own))


def _common(tensors: Sequence[Tensor]) -> torch.dtype:
    return reduce(torch.promote_types, {t.dtype for t in tensors}, torch.float32)


def _views(vector: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    return [part.view(t.shape) for part, t in zip(split(vector, tensors), tensors, strict=True)]


def longer(vector: Tensor | None, like: Tensor) -> Tensor:
    """A vector with zeros after it, as long as another one; nothing but zeros if there is none."""
    if vector is None:
        return like.new_zeros(1).expand_as(like)
    missing = like.numel() - vector.numel()
    return torch.nn.functional.pad(vector, (0, missing)) if missing else vector


def split(vector: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Cut a vector into parts with as many numbers as the tensors have."""
    return torch.split(vector, [part(t).numel() for t in tensors])


def normal(like: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """Draw a normal vector [D] on the device of the first tensor.

    Of spread parameters each process draws all and keeps its part, one parameter at a time: equal
    generators give the same vector over any number of processes.
    """
    vector = Gathered().gather(like)
    for p, piece in zip(like, split(vector, like), strict=True):
        drawn = torch.randn(p.shape, generator=generator, dtype=p.dtype, device=generator.device)
        piece.copy_(part_of(drawn, p).flatten())
    return vector
