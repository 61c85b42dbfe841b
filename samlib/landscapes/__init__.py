"""The toy losses of the book, with exact derivatives and known minimizer manifolds.

Most have the form L(x) = ½ Σ_k λ_k y_k², a valley whose curvatures λ_k may depend on where along
the valley we stand. Their formulas are written once, in plain arithmetic on the components of x:
the same lines run on torch tensors (any device, any batch) and, compiled, on plain numbers.

A formula takes a weight w_k for each of the M terms. All weights 1 give L; weight M on one term
and 0 elsewhere give the component L_k of the finite sum L = (1/M) Σ_k L_k that 1-SAM draws from.
"""

from samlib.landscapes.base import Formulas, Landscape
from samlib.landscapes.four_dimensional import FourDimensional
from samlib.landscapes.manifold import MinimizerManifold
from samlib.landscapes.quadratic import Quadratic
from samlib.landscapes.tanh_network import TanhNetwork
from samlib.landscapes.valleys import CurvedValley, DoubleWell, TwoValleys

__all__ = [
    "CurvedValley",
    "DoubleWell",
    "Formulas",
    "FourDimensional",
    "Landscape",
    "MinimizerManifold",
    "Quadratic",
    "TanhNetwork",
    "TwoValleys",
]
