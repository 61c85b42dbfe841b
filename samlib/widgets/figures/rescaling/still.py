"""The still of the figure Rescaling, drawn by matplotlib from samlib's own numbers."""

from __future__ import annotations

from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from samlib.plotting import COLOURS
from samlib.widgets.core.still import GREY, INK, TEXT, new_still, open_axes
from samlib.widgets.figures.rescaling.model import (
    INPUTS,
    REACH,
    distances,
    plain,
    read_trained,
)

# The highest loss that is shown.
HIGH = 3.0


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    alpha: float

    def profile(self) -> Tensor: ...
    def top_eigenvalue(self) -> float: ...
    def trace(self) -> float: ...
    def answers(self) -> Tensor: ...


def draw(widget: _Drawn, opening: _Drawn) -> Figure:
    """The profile over that of the network as it was trained; below, the digits and the answers."""
    figure = new_still(4.3)
    trained = read_trained()
    side, count = int(INPUTS**0.5), len(trained.new_targets)
    grid = figure.add_gridspec(2, count, height_ratios=(4.5, 1))
    _profile(figure.add_subplot(grid[0, :]), widget, opening)
    for axes, pixels, answer, truth in zip(
        [figure.add_subplot(grid[1, i]) for i in range(count)],
        trained.images,
        widget.answers().tolist(),
        trained.new_targets.tolist(),
        strict=True,
    ):
        axes.imshow(pixels.reshape(side, side), cmap="Greys")
        right = answer == truth
        axes.set_xlabel(f"{answer}", color=INK if right else COLOURS["worst"], size=13)
        axes.set(xticks=[], yticks=[])
    return figure


def _profile(axes: Axes, widget: _Drawn, opening: _Drawn) -> None:
    """The loss along the top eigenvector."""
    open_axes(axes, f"training loss along the top eigenvector, α = {widget.alpha:g}")
    axes.plot(distances(), opening.profile(), "--", color=GREY, lw=1.4, label="α = 1")
    axes.plot(distances(), widget.profile(), color=COLOURS["worst"], lw=2.5)
    for height, text, colour in (
        (0.88, f"λ₁ = {plain(widget.top_eigenvalue())}", "worst"),
        (0.76, f"trace = {plain(widget.trace())}", "average"),
    ):
        axes.text(
            0.02, height, text, color=COLOURS[colour], size=15, transform=axes.transAxes
        )  # fmt: skip
    axes.set(xlim=(-REACH, REACH), ylim=(0, HIGH), yticks=[0, 1, 2, 3])
    axes.set_xlabel("distance from the network", **TEXT, labelpad=1)
