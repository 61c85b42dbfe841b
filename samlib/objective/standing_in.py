"""What stands in a model for a parameter that is elsewhere, and the operations that take it.

An operation on a parameter, as a function of pieces of it, has a derivative of the same kind: of a
gathered parameter it is a sum over processes, of such a sum something gathered. So one function,
that knows which of its arguments and results belong to parameters, is enough for all orders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.func import vjp
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_flatten, tree_unflatten

from samlib.objective.gathering import POINT, VECTOR, Gathering

Operation = Callable[..., tuple[Tensor, ...]]


class StandIn(Tensor):
    """Has the shape, dtype and device of a parameter, and a piece of its numbers.

    Whatever function of torch takes it gets the parameter, which is gathered for its length.
    """

    gathering: Gathering
    k: int
    piece: Tensor

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _ABOUT:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        leaves, spec = tree_flatten((args, kwargs))
        if _needs_it_longer(func, kwargs):
            args, kwargs = tree_unflatten([_whole(leaf) for leaf in leaves], spec)
            return func(*args, **kwargs)
        return _applied(func, leaves, spec)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten.detach.default:  # by which autograd keeps it
            return _made(args[0].gathering, args[0].k, args[0].piece, args[0])
        raise TypeError(
            f"{func} takes a parameter that is spread over processes by a way that does not "
            "gather it; leave fully_shard out, or use functions of torch"
        )


def stand_in(gathering: Gathering, k: int, piece: Tensor) -> Tensor:
    """What stands for parameter k, of which this process has a piece [n], differentiable in it."""
    result: Tensor = _StandingIn.apply(gathering, k, piece)  # type: ignore[no-untyped-call]
    result.piece = piece  # type: ignore[attr-defined]
    return result


def _made(gathering: Gathering, k: int, piece: Tensor, like: Tensor) -> StandIn:
    made: StandIn = Tensor._make_wrapper_subclass(
        StandIn, like.shape, dtype=like.dtype, device=piece.device
    )
    made.gathering, made.k, made.piece = gathering, k, piece
    return made


class _StandingIn(Function):
    """piece ↦ what stands in. Its slope is whole, where something else than torch computed it."""

    @staticmethod
    def forward(ctx: Any, gathering: Gathering, k: int, piece: Tensor) -> Tensor:
        ctx.gathering, ctx.k = gathering, k
        return _made(gathering, k, piece, gathering.like(k, piece))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        last = not torch.is_grad_enabled()
        (mine,) = _gathered(ctx.gathering, lambda g: (g.clone(),), [None], [ctx.k], last, slope)
        return None, None, mine


class _Gathered(Function):
    """An operation on whole parameters, as a function of pieces of them.

    Parameters
    ----------
    operation
        Maps tensors to tensors.
    places
        For each argument (what, k), if it is a piece of parameter k; else None.
    results
        For each result k, if it is one for parameter k; None: they are none.
    last
        Whether results for parameters are sent to those that hold them. If not, they are 0 here:
        only their derivatives are wanted.
    """

    @staticmethod
    def forward(
        ctx: Any,
        gathering: Gathering,
        operation: Operation,
        places: Sequence[tuple[int, int] | None],
        results: Sequence[int | None] | None,
        last: bool,
        *args: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*args)
        ctx.gathering, ctx.operation, ctx.places = gathering, operation, places
        wholes = [
            arg.detach() if place is None else gathering.whole(*place, arg)
            for place, arg in zip(places, args, strict=True)
        ]
        with torch._C.DisableTorchFunction(), sdpa_kernel(SDPBackend.MATH):
            found = list(operation(*wholes))
        del wholes
        ctx.results = [None] * len(found) if results is None else results
        for i, k in enumerate(ctx.results):
            if k is not None:
                if last:
                    gathering.add(k, found[i])
                found[i] = gathering.zero(k)
        ctx.follows = [result.is_floating_point() for result in found]
        ctx.mark_non_differentiable(
            *(r for r, follows in zip(found, ctx.follows, strict=True) if not follows)
        )
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        args, operation, follows = ctx.saved_tensors, ctx.operation, ctx.follows
        moving = [i for i, needed in enumerate(ctx.needs_input_grad[_BEFORE:]) if needed]

        def adjoint(*both: Tensor) -> tuple[Tensor, ...]:
            fixed, slopes = both[: len(args)], both[len(args) :]

            def along(*values: Tensor) -> tuple[Tensor, ...]:
                inputs = list(fixed)
                for i, value in zip(moving, values, strict=True):
                    inputs[i] = value
                found = operation(*inputs)
                return tuple(r for r, f in zip(found, follows, strict=True) if f)

            return tuple(vjp(along, *(fixed[i] for i in moving))[1](slopes))

        given = [s for s, f in zip(slopes, follows, strict=True) if f]
        of = [k for k, f in zip(ctx.results, follows, strict=True) if f]
        places = [*ctx.places, *(None if k is None else (VECTOR, k) for k in of)]
        results = [None if ctx.places[i] is None else ctx.places[i][1] for i in moving]
        last = not torch.is_grad_enabled()
        found = _gathered(ctx.gathering, adjoint, places, results, last, *args, *given)
        slopes_of = dict(zip(moving, found, strict=True))
        return (*(None,) * _BEFORE, *(slopes_of.get(i) for i in range(len(args))))


_BEFORE = 5  # arguments without derivatives


def _gathered(*args: Any) -> tuple[Tensor, ...]:
    results: tuple[Tensor, ...] = _Gathered.apply(*args)  # type: ignore[no-untyped-call]
    return results


def _applied(func: Any, leaves: list[Any], spec: Any) -> Any:
    """What a function of torch gives, with the parameters in place of what stands for them."""
    where = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    stands = [leaves[i] for i in where if isinstance(leaves[i], StandIn)]
    others: list[Any] = list(leaves)
    for i in where:
        others[i] = None
    outcome: list[Any] = []

    def operation(*tensors: Tensor) -> tuple[Tensor, ...]:
        inputs = list(others)
        for i, tensor in zip(where, tensors, strict=True):
            inputs[i] = tensor
        args, kwargs = tree_unflatten(inputs, spec)
        outcome[:] = tree_flatten(func(*args, **kwargs))
        return tuple(leaf for leaf in outcome[0] if isinstance(leaf, Tensor))

    tensors = [leaves[i] for i in where]
    places = [(POINT, t.k) if isinstance(t, StandIn) else None for t in tensors]
    pieces = [t.piece if isinstance(t, StandIn) else t for t in tensors]
    found = iter(_gathered(stands[0].gathering, operation, places, None, False, *pieces))
    results = [next(found) if isinstance(leaf, Tensor) else leaf for leaf in outcome[0]]
    form = outcome[1]
    outcome.clear()  # what is kept for derivatives keeps no results
    return tree_unflatten(results, form)


def _whole(leaf: Any) -> Any:
    """The parameter itself, as long as the graph lives."""
    if not isinstance(leaf, StandIn):
        return leaf
    place = (POINT, leaf.k)
    return _gathered(leaf.gathering, lambda p: (p.clone(),), [place], None, False, leaf.piece)[0]


def _needs_it_longer(func: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a function writes, or computes its derivative under autocast."""
    name = str(getattr(func, "__name__", ""))
    writes = name.endswith("_") and not name.endswith("__")
    writes |= name in ("__setitem__", "__set__") or name.startswith("__i") or "out" in kwargs
    return writes or torch._C._is_any_autocast_enabled()


def _getters(*names: str) -> set[Any]:
    return {getattr(Tensor, name).__get__ for name in names}


# What tells about a parameter and does not take its numbers.
_ABOUT = {
    *_getters("shape", "dtype", "device", "layout", "ndim", "is_leaf", "requires_grad", "grad_fn"),
    *_getters("is_cuda", "is_meta", "is_sparse", "is_quantized", "_version", "grad"),
    *(Tensor.size, Tensor.dim, Tensor.numel, Tensor.nelement, Tensor.element_size, Tensor.stride),
    *(Tensor.is_floating_point, Tensor.is_complex, Tensor.is_contiguous, Tensor.__len__),
    *(Tensor.get_device, torch.is_floating_point, torch.is_complex, torch.numel),
    *(Tensor.dim_order, Tensor.ndimension, Tensor.register_hook, Tensor.__hash__),
}
