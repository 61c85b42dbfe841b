"""Parameters that are whole in a process only while one operation uses them.

Of a parameter each process holds a piece. The model has a stand-in for it, without numbers: an
operation that takes it gathers it for its length (ZeRO: Rajbhandari et al., 2020, §5.3). The graph
keeps pieces, and the operation's derivative is again such an operation, which gathers anew.

Processes meet in rounds. In each one all say what they want, and all take part in the first of
these wishes, also those that want something else, or nothing because they have no rows. So no
process waits for another in vain, whatever rows and batches each has and in which order each uses
parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from samlib.linalg import Shards
from samlib.linalg.shards import gather

POINT, VECTOR, _SUM = range(3)
"""What a process may want: a parameter of x, one of v, or to add to the result of one."""

_NOTHING, _FAILED = -1, -2


class AnotherFailedError(RuntimeError):
    """Another process has failed, and says how."""


@dataclass(frozen=True)
class Layout:
    """One parameter in x.

    Attributes
    ----------
    start
        Its first coordinate.
    shape
        Its own.
    dtype
        Its own; None: that of x.
    """

    start: int
    shape: torch.Size
    dtype: torch.dtype | None

    def within(self, bounds: tuple[int, int]) -> tuple[int, int]:
        """Which of its entries lie between two coordinates of x."""
        size = self.shape.numel()
        first, last = (min(max(bound - self.start, 0), size) for bound in bounds)
        return first, last


class Gathering:
    """The pieces of parameters that processes hold, and the rounds in which they exchange them.

    Parameters
    ----------
    layouts
        The parameters, in the order in which x holds them.
    shards
        How x lies over the processes.

    Attributes
    ----------
    active
        Whether an evaluation has begun and not ended.
    weight
        How much the present batch counts; None as long as nothing is to be added up.
    total
        What all processes added up since the last ``begin``, the part of this one: [length].
    """

    def __init__(self, layouts: Sequence[Layout], shards: Shards) -> None:
        self._layouts, self._shards, self._group = layouts, shards, shards.group
        self._ranks = range(dist.get_world_size(self._group))
        self._rank = dist.get_rank(self._group)
        self._sources: tuple[Tensor, ...] = ()
        self.weight: float | Tensor | None = None
        self.total = torch.zeros(0)
        self._dtype, self.active = torch.float32, False

    def split(self, part: Tensor) -> tuple[Tensor, ...]:
        """The pieces of the parameters in the part [length] that this process holds of a vector."""
        return torch.split(part, [last - first for first, last in self._mine()])

    def _mine(self) -> list[tuple[int, int]]:
        return [layout.within(self._shards.bounds) for layout in self._layouts]

    def begin(self, *points: Tensor) -> None:
        """Start an evaluation at x, or at x and v, [length] each."""
        x = points[0].detach()
        self._sources, self.weight = tuple(point.detach() for point in points), None
        self._dtype, self.active = x.dtype, True
        self.total = x.new_zeros(len(x), dtype=torch.promote_types(x.dtype, torch.float32))

    def end(self) -> None:
        """Take part in what others want until nobody wants anything."""
        self.weight = None
        while self._round(_NOTHING, None) != _NOTHING:
            pass
        self.active, self._sources = False, ()

    def fail(self) -> None:
        """Tell the others that this process has failed."""
        if self.active:
            self._wishes(_FAILED)
        self.active, self._sources = False, ()

    def whole(self, kind: int, k: int, piece: Tensor) -> Tensor:
        """Parameter k, of which this process has a piece."""
        wish, result = kind * len(self._layouts) + k, None
        while result is None:
            served = self._round(wish, piece.detach())
            result = served if isinstance(served, Tensor) else None
        return result

    def like(self, k: int, piece: Tensor) -> Tensor:
        """A tensor without numbers that has the shape and the dtype of parameter k."""
        shape = self._layouts[k].shape
        return torch.empty(shape, dtype=self._layouts[k].dtype or piece.dtype, device="meta")

    def zero(self, k: int) -> Tensor:
        """A piece of 0 for parameter k."""
        first, last = self._mine()[k]
        return self.total.new_zeros(last - first, dtype=self._dtype)

    def add(self, k: int, values: Tensor) -> None:
        """Add to the result of parameter k what the present batch makes of it, if it is asked."""
        if self.weight is None:
            return
        values = values.reshape(-1).to(self.total.dtype) * self.weight
        wish = _SUM * len(self._layouts) + k
        while self._round(wish, values) != wish:
            pass

    # ---------------------------------------------------------------------------------- rounds

    def _round(self, wish: int, mine: Tensor | None) -> int | Tensor:
        """Do what is wanted first: gives its number, and a parameter if that is what I wanted."""
        wanted = [w for w in self._wishes(wish) if w != _NOTHING]
        if not wanted:
            return _NOTHING
        first = min(wanted)
        if first == _FAILED:
            self.active = False
            raise AnotherFailedError("another process of process_group has failed")
        kind, k = divmod(first, len(self._layouts))
        if kind == _SUM:
            self._sum(k, mine if wish == first else None)
            return first
        if wish != first or mine is None:
            self._gather(k, self.split(self._sources[kind])[k])
            return first
        return self._gather(k, mine)

    def _wishes(self, wish: int) -> list[int]:
        device = self.total.device
        table = torch.empty(len(self._ranks), dtype=torch.int64, device=device)
        gather(table, torch.tensor([wish], device=device), self._group)
        wishes: list[int] = table.tolist()
        return wishes

    def _holders(self, k: int) -> list[tuple[int, int, int]]:
        """The processes that hold entries of parameter k: their ranks, and which these are."""
        of_each = [
            (rank, *self._layouts[k].within(self._shards.bounds_of(rank))) for rank in self._ranks
        ]
        return [(rank, first, last) for rank, first, last in of_each if last > first]

    def _gather(self, k: int, piece: Tensor) -> Tensor:
        layout = self._layouts[k]
        whole = piece.new_empty(layout.shape.numel(), dtype=layout.dtype or piece.dtype)
        for rank, first, last in self._holders(k):
            if rank == self._rank:
                whole[first:last] = piece
            dist.broadcast(whole[first:last], self._global(rank), group=self._group)
        return whole.view(layout.shape)

    def _sum(self, k: int, values: Tensor | None) -> None:
        for rank, first, last in self._holders(k):
            if values is None:
                some = self.total.new_zeros(last - first)
            else:
                some = values[first:last].contiguous()
            dist.reduce(some, self._global(rank), group=self._group)
            if rank == self._rank:
                self.split(self.total)[k].add_(some)

    def _global(self, rank: int) -> int:
        return rank if self._group is None else dist.get_global_rank(self._group, rank)
