"""What the stills share: sizes and colours of texts and lines, and the look of each method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from samlib.plotting.style import STYLE

# The width of a still in inches, and its pixels to the inch.
WIDTH, DPI = 7.4, 100

TEXT: Mapping[str, Any] = {"size": 10}
INK, GREY, GRID = "#1f2328", "#8b949e", STYLE["grid.color"]

# The look of a method: its mark. Where nothing else is said, its colour and its dashes are those of
# samlib.plotting.
METHOD_MARKERS: Mapping[str, str] = {
    "gradient_descent": "s",
    "sam": "o",
    "mini_batch": "D",
    "one_sam": "^",
}
MINI_BATCH_DASHES = (0, (6, 2))

# The limiting flow of each regularizer: the notion whose colour it has, and what it lowers.
FLOWS: Mapping[str, tuple[str, str]] = {
    "top_eigenvalue": ("worst", "λ₁"),
    "trace": ("average", "the trace"),
}


def new_still(height: float) -> Figure:
    """An empty figure so many inches high."""
    return Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")


def open_axes(axes: Axes, title: str) -> None:
    """Give axes their title, a grid, and no frame at the top and on the right."""
    axes.set_title(title, loc="left", **TEXT)
    axes.tick_params(labelsize=9)
    axes.grid(color=GRID, lw=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def count_steps(axes: Axes) -> None:
    """A few whole numbers as ticks, thousands with a k."""
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(lambda t, _: f"{t / 1000:g}k" if t >= 1000 else f"{t:g}")


def subscript(n: int) -> str:
    """A number as a subscript: 12 as ₁₂."""
    return str(n).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, read from a PNG's header."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
