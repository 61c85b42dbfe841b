"""Where each of the three methods of Figure 1 is bound for."""

from __future__ import annotations

from collections.abc import Mapping

from samlib.flow import Regularizer

# What the limiting flow of each method descends, and where on Γ that is least.
DESTINATIONS: Mapping[str, tuple[Regularizer, tuple[float, float]]] = {
    "sam": ("top_eigenvalue", (0.0, 0.0)),
    "one_sam": ("trace", (4 / 5, 1 / 7)),
    "ascent_loss_descent": ("smallest_nonzero_eigenvalue", (1.0, 1.0)),
}
