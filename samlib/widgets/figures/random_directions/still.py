"""The still of the figure RandomDirections: few dimensions above the number shown."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samlib.plotting import COLOURS
from samlib.widgets.core.still import INK, TEXT, new_still
from samlib.widgets.figures.random_directions.model import average_share, shares

# Where the picture at few dimensions is taken, for comparison.
_FEW = 3
_COLUMNS = 100


def draw(dimension: int, seed: int) -> Figure:
    """The swarm of few dimensions, and below it that of the dimension shown."""
    shown = dict.fromkeys((_FEW, dimension))
    figure = new_still(0.6 + 1.6 * len(shown))
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, many in zip(panels, shown, strict=True):
        _swarm(axes, many, seed)
    panels[-1].set_xlabel("rise of L along a direction, in % of the worst")
    return figure


def _swarm(axes: Axes, dimension: int, seed: int) -> None:
    """A mark for each direction, one above the other where there are many."""
    drawn = 100 * shares(dimension, seed)
    columns = np.minimum((drawn / 100 * _COLUMNS).astype(int), _COLUMNS - 1)
    order = np.argsort(columns, kind="stable")
    counts = np.bincount(columns, minlength=_COLUMNS)
    height = np.empty(len(drawn))
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    height[order] = (np.arange(len(drawn)) - starts + 0.5) / counts.max()
    axes.plot(drawn, height, ".", color=INK, ms=2.5, alpha=0.6)
    best = int(drawn.argmax())
    axes.plot(drawn[best], height[best], "o", mfc="none", mec=INK, ms=8)
    axes.axvline(100 * average_share(dimension), color=COLOURS["average"], ls="--", lw=1.8)
    axes.axvline(100, color=COLOURS["worst"], lw=2.5)
    axes.set_title(f"{dimension:,} dimensions", loc="left", **TEXT)
    axes.set(xlim=(-1, 101), ylim=(0, 1.08), yticks=[])
    axes.spines[["top", "right", "left"]].set_visible(False)
