"""The sharpness of single components of the loss, averaged: what 1-SAM minimizes (Section 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from samlib._batching import how_many_at_once
from samlib._progress import ProgressBar
from samlib._validation import require_flag, require_name
from samlib.linalg import unit_direction
from samlib.objective import Objective, require_objective
from samlib.sharpness.notions import (
    Sharpness,
    average_direction_sharpness,
    points_and_radii,
)
from samlib.sharpness.rounding import evaluations_for_rounding, measured_rounding, rounding_of
from samlib.sharpness.worst_direction import find_worst_direction, warn_of_early_stop

# What the function of each notion takes beside the point and the radius.
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "worst_direction": ("restarts", "rtol", "seed"),
    "ascent_direction": (),
    "average_direction": ("samples", "seed"),
}


def stochastic_sharpness(
    objective: Objective,
    x: Tensor,
    rho: float | Tensor,
    *,
    notion: str,
    progress: bool = True,
    **options: Any,
) -> Sharpness:
    """E_k R_k(x), the sharpness of each component L_k on its own, averaged over k (Section 5).

    For the worst and the ascent direction every component chooses its own direction, and the
    mean is what 1-SAM minimizes: near Γ both tend to ρ² Tr(∇²L)/2 (Theorem 5.3). The average
    direction is linear in L, so there the stochastic notion is R^Avg of L itself.

    Parameters
    ----------
    objective
        A loss with components: a landscape, or a network over one pair of tensors.
    x
        [..., dim].
    rho
        ρ > 0, a number or a tensor that broadcasts against the batch dimensions of x.
    notion
        "worst_direction", "ascent_direction" or "average_direction".
    progress
        Whether to show a bar if it takes more than two seconds.
    options
        Passed on to the function of that notion: ``samples``, ``seed``, ``restarts``, ``rtol``.

    Returns
    -------
    Sharpness
        Its ``direction`` is None.

    Raises
    ------
    ValueError
        If the objective has no components, the notion is unknown, or ρ is out of range.

    Examples
    --------
    >>> import torch, samlib
    >>> landscape = samlib.landscapes.FourDimensional()
    >>> x = torch.tensor([0.0, 0.0, 1e-7, 1e-7]).double()
    >>> sharpness = samlib.stochastic_sharpness(landscape, x, 0.01, notion="ascent_direction")
    >>> sharpness.value / 0.01**2  # near Tr(∇²L)/2 = 14
    tensor(14.0003, dtype=torch.float64)
    """
    require_name("notion", notion, _OPTIONS)
    for name in options:
        if name not in _OPTIONS[notion]:
            allowed = ", ".join(_OPTIONS[notion]) or "none"
            raise TypeError(f"options for the notion {notion} must be {allowed}; got {name!r}")
    require_flag("progress", progress)
    components = require_objective(objective).components
    if components is None:
        raise ValueError(
            "this objective has no components: stochastic sharpness needs a landscape or "
            "Objective.from_module(model, loss_fn, (inputs, targets)) with one pair of tensors"
        )
    if notion == "average_direction":
        return average_direction_sharpness(objective, x, rho, progress=progress, **options)
    if notion == "ascent_direction":
        return _stochastic_ascent(objective, x, rho, len(components))
    return _stochastic_worst(components, x, rho, progress, **options)


def _stochastic_worst(
    components: Sequence[Objective],
    x: Tensor,
    rho: float | Tensor,
    progress: bool,
    **options: Any,
) -> Sharpness:
    with ProgressBar(len(components), "components", progress) as bar:
        parts, steep = [], False
        for component in components:
            part, stopped_early = find_worst_direction(component, x, rho, **options)
            parts.append(part)
            steep |= stopped_early
            bar.update()
    if steep:
        warn_of_early_stop(max(float(part.error.max()) for part in parts), stacklevel=4)
    value = torch.stack([part.value for part in parts]).mean(dim=0)
    error = torch.stack([part.error for part in parts]).mean(dim=0)
    evaluations = sum(part.evaluations for part in parts)
    return Sharpness(value, None, error, "lower bound", "worst_direction", evaluations)


def _stochastic_ascent(
    objective: Objective, x: Tensor, rho: float | Tensor, terms: int
) -> Sharpness:
    x, rho = points_and_radii(objective, x, rho)

    def rise(x: Tensor) -> Tensor:
        return _mean_ascent(objective, x, rho, terms)[0]

    value, rounding = _mean_ascent(objective, x, rho, terms)
    own = objective.rounding_unit(x) * value.abs()
    error = rounding + measured_rounding(objective, x, rise, value) + own
    evaluations = 3 * terms * (1 + evaluations_for_rounding(objective, x))
    return Sharpness(value, None, error, "exact", "ascent_direction", evaluations)


def _mean_ascent(objective: Objective, x: Tensor, rho: Tensor, terms: int) -> tuple[Tensor, Tensor]:
    """The mean rise of the components, each along its own gradient, and what rounding does."""
    points, radii, batch = x.reshape(-1, objective.dim), rho.reshape(-1, 1), x.shape[:-1]
    pairs = torch.arange(len(points) * terms, device=x.device)  # each point with each component
    rises, roundings = [], []
    for chosen in torch.split(pairs, how_many_at_once(objective.dim)):
        point, k = chosen // terms, chosen % terms
        here = points[point]
        there = here + radii[point] * unit_direction(objective.component_gradient(here, k))
        before, after = objective.component_value(here, k), objective.component_value(there, k)
        rises.append(after - before)
        roundings.append(rounding_of(before) + rounding_of(after))
    rise, rounding = (
        torch.cat(each).reshape(*batch, terms).mean(-1) for each in (rises, roundings)
    )
    return rise, rounding
