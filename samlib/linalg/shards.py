"""How the coordinates of vectors lie over processes: all in one, or each holds a part of them.

A part is a plain tensor and not a DTensor: of that, a number that is a sum over processes gives
its process's summand alone, without a word, and a basis made from a vector is whole on each.
What goes over all coordinates, sums and maxima, goes through here; everything else is entry by
entry and needs nothing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor

from samlib._precision import wide_dtype


@dataclass(frozen=True, eq=False)
class Shards:
    """The layout of vectors of Rᴰ.

    Attributes
    ----------
    dim
        D.
    group
        The processes that hold equally many consecutive coordinates each, the last ones less;
        None if each process holds all. Every process of the group must make the same calls.

    Examples
    --------
    >>> import torch
    >>> from samlib.linalg import Shards
    >>> Shards(3).norm(torch.tensor([2.0, 2.0, 1.0]))
    tensor(3.)
    """

    dim: int
    group: dist.ProcessGroup | None = None

    @functools.cached_property
    def bounds(self) -> tuple[int, int]:
        """The first coordinate that this process holds, and the one after its last."""
        if self.group is None:
            return 0, self.dim
        return self.bounds_of(dist.get_rank(self.group))

    def bounds_of(self, rank: int) -> tuple[int, int]:
        """The first coordinate that a process of the group holds, and the one after its last."""
        return min(self.dim, rank * self._most), min(self.dim, (rank + 1) * self._most)

    @functools.cached_property
    def _most(self) -> int:
        """How many coordinates the first process holds."""
        return -(-self.dim // dist.get_world_size(self.group)) if self.group else self.dim

    @property
    def length(self) -> int:
        """How many coordinates this process holds."""
        return self.bounds[1] - self.bounds[0]

    def part(self, whole: Tensor) -> Tensor:
        """What this process holds of whole vectors [..., dim]: [..., length]."""
        return whole[..., slice(*self.bounds)]

    def whole(self, part: Tensor) -> Tensor:
        """Whole vectors [..., dim] from what each process holds of them, [..., length]."""
        if self.group is None:
            return part
        padded = part.new_zeros(*part.shape[:-1], self._most)
        padded[..., : self.length] = part
        parts = padded.new_empty(dist.get_world_size(self.group), *padded.shape)
        gather(parts.view(-1), padded.view(-1), self.group)
        if part.dim() > 1:
            parts = parts.movedim(0, -2)
        return parts.reshape(*part.shape[:-1], -1)[..., : self.dim]

    def part_of_sum(self, whole: Tensor) -> Tensor:
        """What this process holds of the sum over processes of vectors [..., dim]."""
        assert self.group is not None
        if dist.get_backend(self.group) == "gloo":  # whose reduce_scatter does this, if it is there
            return self.part(self.total(whole.contiguous())).clone()
        processes = dist.get_world_size(self.group)
        padded = whole.new_zeros(*whole.shape[:-1], processes * self._most)
        padded[..., : self.dim] = whole
        padded = padded.view(*whole.shape[:-1], processes, self._most).movedim(-2, 0).contiguous()
        part = padded.new_empty(padded.shape[1:])
        _scatter_sum(part.view(-1), padded.view(-1), self.group)
        mine: Tensor = part[..., : self.length]
        return mine

    def total(self, summands: Tensor) -> Tensor:
        """The sum over processes, to the bit the same on each; ``summands`` may be overwritten."""
        if self.group is not None:
            summands = summands.contiguous()
            dist.all_reduce(summands, group=self.group)
        return summands

    def largest(self, numbers: Tensor) -> Tensor:
        """The maximum over processes; ``numbers`` may be overwritten."""
        if self.group is not None:
            numbers = numbers.contiguous()
            dist.all_reduce(numbers, dist.ReduceOp.MAX, group=self.group)
        return numbers

    def inner(self, rows: Tensor, vectors: Tensor) -> Tensor:
        """Inner products ``rows @ vectors``, of rows [..., length] with [length] or [length, n]."""
        return self.total(rows @ vectors)

    def dot(self, one: Tensor, other: Tensor) -> Tensor:
        """Inner products along the last dimension, [..., length] → [...]."""
        return self.total((one * other).sum(dim=-1))

    def norm(self, vectors: Tensor) -> Tensor:
        """‖v‖ along the last dimension, [..., length] → [...]."""
        lengths: Tensor = vectors.norm(dim=-1)
        if self.group is None:
            return lengths
        squares = self.total(lengths.to(wide_dtype(lengths.device)).square())
        norms: Tensor = squares.sqrt().to(lengths)
        return norms


def gather(whole: Tensor, part: Tensor, group: dist.ProcessGroup | None) -> None:
    """Put what each process holds, [n], one after another into ``whole`` [processes · n]."""
    # The name in newer versions of torch, and in older ones.
    function = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
    function(whole, part, group=group)


def _scatter_sum(part: Tensor, whole: Tensor, group: dist.ProcessGroup | None) -> None:
    """Put this process's part of the sum of all ``whole`` into ``part``."""
    function = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
    function(part, whole, group=group)
