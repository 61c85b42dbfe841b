"""The compiled CPU path of :func:`samlib.simulate`, by Numba.

A landscape's plain-arithmetic formulas are compiled as they stand, wrapped in a loop over the
batch; a rule's step calls them through function pointers, and one loop calls the step. So a rule
is compiled once for all landscapes (and cached on disk), and a landscape once for all rules.
Arrays have the batch innermost, [dim, batch], which lets the compiler use vector instructions
across the batch.

Other losses come as a program for :mod:`samlib.dynamics.interpreter`, called in the same way.

Numba is optional. Without it, in another dtype or on another device, ``simulate`` takes the
batched torch path, whose iterates agree with these to rounding error.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from samlib.dynamics.jit import CUBE, GRADIENT, MATRIX, PRODUCT, VECTOR, njit, remove_broken_cache

if TYPE_CHECKING:
    from samlib.landscapes import Formulas

_LOSS = (types.FunctionType(GRADIENT), types.FunctionType(PRODUCT))
# gradient, product, x, w, p, lr, rho, work
_STEP = types.void(*_LOSS, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, CUBE)
# step, gradient, product, x, w, p, lr, rho, first, steps, draws, every, records
_LOOP = types.void(
    types.FunctionType(_STEP),
    *_LOSS,
    MATRIX,
    MATRIX,
    VECTOR,
    VECTOR,
    VECTOR,
    types.int64,
    types.int64,
    types.int64[:, ::1],
    types.int64,
    CUBE,
)
# Arrays [dim, batch] that a step may use as it likes, so that no step allocates.
_WORK = 6
# Outside of these, a sum of squares may have lost what underflowed, or be about to overflow.
_LEAST_SQUARES, _MOST_SQUARES = 1e-280, 1e280

remove_broken_cache(__file__)


@functools.cache
def compile_formulas(formulas: Formulas) -> tuple[Any, Any]:
    """Compile a landscape's gradient and Hessian-vector product over a [dim, batch] array."""
    point_gradient = njit(formulas.gradient, error_model="numpy")
    point_product = njit(formulas.hessian_vector_product, error_model="numpy")

    @njit(GRADIENT, error_model="numpy")
    def gradient(x: Any, w: Any, p: Any, g: Any) -> None:
        for b in range(x.shape[1]):
            point_gradient(x[:, b], w[:, b], p, g[:, b])

    @njit(PRODUCT, error_model="numpy")
    def product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
        for b in range(x.shape[1]):
            point_product(x[:, b], v[:, b], w[:, b], p, h[:, b])

    return gradient, product


@njit(error_model="numpy", cache=True)
def _draw_components(w: Any, draws: Any, t: int) -> None:
    """Weigh the terms by the components drawn for each trajectory; no draws, no change.

    A term that was drawn c times out of m has weight cM/m: all of them are the mean of the m.
    """
    if draws.shape[0] > 0:
        w[:, :] = 0.0
        size = draws.shape[1] // w.shape[1]
        for b in range(w.shape[1]):
            for j in range(b * size, (b + 1) * size):
                w[draws[t, j], b] += 1.0
        for k in range(w.shape[0]):
            for b in range(w.shape[1]):
                w[k, b] = w[k, b] * w.shape[0] / size


@njit(error_model="numpy", cache=True)
def _sum_squares(g: Any, out: Any) -> None:
    out[:] = 0.0
    for i in range(g.shape[0]):
        for b in range(g.shape[1]):
            out[b] += g[i, b] * g[i, b]


@njit(error_model="numpy", cache=True)
def _scale_for_squares(g: Any) -> float:
    """Divide g [dim, 1] by the power of two in its largest entry, exactly, and return it."""
    largest = np.abs(g).max()
    if largest == 0 or not math.isfinite(largest):
        return 1.0
    power = math.ldexp(1.0, math.frexp(largest)[1] - 1)
    g /= power
    return power


@njit(error_model="numpy", cache=True)
def _normalize(g: Any, u: Any, norm: Any, power: Any) -> None:
    """u = g/‖g‖ for each column, (1, …, 1)/√D where g is exactly zero.

    A g whose squares would under- or overflow is divided by a power of two first, in place; norm is
    the norm of the quotient.
    """
    _sum_squares(g, norm)
    power[:] = 1.0
    for b in range(g.shape[1]):
        if not _LEAST_SQUARES < norm[b] < _MOST_SQUARES:
            column = g[:, b : b + 1]
            power[b] = _scale_for_squares(column)
            _sum_squares(column, norm[b : b + 1])
    for b in range(g.shape[1]):
        norm[b] = math.sqrt(norm[b])
    fallback = 1 / math.sqrt(g.shape[0])
    for i in range(g.shape[0]):
        for b in range(g.shape[1]):
            u[i, b] = fallback if norm[b] == 0 else g[i, b] / norm[b]


