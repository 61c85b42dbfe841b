"""Do the two-cycles attract? What a step makes of a small deviation from one, on a quadratic.

On a quadratic SAM ends in a two-cycle along the top eigenvector (Theorem 4.8). Gradient descent on
L^Asc has this cycle, too, or one that is tilted towards another eigenvector. A step takes a point
of the cycle to its mirror image, v₁ ↦ −v₁. Step and mirror together leave the point where it is,
and the eigenvalues of the derivative of this map there are the *multipliers*: one step multiplies
a small deviation along v_i by the i-th. The cycle attracts if all are less than 1 in size. Over
both steps of the cycle the multipliers are their squares.

ρ only sets the size of a cycle and drops out of all multipliers. Of η and the eigenvalues only the
products ηλ_i count: for a map of stability take lr = 1 and these products as the eigenvalues.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from samlib._validation import require_count, require_number, require_tensor, shown


def two_cycle_multipliers(eigenvalues: Tensor, *, lr: float) -> Tensor:
    """Of SAM's two-cycle along v₁, at a minimum or at a saddle, [..., D].

    With h = ηλ₁ and r_i = λ_i/λ₁ they are

        m_i = 1 − hr_i − (2 − h)r_i²,  along v₁ itself h − 1.

    So the cycle attracts if and only if 0 < h < 2, λ₁ is simple, and every other eigenvalue is
    positive or lies between −(1 + q)λ₁ and −qλ₁, where q = h/(2 − h). For small η it attracts at
    nearly all saddles whose steepest way down is less curved than their steepest way up. A cycle
    along any other eigenvector never attracts. On a loss that is no quadratic, this holds near a
    stationary point up to terms that vanish with ρ.

    That the cycle does not attract need not mean that SAM leaves a saddle. On a quadratic with
    ηλ₁ ≤ 1 and η max λ_i² < μ, the size of the negative eigenvalue nearest to zero, it never
    leaves the region ‖∇L‖ < ρμ, and if the cycle does not attract, it jumps about there.

    This is our calculation; for positive eigenvalues it is the local part of Theorem 4.8.

    Parameters
    ----------
    eigenvalues
        Those of the Hessian, of any sign and in any order, [..., D].
    lr
        η > 0.

    Returns
    -------
    Tensor
        [..., D], in the order of the eigenvalues; if several are the largest, the first counts as
        λ₁. NaN where there is no cycle that could attract: λ₁ ≤ 0 or ηλ₁ ≥ 2.

    Raises
    ------
    TypeError
        If eigenvalues is not a floating-point tensor, or lr not a number.
    ValueError
        If there is no eigenvalue, one is not finite, or lr is not finite and positive.

    Examples
    --------
    A bowl, and two saddles: a shallow one that SAM leaves along v₂, a steeper one that holds it.

    >>> import torch
    >>> from samlib.dynamics import two_cycle_multipliers
    >>> spectra = torch.tensor([[2.0, 1.0], [2.0, -0.2], [2.0, -1.0]], dtype=torch.float64)
    >>> multipliers = two_cycle_multipliers(spectra, lr=0.2)
    >>> multipliers
    tensor([[-0.6000,  0.4000],
            [-0.6000,  1.0240],
            [-0.6000,  0.8000]], dtype=torch.float64)
    >>> (multipliers.abs() < 1).all(dim=-1)
    tensor([ True, False,  True])
    """
    _require_eigenvalues(eigenvalues)
    top, first = eigenvalues.max(dim=-1, keepdim=True)
    h = require_number("lr", lr, positive=True) * top
    multipliers = _of_sam(h, eigenvalues / top).scatter(-1, first, h - 1)
    return multipliers.where((h > 0) & (h < 2), torch.nan)


@dataclass(frozen=True, eq=False)
class AscentCycle:
    """A two-cycle of gradient descent on L^Asc, see :func:`ascent_cycle`.

    Attributes
    ----------
    partner
        k, [...]: the cycle lies in the plane of v₁ and v_k, λ₁ ≥ λ₂ ≥ … ≥ λ_D; 1 where it is SAM's
        cycle, along v₁ alone.
    share
        s, how much of ‖∇L‖² lies along v₁, [...]; 1 where the cycle is SAM's.
    gradient_norm
        ‖∇L‖/ρ, [...], in units of an eigenvalue.
    potential
        W/ρ², [...], in units of an eigenvalue. Where the eigenvalues change slowly with the place
        on Γ, the cycle descends W. For SAM's cycle it is λ₁/(2 − ηλ₁).
    multipliers
        [..., D], complex, in the order of the eigenvalues. The two within the plane of a tilted
        cycle stand at λ₁ and λ_k; they belong to both directions.
    """

    partner: Tensor
    share: Tensor
    gradient_norm: Tensor
    potential: Tensor
    multipliers: Tensor


def ascent_cycle(eigenvalues: Tensor, *, lr: float, partner: int | None = None) -> AscentCycle:
    """Find the two-cycle of gradient descent on L^Asc, and what a step makes of a deviation.

    The cycle that is tilted from v₁ towards v_k has, with h = ηλ₁, r_j = λ_j/λ₁ and r = r_k,

        (λ₁ρ/‖∇L‖)² = 2/(h(1 − r)) + 1/r,

    and across it a step multiplies a deviation along v_j by

        m_j = 1 − r_j(r_j − r)(2r_j/(1 − r) − h(1 − r_j)/r).

    So v_j and v_k compete as partners: the one with the smaller eigenvalue repels the other if
    h < 2r_kr_j/((1 − r_k)(1 − r_j)), and is repelled by it if h is larger. For each h < 2 exactly
    one cycle has all m_j inside (−1, 1): as h grows, the partner changes from v_D to v_(D−1) and
    on towards v₂, until no tilted cycle is left and SAM's, along v₁ alone, attracts. It is the one
    with the least W among those that exist: the one whose γ_k = r_k/(1 − r_k) is nearest to √(h/2)
    in ratio. A tilted cycle towards v_k exists while γ_k + h/(2γ_k) < 2/h − 3.
    Within its plane a tilted cycle may still repel.

    This is our calculation, derived in the chapter on exact descent.

    Parameters
    ----------
    eigenvalues
        Positive, in any order, [..., D].
    lr
        η > 0.
    partner
        k, from 2 to D: the place of λ_k among the eigenvalues, counted from the largest. None for
        the cycle that is stable across.

    Returns
    -------
    AscentCycle
        Each entry NaN, and ``partner`` 0, where there is no such cycle: for ηλ₁ ≥ 2, and for a
        given partner where the tilted cycle has merged with SAM's.

    Raises
    ------
    TypeError
        If eigenvalues is not a floating-point tensor, lr not a number, or partner no integer.
    ValueError
        If there is no eigenvalue, one is not finite and positive, lr is not finite and positive, or
        partner is not from 2 to D.

    Examples
    --------
    With growing η the cycle changes its partner from v₃ to v₂, and at last becomes SAM's.

    >>> import torch
    >>> from samlib.dynamics import ascent_cycle
    >>> spectrum = torch.tensor([1.0, 0.3, 0.1], dtype=torch.float64)
    >>> cycles = [ascent_cycle(spectrum, lr=lr) for lr in (0.02, 0.46, 0.6)]
    >>> [int(cycle.partner) for cycle in cycles]
    [3, 2, 1]
    >>> [round(float(cycle.share), 3) for cycle in cycles]
    [0.193, 0.961, 1.0]
    >>> cycles[0].multipliers.abs()
    tensor([0.9787, 0.9684, 0.3895], dtype=torch.float64)
    """
    _require_eigenvalues(eigenvalues)
    if not bool((eigenvalues > 0).all()):
        raise ValueError(f"every eigenvalue must be > 0, got eigenvalues = {shown(eigenvalues)}")
    lr = require_number("lr", lr, positive=True)
    dim = eigenvalues.shape[-1]
    if partner is not None:
        partner = require_count("partner", partner, minimum=2, maximum=dim)
    ordered, places = eigenvalues.sort(dim=-1, descending=True, stable=True)
    top = ordered[..., :1]
    r, h = ordered / top, lr * top
    chosen = _stable_partner(h, r) if partner is None else torch.full_like(places[..., :1], partner)
    tilted = _Tilt.towards(h, r.gather(-1, chosen - 1))
    straight = (chosen == 1) & (h < 2)
    exists = straight | (tilted.share < 1)
    multipliers = torch.where(
        straight, _of_sams_cycle(h, r) + 0j, tilted.multipliers(r, chosen - 1)
    )

    def either(of_sam: Tensor, of_tilted: Tensor) -> Tensor:
        return torch.where(straight, of_sam, of_tilted).where(exists, torch.nan).squeeze(-1)

    return AscentCycle(
        partner=torch.where(exists, chosen, 0).squeeze(-1),
        share=either(torch.ones_like(h), tilted.share),
        gradient_norm=either(top * h / (2 - h), top / tilted.w),
        potential=either(top / (2 - h), top * tilted.potential),
        multipliers=torch.where(exists, multipliers, torch.nan).gather(-1, places.argsort(-1)),
    )


def _of_sam(h: Tensor, r: Tensor) -> Tensor:
    """What a step of SAM in its cycle multiplies the directions across it by."""
    return 1 - h * r - (2 - h) * r.square()


def _of_sams_cycle(h: Tensor, r: Tensor) -> Tensor:
    """Of exact descent on L^Asc in SAM's cycle; r[..., 0] = 1."""
    multipliers = _of_sam(h, r) + (2 - h).square() / h * r.square() * (1 - r)
    return torch.cat([h - 1, multipliers[..., 1:]], dim=-1)


