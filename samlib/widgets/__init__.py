"""Interactive figures: widgets in a notebook, live on a page without a kernel, a still in print."""

from samlib.widgets.alignment import Alignment
from samlib.widgets.opposite_drifts import OppositeDrifts

__all__ = ["Alignment", "OppositeDrifts"]
