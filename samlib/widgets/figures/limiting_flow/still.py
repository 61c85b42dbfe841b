"""The still of the figure LimitingFlow, drawn by matplotlib from samlib's own iterates."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Protocol

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from samlib.flow import FlowPath as Flow
from samlib.plotting import COLOURS, LINE_STYLES
from samlib.problems import InterpolatingNetwork
from samlib.widgets.core.names import METHOD_NAMES
from samlib.widgets.core.still import (
    FLOWS,
    GREY,
    INK,
    MINI_BATCH_DASHES,
    TEXT,
    new_still,
    open_axes,
)
from samlib.widgets.figures.limiting_flow.directions import Directions, point_text

_TITLES = {
    "top_eigenvalue": "λ₁ at the nearest minimizer",
    "trace": "trace at the nearest minimizer",
    "alignment": "alignment |cos∠(∇L, v₁)|",
    "function": "what the network computes",
    "plane": "direction of ∇L",
}

# The line behind the mark on the circle covers so many checkpoints.
_TRAIL = 2


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    method: str
    batch_size: int
    time: float
    frame: int
    panels: tuple[str, ...]

    @property
    def problem(self) -> InterpolatingNetwork: ...
    @property
    def fitted(self) -> Tensor: ...
    @property
    def times(self) -> Tensor: ...
    @property
    def x(self) -> Tensor: ...
    @property
    def alignment(self) -> Tensor: ...
    def on_gamma(self) -> Mapping[str, Tensor]: ...
    def limiting_flows(self) -> Mapping[str, Flow]: ...
    def corrected_flow(self) -> Flow | None: ...
    def directions(self) -> Directions | None: ...


def draw(widget: _Drawn) -> Figure:
    """λ₁ and the trace over time with both flows; below, the alignment and a fourth picture."""
    figure = new_still(5.2)
    fourth = "plane" if "plane" in widget.panels else "function"
    axes: dict[str, Axes] = figure.subplot_mosaic(
        [["top_eigenvalue", "trace"], ["alignment", fourth]], height_ratios=(1.3, 1)
    )
    for name in axes:
        open_axes(axes[name], _TITLES[name])
    style: dict[str, Any] = {
        "color": COLOURS.get(widget.method, INK),
        "ls": LINE_STYLES.get(widget.method, MINI_BATCH_DASHES),
        "lw": 1.8,
    }
    corrected = widget.corrected_flow()
    for name in FLOWS:
        _flows(axes[name], name, widget.limiting_flows(), faint=corrected is not None)
    _run(axes, widget, style)
    if corrected is not None:
        _corrected(axes, corrected)
    axes["alignment"].set_ylim(0, 1.05)
    if fourth == "plane":
        _plane(axes["plane"], widget)
    else:
        _function(axes["function"], widget, style)
    handles = axes["trace"].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _flows(axes: Axes, name: str, flows: Mapping[str, Flow], *, faint: bool) -> None:
    """What both limiting flows do to λ₁, or to the trace; the first one's is faint or not."""
    for flow, (notion, lowered) in FLOWS.items():
        alpha = 0.5 if faint and flow == "top_eigenvalue" else 1
        dotted: Any = {"color": COLOURS[notion], "ls": ":", "lw": 2, "alpha": alpha}
        values = getattr(flows[flow], name)
        axes.plot(flows[flow].times, values, label=f"limiting flow of {lowered}", **dotted)
    low, high = _extent([getattr(flow, name) for flow in flows.values()])
    axes.set_ylim(low - 0.3 * (high - low), high + 0.1 * (high - low))


def _run(axes: Mapping[str, Axes], widget: _Drawn, style: dict[str, Any]) -> None:
    """λ₁, the trace and the alignment of the run, and where it is at the frame."""
    label = METHOD_NAMES.get(widget.method, f"batch of {widget.batch_size}")
    times, frame = widget.times, widget.frame
    for name, values in {**widget.on_gamma(), "alignment": widget.alignment}.items():
        axes[name].plot(times, values, label=label, **style)
        axes[name].plot(times[frame], values[frame], "o", ms=6, color=style["color"])
        axes[name].set_xlim(0, max(float(times[-1]), widget.time))
        axes[name].set_xlabel("time τ = ηρ² · step", **TEXT, labelpad=1)


