"""Pictures of results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from samlib._validation import require_instance, require_name, require_names
from samlib.curvature import SpectralDensity
from samlib.dynamics import Trajectory
from samlib.flow import FlowPath
from samlib.plotting.style import (
    ALONG_FLOWS,
    COLOURS,
    FRACTIONS,
    NEUTRAL,
    QUANTITIES,
    STYLE,
    Quantity,
)
from samlib.training import History

# A line through more points than this needs no markers.
_MARKED_POINTS = 40

# Positive quantities that span more than this factor get a logarithmic axis.
_LINEAR_SPAN = 30


def plot_history(
    history: History,
    *,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
    **style: Any,
) -> Any:
    """Draw what happened during a training: the loss, and each reading with its error.

    Parameters
    ----------
    history
        From :func:`samlib.training.fit`.
    names
        What to draw: "loss" and names of readings. If not given, all of them but the number of
        products, or only the first if ax is given.
    ax
        Draw into these axes. If not given, quantities with different units get panels of their
        own, one above the other, in a new figure.
    **style
        For matplotlib's ``plot``, for example ``color=COLOURS["sam"], label="SAM"`` to draw the
        histories of two optimizers into the same axes.

    Returns
    -------
    The axes, or an array of them if there are several panels.

    Raises
    ------
    ValueError
        If a name was not read, or there is nothing to draw.

    Notes
    -----
    With several steps in an epoch, the loss of each step is drawn faintly and the mean of each
    epoch over it. The band around a reading is ± its error.
    """
    require_instance("history", history, History, "what samlib.training.fit returns")
    _require_axes(ax)
    known = [*(["loss"] if len(history.losses) else []), *history.readings]
    if names is None:
        names = [name for name in known if not name.endswith("products")]
        names = names if ax is None else names[:1]
    chosen = require_names("names", names, known)
    if not chosen:
        raise ValueError("names must not be empty: there is nothing to draw, got []")
    panels: dict[str, list[str]] = {}
    for name in chosen:
        panels.setdefault("" if ax is not None else _quantity(name).axis, []).append(name)
    with plt.rc_context(cast(Any, STYLE)):
        axes = [ax] if ax is not None else _stacked_axes(len(panels))
        for panel, members in zip(axes, panels.values(), strict=True):
            for name in members:
                _draw_series(panel, history, name, style)
            labels = {_quantity(name).axis: None for name in members}
            panel.set_ylabel(", ".join(labels))
            _choose_scale(panel, bounded=set(labels) <= FRACTIONS)
            # One line needs no legend, unless its label says more than the axis.
            lines = panel.get_legend_handles_labels()[1]
            plain = {_quantity(name).plain for name in members}
            if len(lines) > 1 or not plain.issuperset(lines):
                panel.legend(ncols=min(3, len(lines)))
        axes[-1].set_xlabel("step")
        cast(Figure, axes[-1].figure).align_ylabels(axes)
    return axes[0] if len(axes) == 1 else np.array(axes)


def plot_spectral_density(density: SpectralDensity, *, ax: Axes | None = None) -> Axes:
    """Draw a spectral density on a logarithmic axis, with a band of ± its standard error.

    Parameters
    ----------
    density
        From :func:`samlib.spectral_density`.
    ax
        Draw into these axes, or into a new figure.

    Notes
    -----
    A Hessian of D parameters has D eigenvalues, so one of them alone weighs 1/D: large
    eigenvalues are low peaks, which only a logarithmic axis shows. It ends six decades below the
    highest.
    """
    require_instance("density", density, SpectralDensity, "what samlib.spectral_density returns")
    _require_axes(ax)
    grid, height, error = (_numpy(t) for t in (density.grid, density.density, density.error))
    with plt.rc_context(cast(Any, STYLE)):
        panel = _stacked_axes(1)[0] if ax is None else ax
        floor, tiny = 1e-6 * height.max(), np.finfo(height.dtype).tiny
        low, middle, high = (np.maximum(h, tiny) for h in (height - error, height, height + error))
        colour = COLOURS["eigenvector"]
        panel.fill_between(grid, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.plot(grid, middle, color=colour)
        panel.set_yscale("log")
        panel.set_ylim(floor, 3 * high.max())
        panel.set_xlabel(r"eigenvalue $\lambda$ of $\nabla^2 L$")
        panel.set_ylabel("density")
    return panel


def plot_trajectory(
    trajectory: Trajectory, name: str, *, ax: Axes | None = None, **style: Any
) -> Axes:
    """Draw one recorded quantity of every run of a trajectory over the steps.

    Parameters
    ----------
    trajectory
        From :func:`samlib.simulate`.
    name
        A recorded scalar such as "loss", "alignment" or "top_eigenvalue", or a coordinate of a
        recorded vector, as in the data frame: "x1", …, "xD".
    ax
        Draw into these axes, or into a new figure.
    **style
        For matplotlib's ``plot``, for example ``color=COLOURS["sam"], label="SAM"``.

    Raises
    ------
    ValueError
        If there is no such scalar or coordinate.

    Notes
    -----
    Several runs are told apart by the colour of ρ (or of η, if only that differs).
    """
    require_instance("trajectory", trajectory, Trajectory, "what samlib.simulate returns")
    _require_axes(ax)
    values = _numpy(_scalar(trajectory, name))
    steps = _numpy(trajectory.steps)
    labels, shades = _run_labels(trajectory)
    with plt.rc_context(cast(Any, STYLE)):
        panel = _stacked_axes(1)[0] if ax is None else ax
        for run, series in enumerate(values):
            own: dict[str, Any] = {"color": shades[run], "label": labels[run]}
            panel.plot(steps, series, **{**own, **style})
        panel.set_xlabel("step")
        panel.set_ylabel(_coordinate_label(name))
        if any(labels) or "label" in style:
            panel.legend()
    return panel


def plot_limiting_flow(
    flow: FlowPath, *, name: str | None = None, ax: Axes | None = None, **style: Any
) -> Axes:
    """Draw a curvature along a limiting flow over its time τ.

    Parameters
    ----------
    flow
        From :func:`samlib.limiting_flow`.
    name
        "top_eigenvalue", "trace" or "smallest_nonzero_eigenvalue"; what the flow lowers if not
        given.
    ax
        Draw into these axes, or into a new figure.
    **style
        For matplotlib's ``plot``.

    Raises
    ------
    ValueError
        If the name is none of these.
    """
    require_instance("flow", flow, FlowPath, "what samlib.limiting_flow returns")
    _require_axes(ax)
    if name is None:
        values, (label, colour) = flow.value, ALONG_FLOWS.get(flow.regularizer, ("$S$", "black"))
    else:
        require_name("name", name, ALONG_FLOWS)
        values, (label, colour) = getattr(flow, name), ALONG_FLOWS[name]
    with plt.rc_context(cast(Any, STYLE)):
        panel = _stacked_axes(1)[0] if ax is None else ax
        panel.plot(_numpy(flow.times), _numpy(values), **{"color": colour, **style})
        panel.set_xlabel(r"$\tau$ (one step advances it by $\eta\rho^2$)")
        panel.set_ylabel(label)
        if "label" in style:
            panel.legend()
    return panel


def _require_axes(ax: Axes | None) -> None:
    if ax is not None:
        require_instance("ax", ax, Axes, "axes of matplotlib or None")


def _stacked_axes(panels: int) -> list[Axes]:
    width, height = cast(Any, STYLE["figure.figsize"])
    size = (width, height if panels == 1 else 0.4 + 1.75 * panels)
    _, axes = plt.subplots(panels, 1, sharex=True, figsize=size, squeeze=False)
    return list(axes[:, 0])


def _quantity(name: str) -> Quantity:
    """Of a name such as top_eigenvalue or test_top_eigenvalue; dashed if it has a prefix."""
    for known, quantity in QUANTITIES.items():
        if name == known:
            return quantity
        if name.endswith(f"_{known}"):
            prefix = name.removesuffix(f"_{known}").replace("_", " ")
            style = {**quantity.style, "linestyle": ":"}
            return Quantity(quantity.axis, f"{quantity.label}, {prefix}", style)
    readable = name.replace("_", " ")
    return Quantity(readable, readable, {"color": NEUTRAL})


def _draw_series(panel: Axes, history: History, name: str, style: dict[str, Any]) -> None:
    quantity = _quantity(name)
    own: dict[str, Any] = {"label": quantity.label, **quantity.style, **style}
    if name == "loss":
        _draw_losses(panel, history, own)
        return
    reading = history[name]
    steps, values = _numpy(reading.steps), _numpy(reading.values)
    if len(values) <= _MARKED_POINTS:
        own = {"marker": "o", "markersize": 3.5, **own}
    (line,) = panel.plot(steps, values, **own)
    if reading.errors is not None:
        errors = _numpy(reading.errors)
        panel.fill_between(
            steps, values - errors, values + errors, color=line.get_color(), alpha=0.2, linewidth=0
        )


def _draw_losses(panel: Axes, history: History, style: dict[str, Any]) -> None:
    losses = _numpy(history.losses)
    counts = np.unique(_numpy(history.epochs), return_counts=True)[1]
    steps = np.arange(len(losses))
    if len(counts) == len(losses):
        panel.plot(steps, losses, **style)
        return
    (line,) = panel.plot(steps, losses, **{**style, "alpha": 0.45, "linewidth": 0.8, "label": None})
    if style["label"] == QUANTITIES["loss"].label:
        style = {**style, "label": "mean of the epoch"}
    middles = np.cumsum(counts) - (counts + 1) / 2
    panel.plot(middles, _numpy(history.epoch_losses), **{**style, "color": line.get_color()})


def _choose_scale(panel: Axes, bounded: bool) -> None:
    """Fractions from 0 to 1; a logarithmic axis for what is positive and spans much."""
    if bounded:
        panel.set_ylim(-0.03, 1.03)
        return
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in panel.lines])
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) and drawn.min() > 0 and drawn.max() > _LINEAR_SPAN * drawn.min():
        panel.set_yscale("log")


def _scalar(trajectory: Trajectory, name: str) -> Tensor:
    """The values [batch, records] under a name of the data frame's columns."""
    columns: dict[str, Tensor] = {}
    for key, values in trajectory.data.items():
        if values.dim() == 2:
            columns[key] = values
        else:
            columns.update({f"{key}{i + 1}": values[..., i] for i in range(values.shape[-1])})
    require_name("name", name, columns)
    return columns[name]


