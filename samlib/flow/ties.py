"""Where the top eigenvalue is tied: the flow of the largest of several equal eigenvalues.

With V [dim, k] an orthonormal basis of the tied eigenspace and T_ab = P⊥ ∂²(∇L)[v_a, v_b], the
projected subdifferential of λ₁ holds the vectors Σ Q_ab T_ab, Q ⪰ 0, tr Q = 1. The flow goes along
minus half the shortest of them, which is how gradient flow of a maximum goes on (Overton and
Womersley, 1993, for the subdifferential; that SAM does so is our calculation).
"""

from __future__ import annotations

import torch
from torch import Tensor

from samlib.flow.mixtures import least_mixture, symmetric_basis
from samlib.objective import Objective


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
    rows = torch.einsum("nab,abd->nd", symmetric_basis(len(slopes)), slopes.cpu().double())
    return least_mixture(rows @ rows.mT, bounded=bounded).to(slopes)


def towards_tie(slopes: Tensor, block: Tensor) -> Tensor:
    """The shortest step [dim] after which a block of the Hessian [k, k] is a multiple of the unit.

    To first order, the block changes by ⟨T_ab, step⟩ with T [k, k, dim].
    """
    basis = symmetric_basis(len(block))[1:]  # the first one is the unit matrix
    rows = torch.einsum("nab,abd->nd", basis, slopes.cpu().double())
    wrong = torch.einsum("nab,ab->n", basis, block.cpu().double())
    step: Tensor = -(torch.linalg.pinv(rows, rtol=1e-10) @ wrong)
    return step.to(slopes)
