"""The still of the figure ThreeNotions, drawn by matplotlib from samlib's own numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from samlib.landscapes import Landscape
from samlib.linalg import unit_direction
from samlib.plotting import COLOURS
from samlib.widgets.core.still import GREY, INK, TEXT, new_still
from samlib.widgets.figures.three_notions.model import angles_around, rise


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    loss: str
    point: Sequence[float]
    rho: float

    @property
    def objective(self) -> Landscape: ...
    def sharpness(self) -> Mapping[str, float]: ...
    def predicted(self) -> Mapping[str, float]: ...


def draw(widget: _Drawn) -> Figure:
    """The plane beside the profile around the circle and the three sharpnesses as bars."""
    figure = new_still(3.7)
    axes = figure.subplot_mosaic([["plane", "profile"], ["plane", "bars"]])
    _plane(axes["plane"], widget)
    _profile(axes["profile"], widget)
    _bars(axes["bars"], widget)
    return figure


def _plane(axes: Axes, widget: _Drawn) -> None:
    """Contours of L, the circle, and the directions."""
    centre = np.array([0.0, 1.0] if widget.loss == "curved valley" else [0.0, 0.0])
    x = np.array(widget.point)
    reach = max(2.0, 1.05 * (np.abs(x - centre).max() + widget.rho))
    grid = np.linspace(-reach, reach, 121)
    x1, x2 = np.meshgrid(grid + centre[0], grid + centre[1])
    values = widget.objective.value(torch.from_numpy(np.stack([x1, x2], axis=-1))).numpy()
    levels = values.max() * 2.0 ** np.arange(-14, 0)
    axes.contour(x1, x2, values, levels, colors=GREY, linewidths=0.6, alpha=0.7)
    around = angles_around()
    circle = x + widget.rho * np.stack([np.cos(around), np.sin(around)], axis=-1)
    axes.plot(*circle.T, color=COLOURS["average"], lw=2)
    for kind, end in _ends(widget).items():
        style = {"color": COLOURS[kind], "width": 1.5}
        axes.annotate("", tuple(x + end), tuple(x), arrowprops=style)
    axes.plot(*x, "o", color=INK, ms=5)
    low, high = centre - reach, centre + reach
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.set_xlabel("x₁", labelpad=1)
    axes.set_ylabel("x₂", labelpad=1)


def _rise(widget: _Drawn, angles: NDArray[np.float64]) -> NDArray[np.float64]:
    x = torch.tensor(widget.point, dtype=torch.float64)
    values: NDArray[np.float64] = rise(widget.objective, x, widget.rho, angles).numpy()
    return values


def _ends(widget: _Drawn) -> dict[str, NDArray[np.float64]]:
    """ρ times the worst direction and that of the gradient."""
    gradient = widget.objective.gradient(torch.tensor(widget.point, dtype=torch.float64))
    around = angles_around()
    worst = around[int(_rise(widget, around).argmax())]
    return {
        "worst": widget.rho * np.array([math.cos(worst), math.sin(worst)]),
        "ascent": (widget.rho * unit_direction(gradient)).numpy(),
    }


def _profile(axes: Axes, widget: _Drawn) -> None:
    """The rise of L around the circle, its mean, and both directions."""
    around = angles_around()
    profile = _rise(widget, around)
    axes.plot(np.degrees(around), profile, color=INK, lw=1.6)
    axes.axhline(profile.mean(), color=COLOURS["average"], ls="--", lw=1.6)
    for kind, end in _ends(widget).items():
        angle = math.atan2(end[1], end[0]) % (2 * math.pi)
        height = float(_rise(widget, np.array([angle]))[0])
        marker = "o" if kind == "worst" else "s"
        axes.plot(math.degrees(angle), height, marker, color=COLOURS[kind], ms=7)
    axes.set(xlim=(0, 360), xticks=[0, 90, 180, 270, 360])
    axes.set_title("L(x + ρu) − L(x) by the angle of u", loc="left", **TEXT)
    axes.spines[["top", "right"]].set_visible(False)


def _bars(axes: Axes, widget: _Drawn) -> None:
    """The three sharpnesses, and as ticks what second order predicts."""
    values, predicted = widget.sharpness(), widget.predicted()
    for row, (kind, value) in enumerate(values.items()):
        axes.barh(row, value, height=0.5, color=COLOURS[kind])
        axes.plot([predicted[kind]] * 2, [row - 0.38, row + 0.38], color=INK, lw=2)
        end = max(value, predicted[kind], 0)
        axes.annotate(f" {value:.3g}", (end, row), va="center", **TEXT)
    axes.set_yticks(range(3), ["$R^{Max}$", "$R^{Asc}$", "$R^{Avg}$"])
    axes.margins(x=0.16)
    axes.invert_yaxis()
    axes.set_title("sharpness; ticks: to second order", loc="left", **TEXT)
    axes.spines[["top", "right"]].set_visible(False)
