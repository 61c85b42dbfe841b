"""A picture of what is known of each layer of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from samlib._validation import require_instance
from samlib.plotting.style import COLOURS, STYLE
from samlib.sharpness import Layers

# Values that span more than this get a logarithmic axis, of so many decades at most.
_LINEAR_SPAN = 30
_DECADES = 6

# Inches for a row and points for its name: where there are few, and where there are many.
_FEW = 16
_LARGE, _SMALL = (0.26, 10.0), (0.165, 7.5)
_LONGEST_NAME = 44

_GRID = {"color": "#888888", "alpha": 0.3, "linewidth": 0.7}


def plot_layers(layers: Layers) -> Any:
    """Draw what is known of each layer: a row for each, in the order of the network.

    Parameters
    ----------
    layers
        From :func:`samlib.layerwise`.

    Returns
    -------
    An array of axes: λ₁ of each block, with a line at that of the whole Hessian; the traces; the
    shares in the gradient and in the top eigenvector; and the sharpness, if there is one.

    Notes
    -----
    The bar through a mark is ± its error. An axis is logarithmic where values span much: a hollow
    mark is then a negative value, at its size, and a triangle at the left edge is zero, or more
    than six decades below the largest. Of names, the modules that all layers are in are left out,
    and the beginning of very long ones.
    """
    require_instance("layers", layers, Layers, "what samlib.layerwise returns")
    rows, panels = len(layers.names), 3 if layers.sharpness is None else 4
    row, points = _LARGE if rows <= _FEW else _SMALL
    tops, traces, rises = layers.top_eigenvalues, layers.traces, layers.sharpness
    with plt.rc_context({**cast(Any, STYLE), "font.size": 10}):
        size = (2.6 + 1.75 * panels, 1.4 + row * rows)
        _, axes = plt.subplots(1, panels, sharey=True, figsize=size)
        _draw(axes[0], tops.value, tops.error, COLOURS["worst"], r"$\lambda_1$ of the layer")
        _draw_whole(axes[0], float(layers.whole.values[0]))
        _draw(axes[1], traces.value, traces.error, COLOURS["average"], "trace of the layer")
        _draw_shares(axes[2], layers)
        if rises is not None:
            label = r"$R^{\mathrm{Asc}}_\rho$ of the layer"
            _draw(axes[3], rises.value, rises.error, COLOURS["ascent"], label)
        for panel in axes:
            panel.grid(True, **_GRID)
            panel.tick_params(axis="y", length=0)
            panel.legend(loc="lower left", bbox_to_anchor=(-0.05, 1.0), handletextpad=0.2)
        axes[0].set_yticks(range(rows), _shortened(layers.names), fontsize=points)
        axes[0].set_ylim(rows - 0.4, -0.6)
    return axes


def _draw_whole(panel: Axes, whole: float) -> None:
    logarithmic = panel.get_xscale() == "log"
    if not np.isfinite(whole) or (logarithmic and whole <= 0):
        return
    panel.axvline(whole, color=COLOURS["worst"], linestyle="--", linewidth=1, label="whole")
    left, right = panel.get_xlim()
    beside = (whole / 2, whole * 2) if logarithmic else (whole * 1.06, whole * 1.06)
    panel.set_xlim(min(left, beside[0]), max(right, beside[1]))


def _draw_shares(panel: Axes, layers: Layers) -> None:
    gradient, of = layers.gradient_shares, layers.eigenvector_shares
    label = r"share of $\|\nabla L\|^2$"
    _draw(panel, gradient, 0 * gradient, COLOURS["ascent"], label, spans=False)
    _draw(panel, of.value, of.error, COLOURS["worst"], "share of $v_1$", marker="d", spans=False)
    largest = np.nanmax([0.25, *_numpy(gradient), *_numpy(of.value)])
    panel.set_xlim(-0.04, 1.08 * float(largest))


def _draw(
    panel: Axes,
    value: Tensor,
    error: Tensor,
    colour: str,
    label: str,
    *,
    marker: str = "o",
    spans: bool = True,
) -> None:
    """Values [rows] with their errors, on a logarithmic axis where they span much."""
    values, errors, rows = _numpy(value), _numpy(error), np.arange(len(value))
    edge = _edge(np.abs(values)) if spans else 0.0
    at = np.maximum(np.abs(values), edge) if edge else values
    beyond, negative = (np.abs(values) < edge), (values < 0) & (edge > 0)
    low = np.maximum(at - errors, edge) if edge else at - errors
    panel.hlines(rows, low, at + errors, color=colour, linewidth=1.4, alpha=0.6)
    for chosen, form, face, name in (
        (~beyond & ~negative, marker, colour, label),
        (~beyond & negative, marker, "none", "negative"),
        (beyond, "<", colour, "smaller or zero"),
    ):
        if chosen.any() or name == label:
            style: dict[str, Any] = {"color": colour, "markerfacecolor": face, "label": name}
            panel.plot(at[chosen], rows[chosen], linestyle="", marker=form, markersize=4.5, **style)
    if edge:
        panel.set_xscale("log")
        panel.set_xlim(edge / 1.5, 2 * float(np.nanmax(at + errors)))
        return
    panel.locator_params(axis="x", nbins=4)
    least, most = (f([0.0, *at[np.isfinite(at)]]) for f in (min, max))
    room = 0.06 * (most - least) or 1.0
    panel.set_xlim(least - room, most + room)


def _edge(sizes: Any) -> float:
    """Where a logarithmic axis for these numbers begins; 0 if a linear one shows them."""
    seen = sizes[np.isfinite(sizes) & (sizes > 0)]
    if not len(seen) or seen.max() <= _LINEAR_SPAN * seen.min():
        return 0.0
    return float(max(seen.min() / 2, 10.0**-_DECADES * seen.max()))


def _shortened(names: Sequence[str]) -> list[str]:
    """Names without the modules that all are in, and of long ones the end."""
    parts = [name.split(".") for name in names]
    common = 0
    while all(len(own) > common + 1 and own[common] == parts[0][common] for own in parts):
        common += 1
    return [_end(".".join(own[common:])) for own in parts]


def _end(name: str) -> str:
    """A name, or if it is long as many of its last modules as there is room for."""
    if len(name) <= _LONGEST_NAME:
        return name
    end = name[-_LONGEST_NAME:]
    return f"…{end[end.find('.') + 1 :]}"


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().cpu().double().numpy()
