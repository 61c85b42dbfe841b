"""The still of the figure Explore, drawn by matplotlib from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samlib.plotting import COLOURS
from samlib.widgets.core.names import NOTIONS
from samlib.widgets.core.still import GREY, INK, TEXT, new_still, open_axes, subscript
from samlib.widgets.figures.explore.measurement import PointMeasurement, RadiusMeasurement
from samlib.widgets.figures.explore.quadratic_model import MODEL_RADII

_LEAST_COSINE = 1e-4
_MARKERS = {"worst": "o", "ascent": "s", "average": "D"}
_DASHES = {"worst": "-", "ascent": "--", "average": "-.", "random": ":"}
_NAMES = {
    "worst": "worst direction",
    "ascent": "gradient’s direction",
    "average": "average direction",
    "random": "one random direction",
}


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    rho: float

    @property
    def parameters(self) -> int: ...
    @property
    def point(self) -> PointMeasurement | None: ...
    @property
    def results(self) -> Mapping[float, RadiusMeasurement]: ...


def draw(widget: _Drawn) -> Figure:
    """L along three directions beside the sharpnesses over ρ; below, eigenvalues and cosines."""
    figure = new_still(5.6)
    axes: dict[str, Axes] = figure.subplot_mosaic(
        [["profile", "sharpness"], ["eigenvalues", "cosines"]], height_ratios=(1.7, 1)
    )
    titles = {
        "profile": "rise of L along three directions",
        "sharpness": "sharpness over ρ",
        "eigenvalues": "top eigenvalues of ∇²L",
        "cosines": "alignment |cos∠(∇L, v)|",
    }
    for name, title in titles.items():
        open_axes(axes[name], title)
    results, point = widget.results, widget.point
    if point is not None:
        _spectrum(axes["eigenvalues"], axes["cosines"], point, widget.parameters)
    if point is not None and results:
        nearest = min(results, key=lambda rho: abs(np.log(rho / widget.rho)))
        _profile(axes["profile"], results[nearest])
        _over_radii(axes["sharpness"], point, list(results.values()), nearest)
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _profile(axes: Axes, result: RadiusMeasurement) -> None:
    for name, rise in result.profiles.items():
        colour = COLOURS.get(name, GREY)
        axes.plot(result.steps, rise, color=colour, ls=_DASHES[name], lw=1.8)
    inside = result.steps.abs() <= 1.05 * result.rho
    shown = [rise[inside].nan_to_num() for rise in result.profiles.values()]
    low, high = (float(torch.cat(shown).min()), float(torch.cat(shown).max()))
    room = 0.25 * (high - low or 1.0)  # beyond ±ρ curves may leave the picture
    axes.set_ylim(low - room, high + room)
    for name in ("worst", "ascent"):
        at = result.rho * (result.length if name == "worst" else 1)
        style: Any = {"marker": _MARKERS[name], "color": COLOURS[name], "ms": 7}
        axes.plot(at, float(result.sharpness[name].value), **style)
    mean = float(result.sharpness["average"].value)
    style = {"marker": _MARKERS["average"], "color": COLOURS["average"], "ls": "none", "ms": 6}
    axes.plot([-result.rho, result.rho], [mean, mean], **style)
    for side in (-result.rho, result.rho):
        axes.axvline(side, color=GREY, lw=0.8)
    axes.set_xlabel(f"s; the lines are at ±ρ = ±{result.rho:.3g}", **TEXT, labelpad=1)
    axes.set_ylabel("L(x + s u) − L(x)", **TEXT, labelpad=1)


def _over_radii(
    axes: Axes, point: PointMeasurement, results: list[RadiusMeasurement], chosen: float
) -> None:
    radii = [result.rho for result in results]
    low, high = min(*radii, 0.001), max(*radii, 1.0)
    grid = torch.tensor(MODEL_RADII, dtype=torch.float64)
    grid = grid[(grid >= low * 0.9) & (grid <= high * 1.1)]
    predicted = point.quadratic.predict(grid)
    for notion in NOTIONS:
        line = predicted[notion].where(predicted[notion] > 0, torch.nan)
        axes.plot(grid, line, color=COLOURS[notion], ls=_DASHES[notion], lw=1)
        values = [float(result.sharpness[notion].value) for result in results]
        errors = [float(result.sharpness[notion].error) for result in results]
        axes.errorbar(
            radii,
            np.where(np.array(values) > 0, values, np.nan),
            errors,
            fmt=_MARKERS[notion],
            color=COLOURS[notion],
            ms=6,
            label=_NAMES[notion],
        )
    axes.plot([], [], color=GREY, ls=_DASHES["random"], label=_NAMES["random"])
    axes.axvline(chosen, color=GREY, lw=0.8)
    axes.set(xscale="log", yscale="log", xlim=(low * 0.9, high * 1.1))
    axes.set_xlabel("ρ; the lines are the quadratic model’s", **TEXT, labelpad=1)
    axes.minorticks_off()


def _spectrum(above: Axes, below: Axes, point: PointMeasurement, dim: int) -> None:
    values = point.eigenvalues.values.numpy()
    numbers = np.arange(1, len(values) + 1)
    above.vlines(numbers, min(0.0, values.min()), values, color=INK, lw=1.6)
    above.plot(numbers, values, "o", mfc="white", mec=INK, ms=7)
    above.plot(1, values[0], "o", color=COLOURS["eigenvector"], ms=7)
    above.margins(y=0.12)
    above.axhline(0, color=GREY, lw=0.8)
    cosines = point.cosines.clamp(min=_LEAST_COSINE).numpy()
    below.plot(numbers, cosines, "o", mfc="white", mec=INK, ms=7)
    below.plot(1, cosines[0], "o", color=COLOURS["eigenvector"], ms=7)
    below.set(yscale="log", ylim=(0.6 * _LEAST_COSINE, 1.6), yticks=[1e-4, 1e-2, 1])
    usual = dim**-0.5
    below.axhline(usual, color=GREY, ls=":", lw=1.5)
    below.text(len(numbers) + 0.45, 1.2 * usual, "a random direction, 1/√D", size=9, ha="right")
    subscripts = [subscript(n) for n in numbers.tolist()]
    above.set_xticks(numbers, [f"λ{n}" for n in subscripts])
    below.set_xticks(numbers, [f"v{n}" for n in subscripts])
    for axes in (above, below):
        axes.set_xlim(0.5, len(numbers) + 0.5)
        axes.minorticks_off()
