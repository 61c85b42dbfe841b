"""The still of the figure Thermostat, drawn by matplotlib from samlib's own iterates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from samlib.plotting import COLOURS
from samlib.widgets.core.still import GREY, INK, TEXT, count_steps, new_still, open_axes, subscript
from samlib.widgets.figures.thermostat.model import multiplier, ranks

# What is shown of m, and how many decades of the gradient's components.
LOW, HIGH, DECADES = -2.7, 1.5, 6
_RANGE = (-2.5, 4.5)
_DASHES: Sequence[Any] = ("-", (0, (6, 3)), (0, (2, 2)), (0, (7, 2, 1, 2)))


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    eigenvalues: Sequence[float]
    rho: float
    lr: float
    steps: int
    frame: int

    @property
    def balance(self) -> float: ...
    def gradients(self) -> Tensor: ...
    def gradient_norms(self) -> Tensor: ...
    def multipliers(self) -> Tensor: ...


def draw(widget: _Drawn) -> Figure:
    """The curve m(λ) with the eigenvalues on it, beside the components over time."""
    figure = new_still(3.9)
    axes = figure.subplot_mosaic([["curve", "run"]], width_ratios=(1.55, 1))
    _curve(axes["curve"], widget)
    _run(axes["run"], widget)
    return figure


def _curve(axes: Axes, widget: _Drawn) -> None:
    """The band |m| < 1, gradient descent's line, SAM's curve, and the eigenvalues."""
    open_axes(axes, "multiplier m(λ) = 1 − ηλ − ηρλ²/‖∇L‖")
    axes.grid(False)
    axes.axhspan(-1, 1, color=COLOURS["sam"], alpha=0.13, lw=0)
    values = torch.linspace(*_RANGE, 201, dtype=torch.float64)
    norm = widget.gradient_norms()[widget.frame]
    axes.plot(values, 1 - widget.lr * values, "--", color=COLOURS["gradient_descent"], lw=1.2)
    curve = multiplier(values, norm, lr=widget.lr, rho=widget.rho)
    axes.plot(values, np.clip(curve, 10 * LOW, 10 * HIGH), color=COLOURS["sam"], lw=2.5)
    if widget.balance > 0:
        axes.plot(max(widget.eigenvalues), -1, "D", mfc="none", mec=INK, ms=11)
    m = widget.multipliers()[widget.frame].nan_to_num(-math.inf).clamp(LOW + 0.1, HIGH - 0.1)
    for value, height, rank in zip(
        widget.eigenvalues, m.tolist(), ranks(widget.eigenvalues), strict=True
    ):
        fill = COLOURS["eigenvector"] if value == max(widget.eigenvalues) else "white"
        axes.plot(value, height, "o", mfc=fill, mec=INK, ms=8, zorder=3)
        place: dict[str, Any] = {"xytext": (7, 6), "textcoords": "offset points"}
        axes.annotate(f"v{subscript(rank)}", (value, height), **place, **TEXT)
    right: dict[str, Any] = {"ha": "right", "color": INK, "size": 9}
    axes.annotate("m > 1: it grows", (_RANGE[1], 1.15), **right)
    axes.annotate("|m| < 1: it shrinks", (_RANGE[1], 0.72), **right)
    axes.annotate("m < −1: it flips and grows", (_RANGE[0] + 0.1, -2.6), color=INK, size=9)
    axes.set(xlim=_RANGE, ylim=(LOW, HIGH), yticks=[-2, -1, 0, 1])
    axes.set_xlabel("eigenvalue λ", **TEXT, labelpad=1)


def _run(axes: Axes, widget: _Drawn) -> None:
    """‖∇L‖ and its components, step by step."""
    open_axes(axes, "length of ∇L, and of its parts")
    norms = widget.gradient_norms().numpy()
    parts = widget.gradients().abs().numpy()
    top = _top(norms, widget.balance)
    steps = np.arange(widget.steps + 1)
    for i, rank in enumerate(ranks(widget.eigenvalues)):
        tops = widget.eigenvalues[i] == max(widget.eigenvalues)
        colour = COLOURS["eigenvector"] if tops else GREY
        axes.plot(steps, _drawable(parts[:, i], top), ls=_DASHES[rank - 1], color=colour, lw=1.5)
    axes.plot(steps, _drawable(norms, top), color=COLOURS["sam"], lw=3, alpha=0.8)
    if widget.balance > 0:
        axes.axhline(widget.balance, color=INK, ls=":", lw=1.2)
        axes.annotate("balance", (widget.steps, widget.balance), ha="right", va="bottom", **TEXT)
    axes.axvline(widget.frame, color=GREY, lw=0.8)
    axes.set_yscale("log")
    axes.set(xlim=(0, widget.steps), ylim=(top / 10**DECADES, top))
    axes.minorticks_off()
    count_steps(axes)
    axes.set_xlabel("step", **TEXT, labelpad=1)


def _drawable(values: Any, top: float) -> Any:
    """What a logarithmic axis can show: no zero, and nothing far above the picture."""
    return np.where(values > 0, np.minimum(values, 10 * top), np.nan)


def _top(norms: Any, balance: float) -> float:
    """The power of ten above the run; a run that diverges is followed for three decades."""
    first = float(norms[0]) if norms[0] > 0 else 1.0
    level = max(first, balance) if balance > 0 else first
    finite = norms[np.isfinite(norms)]
    return float(10 ** math.ceil(math.log10(1.1 * min(max(level, finite.max()), 1e3 * level))))
