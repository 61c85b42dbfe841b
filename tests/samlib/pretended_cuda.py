"""A CUDA device, pretended on the CPU: real numbers, CUDA's errors, and its waits counted.

A tensor on the pretended device is a wrapper around a tensor of the CPU, which holds its numbers.
Within torch it is on "meta", the one device beside the CPU that every build of torch can
differentiate on, so that torch itself keeps the two apart; to the library it is on "cuda:0".
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten

CUDA = torch.device("cuda", 0)
CPU = torch.device("cpu")
_WITHIN = torch.device("meta")

# A tensor of the CPU without dimensions counts as a number, but not in these operations.
_TAKE_NO_NUMBERS = {"cat", "stack", "dot", "mv", "mm", "bmm", "addmm", "addmv", "baddbmm", "gather"}

# Indices may be on the CPU; they are copied.
_INDEX = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}

# The host needs a number, or the shape of the result, or whether a factorization succeeded.
_WAIT = {
    *("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "bincount"),
    *("_unique2", "unique_dim", "unique_consecutive", "repeat_interleave", "multinomial"),
    *("_linalg_eigh", "linalg_eig", "_linalg_eigvals", "_linalg_svd", "linalg_lstsq"),
    *("_linalg_check_errors", "_linalg_solve_ex", "linalg_inv_ex", "linalg_cholesky_ex"),
}


class OnDevice(Tensor):
    """A tensor of the pretended device; ``held``, on the CPU, has its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        outline = torch.empty_strided(held.shape, held.stride(), dtype=held.dtype, device=_WITHIN)
        made: OnDevice = Tensor._make_subclass(cls, outline)
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        raise AssertionError(f"{func} of a tensor whose pretended device is gone")

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        return self.detach()

    @data.setter
    def data(self, value: OnDevice) -> None:
        Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self.held = value.held

    def __repr__(self) -> str:  # type: ignore[override]
        return f"{self.held!r} on the pretended device"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.numpy()


class Device(TorchDispatchMode):
    """Computes what is on the pretended device; ``waits`` says where the host waited for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        leaves, structure = tree_flatten((args, kwargs))
        asked = kwargs.get("device")
        from_there = any(map(_on_device, leaves))
        to_there = from_there if asked is None else _is_there(asked)
        if not (from_there or to_there or kwargs.get("generator")):
            return func(*args, **kwargs)
        if from_there:
            _require_one_device(name, args, leaves)
        _require_generator(kwargs.get("generator"), to_there)
        if _waits(name, args, kwargs, to_there):
            self.waits.append(_place(name))
        return _run(func, leaves, structure, to_there)


def _is_there(device: Any) -> bool:
    return torch.device(device).type in (CUDA.type, _WITHIN.type)


def _on_device(value: Any) -> bool:
    return isinstance(value, OnDevice)


def _require_one_device(name: str, args: Any, leaves: list[Any]) -> None:
    """Raise as CUDA does where tensors of the CPU and of the device meet in an operation."""
    if name in ("_to_copy", "copy_", "_foreach_copy_"):
        return
    here = [each for each in leaves if type(each) is Tensor]
    if not here:
        return
    if any(each.device == CUDA for each in here):
        raise AssertionError(f"torch made a tensor without numbers beside the device, for {name}")
    if name in _INDEX and _on_device(args[0]):
        here = [each for each in here if not any(each is index for index in args[1])]
    written = name.endswith("_") and not name.startswith("_") and not _on_device(args[0])
    if any(each.dim() for each in here) or (here and (written or name in _TAKE_NO_NUMBERS)):
        shapes = ", ".join(str(tuple(each.shape)) for each in here)
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"cuda:0 and cpu! (in {name}, on the CPU: {shapes})"
        )


def _waits(name: str, args: Any, kwargs: dict[str, Any], to_there: bool) -> bool:
    """Whether CUDA makes the host wait in an operation, as torch's own debug mode counts it."""
    if name == "_to_copy":
        return _on_device(args[0]) != to_there and not kwargs.get("non_blocking")
    if name == "copy_":
        blocking = not (kwargs.get("non_blocking") or args[2:] == (True,))
        return _on_device(args[0]) != _on_device(args[1]) and blocking
    if name == "_foreach_copy_":
        return any(_on_device(a) != _on_device(b) for a, b in zip(*args[:2], strict=True))
    if name in _INDEX:
        indices = [each for each in args[1] if each is not None]
        # A number written at one mask is the one case in which nobody counts its entries.
        fills = "put" in name and args[2].dim() == 0 and len(indices) == 1
        masked = any(each.dtype in (torch.bool, torch.uint8) for each in indices)
        return not all(map(_on_device, indices)) or (masked and not fills)
    return name in _WAIT


