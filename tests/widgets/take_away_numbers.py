"""What Python says of numbers, values and matrices that are taken along from a figure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from samlib.widgets import Alignment, OneLossThreeDestinations, ThreeNotions


def written(value: Any) -> str:
    """As Python writes a value, with JavaScript's quotation marks."""
    return repr(value).replace("'", '"')


def call(figure: Any, *given: str) -> dict[str, Any]:
    """A figure's state, and the call that makes it by these traits."""
    state = figure.state()
    traits = ", ".join(f"{name}={whole(state[name])}" for name in state if name in given)
    name = type(figure).__name__
    text = f"samlib.widgets.{name}({traits})"
    return {"figure": name, "state": state, "presets": dict(figure._presets), "call": text}


def whole(value: Any) -> str:
    """A trait's value as it comes from JavaScript, which writes 3.0 as 3."""
    if isinstance(value, tuple):
        return f"({', '.join(map(whole, value))})"
    return written(int(value) if isinstance(value, float) and value.is_integer() else value)


def matrix(numbers: np.ndarray) -> np.ndarray:
    """Six numbers as SVG has them, as a matrix of homogeneous coordinates."""
    a, b, c, d, e, f = numbers
    return np.array([[a, c, e], [b, d, f], [0, 0, 1]])


def products() -> list[dict[str, Any]]:
    found = []
    for m, n in np.random.default_rng(0).normal(size=(5, 2, 6)):
        product, point = matrix(m) @ matrix(n), np.array([0.3, -2.0, 1.0])
        numbers = product[:2].T.flatten().tolist()
        told = {"m": m.tolist(), "n": n.tolist(), "product": numbers, "point": point[:2].tolist()}
        told["image"] = (matrix(m) @ point)[:2].tolist()
        found.append({**told, "scale": math.sqrt(abs(np.linalg.det(matrix(m)[:2, :2])))})
    return found


def expect_take_away() -> dict[str, Any]:
    numbers = np.concatenate(
        [
            [0.0, -0.0, 1.0, 0.1, 1 / 3, 2.0**53 + 1, 5e-324, 1.7976931348623157e308],
            [math.nan, math.inf, -math.inf],
            np.random.default_rng(1).normal(size=50) * 10.0 ** np.arange(-25, 25),
        ]
    )
    values = [1, 0.25, 1e-10, True, False, "curved valley", (0.5, -1), (2,)]
    four = {"landscape": "four-dimensional"}
    return {
        "table": {"numbers": numbers, "written": [repr(float(v)) for v in numbers]},
        "literals": [{"value": value, "text": written(value)} for value in values],
        "calls": [
            call(Alignment()),
            call(Alignment(rho=0.2), "rho"),
            call(Alignment(**four), "landscape"),
            call(Alignment(**four, steps=500, zoom=True), "landscape", "steps", "frame", "zoom"),
            call(Alignment(eigenvalues=(3.0, 2.0, 0.5)), "eigenvalues", "start"),
            call(OneLossThreeDestinations(frame=7), "frame"),
            call(OneLossThreeDestinations(steps=500), "steps", "frame"),
            call(ThreeNotions(loss="saddle", rho=0.9), "loss", "rho"),
        ],
        "matrices": products(),
    }
