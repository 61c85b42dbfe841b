"""The three notions of sharpness: worst direction, ascent direction, average direction.

Each asks how much the loss rises at distance ρ: R_ρ(x) = (a loss at distance ρ) − L(x). They differ
in the direction: the worst, that of the gradient, or all of them on average (Wen, Ma and Li, 2023,
Table 1). A result says what kind of number it is and how far it can be trusted.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from samlib._batching import how_many_at_once
from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_points,
    require_positive,
    require_seed,
)
from samlib.estimate import show_with_error
from samlib.linalg import part_of_unit_direction
from samlib.objective import Objective, require_objective
from samlib.sharpness.rounding import evaluations_for_rounding, measured_rounding, rounding_of


@dataclass(frozen=True, eq=False)
class Sharpness:
    """A sharpness R_ρ(x), with the evidence for it.

    Attributes
    ----------
    value
        R_ρ(x) = (the loss at distance ρ) − L(x), [...].
    direction
        The v with R_ρ(x) = L(x + ρv) − L(x), [..., dim]; None for an average.
    error
        How far the value can be trusted, [...], in units of L. Its meaning depends on ``kind``.
    kind
        "exact": only rounding, of which ``error`` is an estimate. "lower bound": the best found by
        a search; ``error`` estimates how much higher the maximum may be, from what the search left
        unfinished and from how far other climbs stayed below. "estimate": a mean over random
        directions; ``error`` is its standard error.
    notion
        "worst_direction", "ascent_direction" or "average_direction".
    evaluations
        About how many values or gradients of L were computed per point. A product with the Hessian
        counts as two, which is more than it costs over one batch.
    """

    value: Tensor
    direction: Tensor | None
    error: Tensor
    kind: str
    notion: str
    evaluations: int

    def to_dataframe(self) -> pd.DataFrame:
        """One row per point: point, notion, value, error, kind."""
        values = self.value.reshape(-1).cpu().numpy()
        return pd.DataFrame(
            {
                "point": np.arange(len(values)),
                "notion": self.notion,
                "value": values,
                "error": self.error.reshape(-1).cpu().numpy(),
                "kind": self.kind,
            }
        )

    def __repr__(self) -> str:
        shown = show_with_error(self.value, self.error)
        return f"Sharpness({self.notion}: {shown}, {self.kind}, {self.evaluations} evaluations)"


def ascent_direction_sharpness(objective: Objective, x: Tensor, rho: float | Tensor) -> Sharpness:
    """R^Asc(x) = L(x + ρ ∇L(x)/‖∇L(x)‖) − L(x), the rise along the gradient (eq. 2).

    Where the gradient is exactly zero the paper leaves it undefined; here the direction is then
    (1, …, 1)/√D, as in :class:`samlib.rules.SAM`.

    In arithmetic coarser than float64 the rise is computed three more times, at points moved by one
    unit of rounding; how far it differs there is in the error.

    Parameters
    ----------
    objective
        The loss.
    x
        [..., dim].
    rho
        ρ > 0, a number or a tensor that broadcasts against the batch dimensions of x.

    Raises
    ------
    ValueError
        If ρ is not positive and finite, or x has the wrong shape.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 1.0])
    >>> samlib.ascent_direction_sharpness(quadratic, torch.tensor([0.0, 1.0]), rho=1.0).value
    tensor(1.5000)
    """
    x, rho = points_and_radii(objective, x, rho)
    direction, before, after = _ascended(objective, x, rho)

    def rise(x: Tensor) -> Tensor:
        _, before, after = _ascended(objective, x, rho)
        return after - before

    measured = measured_rounding(objective, x, rise, after - before)
    own = objective.rounding_unit(x) * (after - before).abs()
    error = rounding_of(before) + rounding_of(after) + measured + own
    evaluations = 3 * (1 + evaluations_for_rounding(objective, x))
    return Sharpness(after - before, direction, error, "exact", "ascent_direction", evaluations)


def _ascended(objective: Objective, x: Tensor, rho: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The direction of the gradient at x, and L before and after the step along it."""
    direction = part_of_unit_direction(objective.gradient(x), objective.shards)
    return direction, objective.value(x), objective.value(x + rho.unsqueeze(-1) * direction)


