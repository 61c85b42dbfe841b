"""The still of the figure OppositeDrifts, drawn by matplotlib from samlib's own iterates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import samlib
from samlib.plotting import COLOURS, LINE_STYLES

if TYPE_CHECKING:
    from samlib.widgets.opposite_drifts import OppositeDrifts

_TEXT: dict[str, Any] = {"size": 10}
_INK = "#1f2328"
_MARKERS = {"gradient_descent": "s", "sam": "o", "mini_batch": "D", "one_sam": "^"}
_DASHES: dict[str, Any] = {**LINE_STYLES, "mini_batch": (0, (6, 2))}

# Lines have so many points, flows so many.
_POINTS = 400
_FLOW_POINTS = 60


def draw(widget: OppositeDrifts) -> Figure:
    """The floor of the valleys beside x over time; below, λ₁ and the trace over time."""
    figure = Figure(figsize=(7.4, 5.6), dpi=100, layout="constrained")
    axes: dict[str, Axes] = figure.subplot_mosaic(
        [["floor", "x"], ["top_eigenvalue", "trace"]], height_ratios=(1.7, 1)
    )
    manifold = samlib.landscapes.TwoValleys().minimizer_manifold
    heights = {
        "x": lambda x: x[..., 0],
        "top_eigenvalue": manifold.top_eigenvalue,
        "trace": manifold.trace,
    }
    titles = {
        "floor": "the floor of the valleys: λ₁ and trace along x",
        "x": "where along the floor: x",
        "top_eigenvalue": "λ₁ at the nearest minimizer",
        "trace": "trace at the nearest minimizer",
    }
    runs = {
        name: run
        for name, run in widget.trajectories.items()
        if name != "mini_batch" or widget.batch_size > 1
    }
    names = {
        "gradient_descent": "gradient descent",
        "sam": "full-batch SAM",
        "mini_batch": f"batch of {widget.batch_size}",
        "one_sam": "1-SAM",
    }
    for name, run in runs.items():
        stride = max(1, len(run.steps) // _POINTS)
        steps, x = run.steps[::stride], run.x[0, ::stride]
        style: Any = {"color": COLOURS.get(name, _INK), "ls": _DASHES[name], "lw": 1.6}
        for panel, height in heights.items():
            axes[panel].plot(steps, height(x), label=names[name], **style)
    _flows(axes, widget, heights)
    _floor(axes["floor"], widget, runs)
    for panel, title in titles.items():
        axes[panel].set_title(title, loc="left", **_TEXT)
        axes[panel].tick_params(labelsize=9)
        axes[panel].grid(color="#e4e4e4", lw=0.8)
        axes[panel].spines[["top", "right"]].set_visible(False)
        if panel != "floor":
            axes[panel].set_xlim(0, widget.steps)
            axes[panel].set_xlabel("step", **_TEXT, labelpad=1)
            axes[panel].xaxis.set_major_locator(_few_whole_ticks())
            axes[panel].xaxis.set_major_formatter(
                lambda t, _: f"{t / 1000:g}k" if t >= 1000 else f"{t:g}"
            )
    axes["x"].set_ylim(*_extent(widget, runs))
    axes["top_eigenvalue"].set_ylim(2.4, 3.6)
    axes["trace"].set_ylim(3.6, 4.4)
    figure.legend(
        *axes["x"].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    return figure


def _few_whole_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, integer=True)


def _flows(axes: dict[str, Axes], widget: OppositeDrifts, heights: dict[str, Any]) -> None:
    """Both limiting flows, dotted."""
    if widget.rho == 0:
        return
    steps = torch.linspace(0, widget.steps, _FLOW_POINTS, dtype=torch.float64)
    flows = widget.limiting_flows(steps * widget.lr * widget.rho**2)
    for name, flow in (flows or {}).items():
        worst = name == "top_eigenvalue"
        style: Any = {"color": COLOURS["worst" if worst else "average"], "ls": ":", "lw": 1.6}
        label = f"limiting flow of {'λ₁' if worst else 'the trace'}"
        for panel in ("x", name):
            axes[panel].plot(steps, heights[panel](flow.x), label=label, **style)


def _floor(axes: Axes, widget: OppositeDrifts, runs: dict[str, Any]) -> None:
    """λ₁ and the trace over x, and where the runs end."""
    manifold = samlib.landscapes.TwoValleys().minimizer_manifold
    low, high = _extent(widget, runs)
    reach = max(3.0, -low, high)
    x = torch.zeros(200, 3, dtype=torch.float64)
    x[:, 0] = torch.linspace(-reach, reach, 200)
    for height, colour, name, shift in (
        (manifold.top_eigenvalue, COLOURS["worst"], "λ₁", -0.2),
        (manifold.trace, COLOURS["average"], "trace", 0.1),
    ):
        axes.plot(x[:, 0], height(x), color=colour, lw=2)
        axes.text(reach, float(height(x)[-1]) + shift, name, ha="right", **_TEXT)
        for run, trajectory in runs.items():
            end: Tensor = trajectory.x[0, -1]
            hollow = run == "gradient_descent"
            axes.plot(
                end[0],
                height(end),
                _MARKERS[run],
                color=COLOURS.get(run, _INK),
                mfc="white" if hollow else None,
                ms=7,
            )
    axes.axvline(widget.start[0], color="#8b949e", lw=0.8)
    axes.set(xlim=(-reach, reach), ylim=(2.2, 4.65))
    axes.text(widget.start[0], 2.26, " start", **_TEXT)
    axes.set_xlabel("x", **_TEXT, labelpad=1)


def _extent(widget: OppositeDrifts, runs: dict[str, Any]) -> tuple[float, float]:
    """The range of x that the runs cover, without one that leaves the picture."""
    start = widget.start[0]
    x = torch.cat([run.x[0, :, 0] for run in runs.values()])
    x = x[(x - start).abs() < 6]
    return min(start, float(x.min())) - 0.3, max(start, float(x.max())) + 0.3
