"""Checks of arguments, with errors that name the argument, its value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from torch import Tensor


def require_positive(name: str, value: float | Tensor) -> float | Tensor:
    """Return ``value`` if every entry is finite and > 0, otherwise raise ``ValueError``."""
    return _require_bounded(name, value, strict=True)


def require_non_negative(name: str, value: float | Tensor) -> float | Tensor:
    """Return ``value`` if every entry is finite and ≥ 0, otherwise raise ``ValueError``."""
    return _require_bounded(name, value, strict=False)


def _require_bounded(name: str, value: float | Tensor, *, strict: bool) -> float | Tensor:
    allowed = f"finite and {'> 0' if strict else '≥ 0'}"
    if isinstance(value, Tensor):
        if value.dim() > 1:
            raise ValueError(
                f"{name} must be a number or a tensor of shape [batch], "
                f"got shape {tuple(value.shape)}"
            )
        if not value.is_floating_point():
            raise TypeError(f"{name} must have a floating-point dtype, got {value.dtype}")
        inside = value > 0 if strict else value >= 0
        if not bool((inside & value.isfinite()).all()):
            raise ValueError(f"every entry of {name} must be {allowed}, got {value.tolist()}")
        return value.detach()
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(
            f"{name} must be a number or a tensor of shape [batch], got {type(value).__name__}"
        )
    if not math.isfinite(value) or value < 0 or (strict and value == 0):
        raise ValueError(f"{name} must be {allowed}, got {value}")
    return float(value)


def require_count(name: str, value: int, *, minimum: int) -> int:
    """Return ``value`` if it is an integer ≥ ``minimum``, otherwise raise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be ≥ {minimum}, got {value}")
    return int(value)


def require_point(name: str, x: Tensor, dim: int) -> Tensor:
    """Return ``x`` if it is a floating-point tensor of shape [..., dim], otherwise raise."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(
            f"{name} must have a floating-point dtype, got {x.dtype}; try {name}.double()"
        )
    if x.dim() == 0 or x.shape[-1] != dim:
        raise ValueError(
            f"{name} must have shape [..., {dim}] (the objective has dim {dim}), "
            f"got {tuple(x.shape)}"
        )
    return x


def require_pair(x: Tensor, v: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Check x and v as points of R^dim and broadcast them against each other."""
    require_point("x", x, dim)
    require_point("v", v, dim)
    try:
        shape = np.broadcast_shapes(x.shape, v.shape)
    except ValueError:
        raise ValueError(
            f"x and v must broadcast, got shapes {tuple(x.shape)} and {tuple(v.shape)}"
        ) from None
    return x.expand(shape), v.expand(shape)


def require_names(name: str, values: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Return ``values`` as a tuple if all of them are allowed, otherwise raise ``ValueError``."""
    chosen = (values,) if isinstance(values, str) else tuple(values)
    known = tuple(allowed)
    for value in chosen:
        if value not in known:
            raise ValueError(f"{name} must be among {', '.join(known)}; got {value!r}")
    return chosen


def broadcast_batch(name: str, value: float | Tensor, like: Tensor) -> Tensor:
    """Give ``value`` as a column [batch, 1] with the dtype and device of ``like`` [batch, dim]."""
    if like.dim() != 2:
        raise ValueError(f"points must have shape [batch, dim], got {tuple(like.shape)}")
    if isinstance(value, Tensor):
        column = value.to(like).reshape(-1, 1)
    else:  # a fill on the device, where a copy would make the host wait
        column = like.new_full((1, 1), value)
    if column.shape[0] not in (1, like.shape[0]):
        raise ValueError(
            f"{name} has batch size {column.shape[0]}, which does not match the start's "
            f"{like.shape[0]}"
        )
    return column
