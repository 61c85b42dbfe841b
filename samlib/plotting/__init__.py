"""Pictures of results, in one style and with one colour per notion."""

from samlib.plotting.layers import plot_layers
from samlib.plotting.plots import (
    plot_history,
    plot_limiting_flow,
    plot_spectral_density,
    plot_trajectory,
)
from samlib.plotting.style import COLOURS, LINE_STYLES, use_book_style

__all__ = [
    "COLOURS",
    "LINE_STYLES",
    "plot_history",
    "plot_layers",
    "plot_limiting_flow",
    "plot_spectral_density",
    "plot_trajectory",
    "use_book_style",
]
