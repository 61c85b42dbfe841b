"""Symmetric matrices that are known by their products with vectors."""

from samlib.linalg.eigen_search import EigenSearch
from samlib.linalg.lanczos import Lanczos, RitzPairs, random_direction
from samlib.linalg.operator import Operator
from samlib.linalg.shards import Shards
from samlib.linalg.trust_region import maximize_quadratic
from samlib.linalg.vectors import norm, part_of_unit_direction, power_of_two, unit_direction

__all__ = [
    "EigenSearch",
    "Lanczos",
    "Operator",
    "RitzPairs",
    "Shards",
    "maximize_quadratic",
    "norm",
    "part_of_unit_direction",
    "power_of_two",
    "random_direction",
    "unit_direction",
]
