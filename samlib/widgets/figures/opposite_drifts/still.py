"""The still of the figure OppositeDrifts, drawn by matplotlib from samlib's own iterates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from samlib.dynamics import Trajectory
from samlib.flow import FlowPath
from samlib.landscapes import TwoValleys
from samlib.plotting import COLOURS, LINE_STYLES
from samlib.widgets.core.names import METHOD_NAMES
from samlib.widgets.core.still import (
    FLOWS,
    GREY,
    INK,
    METHOD_MARKERS,
    MINI_BATCH_DASHES,
    TEXT,
    count_steps,
    new_still,
    open_axes,
)

_DASHES: dict[str, Any] = {**LINE_STYLES, "mini_batch": MINI_BATCH_DASHES}

_TITLES = {
    "floor": "the floor of the valleys: λ₁ and trace along x",
    "x": "where along the floor: x",
    "top_eigenvalue": "λ₁ at the nearest minimizer",
    "trace": "trace at the nearest minimizer",
}

# Lines have so many points, flows so many.
_POINTS = 400
_FLOW_POINTS = 60


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    start: Sequence[float]
    rho: float
    lr: float
    batch_size: int
    steps: int

    @property
    def trajectories(self) -> Mapping[str, Trajectory]: ...
    def limiting_flows(self, times: Tensor) -> Mapping[str, FlowPath] | None: ...


def draw(widget: _Drawn) -> Figure:
    """The floor of the valleys beside x over time; below, λ₁ and the trace over time."""
    figure = new_still(5.6)
    axes: dict[str, Axes] = figure.subplot_mosaic(
        [["floor", "x"], ["top_eigenvalue", "trace"]], height_ratios=(1.7, 1)
    )
    runs = {
        name: run
        for name, run in widget.trajectories.items()
        if name != "mini_batch" or widget.batch_size > 1
    }
    _runs(axes, widget, runs)
    _flows(axes, widget)
    _floor(axes["floor"], widget, runs)
    for panel, title in _TITLES.items():
        open_axes(axes[panel], title)
        if panel != "floor":
            axes[panel].set_xlim(0, widget.steps)
            axes[panel].set_xlabel("step", **TEXT, labelpad=1)
            count_steps(axes[panel])
    axes["x"].set_ylim(*_extent(widget, runs))
    axes["top_eigenvalue"].set_ylim(2.4, 3.6)
    axes["trace"].set_ylim(3.6, 4.4)
    handles = axes["x"].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _heights() -> dict[str, Callable[[Tensor], Tensor]]:
    """What the panels over time show of a point, by panel."""
    manifold = TwoValleys().minimizer_manifold
    return {
        "x": lambda x: x[..., 0],
        "top_eigenvalue": manifold.top_eigenvalue,
        "trace": manifold.trace,
    }


def _runs(axes: Mapping[str, Axes], widget: _Drawn, runs: Mapping[str, Any]) -> None:
    names = {**METHOD_NAMES, "mini_batch": f"batch of {widget.batch_size}"}
    for name, run in runs.items():
        stride = max(1, len(run.steps) // _POINTS)
        steps, x = run.steps[::stride], run.x[0, ::stride]
        style: Any = {"color": COLOURS.get(name, INK), "ls": _DASHES[name], "lw": 1.6}
        for panel, height in _heights().items():
            axes[panel].plot(steps, height(x), label=names[name], **style)


def _flows(axes: Mapping[str, Axes], widget: _Drawn) -> None:
    """Both limiting flows, dotted."""
    if widget.rho == 0:
        return
    steps = torch.linspace(0, widget.steps, _FLOW_POINTS, dtype=torch.float64)
    flows = widget.limiting_flows(steps * widget.lr * widget.rho**2)
    for name, flow in (flows or {}).items():
        notion, lowered = FLOWS[name]
        style: Any = {"color": COLOURS[notion], "ls": ":", "lw": 1.6}
        for panel in ("x", name):
            height = _heights()[panel](flow.x)
            axes[panel].plot(steps, height, label=f"limiting flow of {lowered}", **style)


def _floor(axes: Axes, widget: _Drawn, runs: Mapping[str, Any]) -> None:
    """λ₁ and the trace over x, and where the runs end."""
    manifold = TwoValleys().minimizer_manifold
    low, high = _extent(widget, runs)
    reach = max(3.0, -low, high)
    x = torch.zeros(200, 3, dtype=torch.float64)
    x[:, 0] = torch.linspace(-reach, reach, 200)
    for height, colour, name, shift in (
        (manifold.top_eigenvalue, COLOURS["worst"], "λ₁", -0.2),
        (manifold.trace, COLOURS["average"], "trace", 0.1),
    ):
        axes.plot(x[:, 0], height(x), color=colour, lw=2)
        axes.text(reach, float(height(x)[-1]) + shift, name, ha="right", **TEXT)
        for run, trajectory in runs.items():
            end: Tensor = trajectory.x[0, -1]
            hollow = run == "gradient_descent"
            axes.plot(
                end[0],
                height(end),
                METHOD_MARKERS[run],
                color=COLOURS.get(run, INK),
                mfc="white" if hollow else None,
                ms=7,
            )
    axes.axvline(widget.start[0], color=GREY, lw=0.8)
    axes.set(xlim=(-reach, reach), ylim=(2.2, 4.65))
    axes.text(widget.start[0], 2.26, " start", **TEXT)
    axes.set_xlabel("x", **TEXT, labelpad=1)


def _extent(widget: _Drawn, runs: Mapping[str, Any]) -> tuple[float, float]:
    """The range of x that the runs cover, without one that leaves the picture."""
    start = widget.start[0]
    x = torch.cat([run.x[0, :, 0] for run in runs.values()])
    x = x[(x - start).abs() < 6]
    return min(start, float(x.min())) - 0.3, max(start, float(x.max())) + 0.3
