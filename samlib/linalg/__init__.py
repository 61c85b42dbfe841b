"""Symmetric matrices that are known by their products with vectors."""

from samlib.linalg.lanczos import Lanczos, RitzPairs, random_direction
from samlib.linalg.trust_region import maximize_quadratic
from samlib.linalg.vectors import unit_direction

__all__ = [
    "Lanczos",
    "RitzPairs",
    "maximize_quadratic",
    "random_direction",
    "unit_direction",
]
