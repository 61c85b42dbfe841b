"""The operations of torch, written out as instructions of a straight-line program.

A tensor becomes one of the same shape that holds the names of its entries. What only moves entries
about (select, reshape, cat, and the padding in their derivatives) is then torch's own operation on
the names; arithmetic is written out entry by entry.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_leaves, tree_map

from samlib.dynamics.following import follow
from samlib.dynamics.straight_line import Builder, Operation, StraightLine, TooLongError

# A longer program is the work of a larger network, which torch does as fast.
MOST_NAMES = 10_000


class UnknownError(Exception):
    """An operation is none of those that can be written out."""


def straight_line(function: Callable[..., Tensor], *inputs: Tensor) -> StraightLine | None:
    """A function of vectors in float64 as a straight-line program; None if it is none.

    It is none where it looks at numbers to branch on them, draws random ones, computes in another
    dtype, needs an operation that is not known here, or too many of them.
    """
    if sum(len(x) for x in inputs) > MOST_NAMES:
        return None
    graph = follow(function, *inputs, decompositions=_decompositions())
    if graph is None:
        return None
    try:
        return _Lowering(graph, [len(x) for x in inputs]).program()
    except (UnknownError, TooLongError):
        return None


@functools.cache
def _decompositions() -> Mapping[Any, Callable[..., Any]]:
    """How torch makes its operations from few."""
    further = ("_log_softmax", "_softmax", "linalg_vector_norm", "gelu", "elu", "leaky_relu", "var")
    packets = [getattr(torch.ops.aten, name) for name in further]
    return {**core_aten_decompositions(), **get_decompositions(packets)}


@dataclass(frozen=True)
class _Names:
    """A tensor that depends on the inputs, by the names of its entries."""

    names: Tensor


class _Lowering:
    """Follows a graph and writes it out."""

    def __init__(self, graph: GraphModule, sizes: Sequence[int]) -> None:
        self._graph, self._sizes = graph, list(sizes)
        self._builder = Builder(sum(sizes), most=MOST_NAMES)
        self._given: set[int] = set()  # where the tensors lie that the function holds itself

    def program(self) -> StraightLine:
        """The graph as a program."""
        inputs = iter(torch.split(torch.tensor(self._builder.inputs), self._sizes))
        values: dict[Node, Any] = {}
        for node in self._graph.graph.nodes:
            if node.op == "placeholder":
                values[node] = _Names(next(inputs))
            elif node.op == "get_attr":
                values[node] = getattr(self._graph, node.target)
                self._given.add(values[node].untyped_storage().data_ptr())
            else:
                args, kwargs = tree_map(
                    lambda part: values[part] if isinstance(part, Node) else part,
                    (list(node.args), dict(node.kwargs)),
                )
                if node.op == "output":
                    return self._builder.program(self._names_of(args[0]).reshape(-1).tolist())
                values[node] = self._value(node, args, kwargs)
        raise UnknownError

    def _value(self, node: Node, args: list[Any], kwargs: dict[str, Any]) -> Any:
        target: Any = node.target
        if target is operator.getitem:
            return target(*args)
        if not isinstance(target, torch._ops.OpOverload):
            raise UnknownError
        name = target.overloadpacket.__name__
        if not any(isinstance(leaf, _Names) for leaf in tree_leaves((args, kwargs))):
            return self._known(target, args, kwargs)
        dtypes = {part.dtype for part in tree_leaves(node.meta["val"])}
        if target._schema.is_mutable or not dtypes <= _DTYPES | _EXACT.get(name, set()):
            raise UnknownError
        if name in _LIKE:
            return target(*tree_map(_blank, args), **kwargs)
        if name in _MOVES:
            moved = target(*tree_map(self._moved, args), **tree_map(self._moved, kwargs))
            return tree_map(_Names, moved)
        if name == "index_put":
            return self._put(*args, **kwargs)
        args, kwargs = tree_map(self._operand, (args, kwargs))
        try:
            return _Names(_ARITHMETIC[name](self._do, *args, **kwargs))
        except (KeyError, TypeError):  # an operation, or an option, that is not known
            raise UnknownError from None

    def _known(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """What does not depend on the inputs is computed at once, if it leaves no traces."""
        if target._schema.is_mutable and args[0].untyped_storage().data_ptr() in self._given:
            raise UnknownError
        return target(*args, **kwargs)

    def _put(self, x: Any, indices: Any, values: Any, accumulate: bool = False) -> _Names:
        """Entries written, or added, at indices, one after another."""
        if any(isinstance(index, _Names) for index in indices):
            raise UnknownError
        names, new = self._names_of(x), self._names_of(values)
        chosen = tuple(slice(None) if index is None else index for index in indices)
        places = torch.arange(names.numel()).reshape(names.shape)[chosen]
        flat = names.reshape(-1).tolist()
        each = places.reshape(-1).tolist(), new.expand(places.shape).reshape(-1).tolist()
        for place, name in zip(*each, strict=True):
            before = flat[place] if accumulate else 0
            flat[place] = self._builder.result(Operation.ADD, before, name)
        return _Names(torch.tensor(flat, dtype=torch.int64).reshape(names.shape))

    def _moved(self, value: Any) -> Any:
        """What an operation that moves entries gets: names, but indices as they are."""
        floating = isinstance(value, Tensor) and value.is_floating_point()
        return self._names_of(value) if isinstance(value, _Names) or floating else value

    def _operand(self, value: Any) -> Any:
        """What arithmetic gets: names, and plain numbers."""
        return self._names_of(value) if isinstance(value, (_Names, Tensor)) else value

    def _names_of(self, value: Any) -> Tensor:
        if isinstance(value, _Names):
            return value.names
        if value.numel() > MOST_NAMES or value.is_complex():
            raise UnknownError
        each = [self._builder.constant(float(number)) for number in value.reshape(-1).tolist()]
        return torch.tensor(each, dtype=torch.int64).reshape(value.shape)

    def _do(self, operation: Operation, *operands: Tensor | float) -> Tensor:
        """The names of the results of an operation, entry by entry."""
        names = [
            part if isinstance(part, Tensor) else torch.tensor(self._builder.constant(float(part)))
            for part in operands
        ]
        shape = torch.Size(np.broadcast_shapes(*(part.shape for part in names)))
        if shape.numel() > MOST_NAMES:
            raise TooLongError
        columns = [part.expand(shape).reshape(-1).tolist() for part in names]
        each = [self._builder.result(operation, *row) for row in zip(*columns, strict=True)]
        return torch.tensor(each, dtype=torch.int64).reshape(shape)


def _blank(value: Any) -> Any:
    return (
        torch.empty(value.names.shape, dtype=torch.float64) if isinstance(value, _Names) else value
    )


# ------------------------------------------------------------------ what the operations do

# Numbers are float64 here, and truth is 1.
_DTYPES = {torch.float64, torch.bool}

# In these dtypes, too, the results of some operations are exact: a choice, and a count.
_EXACT = {"where": {torch.float32, torch.int64}, "sum": {torch.int64}}

# Make tensors like others, with numbers of their own.
_LIKE = {"ones_like", "zeros_like", "full_like", "new_zeros", "new_ones", "new_full"}

# Move entries about, and pad with 0, whose name is 0.
_MOVES = {
    *("view", "reshape", "_unsafe_view", "_reshape_alias", "squeeze", "unsqueeze", "expand"),
    *("t", "transpose", "permute", "select", "slice", "split", "split_with_sizes", "unbind"),
    *("cat", "stack", "repeat", "flip", "roll", "diagonal", "index", "index_select", "gather"),
    *("select_backward", "slice_backward", "diagonal_backward", "select_scatter", "slice_scatter"),
    *("diagonal_scatter", "diag_embed", "tril", "triu"),
    *("clone", "alias", "detach", "lift_fresh_copy"),
}

_Do = Callable[..., Tensor]


def _power(do: _Do, base: Tensor | float, exponent: Tensor | float) -> Tensor:
    """The simple powers as torch computes them, too."""
    if isinstance(exponent, Tensor):
        return do(Operation.POWER, base, exponent)
    if exponent < 0:
        return do(Operation.DIVIDE, 1, _power(do, base, -exponent))
    if exponent == 0.5:
        return do(Operation.SQRT, base)
    if exponent not in (1, 2, 3):
        return do(Operation.POWER, base, exponent)
    result = do(Operation.MULTIPLY, 1, base)
    for _ in range(int(exponent) - 1):
        result = do(Operation.MULTIPLY, result, base)
    return result


def _fold(
    do: _Do, operation: Operation, x: Tensor, dim: Any = None, keepdim: bool = False
) -> Tensor:
    """All entries along some dimensions in one, pair by pair."""
    dims = [dim] if isinstance(dim, int) else list(dim or range(x.dim()))
    if not x.dim():
        return x
    dims = sorted(d % x.dim() for d in dims)
    rest = [d for d in range(x.dim()) if d not in dims]
    flat = x.permute(*rest, *dims).reshape(*(x.shape[d] for d in rest), -1)
    if not flat.shape[-1]:
        raise UnknownError
    while (half := flat.shape[-1] // 2) > 0:
        pairs = do(operation, flat[..., :half], flat[..., half : 2 * half])
        flat = torch.cat([pairs, flat[..., 2 * half :]], dim=-1)
    return flat.reshape(
        [1 if d in dims else n for d, n in enumerate(x.shape)] if keepdim else flat.shape[:-1]
    )


def _sum(do: _Do, x: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    return _fold(do, Operation.ADD, x, dim, keepdim)


def _mean(do: _Do, x: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    total = _sum(do, x, dim, keepdim)
    return do(Operation.DIVIDE, total, x.numel() // total.numel())


def _matrix_product(do: _Do, a: Tensor, b: Tensor) -> Tensor:
    if a.numel() * b.shape[-1] > MOST_NAMES:
        raise TooLongError
    return _sum(do, do(Operation.MULTIPLY, a.unsqueeze(-1), b.unsqueeze(-3)), -2)


def _plus_product(
    do: _Do, bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    product = do(Operation.MULTIPLY, _matrix_product(do, a, b), alpha)
    return do(Operation.ADD, product, do(Operation.MULTIPLY, bias, beta))


def _clamp(
    do: _Do, x: Tensor, least: Tensor | float | None = None, most: Tensor | float | None = None
) -> Tensor:
    x = x if least is None else do(Operation.MAXIMUM, x, least)
    return x if most is None else do(Operation.MINIMUM, x, most)


def _plus(do: _Do, a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    return do(Operation.ADD, a, do(Operation.MULTIPLY, b, alpha))


def _minus(do: _Do, a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    return do(Operation.SUBTRACT, a, do(Operation.MULTIPLY, b, alpha))


def _sign(do: _Do, x: Tensor) -> Tensor:
    return do(Operation.SUBTRACT, do(Operation.LESS, 0, x), do(Operation.LESS, x, 0))


def _not_equal(do: _Do, a: Any, b: Any) -> Tensor:
    return do(Operation.SUBTRACT, 1, do(Operation.EQUAL, a, b))


def _plainly(operation: Operation) -> Callable[..., Tensor]:
    """An operation that is one instruction."""
    return lambda do, *operands: do(operation, *operands)


_ARITHMETIC: Mapping[str, Callable[..., Tensor]] = {
    "add": _plus,
    "sub": _minus,
    "rsub": lambda do, a, b, alpha=1: _minus(do, b, a, alpha=alpha),
    "mul": _plainly(Operation.MULTIPLY),
    "div": _plainly(Operation.DIVIDE),
    "neg": lambda do, x: do(Operation.MULTIPLY, x, -1),
    "reciprocal": lambda do, x: do(Operation.DIVIDE, 1, x),
    "pow": _power,
    "sqrt": _plainly(Operation.SQRT),
    "rsqrt": lambda do, x: _power(do, x, -0.5),
    "exp": _plainly(Operation.EXP),
    "expm1": _plainly(Operation.EXPM1),
    "log": _plainly(Operation.LOG),
    "log1p": _plainly(Operation.LOG1P),
    "sin": _plainly(Operation.SIN),
    "cos": _plainly(Operation.COS),
    "tan": _plainly(Operation.TAN),
    "atan": _plainly(Operation.ATAN),
    "sinh": _plainly(Operation.SINH),
    "cosh": _plainly(Operation.COSH),
    "tanh": _plainly(Operation.TANH),
    "erf": _plainly(Operation.ERF),
    "sigmoid": lambda do, x: _power(
        do, do(Operation.ADD, 1, do(Operation.EXP, do(Operation.MULTIPLY, x, -1))), -1
    ),
    "abs": lambda do, x: do(Operation.MAXIMUM, x, do(Operation.MULTIPLY, x, -1)),
    "sign": _sign,
    "relu": lambda do, x: do(Operation.MAXIMUM, x, 0),
    "maximum": _plainly(Operation.MAXIMUM),
    "minimum": _plainly(Operation.MINIMUM),
    "clamp": _clamp,
    "clamp_min": _plainly(Operation.MAXIMUM),
    "clamp_max": _plainly(Operation.MINIMUM),
    "where": _plainly(Operation.WHERE),
    "lt": _plainly(Operation.LESS),
    "le": _plainly(Operation.LESS_OR_EQUAL),
    "gt": lambda do, a, b: do(Operation.LESS, b, a),
    "ge": lambda do, a, b: do(Operation.LESS_OR_EQUAL, b, a),
    "eq": _plainly(Operation.EQUAL),
    "ne": _not_equal,
    "_to_copy": lambda do, x, dtype=None, **_: _not_equal(do, x, 0) if dtype == torch.bool else x,
    "isnan": lambda do, x: _not_equal(do, x, x),
    "logical_and": _plainly(Operation.MULTIPLY),
    "bitwise_and": _plainly(Operation.MULTIPLY),
    "logical_or": _plainly(Operation.MAXIMUM),
    "bitwise_or": _plainly(Operation.MAXIMUM),
    "logical_not": lambda do, x: do(Operation.SUBTRACT, 1, x),
    "bitwise_not": lambda do, x: do(Operation.SUBTRACT, 1, x),
    "sum": _sum,
    "mean": _mean,
    "amax": lambda do, x, dim=None, keepdim=False: _fold(do, Operation.MAXIMUM, x, dim, keepdim),
    "amin": lambda do, x, dim=None, keepdim=False: _fold(do, Operation.MINIMUM, x, dim, keepdim),
    "max": lambda do, x: _fold(do, Operation.MAXIMUM, x),
    "min": lambda do, x: _fold(do, Operation.MINIMUM, x),
    "prod": lambda do, x: _fold(do, Operation.MULTIPLY, x),
    "dot": lambda do, a, b: _sum(do, do(Operation.MULTIPLY, a, b)),
    "mv": lambda do, a, b: _sum(do, do(Operation.MULTIPLY, a, b), -1),
    "mm": _matrix_product,
    "bmm": _matrix_product,
    "addmm": _plus_product,
}
