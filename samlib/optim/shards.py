"""Tensors that are spread over processes, as fully_shard spreads them: this process's parts.

A plain tensor is its own part, so that what is written for parts holds for all parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

Groups = tuple[Any, ...]  # process groups, one for each way in which a tensor is cut


def is_spread(tensor: Tensor) -> bool:
    """Whether the tensor is a DTensor, of which each process holds a part or a copy."""
    return hasattr(tensor, "to_local")


def any_spread(tensors: Iterable[Tensor]) -> bool:
    """Whether any of the tensors is one."""
    return True in [hasattr(t, "to_local") for t in tensors]


def part(tensor: Tensor) -> Tensor:
    """Give the part of a tensor that is in this process, in the tensor's own memory."""
    if not is_spread(tensor):
        return tensor
    spread: Any = tensor
    with torch.no_grad():  # with gradients, to_local() would give a node of a graph
        own: Tensor = spread.to_local()
    return own


def parts(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Give the part in this process of each tensor."""
    return [part(t) if hasattr(t, "to_local") else t for t in tensors]  # no call for a plain one


def spread_like(own: Tensor, like: Tensor) -> Tensor:
    """Make of this process's part a tensor that is spread as another one is."""
    if not is_spread(like):
        return own
    spread: Any = like
    whole: Tensor = type(spread).from_local(
        own, spread.device_mesh, spread.placements, run_check=False,
        shape=spread.shape, stride=spread.stride(),
    )  # fmt: skip
    return whole


def part_of(whole: Tensor, like: Any) -> Tensor:
    """Cut from a plain tensor, equal in all processes, this process's part."""
    if not is_spread(like):
        return whole
    mesh = like.device_mesh
    cuts = list(zip(like.placements, mesh.shape, mesh.get_coordinate(), strict=True))
    # FSDP2 cuts what tensor parallelism has cut before it, and calls such a cut strided.
    for placement, pieces, place in sorted(cuts, key=lambda cut: hasattr(cut[0], "split_factor")):
        if placement.is_replicate():
            continue
        chunks = whole.chunk(pieces, placement.dim)
        empty = whole.narrow(placement.dim, 0, 0)
        whole = chunks[place] if place < len(chunks) else empty
    return whole


def arranged_like(tensor: Any, like: Any) -> Tensor:
    """Give a tensor, plain or spread, spread as another one of its shape is."""
    if not is_spread(like):
        plain: Tensor = tensor.full_tensor() if is_spread(tensor) else tensor
        return plain
    if not is_spread(tensor):
        return spread_like(part_of(tensor, like).contiguous(), like)
    if tensor.placements == like.placements:
        return tensor  # type: ignore[no-any-return]
    moved: Tensor = tensor.redistribute(placements=like.placements)
    return moved


def groups_of(tensor: Any) -> Groups:
    """Give the process groups over which the parts of the tensor are spread; none for a plain one.

    Copies are not parts: along a dimension of the mesh that replicates, there is no group.
    """
    if not is_spread(tensor):
        return ()
    mesh = tensor.device_mesh
    if any(placement.is_partial() for placement in tensor.placements):
        raise ValueError(
            "params must be whole or cut into shards, got one with the placements "
            f"{tuple(tensor.placements)}: a sum that is not taken yet"
        )
    return tuple(
        mesh.get_group(dim)
        for dim, placement in enumerate(tensor.placements)
        if not placement.is_replicate() and mesh.size(dim) > 1
    )


def everyone(tensors: Iterable[Tensor]) -> Groups:
    """Give the groups, one for each dimension of a mesh, that reach all who hold such tensors."""
    spread: list[Any] = [t for t in tensors if is_spread(t)]
    if not spread:
        return ()
    mesh = max((t.device_mesh for t in spread), key=lambda mesh: mesh.size())
    return tuple(mesh.get_group(dim) for dim in range(mesh.ndim) if mesh.size(dim) > 1)


def total(numbers: Tensor, groups: Groups) -> Tensor:
    """Add numbers over process groups, in place."""
    for group in groups:
        torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.SUM, group)
    return numbers


def mean(number: Tensor, groups: Groups) -> Tensor:
    """Take the mean of a number over process groups."""
    for group in groups:
        number = total(number.clone(), (group,)) / torch.distributed.get_world_size(group)
    return number


def largest(numbers: Tensor, groups: Groups) -> Tensor:
    """Take the maxima of numbers over process groups, in place."""
    for group in groups:
        torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.MAX, group)
    return numbers


def together(tensors: Sequence[Tensor]) -> list[tuple[Groups, list[int]]]:
    """Sort tensors by the groups they are spread over: pairs of groups and places."""
    of_layout: dict[Any, tuple[Groups, Any]] = {}
    found: dict[Any, tuple[Groups, list[int]]] = {}
    for place, tensor in enumerate(tensors):
        spread: Any = tensor
        layout = (spread.device_mesh, tuple(spread.placements)) if is_spread(tensor) else None
        if layout not in of_layout:
            groups = groups_of(tensor)
            ranks = tuple(tuple(torch.distributed.get_process_group_ranks(g)) for g in groups)
            of_layout[layout] = groups, ranks
        groups, ranks = of_layout[layout]
        found.setdefault(ranks, (groups, []))[1].append(place)
    return list(found.values())