def average_direction_sharpness(
    objective: Objective,
    x: Tensor,
    rho: float | Tensor,
    *,
    samples: int = 512,
    seed: int = 0,
    progress: bool = True,
) -> Sharpness:
    """R^Avg(x) = E L(x + ρ g/‖g‖) − L(x) over g ∼ N(0, I), the mean rise (eq. 4).

    Every direction is drawn with its opposite: the odd part of L, its slope above all, then cancels
    exactly and adds no noise. All points of a batch share their directions, so that differences
    between them are sharper than each value.

    Parameters
    ----------
    objective
        The loss.
    x
        [..., dim].
    rho
        ρ > 0, a number or a tensor that broadcasts against the batch dimensions of x.
    samples
        The number of evaluations of L, even and at least 4: half as many pairs ±g.
    seed
        Fixes the directions, which are drawn on the device of x.
    progress
        Whether to show a bar if it takes more than two seconds.

    Raises
    ------
    ValueError
        If ρ is not positive and finite, samples is odd or too small, or x has the wrong shape.

    Warns
    -----
    RuntimeWarning
        If L itself is rounded so coarsely that the value is lost: ρ is too small for the dtype.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 2.0])
    >>> samlib.average_direction_sharpness(quadratic, torch.zeros(2).double(), rho=0.1).value
    tensor(0.0100, dtype=torch.float64)
    """
    result, rounding = average_direction(
        objective, x, rho, samples=samples, seed=seed, progress=progress
    )
    if rounding:
        warnings.warn(
            f"rounding of L may reach {rounding:.1g} (the unit of its arithmetic is "
            f"{objective.rounding_unit(x):.1g}), which is not small against the average-direction "
            "sharpness; use a larger rho or float64",
            RuntimeWarning,
            stacklevel=2,
        )
    return result


def average_direction(
    objective: Objective,
    x: Tensor,
    rho: float | Tensor,
    *,
    samples: int = 512,
    seed: int = 0,
    progress: bool = False,
) -> tuple[Sharpness, float]:
    """R^Avg, and how coarsely L is rounded, if its value is lost by that somewhere; else 0."""
    x, rho = points_and_radii(objective, x, rho)
    require_count("samples", samples, minimum=4)
    if samples % 2:
        raise ValueError(f"samples must be even, because directions come in pairs, got {samples}")
    seed = require_seed("seed", seed)
    require_flag("progress", progress)
    generator = torch.Generator(x.device).manual_seed(seed)
    before = objective.value(x)
    pairs, rises = samples // 2, []
    shards = objective.shards
    at_once = how_many_at_once(2 * x[..., 0].numel() * objective.dim)
    with ProgressBar(samples, "average direction", progress) as bar:
        for first in range(0, pairs, at_once):
            shape = (min(at_once, pairs - first), *(1 for _ in x.shape[:-1]), objective.dim)
            g = torch.randn(shape, generator=generator, dtype=x.dtype, device=x.device)
            step = rho.unsqueeze(-1) * shards.part(g) / g.norm(dim=-1, keepdim=True)
            both = objective.value(torch.stack([x + step, x - step]))
            rises.append(((both - before) / 2).sum(dim=0))
            bar.update(2 * len(g))
    each = torch.cat(rises)
    value, spread = each.mean(dim=0), each.std(dim=0) / math.sqrt(pairs)
    rounding = rounding_of(before) + measured_rounding(objective, x, objective.value, before)
    lost = bool((rounding > 0.1 * value.abs()).any())
    error = torch.hypot(spread, rounding)
    evaluations = samples + 1 + evaluations_for_rounding(objective, x)
    result = Sharpness(value, None, error, "estimate", "average_direction", evaluations)
    return result, float(rounding.max()) if lost else 0.0


def points_and_radii(objective: Objective, x: Tensor, rho: float | Tensor) -> tuple[Tensor, Tensor]:
    """Broadcast x [..., dim] and ρ [...] against each other."""
    require_points("x", x, require_objective(objective).shards.length)
    if isinstance(rho, Tensor):
        require_positive("rho", rho.reshape(-1))
    else:
        require_positive("rho", rho)
    radii = torch.as_tensor(rho, dtype=x.dtype, device=x.device)
    try:
        batch = np.broadcast_shapes(x.shape[:-1], radii.shape)
    except ValueError:
        raise ValueError(
            f"rho has shape {tuple(radii.shape)}, which does not broadcast against the batch "
            f"{tuple(x.shape[:-1])} of x"
        ) from None
    return x.detach().expand(*batch, x.shape[-1]), radii.expand(batch)
