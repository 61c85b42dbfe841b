"""The still of the figure LimitingFlow, drawn by matplotlib from samlib's own iterates."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samlib.plotting import COLOURS, LINE_STYLES

if TYPE_CHECKING:
    from samlib.widgets.limiting_flow import LimitingFlow

_TEXT: dict[str, Any] = {"size": 10}
_FLOWS = {"top_eigenvalue": ("worst", "λ₁"), "trace": ("average", "the trace")}


def draw(widget: LimitingFlow) -> Figure:
    """λ₁ and the trace over time with both flows; below, the alignment and the fitted function."""
    figure = Figure(figsize=(7.4, 5.2), dpi=100, layout="constrained")
    axes: dict[str, Axes] = figure.subplot_mosaic(
        [["top_eigenvalue", "trace"], ["alignment", "function"]], height_ratios=(1.3, 1)
    )
    titles = {
        "top_eigenvalue": "λ₁ at the nearest minimizer",
        "trace": "trace at the nearest minimizer",
        "alignment": "alignment |cos∠(∇L, v₁)|",
        "function": "what the network computes",
    }
    for name, title in titles.items():
        axes[name].set_title(title, loc="left", **_TEXT)
        axes[name].tick_params(labelsize=9)
        axes[name].grid(color="#e4e4e4", lw=0.8)
        axes[name].spines[["top", "right"]].set_visible(False)
    run = {1: "one_sam", 5: "sam"}.get(widget.batch_size, "mini_batch")
    style: dict[str, Any] = {
        "color": COLOURS.get(run, "#1f2328"),
        "ls": LINE_STYLES.get(run, (0, (6, 2))),
        "lw": 1.8,
    }
    label = {1: "1-SAM", 5: "full-batch SAM"}.get(
        widget.batch_size, f"batch of {widget.batch_size}"
    )
    times, frame = widget.times, widget.frame
    flows, curvature = widget.limiting_flows(), widget.on_gamma()
    for name in _FLOWS:
        for flow, (notion, long) in _FLOWS.items():
            dotted: Any = {"color": COLOURS[notion], "ls": ":", "lw": 2}
            values = getattr(flows[flow], name)
            axes[name].plot(flows[flow].times, values, label=f"limiting flow of {long}", **dotted)
        low, high = _extent([getattr(flow, name) for flow in flows.values()])
        axes[name].set_ylim(low - 0.3 * (high - low), high + 0.1 * (high - low))
    for name, values in {**curvature, "alignment": widget.alignment}.items():
        axes[name].plot(times, values, label=label, **style)
        axes[name].plot(times[frame], values[frame], "o", ms=6, color=style["color"])
        axes[name].set_xlim(0, max(float(times[-1]), widget.time))
        axes[name].set_xlabel("time τ = ηρ² · step", **_TEXT, labelpad=1)
    axes["alignment"].set_ylim(0, 1.05)
    _draw_function(axes["function"], widget, style)
    figure.legend(
        *axes["trace"].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    return figure


def _extent(columns: list[torch.Tensor]) -> tuple[float, float]:
    values = torch.cat(columns)
    values = values[values.isfinite()]
    return float(values.min()), float(values.max())


def _draw_function(axes: Axes, widget: LimitingFlow, style: dict[str, Any]) -> None:
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
    axes.plot(stops, targets, "o", ms=5, color="#1f2328")
    axes.set_xticks(stops, [f"$s_{k + 1}$" for k in range(len(stops))])
