"""The quadratic bowl of Theorem 4.8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from samlib._validation import (
    require_number,
    require_numbers,
    require_point,
    require_positive,
)
from samlib.landscapes.base import Formulas, Landscape
from samlib.landscapes.manifold import MinimizerManifold


def _quadratic_value(x: Any, w: Any, p: Any) -> Any:
    total = 0.0 * x[0]
    for i in range(len(p)):
        total = total + w[i] * p[i] * x[i] * x[i] / 2
    return total


def _quadratic_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    for i in range(len(p)):
        g[i] = w[i] * p[i] * x[i]


def _quadratic_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    for i in range(len(p)):
        h[i] = w[i] * p[i] * v[i]


class Quadratic(Landscape):
    """L(x) = ½ Σ_i λ_i x_i², the setting of Theorem 4.8. Its components are D λ_i x_i² / 2.

    The coordinates are the eigenbasis of the Hessian. Γ is the origin.

    Parameters
    ----------
    eigenvalues
        The λ_i: positive finite numbers, in any order.

    Raises
    ------
    ValueError
        If there is no eigenvalue, or one is not finite and positive.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 1.0])
    >>> quadratic.gradient(torch.tensor([1.0, 1.0]))
    tensor([2., 1.])
    """

    formulas = Formulas(_quadratic_value, _quadratic_gradient, _quadratic_product)

    def __init__(self, eigenvalues: Sequence[float] | Tensor) -> None:
        values = require_numbers("eigenvalues", eigenvalues)
        require_positive("eigenvalues", values)
        self.eigenvalues = tuple(values.tolist())
        super().__init__(len(values), len(values), parameters=self.eigenvalues)
        self.minimizer_manifold = MinimizerManifold(
            self.dim,
            range(self.dim),
            lambda x: x.new_tensor(self.eigenvalues).expand(x.shape),
        )

    def in_invariant_set(self, x: Tensor, *, lr: float, rho: float) -> Tensor:
        """Is x in the set that SAM enters and never leaves? [..., dim] → bool [...].

        The set is where ‖P^(j:D) ∇L(x)‖ ≤ ηρλ_j² for every j, P^(j:D) being the projection on the
        eigenvectors with eigenvalues at most λ_j. With ηλ₁ < 1 and ρ > 0 SAM enters it from
        every start, which is the first half of the proof of Theorem 4.8: a step multiplies
        component i of ∇L by 1 − ηλ_i − ηρλ_i²/‖∇L‖. Outside, where ‖∇L‖ > ηρλ_j², that is at most
        max(ηλ_j, 1 − ηλ_D) < 1 in size for i ≥ j; inside, it cannot lead out.

        Parameters
        ----------
        x
            Points, [..., dim].
        lr, rho
            η > 0 and ρ ≥ 0.

        Raises
        ------
        ValueError
            If η or ρ is out of range or not finite, or x has the wrong shape.

        Examples
        --------
        >>> import torch, samlib
        >>> quadratic = samlib.landscapes.Quadratic([3.0, 1.0])
        >>> x = torch.tensor([[0.3, 0.85], [0.3, 0.1]])
        >>> quadratic.in_invariant_set(x, lr=0.3, rho=0.4)
        tensor([False,  True])
        """
        lr, rho = require_number("lr", lr, positive=True), require_number("rho", rho)
        require_point("x", x, self.dim)
        values, order = x.new_tensor(self.eigenvalues).sort()
        gradient = self.gradient(x)[..., order]
        # The smallest come first, so the projections grow with the sum.
        projected = gradient.square().cumsum(dim=-1).sqrt()
        inside: Tensor = (projected <= lr * rho * values.square()).all(dim=-1)
        return inside

    def __repr__(self) -> str:
        return f"Quadratic(eigenvalues={list(self.eigenvalues)})"
