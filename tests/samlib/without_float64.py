"""Apple's MPS, a device that has no float64, played on the CPU for machines without one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

MPS = torch.device("mps")
WIDE = (torch.float64, torch.complex128)


class OnMPS(Tensor):
    """A tensor that says it is on MPS, and stays there until ``cpu()``; float64 is refused."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {}, on_mps=True)


class WithMPS(TorchFunctionMode):
    """Make tensors on MPS where ``device=`` asks for it, or ``to``."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [*tree_leaves(args), *kwargs.values()]
        there = any(isinstance(each, OnMPS) or _names_mps(each) for each in given)
        return _run(func, args, kwargs, on_mps=there) if there else func(*args, **kwargs)


def _names_mps(value: Any) -> bool:
    return isinstance(value, (str, torch.device)) and str(value).startswith("mps")


def _run(func: Any, args: Any, kwargs: dict[str, Any], on_mps: bool) -> Any:
    name = getattr(func, "__name__", "")
    if func == Tensor.device.__get__:
        return MPS
    if name in ("numpy", "__array__"):
        raise TypeError("can't convert mps:0 device type tensor to numpy; use Tensor.cpu() first")
    devices = [each for each in args if isinstance(each, (str, torch.device))]
    devices += [kwargs[name] for name in ("device",) if kwargs.get(name) is not None]
    if name == "cpu" or (name == "to" and any(str(each) == "cpu" for each in devices)):
        on_mps = False

    def here(value: Any) -> Any:
        return torch.device("cpu") if _names_mps(value) else value

    with torch._C.DisableTorchFunctionSubclass():
        result = func(*tree_map(here, args), **tree_map(here, kwargs))
        return tree_map(_there if on_mps else _back, result)


def _there(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    if value.dtype in WIDE:
        raise TypeError(
            "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't "
            "support float64. Please use float32 instead."
        )
    return value if isinstance(value, OnMPS) else value.as_subclass(OnMPS)


def _back(value: Any) -> Any:
    return value.as_subclass(Tensor) if isinstance(value, OnMPS) else value
