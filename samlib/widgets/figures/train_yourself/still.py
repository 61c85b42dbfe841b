"""The still of the figure TrainYourself, drawn by matplotlib from samlib's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from samlib.plotting import COLOURS
from samlib.widgets.core.still import GREY, INK, TEXT, count_steps, new_still, open_axes
from samlib.widgets.figures.train_yourself.model import METHODS, Course, Settings

# Where no rule of the book has a colour or dashes. Gradient descent's line is not broken here: it
# oscillates, and dashes would hide that.
_LOOKS: Mapping[str, Mapping[str, Any]] = {
    "gradient_descent": {"color": COLOURS["gradient_descent"]},
    "sgd": {"color": GREY, "ls": ":"},
    "sam": {"color": COLOURS["sam"]},
    "m_sam": {"color": INK, "ls": "--"},
    "mini_batch": {"color": INK, "ls": (0, (6, 2))},
    "one_sam": {"color": COLOURS["one_sam"], "ls": "-."},
}


def draw(settings: Settings, course: Course) -> Figure:
    """λ₁ of both runs over the steps, and where each method ceases to be stable."""
    figure = new_still(3.9)
    axes = figure.subplots()
    open_axes(axes, "Sharpness λ₁ while they train")
    steps, top, edges = (np.array(each) for each in (course.steps, course.top, course.edge))
    methods = settings["first"], settings["second"]
    for run in (1, 0):
        look = _LOOKS[methods[run]]
        axes.plot(steps, top[run], lw=2, **look)
        axes.plot(steps, edges[run], **{**look, "ls": (0, (1, 2)), "lw": 1.3})
        _name(axes, methods[run], steps, top[run], edges[run])
    limits = [2 / settings["lr"]] if "gradient_descent" in methods else []
    highest = max([0.1, *top[np.isfinite(top)], *limits])
    axes.set(xlim=(0, steps[-1]), ylim=(0, 1.12 * highest))
    axes.set_xlabel("step", **TEXT, labelpad=1)
    count_steps(axes)
    return figure


def _name(
    axes: Axes, method: str, steps: NDArray[Any], top: NDArray[Any], edge: NDArray[Any]
) -> None:
    """Names in the colour of the line: at its end, and at the edge where there is room."""
    beside: Mapping[str, Any] = {"textcoords": "offset points", "size": 10}
    if np.isfinite(top[-1]):
        end = steps[-1], top[-1]
        bold = {"color": _LOOKS[method]["color"], "weight": "bold", "ha": "right"}
        axes.annotate(METHODS[method], end, (-4, 11), **beside, **bold)
    if not np.isfinite(edge[-1]):
        return
    if method == "gradient_descent":
        axes.annotate(f"2/η = {edge[-1]:.3g}", (0, edge[-1]), (6, -14), **beside)
    else:
        name = f"{METHODS[method]}’s edge"
        axes.annotate(name, (steps[-1], edge[-1]), (-4, -14), **beside, ha="right")
