"""Worst-direction sharpness, R^Max: the largest rise of the loss in the ball of radius ρ."""

from __future__ import annotations

import math
import warnings

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

    Local searches from many starts; the value is that of the highest point seen. So it is a lower
    bound, never below the ascent direction, and exact if L is quadratic.

    With dim ≤ 64, Newton's method from the gradient's direction, from ±v₁, the top eigenvector,
    from the maximizer of the quadratic model at x, and from the best of many random points. Each
    round solves the trust-region problem of the quadratic model around the present v (Conn, Gould
    and Toint, 2000, ch. 7), and moves as far towards its solution, or along the gradient, as raises
    L most.

    With more parameters, projected gradient ascent (Balashov, Polyak and Tremba, 2020) from the
    gradient's direction, from about ±v₁ and from random directions, by shorter and shorter steps.
    After each round the worse half of the climbs is left, but never that from the gradient. The
    highest is finished by Newton's method on the sphere (Absil, Mahony and Sepulchre, 2008, ch. 6),
    which makes a climb of its own from the gradient too. With eight restarts that takes 350 to 700
    evaluations of a smooth network, as :class:`Sharpness` counts them, and at most 1900.

    How much higher the maximum may be is not known, only estimated: ``error`` adds what the highest
    climb might still have gained; by how much the last other climbs stayed below it; and rounding.
    For a climb that ended the first is by its quadratic model. For one that did not, it is what its
    gains of late make if they fall on as they fell, and infinite if they did not fall. Where all
    climbs end at one height the error is small; where every climb ends at another, as at large ρ on
    networks, a higher one would not surprise.

    Parameters
    ----------
    objective
        The loss.
    x
        [..., dim]. With dim ≤ 64 all points and starts are treated at once, with dense Hessians;
        otherwise points one after the other, all starts of each at once.
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
        If the highest climb was not finished: it might have gained more than 5 % of the value.

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
    """R^Max, and whether a climb was left unfinished."""
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
    before = objective.value(points)
    rounding = rounding_of(before) + rounding_of(before + found.rise)
    rounding = rounding + measured_rounding(objective, points, objective.value, before)
    steep = found.unfinished > 0.05 * found.rise + rounding
    batch = x.shape[:-1]
    result = Sharpness(
        found.rise.reshape(batch),
        found.direction.reshape(*batch, x.shape[-1]),
        (found.unfinished + found.spread + rounding).reshape(batch),
        "lower bound",
        "worst_direction",
        found.evaluations,
    )
    return result, bool(steep.any())


def warn_of_early_stop(error: float, stacklevel: int = 3) -> None:
    """Warn that the search stopped where this is the error of what it found."""
    higher = f"by about {error:.2g}" if math.isfinite(error) else "by an unknown amount"
    warnings.warn(
        f"the search for the worst direction stopped early: the maximum may be higher {higher}",
        RuntimeWarning,
        stacklevel=stacklevel,
    )