def _run_labels(trajectory: Trajectory) -> tuple[list[str | None], list[Any]]:
    """One label, at most six of them, and one colour per run."""
    radii = None if trajectory.rho is None else _numpy(trajectory.rho)
    rates = _numpy(trajectory.lr)
    runs = len(rates)
    vary = [
        (symbol, values)
        for symbol, values in ((r"\rho", radii), (r"\eta", rates))
        if values is not None and len(np.unique(values)) > 1
    ]
    if not vary:
        alpha = 1.0 if runs == 1 else max(0.2, runs**-0.5)
        return [None] * runs, [(*to_rgb(NEUTRAL), alpha)] * runs
    ranks = np.unique(vary[0][1], return_inverse=True)[1]
    shades = plt.get_cmap("viridis")(0.9 * ranks / max(1, ranks.max()))
    shown = set(np.linspace(0, runs - 1, min(runs, 6)).round().astype(int).tolist())
    labels = [
        "$" + r",\ ".join(f"{symbol} = {values[run]:.3g}" for symbol, values in vary) + "$"
        if run in shown
        else None
        for run in range(runs)
    ]
    return labels, list(shades)


def _coordinate_label(name: str) -> str:
    match = re.fullmatch(r"x(\d+)", name)
    return f"$x_{{{match[1]}}}$" if match else _quantity(name).axis


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()
