"""Where each of the three methods of Figure 1 is bound for."""

from __future__ import annotations

from collections.abc import Mapping

from samlib.flow import Regularizer
from samlib.widgets.core.four_dimensional import PREFERRED

# What the limiting flow of each method descends, and where on Γ that is least.
DESTINATIONS: Mapping[str, tuple[Regularizer, tuple[float, float]]] = {
    "sam": ("top_eigenvalue", PREFERRED["worst"]),
    "one_sam": ("trace", PREFERRED["average"]),
    "ascent_loss_descent": ("smallest_nonzero_eigenvalue", PREFERRED["ascent"]),
}
