"""What was measured, as numbers for the page and as a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import torch

from samlib.widgets.core.names import NOTIONS
from samlib.widgets.figures.explore.measurement import PointMeasurement, RadiusMeasurement
from samlib.widgets.figures.explore.quadratic_model import MODEL_RADII


def table_of(results: Mapping[float, RadiusMeasurement]) -> pd.DataFrame:
    """One row per ρ and notion: rho, notion, value, error, kind, predicted, evaluations."""
    rows = [
        {
            "rho": rho,
            "notion": notion,
            "value": float(result.sharpness[notion].value),
            "error": float(result.sharpness[notion].error),
            "kind": result.sharpness[notion].kind,
            "predicted": result.predicted[notion],
            "evaluations": result.sharpness[notion].evaluations,
        }
        for rho, result in results.items()
        for notion in NOTIONS
    ]
    names = ["rho", "notion", "value", "error", "kind", "predicted", "evaluations"]
    return pd.DataFrame(rows, columns=names)


def _number(value: Any, digits: int = 6) -> float | None:
    """A number that JSON can hold; None for what is not finite."""
    number = float(value)
    return float(f"{number:.{digits}g}") if math.isfinite(number) else None


def _numbers(values: Iterable[Any], digits: int = 6) -> list[float | None]:
    return [_number(value, digits) for value in values]


def _trace_error(point: PointMeasurement) -> float:
    """Zero where only rounding is left, below the six digits that are sent."""
    value, error = float(point.trace.value), float(point.trace.error)
    return 0.0 if error <= 5e-7 * abs(value) else error


def describe_point(point: PointMeasurement) -> dict[str, Any]:
    """What does not depend on ρ, as the page takes it."""
    pairs = point.eigenvalues
    lines = point.quadratic.predict(torch.tensor(MODEL_RADII, dtype=torch.float64))
    return {
        "loss": _number(point.loss),
        "gradient": _number(point.gradient_norm),
        "eigenvalues": _numbers(pairs.values),
        "residuals": _numbers(pairs.residuals),
        "converged": pairs.converged,
        "cosines": _numbers(point.cosines),
        "cosine_error": _number(point.cosine_error),
        "trace": _number(point.trace.value),
        "trace_error": _number(_trace_error(point)),
        "radii": _numbers(MODEL_RADII, 5),
        **{notion: _numbers(line, 5) for notion, line in lines.items()},
    }


def describe_radius(result: RadiusMeasurement) -> dict[str, Any]:
    """What was measured at a ρ, as the page takes it."""
    notions = {
        notion: {
            "value": _number(sharpness.value),
            "error": _number(sharpness.error, 3),
            "predicted": _number(result.predicted[notion]),
        }
        for notion, sharpness in result.sharpness.items()
    }
    profiles = {name: _numbers(values) for name, values in result.profiles.items()}
    return {"rho": result.rho, "length": _number(result.length), **notions, "profiles": profiles}


def describe_both(what: str, point: PointMeasurement, result: RadiusMeasurement) -> str:
    """One sentence about a network at a ρ, the same as the page's ``describe``."""
    worst, ascent, average = (result.sharpness[notion] for notion in NOTIONS)
    sentence = (
        f"{what}, L = {point.loss:.3g}: within ρ = {result.rho:.3g}, L rises by at least "
        f"{float(worst.value):.3g} in the worst direction found, by {float(ascent.value):.3g} "
        f"along the gradient and by {float(average.value):.3g} ± {float(average.error):.1g} on "
        f"average over all directions; λ₁ = {float(point.eigenvalues.values[0]):.3g}"
    )
    cosine = float(point.cosines[0])
    if math.isnan(cosine):
        sentence += ", and the gradient is zero."
    else:
        angle = math.degrees(math.acos(min(cosine, 1.0)))
        sentence += f", and the gradient is {angle:.3g}° from v₁ (cosine {cosine:.3g})."
    return sentence.replace("by -", "by −")
