"""The still of the figure of the three notions, drawn by matplotlib from samlib's own numbers."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse
from matplotlib.ticker import MaxNLocator

from samlib.landscapes import FourDimensional
from samlib.plotting import COLOURS
from samlib.sharpness import LimitingRegularizers
from samlib.widgets.core.four_dimensional import PREFERRED
from samlib.widgets.core.still import GREY, INK, TEXT, new_still
from samlib.widgets.figures.explicit_bias.model import (
    QUANTITIES,
    REGION,
    least_regularizer,
    on_manifold,
    side_direction,
)

_MARKERS = {"worst": "D", "ascent": "^", "average": "P"}
_REACH = 1.6


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    quantity: str
    point: tuple[float, float]
    approach: float

    def regularizers(self) -> LimitingRegularizers: ...
    def approached(self) -> float: ...


def draw(widget: _Drawn) -> Figure:
    """The map of Γ, the bowl across it at the point, and the three limiting regularizers."""
    figure = new_still(6.2)
    axes: dict[str, Axes] = figure.subplot_mosaic(
        [["map", "bowl"], ["bars", "bars"]], height_ratios=(1.9, 1)
    )
    _map(axes["map"], widget)
    _bowl(axes["bowl"], widget)
    _bars(axes["bars"], widget)
    for each in axes.values():
        each.tick_params(labelsize=9)
    return figure


def _map(axes: Axes, widget: _Drawn) -> None:
    """Γ as contours of the chosen quantity, with the point that each notion prefers."""
    chosen, symbol, _ = QUANTITIES[widget.quantity]
    grid = torch.linspace(*REGION, 141, dtype=torch.float64)
    x2, x1 = torch.meshgrid(grid, grid, indexing="ij")
    points = torch.stack([x1, x2, torch.zeros_like(x1), torch.zeros_like(x1)], dim=-1)
    objective = FourDimensional()
    values = getattr(objective.minimizer_manifold, widget.quantity)(points)
    low, high = float(values.min()), float(values.max())
    # Closer together near the minimum, and round.
    levels = np.unique(np.round(2 * (low + (high - low) * np.linspace(0.15, 0.95, 11) ** 2)) / 2)
    for level in levels:
        axes.contourf(grid, grid, values, [level, high], colors=COLOURS[chosen], alpha=0.08)
    lines = axes.contour(grid, grid, values, levels, colors=COLOURS[chosen], linewidths=0.6)
    axes.clabel(lines, list(levels[2::2]), fontsize=9, fmt="%.3g")
    hessian = objective.hessian(points)  # where λ₁ and λ_M change places:
    gap = hessian[..., 2, 2] - hessian[..., 3, 3]
    axes.contour(grid, grid, gap, [0.0], colors=GREY, linestyles="--", linewidths=1)
    _preferred(axes, chosen)
    axes.plot(*widget.point, "o", mfc="white", mec=INK, ms=9, mew=1.8)
    axes.annotate("x", widget.point, (0, 8), textcoords="offset points", ha="center", **TEXT)
    axes.set(xlim=REGION, ylim=REGION, aspect="equal")
    axes.set(xticks=(-0.5, 0, 0.5, 1), yticks=(-0.5, 0, 0.5, 1))
    axes.set_title(f"Γ, coloured by {symbol}", loc="left", **TEXT)
    axes.set_xlabel("x₁", **TEXT, labelpad=1)
    axes.set_ylabel("x₂", **TEXT, labelpad=1)


def _preferred(axes: Axes, chosen: str) -> None:
    """The point that each notion prefers, that of the chosen one filled."""
    for notion, point in PREFERRED.items():
        style: dict[str, Any] = {"mec": COLOURS[notion], "ls": "none", "mew": 1.6, "zorder": 5}
        is_chosen = notion == chosen
        fill = COLOURS[notion] if is_chosen else "white"
        axes.plot(*point, marker=_MARKERS[notion], mfc=fill, ms=10 if is_chosen else 7, **style)
        name = next(s for n, s, _ in QUANTITIES.values() if n == notion)
        axes.annotate(
            f"least {name}",
            point,
            (0, -9),
            textcoords="offset points",
            ha="center",
            va="top",
            weight="bold" if is_chosen else "normal",
            **TEXT,
        )


def _bowl(axes: Axes, widget: _Drawn) -> None:
    """(x₃, x₄) ↦ L at the point, with x′ and the direction of the gradient there."""
    objective = FourDimensional()
    x = on_manifold(widget.point)
    curvatures = objective.hessian(x).diagonal()[2:].numpy()
    for level in 2.0 ** np.arange(-2, 6):
        width, height = 2 * np.sqrt(2 * level / curvatures)
        axes.add_patch(Ellipse((0, 0), width, height, fill=False, ec=GREY, lw=0.7, alpha=0.6))
    axes.add_patch(Circle((0, 0), 1, fill=False, ec=INK, lw=0.9, ls=":"))
    side = side_direction(widget.approach)
    gradient = objective.hessian_vector_product(x, side)[2:]
    start, u = side[2:].numpy(), (gradient / gradient.norm()).numpy()
    tip, beyond = tuple(start + 0.55 * u), tuple(start + 0.65 * u)
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": COLOURS["ascent"], "lw": 2.2}
    axes.annotate("", tip, tuple(start), arrowprops={**arrow, "shrinkA": 4, "shrinkB": 0})
    axes.annotate("u", beyond, ha="center", va="center", **TEXT)
    axes.plot(*start, "o", mfc="white", mec=INK, ms=9, mew=1.8)
    axes.annotate("x′", tuple(start), (-7, 7), textcoords="offset points", ha="right", **TEXT)
    axes.set(xlim=(-_REACH, _REACH), ylim=(-_REACH, _REACH), aspect="equal")
    axes.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.set_title(
        f"the bowl across Γ at x: ½uᵀ∇²L u = {widget.approached():.3g}", loc="left", **TEXT
    )
    axes.set_xlabel("x₃/ε", **TEXT, labelpad=1)
    axes.set_ylabel("x₄/ε", **TEXT, labelpad=-4)


def _bars(axes: Axes, widget: _Drawn) -> None:
    """The limiting regularizers on one axis; S^Asc as the band that it is."""
    here = widget.regularizers()
    low, high = (float(value) for value in here.ascent_band)
    texts = {
        "worst": f"Sᴹᵃˣ = λ₁/2 = {high:.3g}",
        "ascent": f"Sᴬˢᶜ: λ_M/2 = {low:.3g} to λ₁/2 = {high:.3g}",
        "average": f"Sᴬᵛᵍ = Tr/8 = {float(here.average.value):.3g}",
    }
    for (notion, text), row in zip(texts.items(), (0, 1, 2.2), strict=True):
        colour, least = COLOURS[notion], least_regularizer(notion)
        value = float(getattr(here, notion).value)
        axes.barh(row, least, 0.4, color=colour, alpha=0.3)
        axes.barh(row, value - least, 0.4, left=least, color=colour, alpha=0.85)
        marker: dict[str, Any] = {"mfc": "white", "mec": colour, "ms": 7, "mew": 1.6}
        axes.plot(least, row, marker=_MARKERS[notion], **marker, zorder=4)
        axes.text(0, row - 0.26, text, va="bottom", **TEXT)
        above = f"+{value - least:.3g} above its least"
        axes.text(1, row - 0.26, above, va="bottom", ha="right", **TEXT,
                  transform=axes.get_yaxis_transform())  # fmt: skip
    _band(axes, low, high, widget.approached())
    corner = torch.tensor([*(REGION[1:] * 2), 0.0, 0.0], dtype=torch.float64)
    top = FourDimensional().minimizer_manifold.top_eigenvalue(corner)
    axes.set(xlim=(0, math.ceil(float(top) / 2)), ylim=(2.55, -0.6), yticks=())
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[5, 10]))
    axes.set_xlabel("S = lim R_ρ/ρ²", **TEXT, labelpad=1)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _band(axes: Axes, low: float, high: float, side: float) -> None:
    """S^Asc from its liminf to λ₁/2, and the number that x′ picks of it."""
    band: dict[str, Any] = {"fc": "#0072b226", "ec": COLOURS["ascent"], "hatch": "////"}
    axes.barh(1, high - low, 0.4, left=low, **band)
    axes.plot([low, low], [0.72, 1.28], color=COLOURS["ascent"], lw=3.5, zorder=3)
    axes.plot([side, side], [0.72, 1.28], color=INK, lw=2.2, zorder=5)
    axes.annotate(
        f"from x′: {side:.3g}", (side, 1.26), (3, -1), textcoords="offset points", va="top", size=9
    )
    axes.annotate("liminf", (low, 1.26), (0, -1), textcoords="offset points", va="top", size=9,
                  ha="right")  # fmt: skip
