"""The largest value of a quadratic on the unit ball: max b·v + ½ vᵀHv over ‖v‖ ≤ 1.

The trust-region problem has a global solution by eigenvalues (Conn, Gould and Toint, 2000, ch. 7):
(μ − H) v = b with μ ≥ λ₁ and, unless the maximum is inside, ‖v‖ = 1. In the hard case b has no
part along v₁, and what is missing to length one is made up along v₁.
"""

from __future__ import annotations

import torch
from torch import Tensor

from samlib._precision import wide_dtype

# Bisection halves the interval of μ to below the rounding of float64 relative to ‖b‖.
_HALVINGS = 80


def maximize_quadratic(hessian: Tensor, linear: Tensor) -> tuple[Tensor, Tensor]:
    """The maximizer v [..., n] and the maximum [...] of b·v + ½ vᵀHv over the unit ball.

    Parameters
    ----------
    hessian
        H, symmetric, [..., n, n].
    linear
        b, [..., n].

    Examples
    --------
    >>> import torch
    >>> from samlib.linalg.trust_region import maximize_quadratic
    >>> v, maximum = maximize_quadratic(torch.diag(torch.tensor([2.0, 1.0])), torch.zeros(2))
    >>> v, maximum
    (tensor([1., 0.]), tensor(1.))
    """
    wide = wide_dtype(hessian.device)
    values, vectors = torch.linalg.eigh(hessian.to(wide))
    b = (vectors.mT @ linear.to(wide).unsqueeze(-1)).squeeze(-1)
    below_top = values[..., -1:] - values
    norm = b.norm(dim=-1, keepdim=True)
    # ‖v‖ falls with t = μ − λ₁ and is at most ‖b‖/t, so ‖v‖ = 1 has its root in [0, ‖b‖]. Inside
    # the ball μ = 0, that is t = −λ₁, which is then above the root.
    low, high = torch.zeros_like(norm), norm
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        long = _solution(b, below_top + middle).norm(dim=-1, keepdim=True) > 1
        low, high = torch.where(long, middle, low), torch.where(long, high, middle)
    t = torch.maximum(high, -values[..., -1:])
    v = _solution(b, below_top + t)
    # The hard case: only v₁ can make up what is missing to length one.
    top = v[..., -1]
    rest = (1 - (v[..., :-1] ** 2).sum(dim=-1)).clamp(min=0).sqrt()
    on_sphere = t[..., 0] > -values[..., -1]
    top = torch.where(on_sphere, torch.where(b[..., -1] < 0, -rest, rest), top)
    v = torch.cat([v[..., :-1], top.unsqueeze(-1)], dim=-1)
    maximum = (b * v).sum(dim=-1) + (values * v**2).sum(dim=-1) / 2
    at = (vectors @ v.unsqueeze(-1)).squeeze(-1)
    return at.to(linear), maximum.to(linear)


def _solution(b: Tensor, gap: Tensor) -> Tensor:
    return torch.where(gap > 0, b / gap, 0.0)
