"""The still of the alignment figure, drawn by matplotlib from samlib's own iterates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Polygon
from torch import Tensor

from samlib.curvature import alignment
from samlib.landscapes import Landscape
from samlib.plotting import COLOURS, LINE_STYLES
from samlib.widgets.core.still import GREY, GRID, INK, TEXT, new_still, subscript
from samlib.widgets.figures.alignment.model import (
    ARRIVED,
    cycle_radius,
    gradient_shares,
    make_loss,
)

_DASHES = ("-", "--", ":", "-.")


class _Drawn(Protocol):
    """The figure, as far as its still reads it."""

    landscape: str
    eigenvalues: Sequence[float]
    start: Sequence[float]
    rho: float
    lr: float
    steps: int
    frame: int
    invariant: bool


def draw(widget: _Drawn, runs: Mapping[str, Tensor]) -> Figure:
    """The plane (and for the four-dimensional loss the map of Γ) beside the panels over time.

    ``runs`` maps the name of a rule to its iterates [steps + 1, dim].
    """
    flat = widget.landscape == "quadratic"
    figure = new_still(5.6)
    axes = _open(figure, widget.steps, flat)
    steps = _drawn_steps(widget.steps)
    drawn = {name: x[steps] for name, x in runs.items()}
    objective = make_loss(widget.landscape, widget.eigenvalues)

    _plane(axes["plane"], widget, drawn)
    if not flat:
        _map(axes["map"], drawn)
    for name, x in drawn.items():
        _run_over_time(axes, objective, name, steps, x)
    if flat:
        _spectrum(axes["spectrum"], axes["now"], widget, runs)
        _shares_over_time(axes["over time"], widget, steps, drawn["sam"])
    axes["angle"].set(yscale="log", ylim=(1e-3, 120), yticks=[1e-3, 0.1, 10])
    axes["angle"].set_yticklabels(["0.001°", "0.1°", "10°"])
    axes["angle"].minorticks_off()
    sharpness = objective.minimizer_manifold.top_eigenvalue(drawn["sam"])
    limit = np.array([cycle_radius(widget.lr, widget.rho, float(v)) for v in sharpness])
    _limit_over_time(axes["distance"], steps, limit, math.hypot(*widget.start))
    return figure


def _open(figure: Figure, steps: int, flat: bool) -> dict[str, Axes]:
    """The pictures' places, and what the panels over time share."""
    mosaic: Any = [
        ["plane", "angle"], ["plane", "distance"], ["spectrum", "over time"], ["now", "over time"],
    ]  # fmt: skip
    if not flat:
        mosaic = [["plane"] * 3 + ["map"] * 3, ["angle"] * 2 + ["distance"] * 2 + ["sharpness"] * 2]
    heights = (1, 1, 0.7, 0.5) if flat else (1.9, 1)
    axes: dict[str, Axes] = figure.subplot_mosaic(mosaic, height_ratios=heights)
    _over_time(axes["angle"], steps, "angle between ∇L and v₁")
    _over_time(axes["distance"], steps, "‖x‖" if flat else "distance to Γ, ‖(x₃, x₄)‖")
    if not flat:
        _over_time(axes["sharpness"], steps, "λ₁ at the nearest minimizer")
    return axes


def _run_over_time(
    axes: Mapping[str, Axes], objective: Landscape, name: str, steps: list[int], x: Tensor
) -> None:
    """Angle, distance and, where it is drawn, λ₁ of a run at these steps."""
    style: dict[str, Any] = {"color": COLOURS[name], "ls": LINE_STYLES[name], "lw": 1.6}
    manifold = objective.minimizer_manifold
    # Among subnormal numbers the direction of a gradient is noise: it has arrived.
    arrived = objective.gradient(x).abs().amax(dim=-1) < ARRIVED
    cosine = alignment(objective, x).masked_fill(arrived, torch.nan).clamp(max=1)
    axes["angle"].plot(steps, np.maximum(np.degrees(np.arccos(cosine.numpy())), 1e-4), **style)
    axes["distance"].plot(steps, manifold.distance(x).numpy(), **style)
    if "sharpness" in axes:
        axes["sharpness"].plot(steps, manifold.top_eigenvalue(x).numpy(), **style)


def _limit_over_time(
    axes: Axes, steps: list[int], limit: np.ndarray[Any, Any], start: float
) -> None:
    """What Theorem 4.8 predicts of the distance, where it predicts something."""
    axes.set(yscale="log")
    if np.isfinite(limit).all() and (limit > 0).all():
        axes.plot(steps, limit, color=INK, ls=":", lw=1.6, label="predicted")
        axes.legend(frameon=False, fontsize=9, loc="upper right", borderpad=0)
        axes.set_ylim(limit.min() / 8, 2 * max(limit.max(), start))
    axes.minorticks_off()


