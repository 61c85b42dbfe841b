"""Worst-direction sharpness, R^Max: the largest rise of the loss in the ball of radius ρ."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from samlib._validation import (
    require_count,
    require_flag,
    require_fraction,
    require_seed,
)
from samlib.linalg.dense import DENSE_DIM
from samlib.objective import Objective
from samlib.sharpness.ball_search import (
    random_points_of_ball,
    remaining_slope,
    search_densely,
    search_matrix_free,
)
from samlib.sharpness.notions import Sharpness, points_and_radii
from samlib.sharpness.rounding import measured_rounding, rounding_of

# Points of the ball at which L is looked at for each random start of the dense search.
_SCOUTS_PER_START = 128


def worst_direction_sharpness(
    objective: Objective,
    x: Tensor,
    rho: float | Tensor,
    *,
    restarts: int = 8,
    rtol: float = 1e-6,
    seed: int = 0,
    progress: bool = True,
) -> Sharpness:
    """R^Max(x) = max over ‖v‖ ≤ 1 of L(x + ρv) − L(x), the largest rise (eq. 1).

    A local maximization on the ball, from the gradient's direction, from ±v₁, the top
    eigenvector, from the maximizer of the quadratic model at x, and from random directions. Each
    round solves the trust-region problem of the quadratic model around the present v, and moves
    as far towards its solution, or along the gradient, as raises L most. So it is exact if L is
    quadratic, and otherwise the best of several local maxima: a lower bound, never below the
    ascent direction.

    With dim ≤ 64, the random starts are the best of many more points of the ball, which helps where
    L has several local maxima at distance ρ.

    Parameters
    ----------
    objective
        The loss.
    x
        [..., dim]. With dim ≤ 64 all points and starts are treated at once, with dense Hessians;
        otherwise points one after the other, with Hessian-vector products.
    rho
        ρ > 0, a number or a tensor that broadcasts against the batch dimensions of x.
    restarts
        The number of random starts.
    rtol
        Stop when a round gains, or the quadratic model promises, less than this, relative to the
        value.
    seed
        Fixes the random starts.
    progress
        Whether to show a bar if it takes more than two seconds.

    Raises
    ------
    ValueError
        If ρ is not positive and finite, restarts is negative, rtol is not between 0 and 1, or x has
        the wrong shape.

    Warns
    -----
    RuntimeWarning
        If the search stopped on a slope, as it may at a kink of a network with ReLU units:
        ``error`` is then more than 5 % of the value.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 1.0])
    >>> worst = samlib.worst_direction_sharpness(quadratic, torch.zeros(2).double(), rho=1.0)
    >>> worst.value, worst.direction.abs()
    (tensor(1., dtype=torch.float64), tensor([1., 0.], dtype=torch.float64))
    """
    result, steep = find_worst_direction(
        objective, x, rho, restarts=restarts, rtol=rtol, seed=seed, progress=progress
    )
    if steep:
        warn_of_early_stop(float(result.error.max()))
    return result


def find_worst_direction(
    objective: Objective,
    x: Tensor,
    rho: float | Tensor,
    *,
    restarts: int = 8,
    rtol: float = 1e-6,
    seed: int = 0,
    progress: bool = False,
) -> tuple[Sharpness, bool]:
    """R^Max, and whether the search stopped on a slope somewhere."""
    x, rho = points_and_radii(objective, x, rho)
    require_count("restarts", restarts, minimum=0)
    require_fraction("rtol", rtol)
    seed = require_seed("seed", seed)
    require_flag("progress", progress)
    points, radii = x.reshape(-1, x.shape[-1]), rho.reshape(-1)
    dense = objective.dim <= DENSE_DIM and objective.shards.group is None
    scouts = restarts * (_SCOUTS_PER_START if dense else 1)
    random = random_points_of_ball(x, scouts, seed, objective.shards)
    if dense:
        found = search_densely(objective, points, radii, random, restarts, rtol)
    else:
        found = search_matrix_free(objective, points, radii, random, rtol, progress)
    value, direction, evaluations = found
    before = objective.value(points)
    slope = remaining_slope(objective, points, radii, direction)
    rounding = rounding_of(before) + rounding_of(before + value)
    rounding = rounding + measured_rounding(objective, points, objective.value, before)
    # Where the rise is rounded, so is the place of its maximum, by the root of it. Logarithms of
    # sums are rounded like 1, however small they are.
    fine = 10 * ((rounding + 4 * torch.finfo(x.dtype).eps) * value.abs()).sqrt()
    steep = slope > 0.05 * value + fine + rounding
    batch = x.shape[:-1]
    result = Sharpness(
        value.reshape(batch),
        direction.reshape(*batch, x.shape[-1]),
        (slope + rounding).reshape(batch),
        "lower bound",
        "worst_direction",
        evaluations,
    )
    return result, bool(steep.any())


def warn_of_early_stop(slope: float, stacklevel: int = 3) -> None:
    """Warn that the search stopped where L has this slope within the ball."""
    warnings.warn(
        "the search for the worst direction stopped early: at the direction found, L still has "
        f"a slope of {slope:.2g} within the ball",
        RuntimeWarning,
        stacklevel=stacklevel,
    )
