"""What the figures call the notions of sharpness and the methods."""

from __future__ import annotations

from collections.abc import Mapping

# The three notions of sharpness, in the order in which they are named.
NOTIONS = ("worst", "ascent", "average")

METHOD_NAMES: Mapping[str, str] = {
    "gradient_descent": "gradient descent",
    "sam": "full-batch SAM",
    "one_sam": "1-SAM",
}
