"""A function of one point, evaluated at many points together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vmap


def at_points(
    function: Callable[..., tuple[Tensor, ...]], *points: Tensor, at_once: int
) -> tuple[Tensor, ...]:
    """Give what ``function`` gives at points of shape [..., dim], so many of them together.

    One point of shape [dim] does not go through :func:`torch.func.vmap`, nor do points that are
    evaluated one by one.
    """
    shape = points[0].shape[:-1]
    if not shape:
        return function(*points)
    flat = [point.reshape(-1, point.shape[-1]) for point in points]
    if at_once == 1:
        each = [function(*some) for some in zip(*flat, strict=True)]
        results = tuple(torch.stack(parts) for parts in zip(*each, strict=True))
    else:
        results = vmap(function, randomness="same", chunk_size=at_once)(*flat)
    return tuple(result.reshape(*shape, *result.shape[1:]) for result in results)


def is_transformed(x: Tensor) -> bool:
    """Whether x belongs to a transform of torch.func, and so has no numbers to be looked at."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(x))
