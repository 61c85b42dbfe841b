"""The sharpness of single components of the loss, averaged: what 1-SAM minimizes (Section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_flag,
    require_name,
)
from samlib.linalg import unit_direction
from samlib.objective import Objective, require_objective
from samlib.sharpness.notions import (
    NUMBERS_AT_ONCE,
    Sharpness,
    average_direction_sharpness,
    points_and_radii,
    rounding_of,
)
from samlib.sharpness.worst_direction import find_worst_direction, warn_of_early_stop

# What the function of each notion takes beside the point and the radius.
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "worst": ("restarts", "rtol", "seed"),
    "ascent": (),
    "average": ("samples", "seed"),
}


def stochastic_sharpness(
    objective: Objective,
    x: Tensor,
    rho: float | Tensor,
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
        "worst", "ascent" or "average".
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
    >>> sharpness = samlib.stochastic_sharpness(landscape, x, 0.01, "ascent")
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
    if notion == "average":
        return average_direction_sharpness(objective, x, rho, progress=progress, **options)
    if notion == "ascent":
        return _stochastic_ascent(objective, x, rho, len(components), **options)
    with ProgressBar(len(components), "components", progress) as bar:
        parts, steep = [], False
        for component in components:
            part, stopped_early = find_worst_direction(component, x, rho, **options)
            parts.append(part)
            steep |= stopped_early
            bar.update()
    if steep:
        warn_of_early_stop(max(float(part.error.max()) for part in parts))
    value = torch.stack([part.value for part in parts]).mean(dim=0)
    error = torch.stack([part.error for part in parts]).mean(dim=0)
    return Sharpness(
        value, None, error, "lower bound", "worst", sum(part.evaluations for part in parts)
    )


def _stochastic_ascent(
    objective: Objective, x: Tensor, rho: float | Tensor, terms: int
) -> Sharpness:
    x, rho = points_and_radii(objective, x, rho)
    points, radii = x.reshape(-1, objective.dim), rho.reshape(-1, 1)
    at_once = max(1, NUMBERS_AT_ONCE // objective.dim)
    values, errors = [], []
    for point, radius in zip(points, radii, strict=True):
        rises, roundings = [], []
        for k in torch.split(torch.arange(terms, device=x.device), at_once):
            here = point.expand(len(k), -1)
            there = here + radius * unit_direction(objective.component_gradient(here, k))
            before, after = objective.component_value(here, k), objective.component_value(there, k)
            rises.append(after - before)
            roundings.append(rounding_of(before) + rounding_of(after))
        values.append(torch.cat(rises).mean())
        errors.append(torch.cat(roundings).mean())
    batch = x.shape[:-1]
    return Sharpness(
        torch.stack(values).reshape(batch),
        None,
        torch.stack(errors).reshape(batch),
        "exact",
        "ascent",
        3 * terms,
    )
