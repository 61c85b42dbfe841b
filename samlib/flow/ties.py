"""Where the top eigenvalue is tied: the flow of the largest of several equal eigenvalues.

With V [dim, k] an orthonormal basis of the tied eigenspace and T_ab = P⊥ ∂²(∇L)[v_a, v_b], the
projected subdifferential of λ₁ holds the vectors Σ Q_ab T_ab, Q ⪰ 0, tr Q = 1. The flow goes along
minus half the shortest of them, which is how gradient flow of a maximum goes on (Overton and
Womersley, 1993, for the subdifferential; that SAM does so is our calculation).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from samlib.objective import Objective

NO_SHARE = 1e-6  # an eigenvalue of Q below counts as zero

# How far the barrier is lowered, relative to the objective: Q then leaves it that far from least.
_LEAST_BARRIER = 1e-15
_NEWTON_STEPS = 50


def third_derivatives(objective: Objective, x: Tensor, vectors: Tensor) -> Tensor:
    """∂²(∇L)(x)[v_a, v_b] for all pairs of k directions, vectors [dim, k]: [k, k, dim].

    One derivative of one batch of Hessian-vector products, k(k + 1)/2 of them.
    """
    k = vectors.shape[1]
    row, column = torch.triu_indices(k, k, device=x.device)
    left, right = vectors.mT[row].contiguous(), vectors.mT[column]
    with torch.enable_grad():
        at = x.detach().expand(len(row), -1).clone().requires_grad_()
        curvature = (objective.hessian_vector_product(at, left) * right).sum()
        (slopes,) = torch.autograd.grad(curvature, at, materialize_grads=True)
    result = x.new_empty(k, k, len(x))
    result[row, column] = slopes
    result[column, row] = slopes
    return result


def least_norm_mixture(slopes: Tensor, *, bounded: bool = True) -> Tensor:
    """argmin ‖Σ Q_ab T_ab‖ over Q ⪰ 0 with tr Q = 1, from T [k, k, dim]: Q [k, k].

    If it is positive definite, it is the one that keeps the eigenvalues tied. If not, those outside
    its range part from the others. Where several Q give the same vector, it is one of them.
    Not ``bounded`` by Q ⪰ 0, it keeps them tied in any case, which the flow itself does not.
    """
    k = len(slopes)
    basis = _symmetric_basis(k)
    rows = torch.einsum("nab,abd->nd", basis, slopes.cpu().double())
    gram = rows @ rows.mT
    size = float(gram.diagonal().max())
    if k == 1 or size == 0:
        return torch.eye(k).to(slopes) / k
    coefficients = _without_bounds(gram / size, basis)
    mixture = torch.einsum("n,nab->ab", coefficients, basis)
    if bounded and float(torch.linalg.eigvalsh(mixture)[0]) < 0:
        mixture = _on_the_cone(gram / size, basis)
    return mixture.to(slopes)


def towards_tie(slopes: Tensor, block: Tensor) -> Tensor:
    """The shortest step [dim] after which a block of the Hessian [k, k] is a multiple of the unit.

    To first order, the block changes by ⟨T_ab, step⟩ with T [k, k, dim].
    """
    basis = _symmetric_basis(len(block))[1:]  # the first one is the unit matrix
    rows = torch.einsum("nab,abd->nd", basis, slopes.cpu().double())
    wrong = torch.einsum("nab,ab->n", basis, block.cpu().double())
    step: Tensor = -(torch.linalg.pinv(rows, rtol=1e-10) @ wrong)
    return step.to(slopes)


def _symmetric_basis(k: int) -> Tensor:
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


def _without_bounds(gram: Tensor, basis: Tensor) -> Tensor:
    """The coefficients of the Q of trace one with the least norm, positive or not."""
    first = 1 / math.sqrt(basis.shape[1])  # of the unit matrix, so that the trace is one
    rest = -torch.linalg.pinv(gram[1:, 1:], rtol=1e-12, hermitian=True) @ gram[1:, 0] * first
    return torch.cat([rest.new_full((1,), first), rest])


def _on_the_cone(gram: Tensor, basis: Tensor) -> Tensor:
    """The least Q ⪰ 0 by a logarithmic barrier: Newton's method as the barrier is lowered."""
    k = basis.shape[1]
    mixture = torch.eye(k, dtype=torch.float64) / k
    barrier = 1.0
    while barrier > _LEAST_BARRIER:
        barrier /= 10
        for _ in range(_NEWTON_STEPS):
            inverse = torch.linalg.inv(mixture)
            scaled = torch.einsum("ab,nbc->nac", inverse, basis)  # Q⁻¹ E_n
            coefficients = torch.einsum("nab,ab->n", basis, mixture)
            slope = gram @ coefficients - barrier * scaled.diagonal(dim1=1, dim2=2).sum(1)
            curvature = gram + barrier * torch.einsum("nab,mba->nm", scaled, scaled)
            step = torch.zeros_like(coefficients)
            found, failed = torch.linalg.solve_ex(curvature[1:, 1:], slope[1:])
            if bool(failed):  # where Q is free, the barrier is below the rounding of the objective
                return mixture
            step[1:] = -found
            move = torch.einsum("n,nab->ab", step, basis)
            # Newton's decrement bounds how far Q may go without leaving the cone.
            decrement = math.sqrt(max(0.0, float(-(slope @ step)) / barrier))
            mixture = mixture + move / (1 + decrement)
            if decrement < 1e-3:
                break
    return mixture
