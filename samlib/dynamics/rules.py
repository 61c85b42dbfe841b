"""Update rules: gradient descent, SAM and its relatives, as pure functions of a point.

A rule turns a batch of points into the next batch and keeps no state. Its learning rate η
(``lr``) and radius ρ (``rho``) are numbers or tensors of shape [batch], one value per point.
:func:`samlib.simulate` repeats a rule; it needs to know nothing else about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from samlib._validation import (
    broadcast_batch,
    require_count,
    require_integers,
    require_non_negative,
    require_point,
    require_positive,
)
from samlib.linalg import power_of_two, unit_direction
from samlib.objective import Objective, require_objective


@dataclass(frozen=True, eq=False)
class Rule:
    """An update rule x ↦ x⁺.

    ``stochastic`` says that :meth:`step` needs component indices for each point, as many as the
    rule's ``batch_size``; ``second_order`` that it takes products with the Hessian; ``kernel``
    names the compiled form of the rule in :mod:`samlib.dynamics.compiled`, if it has one.

    Rules of one kind with the same numbers are equal, tensors entry by entry, and have one hash:
    a rule may be a key of a dictionary or of a cache.
    """

    lr: float | Tensor

    stochastic: ClassVar[bool] = False
    second_order: ClassVar[bool] = False
    kernel: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", _own(require_positive("lr", self.lr)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        return type(other) is type(self) and other._values() == self._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def _values(self) -> tuple[tuple[str, Any], ...]:
        """Whatever the rule holds, to be compared by value."""
        return tuple((name, _by_value(held)) for name, held in sorted(vars(self).items()))

    def step(self, objective: Objective, x: Tensor, k: Tensor | None = None) -> Tensor:
        """One step from x [batch, dim]; k [batch, m] holds component indices if ``stochastic``."""
        raise NotImplementedError

    def _lr(self, x: Tensor) -> Tensor:
        return broadcast_batch("lr", self.lr, x)


@dataclass(frozen=True, eq=False)
class GradientDescent(Rule):
    """x⁺ = x − η ∇L(x).

    Parameters
    ----------
    lr
        η > 0, a number or a tensor [batch].

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 1.0])
    >>> samlib.rules.GradientDescent(lr=0.5).step(quadratic, torch.tensor([[1.0, 1.0]]))
    tensor([[0.0000, 0.5000]])
    """

    kernel: ClassVar[str | None] = "gradient_descent"

    def step(self, objective: Objective, x: Tensor, k: Tensor | None = None) -> Tensor:
        """One step from x [batch, dim]."""
        require_objective(objective)
        return x - self._lr(x) * objective.gradient(x)


@dataclass(frozen=True, eq=False)
class _PerturbedRule(Rule):
    """A rule with a perturbation radius ρ."""

    rho: float | Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rho", _own(require_non_negative("rho", self.rho)))

    def _rho(self, x: Tensor) -> Tensor:
        return broadcast_batch("rho", self.rho, x)


@dataclass(frozen=True, eq=False)
class SAM(_PerturbedRule):
    """x⁺ = x − η ∇L(x + ρ ∇L(x)/‖∇L(x)‖), sharpness-aware minimization (eq. 3).

    Foret et al. (2021). At ∇L(x) = 0 the direction is (1, …, 1)/√D.

    Parameters
    ----------
    lr
        η > 0, a number or a tensor [batch].
    rho
        ρ ≥ 0, a number or a tensor [batch]. ρ = 0 is gradient descent.

    Raises
    ------
    ValueError
        If η or ρ is not finite, η ≤ 0 or ρ < 0.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0])
    >>> samlib.rules.SAM(lr=0.25, rho=1.0).step(quadratic, torch.tensor([[3.0]]))
    tensor([[1.]])
    """

    kernel: ClassVar[str | None] = "sam"

    def step(self, objective: Objective, x: Tensor, k: Tensor | None = None) -> Tensor:
        """One step from x [batch, dim]."""
        require_objective(objective)
        perturbed = x + self._rho(x) * unit_direction(objective.gradient(x))
        return x - self._lr(x) * objective.gradient(perturbed)


@dataclass(frozen=True, eq=False)
class UnnormalizedSAM(_PerturbedRule):
    """x⁺ = x − η ∇L(x + ρ ∇L(x)), SAM without the normalization (USAM).

    Andriushchenko and Flammarion (2022). Here ρ is no length: the perturbation is as long as ρ
    times the gradient, and vanishes with it.

    Parameters
    ----------
    lr
        η > 0, a number or a tensor [batch].
    rho
        ρ ≥ 0, a number or a tensor [batch]. ρ = 0 is gradient descent.

    Raises
    ------
    ValueError
        If η or ρ is not finite, η ≤ 0 or ρ < 0.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0])
    >>> samlib.rules.UnnormalizedSAM(lr=0.25, rho=0.5).step(quadratic, torch.tensor([[3.0]]))
    tensor([[0.]])
    """

    kernel: ClassVar[str | None] = "unnormalized_sam"

    def step(self, objective: Objective, x: Tensor, k: Tensor | None = None) -> Tensor:
        """One step from x [batch, dim]."""
        require_objective(objective)
        perturbed = x + self._rho(x) * objective.gradient(x)
        return x - self._lr(x) * objective.gradient(perturbed)


@dataclass(frozen=True, eq=False)
class AscentLossDescent(_PerturbedRule):
    """x⁺ = x − η ∇L^Asc(x), gradient descent on L^Asc(x) = L(x + ρ ∇L(x)/‖∇L(x)‖) (eq. 2).

    The derivative is exact. With g = ∇L(x), u = g/‖g‖ and p = ∇L(x + ρu), the chain rule gives
    ∇L^Asc = p + (ρ/‖g‖) ∇²L(x) (p − ⟨u, p⟩u). SAM keeps the first term only. At g = 0, where u
    has no derivative, the second term is taken as 0.

    Parameters
    ----------
    lr
        η > 0, a number or a tensor [batch].
    rho
        ρ ≥ 0, a number or a tensor [batch].

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0])
    >>> samlib.rules.AscentLossDescent(lr=0.25, rho=1.0).step(quadratic, torch.tensor([[3.0]]))
    tensor([[1.]])
    """

    second_order: ClassVar[bool] = True
    kernel: ClassVar[str | None] = "ascent_loss_descent"

    def step(self, objective: Objective, x: Tensor, k: Tensor | None = None) -> Tensor:
        """One step from x [batch, dim]."""
        require_objective(objective)
        gradient = objective.gradient(x)
        power = power_of_two(gradient)  # of g and what is divided by its norm: exact
        length = (gradient / power).norm(dim=-1, keepdim=True)
        u = unit_direction(gradient)
        p = objective.gradient(x + self._rho(x) * u)
        tangential = (p - (u * p).sum(dim=-1, keepdim=True) * u) / power
        turning = objective.hessian_vector_product(x, tangential) * self._rho(x) / length
        return x - self._lr(x) * (p + torch.where(length == 0, 0.0, turning))


@dataclass(frozen=True, eq=False)
class StochasticSAM(_PerturbedRule):
    """x⁺ = x − η ∇L_B(x + ρ ∇L_B/‖∇L_B‖), SAM on a mini-batch B of the components of L.

    The objective must be a finite sum, L = (1/M) Σ_k L_k. Each step takes m components, drawn
    uniformly and with replacement, and L_B is their mean; the full batch is :class:`SAM`. m = 1
    is the paper's 1-SAM (eq. 17). At ∇L_B(x) = 0 the direction is (1, …, 1)/√D.

    Parameters
    ----------
    lr
        η > 0, a number or a tensor [batch].
    rho
        ρ ≥ 0, a number or a tensor [batch].
    batch_size
        m ≥ 1, how many components a step draws.

    Raises
    ------
    ValueError
        If η or ρ is not finite, η ≤ 0, ρ < 0 or m < 1.
    TypeError
        If m is not an integer.

    Examples
    --------
    >>> import torch, samlib
    >>> landscape = samlib.landscapes.FourDimensional()
    >>> rule = samlib.rules.StochasticSAM(lr=0.02, rho=0.05)
    >>> rule.step(landscape, torch.tensor([[0.0, 0.0, 1.0, 0.0]]), k=torch.tensor([0]))
    tensor([[0.0000, 0.0000, 0.3280, 0.0000]])
    """

    batch_size: int = field(default=1, kw_only=True)

    stochastic: ClassVar[bool] = True
    kernel: ClassVar[str | None] = "sam"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(
            self, "batch_size", require_count("batch_size", self.batch_size, minimum=1)
        )

    def step(self, objective: Objective, x: Tensor, k: Tensor | None = None) -> Tensor:
        """One step from x [batch, dim] with m components for each point, k [batch, m].

        For m = 1, k may have shape [batch].
        """
        require_objective(objective)
        if require_point("x", x, objective.dim).dim() != 2:
            raise ValueError(f"x must have shape [batch, dim], got {tuple(x.shape)}")
        if k is None:
            raise ValueError(
                "StochasticSAM.step needs k, component indices for each point, got None"
            )
        batch, m = len(x), self.batch_size
        if require_integers("k", k).shape not in ((batch, m), (batch * m,)):
            raise ValueError(
                f"k must have shape [{batch}, {m}], batch_size component indices "
                f"for each point, got {tuple(k.shape)}"
            )
        gradient = self._mean_gradient(objective, x, k)
        perturbed = x + self._rho(x) * unit_direction(gradient)
        return x - self._lr(x) * self._mean_gradient(objective, perturbed, k)

    def _mean_gradient(self, objective: Objective, x: Tensor, k: Tensor) -> Tensor:
        """∇L_B(x), one row per point, from the m component gradients of each."""
        repeated = x.repeat_interleave(self.batch_size, dim=0)
        gradients = objective.component_gradient(repeated, k.reshape(-1))
        return gradients.reshape(len(x), self.batch_size, -1).mean(dim=1)


def _own(value: float | Tensor) -> float | Tensor:
    """The value, if it is a tensor a copy: what happens to the original does not change a rule."""
    return value.clone() if isinstance(value, Tensor) else value


def _by_value(held: Any) -> Any:
    """What stands for an attribute when rules are compared: of a tensor, its entries and more."""
    if isinstance(held, Tensor):
        return held.dtype, held.device, tuple(held.shape), tuple(held.reshape(-1).tolist())
    return held