def _drawn_steps(steps: int) -> list[int]:
    """All of the first steps, then ever fewer, even ones: the axis is logarithmic."""
    drawn = list(range(min(steps, 64)))
    t = 64
    while t < steps:
        drawn.append(t)
        t = max(t + 2, 2 * round(1.03 * t / 2))
    return [*drawn, steps]


def _over_time(axes: Axes, steps: int, title: str) -> None:
    axes.set_title(title, loc="left", **TEXT)
    axes.set_xscale("symlog", linthresh=1, linscale=0.3)
    axes.set_xlim(0, steps)
    decades = [10**k for k in range(6) if 10**k <= steps]
    # Where many decades share the axis, 1 stands too close to 0.
    ticks = [0, *(decades if len(decades) < 4 else decades[1:])]
    axes.set_xticks(ticks, [f"{t // 1000}k" if t >= 1000 else str(t) for t in ticks])
    axes.set_xlabel("step", **TEXT, labelpad=1)
    axes.tick_params(labelsize=9)
    axes.grid(color=GRID, lw=0.8)
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)


def _plane(axes: Axes, widget: _Drawn, runs: Mapping[str, Tensor]) -> None:
    """Contour ellipses of the loss, both runs, and the predicted two-cycle."""
    flat = widget.landscape == "quadratic"
    if flat:
        order = sorted(range(len(widget.eigenvalues)), key=lambda i: -widget.eigenvalues[i])
        i, j = sorted(order[:2])
        curvatures = np.array([widget.eigenvalues[i], widget.eigenvalues[j]])
    else:
        i, j = 2, 3
        end = runs["sam"][-1].nan_to_num(0.0)
        manifold = make_loss(widget.landscape, widget.eigenvalues).minimizer_manifold
        curvatures = manifold.eigenvalues(end).numpy()
    limit = cycle_radius(widget.lr, widget.rho, float(curvatures.max()))
    reach = 1.15 * max(abs(widget.start[i]), abs(widget.start[j]), 1e-9)
    if math.isfinite(limit) and limit < 20 * reach:
        reach = max(reach, 1.15 * limit)
    for level in 4.0 ** np.arange(3, -9, -1) * curvatures.max() * reach**2 / 4:
        width, height = 2 * np.sqrt(2 * level / curvatures)
        axes.add_patch(Ellipse((0, 0), width, height, fill=False, ec=GREY, lw=0.7, alpha=0.6))
    if flat and widget.invariant and widget.rho > 0 and widget.lr * curvatures.max() < 1:
        _invariant_set(axes, widget, curvatures)
    _paths(axes, runs, i, j)
    if math.isfinite(limit) and limit > 0:
        ends = np.outer([-limit, limit], curvatures == curvatures.max())
        style: Any = {"marker": "D", "mfc": "none", "mec": INK, "ls": "none", "ms": 7}
        axes.plot(ends[:, 0], ends[:, 1], **style, label="predicted")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_xlabel(f"x{subscript(i + 1)}", **TEXT, labelpad=1)
    axes.set_ylabel(f"x{subscript(j + 1)}", **TEXT, labelpad=1)
    axes.tick_params(labelsize=9)
    axes.legend(frameon=False, fontsize=9, loc="lower left")


def _invariant_set(axes: Axes, widget: _Drawn, curvatures: np.ndarray[Any, Any]) -> None:
    """‖(λ₁x₁, λ₂x₂)‖ ≤ ηρλ₁² and |x₂| ≤ ηρλ₂."""
    low, high = curvatures.min(), curvatures.max()
    along, across = widget.lr * widget.rho * high, widget.lr * widget.rho * low
    v = across * np.linspace(-1, 1, 41)
    u = np.sqrt(np.maximum(along**2 - (low / high * v) ** 2, 0))
    corners = np.stack([np.append(u, -u[::-1]), np.append(v, v[::-1])], axis=-1)
    if curvatures[0] < curvatures[1]:
        corners = corners[:, ::-1]
    axes.add_patch(Polygon(corners, fc="#1f232812", ec=INK, ls="--", label="invariant set"))


