"""One matplotlib style for the book, and its colours: one per notion, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import matplotlib.pyplot as plt
from cycler import cycler

# Okabe and Ito's palette, distinguishable under the common forms of colour blindness.
COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "worst": "#D55E00",
        "ascent": "#0072B2",
        "average": "#009E73",
        "sam": "#CC79A7",
        "gradient_descent": "#666666",
        "one_sam": "#E69F00",
        "eigenvector": "#000000",
    }
)

# Never by colour alone: each rule also has a line style.
LINE_STYLES: Mapping[str, str] = MappingProxyType(
    {"sam": "-", "gradient_descent": "--", "one_sam": "-."}
)

_STYLE: dict[str, Any] = {
    "figure.figsize": (5.8, 3.3),
    "figure.dpi": 130,
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "mathtext.fontset": "dejavusans",
    "axes.prop_cycle": cycler(color=list(COLOURS.values())),
}


def use_book_style() -> None:
    """Make the book's style the default of matplotlib for this session.

    Examples
    --------
    >>> import samlib
    >>> samlib.plotting.use_book_style()
    """
    plt.rcParams.update(cast(Any, _STYLE))
