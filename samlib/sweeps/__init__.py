"""What took too long to compute on a page: the numbers ship with the script that makes them."""

from samlib.sweeps.tied_digits import TiedDigits, tied_digits
from samlib.sweeps.tied_networks import TiedNetworks, tied_networks

__all__ = ["TiedDigits", "TiedNetworks", "tied_digits", "tied_networks"]