def _spectrum(above: Axes, below: Axes, widget: _Drawn, runs: Mapping[str, Tensor]) -> None:
    """The eigenvalues as stems; under them both gradients' shares along each eigenvector, now."""
    numbers = np.arange(1, len(widget.eigenvalues) + 1)
    values = np.array(widget.eigenvalues)
    above.vlines(numbers, min(0.1, values.min()), values, color=INK, lw=1.6)
    above.plot(numbers, values, "o", mfc="white", mec=INK, ms=7)
    top = int(values.argmax())
    above.plot(numbers[top], values[top], "o", color=COLOURS["eigenvector"], ms=7)
    above.annotate(
        "v₁", (numbers[top], values[top]), (0, 6), textcoords="offset points", ha="center"
    )
    above.set_title("eigenvalues λ", loc="left", **TEXT)
    above.set(yscale="log", ylim=(min(0.1, values.min()), 3 * max(10, values.max()) ** 0.99))
    above.minorticks_off()
    objective = make_loss("quadratic", widget.eigenvalues)
    shares = {n: gradient_shares(objective, x[widget.frame]).numpy() for n, x in runs.items()}
    below.bar(numbers, np.nan_to_num(shares["sam"]), 0.5, color=COLOURS["sam"])
    style: Any = {"mfc": "white", "mec": COLOURS["gradient_descent"], "ms": 6, "mew": 1.6}
    below.plot(numbers, shares["gradient_descent"], "s", **style)
    below.set_title(
        f"share of ‖∇L‖² along each eigenvector, step {widget.frame}", loc="left", **TEXT
    )
    below.set(ylim=(-0.08, 1.12), yticks=[0, 1])
    for axes in (above, below):
        axes.set_xlim(0.5, len(numbers) + 0.5)
        axes.set_xticks(numbers, [f"x{subscript(i)}" for i in numbers.tolist()])
        axes.tick_params(labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    above.tick_params(labelbottom=False)


def _shares_over_time(axes: Axes, widget: _Drawn, steps: list[int], x: Tensor) -> None:
    """SAM's shares: only that of v₁ stays."""
    _over_time(axes, widget.steps, "SAM’s share along each eigenvector")
    shares = gradient_shares(make_loss("quadratic", widget.eigenvalues), x).numpy()
    order = sorted(range(len(widget.eigenvalues)), key=lambda i: -widget.eigenvalues[i])
    for rank, i in reversed(list(enumerate(order))):
        style: dict[str, Any] = {"color": COLOURS["sam"], "ls": _DASHES[rank % 4], "lw": 1.3}
        if rank == 0:
            style = {"color": COLOURS["eigenvector"], "lw": 2}
        axes.plot(steps, np.maximum(shares[:, i], 1e-12), **style)
    axes.axvline(widget.frame, color=GREY, lw=0.8)
    axes.set(yscale="log", ylim=(1e-8, 3), yticks=[1e-8, 1e-6, 1e-4, 1e-2, 1])
    axes.minorticks_off()


def _map(axes: Axes, runs: Mapping[str, Tensor]) -> None:
    """Where on Γ the runs are, over the contours of λ₁."""
    grid = np.linspace(-0.35, 1.15, 121)
    x1, x2 = np.meshgrid(grid, grid)
    first = x1**2 + 6 * x2**2 + 8
    second = 4 * (1 - x1) ** 2 + (1 - x2) ** 2 + 1
    levels = [16.5, 18, 20, 22, 24, 26, 28, 30, 32]
    lines = axes.contour(
        x1, x2, 2 * np.maximum(first, second), levels, colors=COLOURS["worst"], linewidths=0.7
    )
    axes.clabel(lines, [18, 20, 24, 28], fontsize=9)
    _paths(axes, runs, 0, 1)
    axes.plot(0, 0, marker="D", mfc="none", mec=INK, ms=7)
    axes.annotate("least λ₁", (0, 0), (0, -12), textcoords="offset points", ha="center", va="top")
    axes.set(xlim=(-0.35, 1.15), ylim=(-0.35, 1.15), aspect="equal")
    axes.set_title("where on Γ: contours of λ₁", loc="left", **TEXT)
    axes.set_xlabel("x₁", **TEXT, labelpad=1)
    axes.set_ylabel("x₂", **TEXT, labelpad=1)
    axes.tick_params(labelsize=9)


def _paths(axes: Axes, runs: Mapping[str, Tensor], i: int, j: int) -> None:
    for name, points in runs.items():
        x = points.numpy()
        axes.plot(
            x[:, i],
            x[:, j],
            color=COLOURS[name],
            ls=LINE_STYLES[name],
            lw=1.5,
            marker="." if name == "sam" else None,
            markevery=slice(0, 64),
            ms=4,
            label={"sam": "SAM", "gradient_descent": "gradient descent"}[name],
        )
