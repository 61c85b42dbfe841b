"""What the numbers about SAM's steps say, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping

from samlib.training.gradient_pairs import Means

# Relative differences of the two gradients.
NEXT_TO_NOTHING = 0.01
A_LITTLE = 0.1

_PARALLEL = 0.99
_AT_THE_EDGE = 0.05


def verdict(name: str, means: Means | None) -> str:
    """Say whether an optimizer of that name does anything that its base would not."""
    if means is None:
        return f"No step of {name} with two gradients has been seen since the last reading."
    if not math.isfinite(means.difference):
        return "The gradients are not finite."
    if not means.length:
        return f"{name} does nothing here: its perturbation is zero."
    share = means.difference
    differ = f"the two gradients differ by {_percent(share)}"
    if share < NEXT_TO_NOTHING:
        return f"{name} does next to nothing here: {differ}{_small(means)}."
    acts = "acts a little" if share < A_LITTLE else "acts"
    return f"{name} {acts}: {differ}{_compared(means)}."


def _small(means: Means) -> str:
    """Compare the perturbation with one that would double or cancel the gradient."""
    if not means.difference:
        return ""
    enough = means.length / means.difference
    return (
        f"; a perturbation of length {means.length:.2g} is small beside {enough:.2g}, where "
        "they would differ by as much as the gradient itself"
    )


def _compared(means: Means) -> str:
    said = f"; the second is {means.ratio:.3g} times as long as the first, "
    if means.cosine > _PARALLEL:
        return (
            f"{said}and points the same way (cosine {means.cosine:.4g}), so that the step is as "
            f"one of the base optimizer with {means.ratio:.3g} times the gradient"
        )
    return f"{said}and the cosine between them is {means.cosine:.2g}"


def verdict_on_edge(readings: Mapping[str, float]) -> str:
    """Say where the steps are beside SAM's edge of stability, if that was read."""
    limit = readings.get("edge_limit")
    if limit is None:
        return ""
    if "edge" in readings:
        value, formula, curvature = readings["edge"], "ηλ₁(1 + ρλ₁/‖g‖)", "λ₁"
    else:
        value, formula = readings["edge_along"], "ηλ(1 + ρλ/‖g‖)"
        curvature = "the curvature λ along the perturbation"
    compared = f"{formula} is {value:.3g}, beside a limit of {limit:.3g}"
    if value > (1 + _AT_THE_EDGE) * limit:
        return f"Beyond its edge of stability, with {curvature}: {compared}; such steps grow."
    if value > (1 - _AT_THE_EDGE) * limit:
        return (
            f"At its edge of stability, with {curvature}: {compared}; steps cross the valley to "
            "and fro."
        )
    return f"Within its edge of stability, with {curvature}: {compared}."


def verdict_on_share(readings: Mapping[str, float], k: int) -> str:
    """Say how much of the gradient lies in the top eigenspace, if that was read."""
    if "share" not in readings:
        return ""
    space = "along the top eigenvector" if k == 1 else f"in the space of the top {k} eigenvectors"
    return f"Of the squared gradient, {_percent(readings['share'])} lies {space}."


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