def _place(name: str) -> str:
    """The operation, and the innermost line of the library that led to it."""
    frame = sys._getframe(1)
    while frame is not None:
        file, line = frame.f_code.co_filename, frame.f_lineno
        if "/samlib/" in file and "/tests/" not in file:
            return f"{name} in samlib/{file.rpartition('/samlib/')[2]}:{line}"
        frame = frame.f_back
    return f"{name} outside of the library"


def _run(func: Any, leaves: list[Any], structure: TreeSpec, there: bool) -> Any:
    """Compute on the CPU; tensors that an operation writes to stay those that they were."""
    known = {id(each.held): each for each in leaves if _on_device(each)}

    def inside(value: Any) -> Any:
        if _on_device(value):
            return value.held
        return CPU if isinstance(value, torch.device) else value

    def outside(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) in known:
            return known[id(value)]
        return OnDevice(value) if there else value

    if func is torch.ops.aten._efficientzerotensor.default:
        func = torch.ops.aten.zeros.default  # below autograd, zeros must be written down
    args, kwargs = tree_unflatten(map(inside, leaves), structure)
    return tree_map(outside, func(*args, **kwargs))


# ------------------------------------------------------------------------- what is not a tensor


class _Generator(torch.Generator):
    """A generator that says on which device it is, and is one of the CPU."""

    # Those on the device, by what torch hands on of them.
    there: ClassVar[dict[int, torch.Generator]] = {}

    def __new__(cls, device: Any = CPU) -> Any:
        made = super().__new__(cls)
        if _is_there(device):
            cls.there[made._cdata] = made
        return made

    def __init__(self, device: Any = CPU) -> None:
        pass

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA if self._cdata in self.there else CPU


def _require_generator(generator: Any, there: bool) -> None:
    if generator is not None and there != (generator._cdata in _Generator.there):
        wanted, given = ("cuda", "cpu") if there else ("cpu", "cuda")
        raise RuntimeError(f"Expected a '{wanted}' device type for generator but found '{given}'")


def _from_the_host(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make a tensor of Python's numbers as torch does for a device: on the CPU, then copied."""

    def made(data: Any, *, device: Any = None, **options: Any) -> Tensor:
        if device is None or not _is_there(device):
            return make(data, device=device, **options)
        return make(data, **options).to(CUDA)

    return made


def _new_tensor(self: Tensor, data: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    return torch.tensor(data, dtype=dtype or self.dtype, device=device or self.device)


def _with_lists_copied(access: Callable[..., Any]) -> Callable[..., Any]:
    """Read or write at an index, whose lists are tensors that torch copies to the device."""

    def accessed(self: Tensor, index: Any, *value: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, list) for part in parts):
            copied = [torch.tensor(part) if isinstance(part, list) else part for part in parts]
            index = tuple(
                part.to(self.device) if isinstance(part, Tensor) else part for part in copied
            )
        return access(self, index, *value)

    return accessed


@contextmanager
def pretended_cuda() -> Iterator[Device]:
    """Let there be a CUDA device; ``device=CUDA`` and ``to(CUDA)`` reach it."""
    where = Tensor.device.__get__  # type: ignore[attr-defined]

    def device(self: Tensor) -> torch.device:
        found: torch.device = where(self)
        return CUDA if found.type == _WITHIN.type else found

    replaced: list[tuple[Any, str, Any]] = [
        (Tensor, "device", property(device)),
        (Tensor, "is_cuda", property(lambda self: device(self) == CUDA)),
        (Tensor, "new_tensor", _new_tensor),
        (Tensor, "__getitem__", _with_lists_copied(Tensor.__getitem__)),
        (Tensor, "__setitem__", _with_lists_copied(Tensor.__setitem__)),
        (Tensor, "pin_memory", lambda self: self),
        (torch, "Generator", _Generator),
        (torch, "tensor", _from_the_host(torch.tensor)),
        (torch, "as_tensor", _from_the_host(torch.as_tensor)),
        (torch.cuda, "is_available", lambda: True),
        (torch.cuda, "_lazy_init", lambda: None),
        # Random numbers without a generator are those of the CPU's.
        (torch.cuda, "default_generators", (torch.default_generator,)),
        (torch.cuda, "get_rng_state", lambda device: torch.get_rng_state()),
        (torch.cuda, "set_rng_state", lambda state, device: None),
    ]
    with pytest.MonkeyPatch.context() as patch, Device() as made:
        for owner, name, value in replaced:
            patch.setattr(owner, name, value)
        yield made
    _Generator.there.clear()