def _stable_partner(h: Tensor, r: Tensor) -> Tensor:
    """The place of the partner with the least potential, [..., 1]; 1 if no tilted cycle exists."""
    tilted = _Tilt.towards(h, r)
    least, place = tilted.potential.where(tilted.share < 1, torch.inf).min(dim=-1, keepdim=True)
    return torch.where(least < torch.inf, place + 1, 1)


@dataclass(frozen=True, eq=False)
class _Tilt:
    """The cycle tilted towards an eigenvalue rλ₁, with λ₁ and ρ as units."""

    h: Tensor
    r: Tensor
    w: Tensor  # 1/‖∇L‖
    share: Tensor  # NaN for r = 1

    @classmethod
    def towards(cls, h: Tensor, r: Tensor) -> _Tilt:
        square = 2 / (h * (1 - r)) + 1 / r
        w = square.sqrt()
        return cls(h, r, w, (1 + w * r) / (square * r * (1 - r)))

    @property
    def potential(self) -> Tensor:
        return self.r * (1 + 1 / (self.w * self.r)).square() / 2

    def multipliers(self, others: Tensor, partner: Tensor) -> Tensor:
        """Across the plane the m_j, real; at 0 and at the partner the two within the plane."""
        bracket = 2 * others / (1 - self.r) - self.h * (1 - others) / self.r
        across = 1 - others * (others - self.r) * bracket
        larger, smaller = self._within()
        both = torch.cat([torch.zeros_like(partner), partner], dim=-1)
        return (across + 0j).scatter(-1, both, torch.cat([larger, smaller], dim=-1))

    def _within(self) -> tuple[Tensor, Tensor]:
        """The eigenvalues of the derivative in the logarithms of the gradient's two components."""
        s, c = self.share, self.w * (1 - self.r)
        steep, gentle = self.h * self.w, self.h * self.r.square() * self.w
        mixed = 1 + 2 * c * (1 - 2 * s)
        along = 1 - steep * s * (1 + 4 * c * (1 - s))
        aside = 1 + gentle * (1 - s) * (1 - 4 * c * s)
        product = -steep * gentle * s * (1 - s) * mixed.square()  # of what is off the diagonal
        root = ((along - aside).square() / 4 + product + 0j).sqrt()
        middle = (along + aside) / 2
        return middle + root, middle - root


def _require_eigenvalues(eigenvalues: Tensor) -> None:
    require_tensor("eigenvalues", eigenvalues)
    if eigenvalues.dim() == 0 or eigenvalues.numel() == 0:
        raise ValueError(
            f"eigenvalues must have shape [..., D], not empty, got shape {tuple(eigenvalues.shape)}"
        )
    if not bool(eigenvalues.isfinite().all()):
        raise ValueError(f"every eigenvalue must be finite, got eigenvalues = {shown(eigenvalues)}")
