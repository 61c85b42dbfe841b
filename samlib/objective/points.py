"""A function of one point, evaluated at many points together."""

from __future__ import annotations

import itertools
import warnings
import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._python_dispatch import TorchDispatchMode

from samlib._batching import BYTES_AT_ONCE

T = TypeVar("T")

Function = Callable[..., tuple[Tensor, ...]]

HowMany = Callable[[int, torch.device, int], int]

_KINDS_KEPT = 256


def at_points(function: Function, *points: Tensor, at_once: int) -> tuple[Tensor, ...]:
    """Give what ``function`` gives at points of shape [..., dim], so many of them together.

    One point of shape [dim] does not go through :func:`torch.func.vmap`, nor do points that are
    evaluated one by one.
    """
    shape = points[0].shape[:-1]
    if not shape:
        return function(*points)
    if at_once == 1:
        return _one_by_one(function, None, *points)
    flat = [point.reshape(-1, point.shape[-1]) for point in points]
    results = vmap(function, randomness="same", chunk_size=at_once)(*flat)
    return tuple(result.reshape(*shape, *result.shape[1:]) for result in results)


def _one_by_one(
    function: Function, first: tuple[Tensor, ...] | None, *points: Tensor
) -> tuple[Tensor, ...]:
    """The same one by one; what the function gives at the first point may be known."""
    each = zip(*(point.reshape(-1, point.shape[-1]) for point in points), strict=True)
    found = [] if first is None else [first]
    found += [function(*some) for some in itertools.islice(each, len(found), None)]
    results = (torch.stack(parts) for parts in zip(*found, strict=True))
    return tuple(result.reshape(*points[0].shape[:-1], *result.shape[1:]) for result in results)


def how_many_fit(needed: int, device: torch.device, points: int) -> int:
    """How many points are evaluated at once, if each needs so many bytes: as many as fit."""
    return max(1, BYTES_AT_ONCE // needed)


class Together:
    """Evaluates points together, as many as fit into memory, or one by one where it has to.

    Parameters
    ----------
    how_many
        (bytes that a point needs, its device, how many points there are) ↦ how many at once.

    Attributes
    ----------
    obstacle
        Why points are evaluated one by one, None if nothing is against evaluating them together.
    """

    def __init__(self, how_many: HowMany = how_many_fit) -> None:
        self.obstacle: str | None = None
        self._how_many = how_many
        self._bytes: dict[Hashable, int] = {}

    def __call__(
        self, function: Function, kind: Callable[[], Hashable], *points: Tensor
    ) -> tuple[Tensor, ...]:
        """Give what ``function`` gives at points of shape [..., dim].

        Functions of one ``kind()`` need the same memory at a point, which is measured once.
        """
        shape = points[0].shape[:-1]
        if shape.numel() < 2 or self.obstacle:
            return at_points(function, *points, at_once=1)
        if any(is_transformed(point) for point in points):
            return at_points(function, *points, at_once=shape.numel())
        kind_here, first = (kind(), points[0].dtype, points[0].device), None
        if kind_here not in self._bytes:
            first = self._measured(function, kind_here, *points)
        at_once = self._how_many(self._bytes[kind_here], points[0].device, shape.numel())
        if at_once == 1:
            return _one_by_one(function, first, *points)
        return self._at_once(function, at_once, *points)

    def _at_once(self, function: Function, at_once: int, *points: Tensor) -> tuple[Tensor, ...]:
        try:
            with warnings.catch_warnings():
                # What vmap would do one by one, it does slower than we.
                warnings.filterwarnings("error", message="There is a performance drop")
                return at_points(function, *points, at_once=at_once)
        except Exception as error:
            results = at_points(function, *points, at_once=1)  # raises what is not vmap's fault
            self.meets(error)
            return results

    def meets(self, error: Exception) -> None:
        """Remember what went wrong with points evaluated together, and not one by one."""
        self.obstacle = " ".join(f"{type(error).__name__}: {error}".split())

    def _measured(self, function: Function, kind: Hashable, *points: Tensor) -> tuple[Tensor, ...]:
        """What the function gives at the first point, of which it is measured what it needs."""
        if len(self._bytes) >= _KINDS_KEPT:
            self._bytes.clear()
        one = [point.reshape(-1, point.shape[-1])[0] for point in points]
        result, needed = _with_bytes(lambda: function(*one))
        self._bytes[kind] = max(1, needed)
        return result


def bytes_needed(function: Callable[[], Any]) -> int:
    """The most bytes that tensors hold at a time which are made while a function runs."""
    return _with_bytes(function)[1]


def _with_bytes(function: Callable[[], T]) -> tuple[T, int]:
    """What a function gives, and the most bytes of tensors that it makes."""
    allocated = _Allocated()
    with allocated:
        result = function()
    return result, allocated.most


class _Allocated(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that operations make, as long as they live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0
        self._now = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {t.untyped_storage()._cdata for t in args if isinstance(t, Tensor)}
        for part in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(part, Tensor) and part.untyped_storage()._cdata not in given:
                self._note(part.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known[key] = size
        self._now += size
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self._now -= self._known.pop(key, 0)


def is_transformed(x: Tensor) -> bool:
    """Whether x belongs to a transform of torch.func, and so has no numbers to be looked at."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(x))


def untransformed(x: Tensor) -> Tensor:
    """The tensor that a transform of torch.func took, for what does not depend on the point.

    Raises
    ------
    ValueError
        If it does depend on the point.
    """
    while is_transformed(x):
        if torch._C._functorch.is_batchedtensor(x):
            raise ValueError("the size of a batch must not depend on the parameters")
        x = torch._C._functorch.get_unwrapped(x)
    return x
