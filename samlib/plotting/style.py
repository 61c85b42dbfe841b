"""One matplotlib style for the book, and its colours: one per notion, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

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

STYLE: dict[str, Any] = {
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
    plt.rcParams.update(cast(Any, STYLE))


class Quantity(NamedTuple):
    """How a quantity is drawn: the label of its axis, its own label, and its style."""

    axis: str
    label: str
    style: dict[str, Any]

    @property
    def plain(self) -> str:
        """The label, unless it has a prefix: then nothing that a line is labelled with."""
        return self.label if ", " not in self.label else ""


NEUTRAL = "#444444"

QUANTITIES: dict[str, Quantity] = {
    "loss": Quantity("$L$", "loss", {"color": NEUTRAL}),
    "accuracy": Quantity("accuracy", "accuracy", {"color": NEUTRAL}),
    "top_eigenvalue": Quantity(r"$\lambda_1$", r"$\lambda_1$", {"color": COLOURS["eigenvector"]}),
    "trace": Quantity(r"$\mathrm{Tr}\,\nabla^2 L$", "trace", {"color": COLOURS["average"]}),
    "alignment": Quantity(
        r"$|\cos\angle(\nabla L, v_1)|$", "alignment", {"color": COLOURS["ascent"]}
    ),
    "worst_direction": Quantity(
        r"$R_\rho$", r"$R^{\mathrm{Max}}$", {"color": COLOURS["worst"], "linestyle": "-"}
    ),
    "ascent_direction": Quantity(
        r"$R_\rho$", r"$R^{\mathrm{Asc}}$", {"color": COLOURS["ascent"], "linestyle": "--"}
    ),
    "average_direction": Quantity(
        r"$R_\rho$", r"$R^{\mathrm{Avg}}$", {"color": COLOURS["average"], "linestyle": "-."}
    ),
}

# Each limiting regularizer in the colour of the notion of sharpness that it is the limit of.
ALONG_FLOWS = {
    "top_eigenvalue": (r"$\lambda_1$", COLOURS["worst"]),
    "trace": (r"$\mathrm{Tr}\,\nabla^2 L$", COLOURS["average"]),
    "smallest_nonzero_eigenvalue": (r"$\lambda_M$", COLOURS["ascent"]),
}

FRACTIONS = {QUANTITIES["alignment"].axis, "accuracy"}
