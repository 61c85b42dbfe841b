"""Symmetric matrices that are small enough to be written out."""

from __future__ import annotations

import torch
from torch import Tensor

# Below this many rows a dense symmetric eigendecomposition of a whole batch is cheaper than Lanczos
# point by point.
DENSE_DIM = 64

_HALF = (torch.bfloat16, torch.float16)


def at_least_single(x: Tensor) -> Tensor:
    """x, in float32 if it has a half precision: a basis needs more digits than weights."""
    return x.float() if x.dtype in _HALF else x


def eigh(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [..., n], largest first, and eigenvectors [..., n, n] in columns.

    NaN where a matrix is not finite. In float32 if the dtype is a half precision, which LAPACK
    does not know.

    Examples
    --------
    >>> import torch
    >>> from samlib.linalg.dense import eigh
    >>> eigh(torch.diag(torch.tensor([1.0, 3.0])))[0]
    tensor([3., 1.])
    """
    matrices = at_least_single(matrices)
    finite = matrices.isfinite().all(dim=(-2, -1), keepdim=True)
    values, vectors = torch.linalg.eigh(torch.where(finite, matrices, 0.0))
    return (
        torch.where(finite[..., 0], values, torch.nan).flip(-1),
        torch.where(finite, vectors, torch.nan).flip(-1),
    )
