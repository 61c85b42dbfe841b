"""The mean of a loss over data that several processes hold, each its own rows.

Each process evaluates its own batches, however many; then all exchange a few numbers, and add up
what they have found, weighted by how much their rows count. The numbers show what would go wrong:
an error in one of them, which would leave the others waiting, or points that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from samlib._validation import require_flag, require_instance
from samlib.linalg import Shards
from samlib.linalg.shards import gather
from samlib.objective.gathering import AnotherFailedError, Gathering
from samlib.objective.network import Network
from samlib.objective.points import is_transformed
from samlib.objective.second_pass import nothing_counts

T = TypeVar("T")

# Sums of bits are compared modulo this, which float64 holds exactly.
_FINGERPRINTS = 2**48

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class Found:
    """What one process found on its own rows.

    Attributes
    ----------
    mean
        The mean over its rows: of a number [...], or of vectors [..., dim].
    weight
        How much its rows count; 0 if it has none.
    unit
        What they count by; "" if it has none.
    """

    mean: Tensor
    weight: float | Tensor
    unit: str


class Processes:
    """The processes that share the rows of one objective, or the only one.

    Parameters
    ----------
    group
        They; None if this one holds all rows.
    shards
        How vectors lie over them.
    gathering
        How parameters are gathered for single operations, if they are.
    """

    def __init__(
        self,
        group: dist.ProcessGroup | None,
        shards: Shards,
        gathering: Gathering | None = None,
    ) -> None:
        self.group, self.shards, self.gathering = group, shards, gathering

    @property
    def several(self) -> bool:
        """Whether rows may be elsewhere."""
        return self.group is not None

    def gathering_for(self, network: Network) -> Processes:
        """The same, which gather single parameters of a network where each holds pieces of them."""
        gathers = self.shards.group is not None and network.is_spread
        gathering = network.gather_by_operation(self.shards) if gathers else None
        return Processes(self.group, self.shards, gathering)

    def require_all_rows(self) -> None:
        """Raise if other processes have rows."""
        if self.several:
            raise ValueError(
                "this matrix needs all rows in one process, and process_group shares them out; "
                "see samlib.hessian, or leave process_group out"
            )

    def whole(self, *points: Tensor) -> tuple[Tensor, ...]:
        """Points and vectors as evaluations take them, from what this process holds of them.

        They are whole, [..., dim], unless parameters are gathered for single operations.

        Raises
        ------
        ValueError
            If a derivative through the exchange is asked for, or it cannot take place.
        """
        if self.several:
            _require_exchangeable(self.group, points)
        if self.gathering is not None:
            return points
        return tuple(self.shards.whole(point) for point in points)

    def mean(self, find: Callable[[], Found], *points: Tensor) -> Tensor:
        """The mean over all rows at whole points: to the bit the same in every process.

        Of vectors, where they are spread over processes, what this one holds.

        Raises
        ------
        RuntimeError
            If another process has failed.
        ValueError
            If the processes do not do the same, or no row counts.
        """
        if not self.several:
            return find().mean
        found, rows = self._exchange(find, points, self._describe)
        _require_same("shapes of results", (row[0] for row in rows))
        _require_same("units that batches count by", (row[1] for row in rows if row[2]))
        total = sum(row[2] for row in rows)
        if not total:
            raise nothing_counts()
        is_vector = found.mean.dim() == points[0].dim()
        if is_vector and self.gathering is not None:
            return (self.gathering.total / total).to(found.mean.dtype)
        wide = torch.promote_types(found.mean.dtype, torch.float32)
        weight = rows[dist.get_rank(self.group)][2]
        part = found.mean.to(wide) * (weight / total) if weight else _zeros(found.mean, wide)
        if is_vector and self.shards.group is not None:
            return self.shards.part_of_sum(part).to(found.mean.dtype)
        dist.all_reduce(part, group=self.group)
        return part.to(found.mean.dtype)

    def agreed(self, make: Callable[[], T], *points: Tensor) -> T:
        """What this process makes of whole points, if every one can and the points are the same."""
        return self._exchange(make, points, lambda made: [])[0] if self.several else make()

    def largest(self, find: Callable[[], float], point: Tensor) -> float:
        """The largest of the numbers that the processes find."""
        if not self.several:
            return find()
        return max(row[0] for row in self._exchange(find, (point,), lambda number: [number])[1])

    def in_all(self, flags: Iterable[bool], like: Tensor) -> list[bool]:
        """Which of some flags are set in every process."""
        unset = torch.tensor([not flag for flag in flags], dtype=torch.int32, device=like.device)
        if self.several:
            dist.all_reduce(unset, dist.ReduceOp.MAX, group=self.group)
        return [not flag for flag in unset.tolist()]

    def _describe(self, found: Found) -> list[float | Tensor]:
        numbers = found.mean.numel() if self.gathering is None else found.mean.dim()
        return [numbers, _UNITS.index(found.unit), found.weight]

    def _exchange(
        self,
        make: Callable[[], T],
        points: tuple[Tensor, ...],
        describe: Callable[[T], list[float | Tensor]],
    ) -> tuple[T, list[list[float]]]:
        """What this process makes, and the numbers that describe what each has made."""
        device, made, failure = points[0].device, None, None
        numbers: list[float | Tensor] = []
        try:
            if self.gathering is not None:
                self.gathering.begin(*points)
            made = make()
            numbers = describe(made)
            if self.gathering is not None:
                self.gathering.end()
        except AnotherFailedError:
            numbers = []
        except Exception as error:
            failure = error
            if self.gathering is not None:
                self.gathering.fail()
        compared = points if self.shards.group is None else ()
        head = [float(failure is not None), *_fingerprints(compared), *numbers]
        mine = torch.zeros(_NUMBERS, dtype=torch.float64, device=device)
        for k, number in enumerate(head):
            mine[k] = number
        table = mine.new_empty(dist.get_world_size(self.group), _NUMBERS)
        gather(table.view(-1), mine, self.group)
        rows = table.tolist()
        if failure is not None:
            raise failure
        failed = [rank for rank, row in enumerate(rows) if row[0]]
        if failed:
            raise RuntimeError(
                f"process {failed[0]} of process_group has failed; its own error says how"
            )
        for k in range(2):
            _require_same("points", (row[1 + k] for row in rows))
        assert made is not None
        return made, [row[3:] for row in rows]


# Whether it failed, fingerprints of two points, and three numbers more.
_NUMBERS = 6

_UNITS = ("", "rows", "labels", "size")


def _zeros(like: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(like.shape, dtype=dtype, device=like.device)


def _fingerprints(points: tuple[Tensor, ...]) -> list[float | Tensor]:
    """The bits of each of two points, added up: whatever the order, to the bit the same."""
    sums: list[float | Tensor] = [0.0, 0.0]
    for k, point in enumerate(points):
        bits = point.detach().view(_BITS[point.element_size()])
        sums[k] = bits.sum(dtype=torch.int64) % _FINGERPRINTS
    return sums


def _require_same(what: str, numbers: Iterable[float]) -> None:
    if len(set(numbers)) > 1:
        raise ValueError(
            f"the {what} differ between the processes of process_group: each must make the same "
            "calls, with the same model, x and options, and only other rows"
        )


def _require_exchangeable(group: dist.ProcessGroup | None, points: tuple[Tensor, ...]) -> None:
    for point in points:
        if is_transformed(point) or (torch.is_grad_enabled() and point.requires_grad):
            raise ValueError(
                "an objective over a process_group cannot be differentiated or mapped over from "
                "outside; ask for its gradient and hessian_vector_product, at x.detach()"
            )
    if points[0].device.type == "cpu" and dist.get_backend(group) == "nccl":
        raise ValueError(
            "x is on the CPU, and process_group exchanges tensors of GPUs alone (NCCL); move the "
            "model to the GPU, or make the group with backend='cpu:gloo,cuda:nccl'"
        )


def require_group(group: Any) -> dist.ProcessGroup | None:
    """Return a group of processes that this one belongs to, or None; otherwise raise."""
    if group is None:
        return None
    if group is dist.GroupMember.NON_GROUP_MEMBER:
        raise ValueError(
            "process_group must hold this process, so make the objective in its members alone; "
            f"got NON_GROUP_MEMBER, {group}"
        )
    require_instance(
        "process_group",
        group,
        dist.ProcessGroup,
        "a torch.distributed group, such as torch.distributed.group.WORLD, or None",
    )
    assert isinstance(group, dist.ProcessGroup)
    return group


def processes_of(
    network: Network, group: dist.ProcessGroup | None, shard_vectors: bool | None
) -> Processes:
    """The processes that share an objective, with vectors spread over them as it is asked for.

    Raises
    ------
    TypeError
        If group is no group.
    ValueError
        If vectors or parameters are spread, and it is not said over which processes.
    """
    group, spread = require_group(group), network.is_spread
    if spread and group is None:
        raise ValueError(
            "the model's parameters are spread over processes by fully_shard: say which share the "
            "data, as with process_group=torch.distributed.group.WORLD"
        )
    if shard_vectors is not None:
        spread = require_flag("shard_vectors", shard_vectors)
    if spread and group is None:
        raise ValueError("shard_vectors=True needs process_group, got None")
    return Processes(group, Shards(network.dim, group if spread else None))
