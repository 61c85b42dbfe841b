"""Which mixture of tied eigenvectors: minima of a quadratic function over Q ⪰ 0 with tr Q = 1.

These are semidefinite problems of at most some dozen unknowns, solved by Newton's method with a
logarithmic barrier (Nesterov and Nemirovskii, 1994).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

NO_SHARE = 1e-6  # an eigenvalue of Q below counts as zero

# How far the barrier is lowered, relative to the objective: Q then leaves it that far from least.
_LEAST_BARRIER = 1e-15
_NEWTON_STEPS = 50

# Above, relative to G, a slope means that there is no least value without Q ⪰ 0.
_STATIONARY = 1e-6


def symmetric_basis(k: int) -> Tensor:
    """An orthonormal basis of the symmetric matrices, the unit matrix first, [k(k + 1)/2, k, k]."""
    basis = [torch.eye(k, dtype=torch.float64) / math.sqrt(k)]
    for a in range(1, k):  # diagonal, without a trace
        entries = torch.zeros(k, dtype=torch.float64)
        entries[:a], entries[a] = 1.0, -float(a)
        basis.append(torch.diag(entries / entries.norm()))
    for a, b in torch.triu_indices(k, k, 1).mT.tolist():
        pair = torch.zeros(k, k, dtype=torch.float64)
        pair[a, b] = pair[b, a] = math.sqrt(0.5)
        basis.append(pair)
    return torch.stack(basis)


def least_mixture(gram: Tensor, linear: Tensor | None = None, *, bounded: bool = True) -> Tensor:
    """argmin ½ qᵀGq + cᵀq over Q = Σ q_n E_n ⪰ 0 with tr Q = 1, for the E_n of symmetric_basis.

    Not ``bounded`` by Q ⪰ 0, tr Q = 1 alone is kept. Where several Q are as good, it is one of
    them. gram is G [n, n], linear c [n], in float64 on the CPU, and Q is [k, k].
    """
    k = math.isqrt(2 * len(gram))
    basis = symmetric_basis(k)
    if linear is not None:
        # With tr Q = 1, √k q_0 = 1: multiplied by it, the linear term is quadratic, too.
        along = torch.zeros_like(gram)
        along[0] = linear * math.sqrt(k)
        gram = gram + along + along.mT
    size = float(gram[1:].abs().max()) if k > 1 else 0.0
    if size == 0:
        return torch.eye(k, dtype=torch.float64) / k
    gram = gram / size
    coefficients = _without_bounds(gram, k)
    mixture = torch.einsum("n,nab->ab", coefficients, basis)
    if not bounded:
        return mixture
    least = bool((gram[1:] @ coefficients).abs().max() < _STATIONARY)
    if least and float(torch.linalg.eigvalsh(mixture)[0]) >= 0:
        return mixture
    return _on_the_cone(gram, basis)


def _without_bounds(gram: Tensor, k: int) -> Tensor:
    """The coefficients of the Q of trace one where the value is stationary, positive or not."""
    first = 1 / math.sqrt(k)  # of the unit matrix, so that the trace is one
    rest = -torch.linalg.pinv(gram[1:, 1:], rtol=1e-12, hermitian=True) @ gram[1:, 0] * first
    return torch.cat([rest.new_full((1,), first), rest])


def _on_the_cone(gram: Tensor, basis: Tensor) -> Tensor:
    """The least Q ⪰ 0 by a logarithmic barrier: Newton's method as the barrier is lowered.

    On matrices this small NumPy takes a quarter of torch's time.
    """
    slopes, units = gram.numpy(), basis.numpy()
    n, k = units.shape[:2]
    rows = units.reshape(n, -1)
    mixture = np.eye(k) / k
    barrier = 1.0
    while barrier > _LEAST_BARRIER:
        barrier /= 10
        for _ in range(_NEWTON_STEPS):
            scaled = np.linalg.inv(mixture) @ units  # Q⁻¹ E_n
            across = scaled.transpose(0, 2, 1).reshape(n, -1)
            slope = slopes @ (rows @ mixture.ravel()) - barrier * np.trace(scaled, axis1=1, axis2=2)
            curvature = slopes + barrier * (scaled.reshape(n, -1) @ across.T)
            try:
                step = -np.linalg.solve(curvature[1:, 1:], slope[1:])
            except np.linalg.LinAlgError:
                # Where Q is free, the barrier is below the rounding of the objective.
                return torch.from_numpy(mixture)
            # Newton's decrement bounds how far Q may go without leaving the cone.
            decrement = math.sqrt(max(0.0, -float(slope[1:] @ step) / barrier))
            mixture = mixture + (step @ rows[1:]).reshape(k, k) / (1 + decrement)
            if decrement < 1e-3:
                break
    return torch.from_numpy(mixture)


def padded(matrix: Tensor, rows: int, columns: int) -> Tensor:
    """A matrix with zeros below it and to its right."""
    below, right = rows - matrix.shape[0], columns - matrix.shape[1]
    return torch.nn.functional.pad(matrix, (0, right, 0, below))
