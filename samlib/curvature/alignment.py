"""How far the gradient lies in the top eigenspace of the Hessian."""

from __future__ import annotations

import torch
from torch import Tensor

from samlib._validation import require_instance, require_one_point, require_points
from samlib.curvature.eigenpairs import top_eigenpairs
from samlib.linalg import Operator
from samlib.objective import Objective


def alignment(
    loss: Objective | Operator,
    x: Tensor,
    *,
    k: int = 1,
    rtol: float = 1e-3,
    confidence: float = 0.99,
    progress: bool = True,
) -> Tensor:
    """The cosine of the angle between ∇L(x) and the top-k eigenspace of ∇²L(x): [..., dim] → [...].

    ‖P ∇L‖/‖∇L‖, P the projection on the span of the k top eigenvectors; for k = 1 it is
    |cos∠(∇L, v₁)|. It is NaN where the gradient is exactly zero or not finite.

    Parameters
    ----------
    loss
        The loss, or an operator: the matrix whose eigenspace is meant.
    x
        Points, [..., dim]; with an operator, in their place, the gradient [dim].
    k, rtol, confidence, progress
        As for :func:`top_eigenpairs`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 1.0])
    >>> samlib.alignment(quadratic, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor([1., 0.])
    """
    require_instance("loss", loss, (Objective, Operator), "a samlib.Objective or samlib.Operator")
    shards = loss.shards
    if isinstance(loss, Operator):
        gradient, at = require_one_point("x", x, shards.length), None
    else:
        require_points("x", x, shards.length)
        gradient, at = loss.gradient(x), x
    vectors = top_eigenpairs(
        loss, at, k=k, rtol=rtol, confidence=confidence, progress=progress
    ).vectors.to(gradient)
    coefficients = shards.total((vectors * gradient.unsqueeze(-1)).sum(dim=-2))
    inside = torch.linalg.vector_norm(coefficients, dim=-1)
    cosine: Tensor = inside / shards.norm(gradient)
    return cosine.clamp(max=1.0)


def largest_sine(values: Tensor, residuals: Tensor) -> float:
    """Bound the sines of the angles to the truth, for the span of all Ritz vectors but the last.

    The last pair says where the next eigenvalue is: the bound is the residuals over the gap to it
    (Davis and Kahan, 1970). A single pair is taken to be all there is.
    """
    if len(values) == 1:
        return 0.0
    gap = values[-2] - values[-1] - residuals[-1]
    if not bool(gap > 0):
        return 1.0
    return min(1.0, float(residuals[:-1].norm() / gap))
