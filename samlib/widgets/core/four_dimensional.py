"""Where on Γ of the loss of Figure 1 each notion of sharpness finds its best minimizer."""

from __future__ import annotations

from collections.abc import Mapping

# The (x₁, x₂) where each notion's limiting regularizer is least: F₁ (λ₁ = 2F₁ there) at the origin,
# F₂ (λ_M) at (1, 1), their sum (the trace) where x₁ = 4(1 − x₁) and 6x₂ = 1 − x₂.
PREFERRED: Mapping[str, tuple[float, float]] = {
    "worst": (0.0, 0.0),
    "ascent": (1.0, 1.0),
    "average": (4 / 5, 1 / 7),
}
