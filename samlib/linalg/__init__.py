"""Symmetric matrices that are known by their products with vectors."""

from samlib.linalg.eigenpairs import EigenSearch
from samlib.linalg.lanczos import Lanczos, RitzPairs, random_direction
from samlib.linalg.operator import Operator
from samlib.linalg.trust_region import maximize_quadratic
from samlib.linalg.vectors import unit_direction

__all__ = [
    "EigenSearch",
    "Lanczos",
    "Operator",
    "RitzPairs",
    "maximize_quadratic",
    "random_direction",
    "unit_direction",
]
