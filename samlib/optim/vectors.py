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


def dense(tensor: Tensor) -> Tensor:
    """Return the tensor itself, or a dense copy of a sparse one."""
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


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
        if self._kind != (new := kind(tensors)):
            dtype = reduce(torch.promote_types, (t.dtype for t in tensors), torch.float32)
            size = sum(t.numel() for t in tensors)
            self._vector = torch.empty(size, dtype=dtype, device=tensors[0].device)
            self._pieces = _views(self._vector, tensors)
            self._kind = new
        torch._foreach_copy_(self._pieces, [dense(t) for t in tensors])
        return self._vector

    def pieces(self, vector: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Cut a vector, this one or another, into pieces that can be added to the parameters."""
        parameters = parts(parameters)
        views = self._pieces if vector is self._vector else _views(vector, parameters)
        if all(p.dtype == vector.dtype and p.device == vector.device for p in parameters):
            return views
        return [view.to(p) for view, p in zip(views, parameters, strict=True)]


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """Copy the tensors into a new vector [D] on the device of the first."""
    return Gathered().gather(tensors)


def _views(vector: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    return [part.view(t.shape) for part, t in zip(split(vector, tensors), tensors, strict=True)]


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
