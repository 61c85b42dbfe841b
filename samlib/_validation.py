"""Checks of arguments, with errors that name the argument, its value and what is allowed."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")

_FEW = 8


def shown(value: object) -> str:
    """Show a value in an error: in full where it is short, a large tensor by shape and dtype."""
    if isinstance(value, (Tensor, np.ndarray)):
        of = f"{tuple(value.shape)} and dtype {value.dtype}"
        size = int(np.prod(value.shape))
        entries = f" with {value.tolist()}" if 0 < size <= _FEW else ""
        return f"{'a tensor' if isinstance(value, Tensor) else 'an array'} of shape {of}{entries}"
    return " ".join(reprlib.repr(value).split())


def require_positive(name: str, value: float | Tensor) -> float | Tensor:
    """Return ``value`` if every entry is finite and > 0, otherwise raise."""
    return _require_bounded(name, value, strict=True)


def require_non_negative(name: str, value: float | Tensor) -> float | Tensor:
    """Return ``value`` if every entry is finite and ≥ 0, otherwise raise."""
    return _require_bounded(name, value, strict=False)


def _require_bounded(name: str, value: float | Tensor, *, strict: bool) -> float | Tensor:
    allowed = f"finite and {'> 0' if strict else '≥ 0'}"
    if isinstance(value, Tensor):
        if value.dim() > 1 or value.numel() == 0:
            raise ValueError(
                f"{name} must be a number or a tensor of shape [batch], not empty, "
                f"got shape {tuple(value.shape)}"
            )
        if not value.is_floating_point():
            raise TypeError(f"{name} must have a floating-point dtype, got {value.dtype}")
        inside = value > 0 if strict else value >= 0
        if not bool((inside & value.isfinite()).all()):
            raise ValueError(f"every entry of {name} must be {allowed}, got {value.tolist()}")
        return value.detach()
    if not _is_number(value):
        raise TypeError(
            f"{name} must be a number or a tensor of shape [batch], {allowed}, got {shown(value)}"
        )
    return _require_inside(name, value, allowed, lambda x: x > 0 if strict else x >= 0)


def require_number(name: str, value: float | Tensor, *, positive: bool = False) -> float:
    """Return ``value`` as a float if it is one finite number ≥ 0, or > 0, otherwise raise."""
    allowed = f"finite and {'> 0' if positive else '≥ 0'}"
    return _require_one(name, value, allowed, lambda x: x > 0 if positive else x >= 0)


def require_fraction(name: str, value: float) -> float:
    """Return ``value`` as a float if it is one number between 0 and 1, otherwise raise."""
    return _require_one(name, value, "between 0 and 1", lambda x: 0 < x < 1)


def require_probability(name: str, value: float) -> float:
    """Return ``value`` as a float if it is one number at least 0 and below 1, otherwise raise."""
    return _require_one(name, value, "at least 0 and below 1", lambda x: 0 <= x < 1)


def _require_one(
    name: str, value: float | Tensor, allowed: str, inside: Callable[[float], bool]
) -> float:
    if isinstance(value, Tensor) and value.dim() == 0 and value.is_floating_point():
        value = value.item()
    if not _is_number(value):
        raise TypeError(f"{name} must be a number {allowed}, got {shown(value)}")
    return _require_inside(name, value, allowed, inside)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _require_inside(name: str, value: Any, allowed: str, inside: Callable[[float], bool]) -> float:
    number = _as_float(value)
    if not (math.isfinite(number) and inside(number)):
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    return number


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond every float
        return math.inf


def require_count(name: str, value: int, *, minimum: int, maximum: int | None = None) -> int:
    """Return ``value`` if it is an integer ≥ ``minimum`` and ≤ ``maximum``, otherwise raise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {shown(value)}")
    if value < minimum:
        raise ValueError(f"{name} must be ≥ {minimum}, got {value}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {shown(int(value))}")
    return int(value)


def require_seed(name: str, value: int, *, bits: int = 64) -> int:
    """Return ``value`` if it is an integer that a generator takes as a seed, otherwise raise."""
    return require_count(name, value, minimum=0, maximum=2**bits - 1)


def require_flag(name: str, value: bool) -> bool:
    """Return ``value`` if it is True or False, otherwise raise ``TypeError``."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def require_text(name: str, value: str) -> str:
    """Return ``value`` if it is a string, otherwise raise ``TypeError``."""
    return require_instance(name, value, str, "a string")


def require_instance(name: str, value: T, kind: type | tuple[type, ...], allowed: str) -> T:
    """Return ``value`` if it is an instance of ``kind``, otherwise raise ``TypeError``."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {allowed}, got {shown(value)}")
    return value


def require_callable(name: str, value: T, allowed: str) -> T:
    """Return ``value`` if it can be called, otherwise raise ``TypeError``."""
    if not callable(value):
        raise TypeError(f"{name} must be callable: {allowed}; got {shown(value)}")
    return value


