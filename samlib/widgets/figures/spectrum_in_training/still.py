"""The still of the figure SpectrumInTraining, drawn by matplotlib from samlib's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samlib.plotting import COLOURS, LINE_STYLES
from samlib.widgets.core.names import METHOD_NAMES
from samlib.widgets.core.still import (
    GREY,
    GRID,
    INK,
    METHOD_MARKERS,
    TEXT,
    new_still,
)
from samlib.widgets.figures.spectrum_in_training.model import (
    BINS,
    RHOS,
    STEPS,
    bin_edges,
    edge_of_stability,
    read_sweep,
    row_of,
)

# Lines of what is predicted.
_DOTTED: dict[str, Any] = {"color": INK, "ls": ":", "lw": 1.4}


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    rho: float
    step: int

    def density(self) -> pd.DataFrame: ...


def draw(widget: _Drawn, runs: Sequence[str]) -> Figure:
    """The density beside λ₁ and the trace for every ρ; below, three panels over time."""
    figure = new_still(6.4)
    mosaic: Any = [
        ["density"] * 3 + ["top by rho"] * 3,
        ["density"] * 3 + ["trace by rho"] * 3,
        ["top"] * 2 + ["trace"] * 2 + ["accuracy"] * 2,
    ]
    axes: dict[str, Axes] = figure.subplot_mosaic(mosaic)
    _density(axes["density"], widget, runs)
    _over_time(axes, widget, runs)
    _by_rho(axes, widget, runs)
    for panel in axes.values():
        panel.tick_params(labelsize=9)
        panel.grid(color=GRID, lw=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    handles = axes["top"].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _style(name: str) -> dict[str, Any]:
    return {"color": COLOURS[name], "ls": LINE_STYLES[name], "lw": 1.6}


def _marker(name: str) -> dict[str, Any]:
    hollow = {"mfc": "white"} if name == "gradient_descent" else {}
    return {"marker": METHOD_MARKERS[name], "ms": 6, **hollow}


def _density(axes: Axes, widget: _Drawn, runs: Sequence[str]) -> None:
    """How many eigenvalues each bin holds, as steps."""
    table, edges = widget.density(), bin_edges()
    for name in runs:
        counts = np.maximum(table[name].to_numpy(), 0.1)
        axes.stairs(counts, edges, **_style(name))
    axes.axvline(_two_over_lr(), **_DOTTED)
    axes.text(_two_over_lr(), 100, "2/η ", ha="right", **TEXT)
    axes.set_xscale("symlog", linthresh=10 * BINS["unit"], linscale=1)
    axes.set_xticks([-1, -0.1, -0.01, 0, 0.01, 0.1, 1], ["−1", "−0.1", "", "0", "", "0.1", "1"])
    axes.set(
        yscale="log", xlim=(edges[0], edges[-1]), ylim=(0.7, 1.5 * table[list(runs)].max().max())
    )
    axes.minorticks_off()
    axes.set_title("eigenvalues of the Hessian in each bin", loc="left", **TEXT)
    axes.set_xlabel("eigenvalue λ", **TEXT, labelpad=1)


def _by_rho(axes: Mapping[str, Axes], widget: _Drawn, runs: Sequence[str]) -> None:
    """λ₁ and the trace at the step shown, for every ρ."""
    arrays, step, x = read_sweep().arrays, STEPS.index(widget.step), np.arange(len(RHOS))
    for panel, values in (
        ("top by rho", arrays["eigenvalues"][:, :, step, 0]),
        ("trace by rho", arrays["trace"][:, :, step]),
    ):
        for name in runs:
            row = np.array([values[row_of(name, rho)] for rho in RHOS])
            marker = {} if name == "gradient_descent" else _marker(name)  # it has no ρ
            axes[panel].plot(x, row, **_style(name), **marker)
        axes[panel].axvline(RHOS.index(widget.rho), color=GREY, lw=0.8)
        axes[panel].set_xticks(x, [f"{rho:g}" for rho in RHOS])
        axes[panel].set_ylim(bottom=0)
    if "sam" in runs:
        norms = arrays["gradient_norm"][0, :, step]
        edges = [edge_of_stability(_lr(), *pair) for pair in zip(RHOS, norms, strict=True)]
        axes["top by rho"].plot(x, edges, **_DOTTED)
    axes["top by rho"].set_title(f"λ₁ for every ρ, at step {widget.step:,}", loc="left", **TEXT)
    axes["trace by rho"].set_title("trace for every ρ", loc="left", **TEXT)
    axes["trace by rho"].set_xlabel("ρ", **TEXT, labelpad=1)


def _over_time(axes: Mapping[str, Axes], widget: _Drawn, runs: Sequence[str]) -> None:
    """λ₁ with the edges of stability, the trace and the test accuracy."""
    arrays, here = read_sweep().arrays, [STEPS.index(widget.step)]
    panels = {
        "top": ("λ₁", arrays["eigenvalues"][..., 0]),
        "trace": ("trace", arrays["trace"]),
        "accuracy": ("test accuracy in %", 100 * arrays["test_accuracy"]),
    }
    for panel, (title, values) in panels.items():
        for run in runs:
            style = {**_style(run), **_marker(run), "markevery": here, "label": METHOD_NAMES[run]}
            axes[panel].plot(np.array(STEPS), values[row_of(run, widget.rho)], **style)
        axes[panel].set_xscale("function", functions=(np.sqrt, np.square))
        axes[panel].set_xlim(0, STEPS[-1])
        axes[panel].set_xticks([0, 500, 2000, 6000], ["0", "500", "2k", "6k"])
        axes[panel].set_title(title, loc="left", **TEXT)
        axes[panel].set_xlabel("step", **TEXT, labelpad=1)
    _edges(axes["top"], widget.rho, runs)
    axes["top"].set_ylim(bottom=0)
    axes["trace"].set_ylim(bottom=0)
    axes["accuracy"].set_ylim(70, 100)


def _edges(axes: Axes, rho: float, runs: Sequence[str]) -> None:
    """The edges of stability over time, of gradient descent and of SAM."""
    norms = read_sweep().arrays["gradient_norm"][row_of("sam", rho)]
    edges = {
        "gradient_descent": np.full(len(STEPS), _two_over_lr()),
        "sam": np.array([edge_of_stability(_lr(), rho, norm) for norm in norms]),
    }
    for run in [run for run in edges if run in runs]:
        axes.plot(np.array(STEPS), edges[run], **_DOTTED)
    axes.plot([], [], **_DOTTED, label="edges of stability")


def _lr() -> float:
    return float(read_sweep().facts["settings"]["lr"]["sam"])


def _two_over_lr() -> float:
    return 2 / _lr()