@njit(error_model="numpy", cache=True)
def _add_scaled(x: Any, scale: Any, u: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        for b in range(x.shape[1]):
            out[i, b] = x[i, b] + scale[b] * u[i, b]


@njit(error_model="numpy", cache=True)
def _subtract_scaled(x: Any, scale: Any, u: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        for b in range(x.shape[1]):
            out[i, b] = x[i, b] - scale[b] * u[i, b]


@njit(error_model="numpy", cache=True)
def _inner(u: Any, g: Any, out: Any) -> None:
    """⟨u, g⟩ for each column."""
    out[:] = 0.0
    for i in range(u.shape[0]):
        for b in range(u.shape[1]):
            out[b] += u[i, b] * g[i, b]


@njit(_STEP, error_model="numpy", cache=True)
def gradient_descent(
    gradient: Any, product: Any, x: Any, w: Any, p: Any, lr: Any, rho: Any, work: Any
) -> None:
    """Move x [dim, batch] by one step of gradient descent."""
    g = work[0]
    gradient(x, w, p, g)
    _subtract_scaled(x, lr, g, x)


@njit(_STEP, error_model="numpy", cache=True)
def sam(gradient: Any, product: Any, x: Any, w: Any, p: Any, lr: Any, rho: Any, work: Any) -> None:
    """Move x [dim, batch] by one step of SAM; of stochastic SAM if w was drawn."""
    g, y = work[0], work[1]
    gradient(x, w, p, g)
    _normalize(g, g, work[2, 0], work[3, 0])
    _add_scaled(x, rho, g, y)
    gradient(y, w, p, g)
    _subtract_scaled(x, lr, g, x)


@njit(_STEP, error_model="numpy", cache=True)
def unnormalized_sam(
    gradient: Any, product: Any, x: Any, w: Any, p: Any, lr: Any, rho: Any, work: Any
) -> None:
    """Move x [dim, batch] by one step of SAM without the normalization."""
    g, y = work[0], work[1]
    gradient(x, w, p, g)
    _add_scaled(x, rho, g, y)
    gradient(y, w, p, g)
    _subtract_scaled(x, lr, g, x)


@njit(_STEP, error_model="numpy", cache=True)
def ascent_loss_descent(
    gradient: Any, product: Any, x: Any, w: Any, p: Any, lr: Any, rho: Any, work: Any
) -> None:
    """Move x [dim, batch] by one step of gradient descent on L^Asc."""
    g, u, y = work[0], work[1], work[2]
    norm, scale, power = work[3, 0], work[4, 0], work[5, 0]
    gradient(x, w, p, g)
    _normalize(g, u, norm, power)
    _add_scaled(x, rho, u, y)
    gradient(y, w, p, g)
    _inner(u, g, scale)
    _subtract_scaled(g, scale, u, y)  # the part of g across u
    for b in range(len(power)):
        if power[b] != 1:
            y[:, b] /= power[b]
    product(x, y, w, p, u)
    for b in range(len(rho)):
        scale[b] = 0.0 if norm[b] == 0 else rho[b] / norm[b]
    _add_scaled(g, scale, u, g)
    _subtract_scaled(x, lr, g, x)


@njit(_LOOP, error_model="numpy", cache=True)
def _loop(
    step: Any,
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
    work = np.empty((_WORK, *x.shape))
    for t in range(steps):
        _draw_components(w, draws, t)
        step(gradient, product, x, w, p, lr, rho, work)
        done = first + t + 1
        if done % every == 0:
            records[done // every - 1] = x


def advance(
    step: Any,
    loss: tuple[Any, Any],
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

    Entering compiled code costs more than many steps, so it draws on the way and records, too.

    Parameters
    ----------
    step
        One of this module's rules.
    loss, parameters
        The compiled gradient and Hessian-vector product of the loss, and the parameters [P] that
        they take.
    weights
        [terms, batch]; overwritten where components are drawn.
    lr, rho
        [batch].
    first, steps
        How many steps were taken before, and how many to take.
    draws
        Component indices [steps, batch · m], the m of a trajectory side by side, or shape
        [0, batch] for full-batch steps.
    every, records
        x after step i·every, counted with those before, is written to records[i − 1]; records
        has shape [records, dim, batch].
    """
    _loop(
        step,
        *loss,
        x,
        weights,
        parameters,
        lr,
        rho,
        first,
        steps,
        draws,
        every,
        records,
    )
