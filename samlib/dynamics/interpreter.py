"""Straight-line programs, run over a batch of points in compiled code, by Numba.

The interpreter is compiled once for all programs and cached on disk, so that a loss that was never
seen before runs at once. It takes a block of points through each instruction, in vector
instructions where the processor has them, so that choosing what to do costs little.

A program comes as the parameters of a loss: see :meth:`StraightLine.encoded`. The two functions at
the end stand where the compiled formulas of a landscape do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samlib.dynamics.jit import GRADIENT, PRODUCT, njit, remove_broken_cache
from samlib.dynamics.straight_line import Operation, StraightLine

# So many points at a time: their registers stay in the processor's cache.
_POINTS = 64

remove_broken_cache(__file__)


def encode(gradient: StraightLine, product: StraightLine | None) -> NDArray[np.float64]:
    """The programs of a gradient and a Hessian-vector product as the parameters of a loss."""
    first = gradient.encoded()
    second = np.empty(0) if product is None else product.encoded()
    where = np.array([1 + len(first)]).view(np.float64)
    return np.concatenate([where, first, second])


@njit(error_model="numpy", cache=True)
def _compute(operation: int, r: Any, o: int, a: int, b: int, c: int, points: int) -> None:
    """r[o] = operation(r[a], r[b], r[c]) for arithmetic and comparisons."""
    if operation == Operation.ADD:
        for j in range(points):
            r[o, j] = r[a, j] + r[b, j]
    elif operation == Operation.SUBTRACT:
        for j in range(points):
            r[o, j] = r[a, j] - r[b, j]
    elif operation == Operation.MULTIPLY:
        for j in range(points):
            r[o, j] = r[a, j] * r[b, j]
    elif operation == Operation.DIVIDE:
        for j in range(points):
            r[o, j] = r[a, j] / r[b, j]
    elif operation == Operation.POWER:
        for j in range(points):
            r[o, j] = r[a, j] ** r[b, j]
    elif operation == Operation.MAXIMUM:  # NaN if one of them is
        for j in range(points):
            r[o, j] = r[a, j] if r[a, j] > r[b, j] or r[a, j] != r[a, j] else r[b, j]
    elif operation == Operation.MINIMUM:
        for j in range(points):
            r[o, j] = r[a, j] if r[a, j] < r[b, j] or r[a, j] != r[a, j] else r[b, j]
    elif operation == Operation.LESS:
        for j in range(points):
            r[o, j] = 1.0 if r[a, j] < r[b, j] else 0.0
    elif operation == Operation.LESS_OR_EQUAL:
        for j in range(points):
            r[o, j] = 1.0 if r[a, j] <= r[b, j] else 0.0
    elif operation == Operation.EQUAL:
        for j in range(points):
            r[o, j] = 1.0 if r[a, j] == r[b, j] else 0.0
    elif operation == Operation.WHERE:
        for j in range(points):
            r[o, j] = r[b, j] if r[a, j] != 0 else r[c, j]


@njit(error_model="numpy", cache=True)
def _value(operation: int, x: float) -> float:
    """A function of one number."""
    if operation == Operation.SQRT:
        return math.sqrt(x)
    if operation == Operation.EXP:
        return math.exp(x)
    if operation == Operation.EXPM1:
        return math.expm1(x)
    if operation == Operation.LOG:
        return math.log(x)
    if operation == Operation.LOG1P:
        return math.log1p(x)
    if operation == Operation.SIN:
        return math.sin(x)
    if operation == Operation.COS:
        return math.cos(x)
    if operation == Operation.TAN:
        return math.tan(x)
    if operation == Operation.ATAN:
        return math.atan(x)
    if operation == Operation.SINH:
        return math.sinh(x)
    if operation == Operation.COSH:
        return math.cosh(x)
    if operation == Operation.TANH:
        return math.tanh(x)
    return math.erf(x)


@njit(error_model="numpy", cache=True)
def _run(p: Any, start: int, x: Any, v: Any, out: Any) -> None:
    """Run the program that stands at ``start`` in p over x and v [dim, batch]."""
    words = p.view(np.int64)
    instructions, registers, constants = words[start], words[start + 1], words[start + 2]
    first = start + 3 + constants
    code = words[first : first + 5 * instructions].reshape((instructions, 5))
    results = words[first + 5 * instructions : first + 5 * instructions + len(out)]
    dim, batch = x.shape
    r = np.empty((registers, min(batch, _POINTS)))
    for k in range(constants):
        r[k] = p[start + 3 + k]
    for begin in range(0, batch, _POINTS):
        points = min(_POINTS, batch - begin)
        for i in range(dim):
            r[constants + i, :points] = x[i, begin : begin + points]
        for i in range(len(v)):
            r[constants + dim + i, :points] = v[i, begin : begin + points]
        for t in range(instructions):
            operation, o, a = code[t, 0], code[t, 1], code[t, 2]
            if operation <= Operation.WHERE:
                _compute(operation, r, o, a, code[t, 3], code[t, 4], points)
            else:
                for j in range(points):
                    r[o, j] = _value(operation, r[a, j])
        for i in range(len(out)):
            out[i, begin : begin + points] = r[results[i], :points]


@njit(GRADIENT, error_model="numpy", cache=True)
def gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    """Write ∇L at x [dim, batch] into g."""
    _run(p, 1, x, x[:0], g)


@njit(PRODUCT, error_model="numpy", cache=True)
def product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    """Write ∇²L(x) v into h."""
    _run(p, p.view(np.int64)[0], x, v, h)
