"""The still of the figure BasinMap: the map in the page's colors, drawn by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from samlib.dynamics import simulate
from samlib.objective import Objective
from samlib.widgets.core.runs import diverging_in_silence
from samlib.widgets.core.still import INK, TEXT, new_still
from samlib.widgets.figures.basin_map.model import (
    ELSEWHERE,
    LEFT,
    RULES,
    SLOPE,
    Ends,
    Place,
    kind_of,
)

Colours = NDArray[np.float64]

# As in the style sheet of the page.
MINIMA = ("#2f5f9e", "#63b7b0", "#8c7bb8", "#9bbf6b")
SADDLE, MAXIMUM, REST, NOWHERE, GONE = "#e8a33d", "#d9d2c5", "#a8321f", "#8f959c", "#2b2e33"
DARKEST = 0.42


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    loss: str
    formula: str
    method: str
    rho: float
    lr: float
    steps: int
    start: Sequence[float]
    across: Sequence[float]
    center: Sequence[float]
    reach: float

    @property
    def objective(self) -> Objective: ...
    @property
    def places(self) -> tuple[Place, ...]: ...


def draw(widget: _Drawn, ends: Ends, side: int) -> Figure:
    """The map, its places, and the path from the chosen start."""
    figure = new_still(5.4)
    axes = figure.subplots()
    (a, b), r = widget.center, widget.reach
    late = np.log1p(ends.arrival.numpy()) / math.log1p(widget.steps)
    picture = _colours(widget, ends) * (1 - (1 - DARKEST) * late**2)[:, None]
    extent = (a - r, a + r, b - r, b + r)
    axes.imshow(picture.reshape(side, side, 3), origin="lower", extent=extent)
    _path(axes, widget)
    for place in widget.places:
        marker = "x" if place.type == "saddle" else "o"
        axes.plot(*place.x, marker, ms=7, mec=INK, mfc="w")
    axes.set(xlim=extent[:2], ylim=extent[2:])
    names = ("x", "y₁") if widget.loss == "two valleys" else ("x₁", "x₂")
    axes.set_xlabel("x" if widget.loss == "formula" else names[0], labelpad=1)
    axes.set_ylabel("y" if widget.loss == "formula" else names[1], labelpad=1)
    _legend(figure, widget, ends)
    return figure


def _colours(widget: _Drawn, ends: Ends) -> Colours:
    """A color for each start, [n, 3]."""
    kind, where = kind_of(widget.loss, widget.formula), ends.where.numpy()
    if kind == "places":
        labels = ends.label.tolist()
        table = {label: _colour_of(widget.places, label) for label in set(labels)}
        return np.array([table[label] for label in labels])
    if kind == "direction":
        colours = _around(where)
    else:
        parts = (where - np.array(widget.center) + widget.reach) / (2 * widget.reach)
        colours = _between(parts.clip(0, 1) * [1, widget.loss != "two valleys"])
    colours[(ends.label == LEFT).numpy()] = to_rgb(GONE)
    return colours


def _colour_of(places: Sequence[Place], label: int) -> Colours:
    """The color of a label; further places of a type are paler."""
    if label in (SLOPE, ELSEWHERE, LEFT):
        return np.array(to_rgb({SLOPE: REST, ELSEWHERE: NOWHERE, LEFT: GONE}[label]))
    kind = places[label].type
    before = sum(place.type == kind for place in places[:label])
    if kind == "minimum":
        colour, pale = MINIMA[before % len(MINIMA)], 0.3 * (before // len(MINIMA))
    else:
        colour, pale = SADDLE if kind == "saddle" else MAXIMUM, 0.16 * before
    rgb: Colours = np.array(to_rgb(colour))
    return rgb + (1 - rgb) * min(pale, 0.6)


def _around(where: Colours) -> Colours:
    """Four colors around the circle of (cos 2θ, sin 2θ)."""
    anchors: Colours = np.array([to_rgb(c) for c in (SADDLE, MINIMA[1], MINIMA[0], REST)])
    turn = np.nan_to_num(np.arctan2(where[:, 1], where[:, 0]) / (2 * np.pi) % 1 * 4)
    first, part = np.floor(turn).astype(int) % 4, (turn % 1)[:, None]
    mixed: Colours = anchors[first] * (1 - part) + anchors[(first + 1) % 4] * part
    return mixed


def _between(parts: Colours) -> Colours:
    """From left to right through a pale middle, at the bottom in other colors than at the top."""
    a, b = np.nan_to_num(parts).T[:, :, None]
    pale = np.array(to_rgb(MAXIMUM))

    def across(first: str, last: str) -> Colours:
        left = np.array(to_rgb(first)) * (1 - 2 * a) + pale * 2 * a
        right: Colours = pale * (2 - 2 * a) + np.array(to_rgb(last)) * (2 * a - 1)
        return np.where(a < 0.5, left, right)

    mixed: Colours = across(MINIMA[0], SADDLE) * (1 - b) + across(MINIMA[1], MINIMA[2]) * b
    return mixed


def _path(axes: Axes, widget: _Drawn) -> None:
    """The run from the chosen start."""
    objective = widget.objective
    start = torch.tensor([*widget.start, *widget.across][: objective.dim], dtype=torch.float64)
    with diverging_in_silence():
        rule = RULES[widget.method](widget.lr, widget.rho)
        x = simulate(objective, rule, start, widget.steps, record=("x",)).x[0].numpy()
    axes.plot(x[:, 0], x[:, 1], color="w", lw=3.2)
    axes.plot(x[:, 0], x[:, 1], color=INK, lw=1.3)
    axes.plot(*widget.start, "o", mfc="none", mec="w", mew=2, ms=10)


def _legend(figure: Figure, widget: _Drawn, ends: Ends) -> None:
    """The places that starts end at, with their shares."""
    if kind_of(widget.loss, widget.formula) != "places":
        return
    told = {SLOPE: "at rest on a slope", ELSEWHERE: "at none of these", LEFT: "gone"}
    patches = []
    for label in sorted(set(ends.label.tolist())):
        share = 100 * float((ends.label == label).double().mean())
        name = told.get(label) or "{} ({:.3g}, {:.3g})".format(
            widget.places[label].type, *widget.places[label].x
        )
        text = f"{name.replace('-', '−')}: {share:.0f} %"
        patches.append(Patch(color=tuple(_colour_of(widget.places, label)), label=text))
    figure.legend(handles=patches, frameon=False, loc="outside right upper", prop=TEXT)
