"""The compiled CPU path of :func:`samlib.simulate`, by Numba.

A landscape's plain-arithmetic formulas are compiled as they stand, wrapped in a loop over the
batch; a rule's kernel calls them through a function pointer. So a kernel is compiled once for
all landscapes (and cached on disk), and a landscape once for all rules. Arrays have the batch
innermost, [dim, batch], which lets the compiler use vector instructions across the batch.

Numba is optional. Without it, in another dtype or on another device, ``simulate`` takes the
batched torch path, whose iterates agree with these to rounding error.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

if TYPE_CHECKING:
    from samlib.landscapes import Formulas

# Numba is only partly typed: its decorators are taken as they come.
_njit: Any = numba.njit

_VECTOR = types.float64[::1]
_MATRIX = types.float64[:, ::1]
_GRADIENT = types.void(_MATRIX, _MATRIX, _VECTOR, _MATRIX)  # x, w, p → g
_PRODUCT = types.void(_MATRIX, _MATRIX, _MATRIX, _VECTOR, _MATRIX)  # x, v, w, p → h
_DRAWS = types.int64[:, ::1]
_RECORDS = types.float64[:, :, ::1]
# gradient, product, x, w, p, lr, rho, first, steps, draws, every, records
_KERNEL = types.void(
    types.FunctionType(_GRADIENT),
    types.FunctionType(_PRODUCT),
    _MATRIX,
    _MATRIX,
    _VECTOR,
    _VECTOR,
    _VECTOR,
    types.int64,
    types.int64,
    _DRAWS,
    types.int64,
    _RECORDS,
)


@functools.cache
def compile_formulas(formulas: Formulas) -> tuple[Any, Any]:
    """Compile a landscape's gradient and Hessian-vector product over a [dim, batch] array."""
    point_gradient = _njit(formulas.gradient, error_model="numpy")
    point_product = _njit(formulas.hessian_vector_product, error_model="numpy")

    @_njit(_GRADIENT, error_model="numpy")
    def gradient(x: Any, w: Any, p: Any, g: Any) -> None:
        for b in range(x.shape[1]):
            point_gradient(x[:, b], w[:, b], p, g[:, b])

    @_njit(_PRODUCT, error_model="numpy")
    def product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
        for b in range(x.shape[1]):
            point_product(x[:, b], v[:, b], w[:, b], p, h[:, b])

    return gradient, product


def _kernel(function: Any) -> Any:
    return _njit(_KERNEL, error_model="numpy", cache=True)(function)


@_njit(error_model="numpy", cache=True)
def _draw_component(w: Any, draws: Any, t: int) -> None:
    """Put weight M on the component drawn for each trajectory; no draws, no change."""
    if draws.shape[0] > 0:
        w[:, :] = 0.0
        for b in range(w.shape[1]):
            w[draws[t, b], b] = w.shape[0]


@_njit(error_model="numpy", cache=True)
def _normalize(g: Any, u: Any, norm: Any) -> None:
    """u = g/‖g‖ for each column, (1, …, 1)/√D where g is exactly zero."""
    norm[:] = 0.0
    for i in range(g.shape[0]):
        for b in range(g.shape[1]):
            norm[b] += g[i, b] * g[i, b]
    for b in range(g.shape[1]):
        norm[b] = math.sqrt(norm[b])
    fallback = 1 / math.sqrt(g.shape[0])
    for i in range(g.shape[0]):
        for b in range(g.shape[1]):
            u[i, b] = fallback if norm[b] == 0 else g[i, b] / norm[b]


@_njit(error_model="numpy", cache=True)
def _add_scaled(x: Any, scale: Any, u: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        for b in range(x.shape[1]):
            out[i, b] = x[i, b] + scale[b] * u[i, b]


@_njit(error_model="numpy", cache=True)
def _record(x: Any, step: int, every: int, records: Any) -> None:
    if step % every == 0:
        records[step // every - 1] = x


@_kernel
def gradient_descent(
    gradient: Any,
    product: Any,
    x: Any,
    w: Any,
    p: Any,
    lr: Any,
    rho: Any,
    first: int,
    steps: int,
    draws: Any,
    every: int,
    records: Any,
) -> None:
    """Advance x [dim, batch] in place by gradient descent."""
    g, minus_lr = np.empty_like(x), -lr
    for t in range(steps):
        _draw_component(w, draws, t)
        gradient(x, w, p, g)
        _add_scaled(x, minus_lr, g, x)
        _record(x, first + t + 1, every, records)


@_kernel
def sam(
    gradient: Any,
    product: Any,
    x: Any,
    w: Any,
    p: Any,
    lr: Any,
    rho: Any,
    first: int,
    steps: int,
    draws: Any,
    every: int,
    records: Any,
) -> None:
    """Advance x [dim, batch] in place by SAM; by 1-SAM if components are drawn."""
    g, y = np.empty_like(x), np.empty_like(x)
    norm, minus_lr = np.empty_like(lr), -lr
    for t in range(steps):
        _draw_component(w, draws, t)
        gradient(x, w, p, g)
        _normalize(g, g, norm)
        _add_scaled(x, rho, g, y)
        gradient(y, w, p, g)
        _add_scaled(x, minus_lr, g, x)
        _record(x, first + t + 1, every, records)


@_kernel
def ascent_loss_descent(
    gradient: Any,
    product: Any,
    x: Any,
    w: Any,
    p: Any,
    lr: Any,
    rho: Any,
    first: int,
    steps: int,
    draws: Any,
    every: int,
    records: Any,
) -> None:
    """Advance x [dim, batch] in place by gradient descent on L^Asc."""
    u, y, g, h = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    norm, inner, minus_lr = np.empty_like(lr), np.empty_like(lr), -lr
    for t in range(steps):
        gradient(x, w, p, g)
        _normalize(g, u, norm)
        _add_scaled(x, rho, u, y)
        gradient(y, w, p, g)
        inner[:] = 0.0
        for i in range(x.shape[0]):
            for b in range(x.shape[1]):
                inner[b] += u[i, b] * g[i, b]
        _add_scaled(g, -inner, u, y)
        product(x, y, w, p, h)
        for b in range(x.shape[1]):
            inner[b] = 0.0 if norm[b] == 0 else rho[b] / norm[b]
        _add_scaled(g, inner, h, g)
        _add_scaled(x, minus_lr, g, x)
        _record(x, first + t + 1, every, records)


def advance(
    kernel: Any,
    formulas: Formulas,
    parameters: NDArray[np.float64],
    weights: NDArray[np.float64],
    x: NDArray[np.float64],
    lr: NDArray[np.float64],
    rho: NDArray[np.float64],
    first: int,
    steps: int,
    draws: NDArray[np.int64],
    every: int,
    records: NDArray[np.float64],
) -> None:
    """Advance x [dim, batch] by ``steps`` steps, in place, and keep some of them.

    Entering a kernel costs more than many of its steps, so it records by itself.

    Parameters
    ----------
    kernel
        One of this module's rules.
    formulas, parameters
        The landscape, parameters of shape [P].
    weights
        [terms, batch]; overwritten where components are drawn.
    lr, rho
        [batch].
    first, steps
        How many steps were taken before, and how many to take.
    draws
        Component indices [steps, batch], or shape [0, batch] for full-batch steps.
    every, records
        x after step i·every, counted with those before, is written to records[i − 1]; records
        has shape [records, dim, batch].
    """
    gradient, product = compile_formulas(formulas)
    kernel(gradient, product, x, weights, parameters, lr, rho, first, steps, draws, every, records)
