"""The still of the figure SpectrumInTraining, drawn by matplotlib from samlib's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samlib.plotting import COLOURS, LINE_STYLES
from samlib.widgets.spectrum_in_training import (
    BINS,
    RHOS,
    STEPS,
    bin_edges,
    edge_of_stability,
    read_sweep,
)

if TYPE_CHECKING:
    from samlib.widgets.spectrum_in_training import SpectrumInTraining

_TEXT: dict[str, Any] = {"size": 10}
_INK = "#1f2328"
_MARKERS = {"gradient_descent": "s", "sam": "o", "one_sam": "^"}
_NAMES = {"gradient_descent": "gradient descent", "sam": "full-batch SAM", "one_sam": "1-SAM"}


def draw(widget: SpectrumInTraining) -> Figure:
    """The density beside λ₁ and the trace for every ρ; below, three panels over time."""
    figure = Figure(figsize=(7.4, 6.4), dpi=100, layout="constrained")
    mosaic: Any = [
        ["density"] * 3 + ["top by rho"] * 3,
        ["density"] * 3 + ["trace by rho"] * 3,
        ["top"] * 2 + ["trace"] * 2 + ["accuracy"] * 2,
    ]
    axes: dict[str, Axes] = figure.subplot_mosaic(mosaic)
    runs = widget._runs()
    if widget.method != "all":
        name = {"gradient descent": "gradient_descent", "SAM": "sam", "1-SAM": "one_sam"}
        runs = {name[widget.method]: runs[name[widget.method]]}
    step = STEPS.index(widget.step)
    _density(axes["density"], widget, list(runs))
    _over_time(axes, widget, runs)
    _by_rho(axes, widget, list(runs), step)
    for panel in axes.values():
        panel.tick_params(labelsize=9)
        panel.grid(color="#e4e4e4", lw=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *axes["top"].get_legend_handles_labels(),
        loc="outside lower center", ncols=4, frameon=False, fontsize=9,
    )  # fmt: skip
    return figure


def _style(name: str) -> dict[str, Any]:
    return {"color": COLOURS[name], "ls": LINE_STYLES[name], "lw": 1.6}


def _marker(name: str) -> dict[str, Any]:
    hollow = {"mfc": "white"} if name == "gradient_descent" else {}
    return {"marker": _MARKERS[name], "ms": 6, **hollow}


def _density(axes: Axes, widget: SpectrumInTraining, runs: list[str]) -> None:
    """How many eigenvalues each bin holds, as steps."""
    table, edges = widget.density(), bin_edges()
    for name in runs:
        counts = np.maximum(table[name].to_numpy(), 0.1)
        axes.stairs(counts, edges, **_style(name))
    axes.axvline(_two_over_lr(), color=_INK, ls=":", lw=1.4)
    axes.text(_two_over_lr(), 100, "2/η ", ha="right", **_TEXT)
    axes.set_xscale("symlog", linthresh=10 * BINS["unit"], linscale=1)
    axes.set_xticks([-1, -0.1, -0.01, 0, 0.01, 0.1, 1], ["−1", "−0.1", "", "0", "", "0.1", "1"])
    axes.set(yscale="log", xlim=(edges[0], edges[-1]), ylim=(0.7, 1.5 * table[runs].max().max()))
    axes.minorticks_off()
    axes.set_title("eigenvalues of the Hessian in each bin", loc="left", **_TEXT)
    axes.set_xlabel("eigenvalue λ", **_TEXT, labelpad=1)


def _by_rho(axes: dict[str, Axes], widget: SpectrumInTraining, runs: list[str], step: int) -> None:
    """λ₁ and the trace at the step shown, for every ρ."""
    arrays, lr = read_sweep().arrays, read_sweep().facts["settings"]["lr"]["sam"]
    x = np.arange(len(RHOS))
    for panel, values in (
        ("top by rho", arrays["eigenvalues"][:, :, step, 0]),
        ("trace by rho", arrays["trace"][:, :, step]),
    ):
        for name in runs:
            row = values[1 if name == "one_sam" else 0]
            marker = _marker(name)
            if name == "gradient_descent":
                row, marker = np.full(len(RHOS), row[0]), {}
            axes[panel].plot(x, row, **_style(name), **marker)
        axes[panel].axvline(RHOS.index(widget.rho), color="#8b949e", lw=0.8)
        axes[panel].set_xticks(x, [f"{rho:g}" for rho in RHOS])
        axes[panel].set_ylim(bottom=0)
    if "sam" in runs:
        norms = arrays["gradient_norm"][0, :, step]
        edges = [edge_of_stability(lr, *pair) for pair in zip(RHOS, norms, strict=True)]
        axes["top by rho"].plot(x, edges, color=_INK, ls=":", lw=1.4)
    axes["top by rho"].set_title(f"λ₁ for every ρ, at step {widget.step:,}", loc="left", **_TEXT)
    axes["trace by rho"].set_title("trace for every ρ", loc="left", **_TEXT)
    axes["trace by rho"].set_xlabel("ρ", **_TEXT, labelpad=1)


def _over_time(
    axes: dict[str, Axes], widget: SpectrumInTraining, runs: dict[str, tuple[int, int]]
) -> None:
    """λ₁ with the edges of stability, the trace and the test accuracy."""
    arrays, facts = read_sweep()
    lr, steps = facts["settings"]["lr"]["sam"], np.array(STEPS)
    panels = {
        "top": ("λ₁", arrays["eigenvalues"][..., 0]),
        "trace": ("trace", arrays["trace"]),
        "accuracy": ("test accuracy in %", 100 * arrays["test_accuracy"]),
    }
    for panel, (title, values) in panels.items():
        for name, run in runs.items():
            here = [STEPS.index(widget.step)]
            style = {**_style(name), **_marker(name), "markevery": here, "label": _NAMES[name]}
            axes[panel].plot(steps, values[run], **style)
        axes[panel].set_xscale("function", functions=(np.sqrt, np.square))
        axes[panel].set_xlim(0, STEPS[-1])
        axes[panel].set_xticks([0, 500, 2000, 6000], ["0", "500", "2k", "6k"])
        axes[panel].set_title(title, loc="left", **_TEXT)
        axes[panel].set_xlabel("step", **_TEXT, labelpad=1)
    dotted: dict[str, Any] = {"color": _INK, "ls": ":", "lw": 1.4}
    edges = {"gradient_descent": np.full(len(steps), _two_over_lr())}
    norms = arrays["gradient_norm"][runs["sam"]] if "sam" in runs else []
    edges["sam"] = np.array([edge_of_stability(lr, widget.rho, norm) for norm in norms])
    for name in [name for name in edges if name in runs]:
        axes["top"].plot(steps, edges[name], **dotted)
    axes["top"].plot([], [], **dotted, label="edges of stability")
    axes["top"].set_ylim(bottom=0)
    axes["trace"].set_ylim(bottom=0)
    axes["accuracy"].set_ylim(70, 100)


def _two_over_lr() -> float:
    return 2.0 / float(read_sweep().facts["settings"]["lr"]["sam"])