def _corrected(axes: Mapping[str, Axes], flow: Flow) -> None:
    """What the flow of λ₁ at this η does to λ₁ and the trace, above the run that follows it."""
    dotted: Any = {"color": COLOURS[FLOWS["top_eigenvalue"][0]], "ls": ":", "lw": 2}
    for name in FLOWS:
        axes[name].plot(flow.times, getattr(flow, name), label="flow of λ₁ at this η", **dotted)


def _plane(axes: Axes, widget: _Drawn) -> None:
    """The directions of the gradient on a circle, their mean, and the mean that the flow says."""
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set(xlim=(-1.2, 3.2), ylim=(-1.15, 1.15))
    axes.add_patch(Circle((0, 0), 1, fill=False, ec=GREY, lw=0.8))
    directions, n = widget.directions(), widget.frame
    if directions is None:
        axes.text(0, 0, "full batch only", ha="center", va="center", **TEXT)
        return
    since, now = int(directions.since[n]), int(directions.counts[n])
    first = int(directions.counts[since])
    recent = int(directions.counts[max(since, n - _TRAIL)])
    pink = COLOURS["sam"]
    axes.plot(*directions.s[first:now].T, ".", ms=2, color=pink, alpha=0.4)
    axes.plot(*directions.s[recent:now].T, "-", lw=1.5, color=pink)
    (s1, s2), predicted = directions.mean(n).tolist(), float(directions.predicted[n])
    axes.plot(*directions.s[now - 1 : now].T, "o", ms=6, color=pink, label="SAM")
    axes.plot([predicted], [0], "x", ms=7, mew=2, color=COLOURS["worst"])
    axes.plot([s1], [s2], "o", ms=10, mfc="none", mec=INK, mew=1.5)
    # Tied eigenvectors have no names of their own: these are the two for which Q is diagonal.
    letter = "e" if directions.tied[n] > 1 else "v"
    for x, side, name in ((1.12, "left", f"{letter}₁"), (-1.12, "right", f"{letter}₂")):
        axes.text(x, 0, name, ha=side, va="center", **TEXT)
    told = f"○ mean {point_text(s1, s2)}\n× flow {point_text(predicted, 0)}"
    axes.text(1.5, 0, told, va="center", **TEXT)


def _extent(columns: list[torch.Tensor]) -> tuple[float, float]:
    values = torch.cat(columns)
    values = values[values.isfinite()]
    return float(values.min()), float(values.max())


def _function(axes: Axes, widget: _Drawn, style: dict[str, Any]) -> None:
    """The outputs from one data point to the next, fitted and at the frame."""
    objective = widget.problem.objective
    inputs, targets = objective.inputs, objective.targets
    legs = (inputs[1:] - inputs[:-1]).norm(dim=-1)
    stops = torch.cat([legs.new_zeros(1), legs.cumsum(0)])
    part = torch.linspace(0, 1, 17, dtype=torch.float64)[:-1, None]
    tour = torch.cat([a + part * (b - a) for a, b in pairwise(inputs)])
    places = torch.cat([a + part[:, 0] * (b - a) for a, b in pairwise(stops)])
    tour, places = torch.cat([tour, inputs[-1:]]), torch.cat([places, stops[-1:]])
    grey: Any = {"color": COLOURS["gradient_descent"], "ls": LINE_STYLES["gradient_descent"]}
    axes.plot(places, objective.output(widget.fitted, tour), lw=1.5, **grey)
    now = objective.output(widget.x[widget.frame], tour)
    if bool(now.isfinite().all()):
        low, high = axes.get_ylim()
        axes.plot(places, now, **style)
        reach = high - low
        axes.set_ylim(min(low, float(targets.min()) - 0.1 * reach), high + 0.1 * reach)
    axes.plot(stops, targets, "o", ms=5, color=INK)
    axes.set_xticks(stops, [f"$s_{k + 1}$" for k in range(len(stops))])
