"""Curvature of a loss without its Hessian matrix: eigenpairs, trace, spectral density, alignment.

Everything here knows a matrix by its products with vectors: ∇²L(x), or that of Gauss and Newton,
or of Fisher. Every result carries its evidence: an eigenvalue its residual, an estimate its
standard error, and all of them what they cost.
"""

from samlib.curvature.alignment import alignment
from samlib.curvature.block import hessian_block
from samlib.curvature.eigenpairs import EigenResult, top_eigenpairs
from samlib.curvature.fisher import fisher
from samlib.curvature.gauss_newton import gauss_newton
from samlib.curvature.hessian import hessian
from samlib.curvature.smallest_nonzero import smallest_nonzero_eigenvalue
from samlib.curvature.spectral_density import SpectralDensity, spectral_density
from samlib.curvature.trace import trace

__all__ = [
    "EigenResult",
    "SpectralDensity",
    "alignment",
    "fisher",
    "gauss_newton",
    "hessian",
    "hessian_block",
    "smallest_nonzero_eigenvalue",
    "spectral_density",
    "top_eigenpairs",
    "trace",
]