def require_tensor(name: str, x: Tensor) -> Tensor:
    """Return ``x`` if it is a floating-point tensor, otherwise raise ``TypeError``."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {shown(x)}")
    if not x.is_floating_point():
        raise TypeError(
            f"{name} must have a floating-point dtype, got {x.dtype}; try {name}.double()"
        )
    return x


def require_point(name: str, x: Tensor, dim: int) -> Tensor:
    """Return ``x`` if it is a floating-point tensor of shape [..., dim], otherwise raise."""
    require_tensor(name, x)
    if x.dim() == 0 or x.shape[-1] != dim:
        raise ValueError(
            f"{name} must have shape [..., {dim}] (the objective has dim {dim}), "
            f"got {tuple(x.shape)}"
        )
    return x


def require_points(name: str, x: Tensor, dim: int) -> Tensor:
    """Return ``x`` if it is a point or a batch of at least one, otherwise raise."""
    if require_point(name, x, dim).numel() == 0:
        raise ValueError(f"{name} must hold at least one point, got shape {tuple(x.shape)}")
    return x


def require_one_point(name: str, x: Tensor, dim: int) -> Tensor:
    """Return ``x`` if it is a floating-point tensor of shape [dim], otherwise raise."""
    if require_point(name, x, dim).dim() != 1:
        raise ValueError(f"{name} must have shape [{dim}], one point, got {tuple(x.shape)}")
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
    _require_same_kind("v", v, x)
    return x.expand(shape), v.expand(shape)


def require_vector(name: str, v: Tensor, x: Tensor) -> Tensor:
    """Return ``v`` if it is a vector of the dtype and on the device of the point x [dim]."""
    if isinstance(v, Tensor) and (v.shape, v.dtype, v.device) == (x.shape, x.dtype, x.device):
        return v  # as nearly always
    require_one_point(name, v, len(x))
    return _require_same_kind(name, v, x)


def _require_same_kind(name: str, v: Tensor, x: Tensor) -> Tensor:
    for what in ("device", "dtype"):
        if getattr(v, what) != getattr(x, what):
            raise ValueError(
                f"{name} must have the {what} of x, {getattr(x, what)}, got {getattr(v, what)}; "
                f"try {name}.to(x)"
            )
    return v


def require_integers(name: str, values: Tensor) -> Tensor:
    """Return ``values`` if it is a tensor of integers, otherwise raise ``TypeError``."""
    require_instance(name, values, Tensor, "a torch.Tensor")
    if values.is_floating_point() or values.dtype == torch.bool or values.is_complex():
        raise TypeError(f"{name} must have an integer dtype, got {values.dtype}")
    return values


def is_at_hand(tensor: Tensor) -> bool:
    """Whether one can look at the numbers of a tensor, and need not wait for a device.

    Those that torch follows a function with have none.
    """
    transformed = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    return type(tensor) is Tensor and tensor.device.type == "cpu" and not transformed


def require_indices(name: str, k: Tensor, x: Tensor, terms: int) -> Tensor:
    """Return ``k`` if it holds one index below ``terms`` for each point of x, otherwise raise.

    The indices themselves are only looked at where nobody has to wait for them.
    """
    require_integers(name, k)
    if x.dim() != 2 or k.shape != x.shape[:1]:
        raise ValueError(
            f"{name} must have shape [batch] for x [batch, dim], got {tuple(k.shape)} "
            f"for {tuple(x.shape)}"
        )
    if is_at_hand(k) and len(k) and not 0 <= int(k.min()) <= int(k.max()) < terms:
        raise ValueError(f"{name} must hold indices from 0 to {terms - 1}, got {shown(k)}")
    return k


def require_numbers(name: str, values: Iterable[float] | Tensor) -> Tensor:
    """Return ``values`` as a float64 tensor if it is a non-empty sequence of finite numbers."""
    allowed = f"{name} must be a non-empty sequence of finite numbers"
    entries = values.tolist() if isinstance(values, (Tensor, np.ndarray)) else values
    if isinstance(entries, str) or not isinstance(entries, Iterable):
        raise ValueError(f"{allowed}, got {shown(values)}")
    plain: list[Any] = [v.tolist() if isinstance(v, (Tensor, np.ndarray)) else v for v in entries]
    for entry in plain:
        if not (_is_number(entry) and math.isfinite(_as_float(entry))):
            raise ValueError(f"{allowed}, got {shown(entry)} in it")
    if not plain:
        raise ValueError(f"{allowed}, got {shown(values)}")
    return torch.tensor([float(entry) for entry in plain], dtype=torch.float64)


def require_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    """Return ``dtype`` if it is a floating-point dtype of torch, otherwise raise."""
    require_instance(name, dtype, torch.dtype, "a floating-point torch.dtype")
    if not dtype.is_floating_point:
        raise ValueError(f"{name} must be a floating-point torch.dtype, got {dtype}")
    return dtype


def require_device(name: str, device: str | torch.device) -> torch.device:
    """Return ``device`` as torch's if it is one or the name of one, otherwise raise."""
    allowed = "a device such as 'cpu' or 'cuda'"
    require_instance(name, device, (str, torch.device), allowed)
    if isinstance(device, torch.device):
        return device
    try:
        return torch.device(device)
    except RuntimeError:
        raise ValueError(f"{name} must be {allowed}, got {device!r}") from None


def require_name(name: str, value: str, allowed: Iterable[str]) -> str:
    """Return ``value`` if it is one of the allowed names, otherwise raise."""
    known = tuple(allowed)
    require_instance(name, value, str, f"among {', '.join(known)}")
    return require_names(name, value, known)[0]


def require_names(name: str, values: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Return ``values``, one name or many, as a tuple if all of them are allowed; raise if not."""
    known = tuple(allowed)
    if not isinstance(values, Iterable) or isinstance(values, Tensor):
        raise TypeError(f"{name} must be among {', '.join(known)}; got {shown(values)}")
    chosen = (values,) if isinstance(values, str) else tuple(values)
    for value in chosen:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"{name} must be among {', '.join(known)}; got {shown(value)}")
    return chosen


def broadcast_batch(name: str, value: float | Tensor, like: Tensor) -> Tensor:
    """Give ``value`` as a column [batch, 1] with the dtype and device of ``like`` [batch, dim]."""
    if require_tensor("x", like).dim() != 2:
        raise ValueError(f"x must have shape [batch, dim], got {tuple(like.shape)}")
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
