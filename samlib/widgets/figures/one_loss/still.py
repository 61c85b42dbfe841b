"""The still of the figure OneLossThreeDestinations, drawn by matplotlib from samlib's iterates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samlib.dynamics import Trajectory
from samlib.landscapes import FourDimensional
from samlib.plotting import COLOURS
from samlib.widgets.core.still import GREY, INK, TEXT, new_still
from samlib.widgets.figures.one_loss.model import DESTINATIONS

# How each method is called, its colour and its dashes.
_METHODS = {
    "sam": ("SAM", COLOURS["sam"], "-"),
    "one_sam": ("1-SAM", COLOURS["one_sam"], "-."),
    "ascent_loss_descent": ("descent on $L^{Asc}$", COLOURS["ascent"], "--"),
}


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    start: Sequence[float]
    steps: int

    @property
    def trajectories(self) -> Mapping[str, Trajectory]: ...


def draw(widget: _Drawn) -> Figure:
    """The map of Γ with the three runs, beside λ₁, λ_M and the trace over time."""
    figure = new_still(4.2)
    axes = figure.subplot_mosaic([["map", "top"], ["map", "least"], ["map", "trace"]])
    runs = widget.trajectories
    _map(axes["map"], widget, runs)
    manifold = FourDimensional().minimizer_manifold
    for place, title, curvature in (
        ("top", "λ₁", manifold.top_eigenvalue),
        ("least", "λ_M", manifold.smallest_nonzero_eigenvalue),
        ("trace", "trace", manifold.trace),
    ):
        for name, run in runs.items():
            _, colour, dashes = _METHODS[name]
            axes[place].plot(run.steps, curvature(run.x[0]), dashes, color=colour, lw=1.5)
        axes[place].set_title(title, loc="left", **TEXT)
        axes[place].set_xscale("symlog", linthresh=1)
        axes[place].set_xlim(0, widget.steps)
        axes[place].minorticks_off()
        axes[place].spines[["top", "right"]].set_visible(False)
    axes["trace"].set_xlabel("step")
    return figure


def _map(axes: Axes, widget: _Drawn, runs: Mapping[str, Trajectory]) -> None:
    """Where on Γ the runs are, over the contours of λ₁, and where they are bound for."""
    grid = np.linspace(-0.25, 1.25, 121)
    x1, x2 = np.meshgrid(grid, grid)
    zero = np.zeros_like(x1)
    points = torch.from_numpy(np.stack([x1, x2, zero, zero], axis=-1))
    manifold = FourDimensional().minimizer_manifold
    top = manifold.top_eigenvalue(points).numpy()
    lines = axes.contour(x1, x2, top, [17, 18, 20, 22, 24, 28, 32], colors=GREY, linewidths=0.6)
    axes.clabel(lines, fontsize=8)
    for name, run in runs.items():
        label, colour, dashes = _METHODS[name]
        x = run.x[0].numpy()
        axes.plot(x[:, 0], x[:, 1], dashes, color=colour, lw=1.6, label=label)
        axes.plot(*DESTINATIONS[name][1], "D", mfc="none", mec=colour, ms=8)
    axes.plot(*widget.start[:2], "o", color=INK, ms=5)
    axes.set(xlim=(-0.25, 1.25), ylim=(-0.25, 1.25), aspect="equal")
    axes.set_xlabel("x₁", labelpad=1)
    axes.set_ylabel("x₂", labelpad=1)
    axes.set_title("where on Γ: contours of λ₁", loc="left", **TEXT)
    axes.legend(frameon=False, fontsize=9, loc="upper left")
