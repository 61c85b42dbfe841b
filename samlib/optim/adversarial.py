"""The perturbation as an adversary: AWP and AMP."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from samlib._validation import require_count, require_number
from samlib.optim.base import SharpnessAware
from samlib.optim.replicas import PerturbWith
from samlib.optim.space import quotient
from samlib.optim.vectors import flatten, split
from samlib.optim.wrapper import BaseOptimizer, ParameterGroups, Radius


class AWP(SharpnessAware):
    """Adversarial weight perturbation: each weight moves by γ of its own norm (Wu et al., 2020).

    Weight by weight, ε_l = γ ‖w_l‖ g_l/‖g_l‖ (one step of their ascent, γ being ``rho``);
    biases and the scales of normalization layers, which have fewer than two dimensions, are not
    perturbed. The base optimizer steps from w with the gradient at w + ε. In the paper the loss is
    that of adversarial examples: make them at the unperturbed weights, before the step, and let
    the closure use the same ones in both passes.

    Parameters
    ----------
    params, base_optimizer, rho, model, perturb_with, same_masks
        As for :class:`SAM`; ρ is relative to the norm of each weight, 0.005 in the paper.

    Examples
    --------
    >>> import torch, samlib
    >>> model = torch.nn.Linear(2, 1)
    >>> base = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> optimizer = samlib.optim.AWP(model.parameters(), base, rho=0.005)
    """

    def _perturbation(self, gradient: Tensor, rho: Radius) -> Tensor:
        weights, pieces = (split(v, self._active) for v in (flatten(self._active), gradient))
        powers, lengths = self._space.scale_pieces_(weights)
        _, own = self._space.scale_pieces_(pieces)
        torch._foreach_mul_(pieces, list(quotient(powers * lengths, own)))
        if thin := [g for p, g in zip(self._active, pieces, strict=True) if p.dim() < 2]:
            torch._foreach_zero_(thin)
        return gradient.mul_(rho)


class AMP(SharpnessAware):
    """Adversarial model perturbation: K projected steps of ascent (Zheng et al., 2021).

    From Δ = 0, K times: Δ ← Δ + ζ ∇L(w + Δ), scaled back to the ball ‖Δ‖ ≤ ρ where it leaves it.
    The base optimizer steps from w with the gradient at w + Δ (their ε is ``rho``). With K = 1 and
    ζ so large that Δ is scaled back, it is SAM. (The name has nothing to do with automatic mixed
    precision, which works here as everywhere.)

    Parameters
    ----------
    params, base_optimizer, rho, model, perturb_with, same_masks
        As for :class:`SAM`.
    inner_lr
        ζ > 0, the learning rate of the ascent.
    inner_steps
        K ≥ 1. A step takes K + 1 gradients; in two-step use call ``first_step`` K times.

    Raises
    ------
    ValueError
        If ζ ≤ 0 or K < 1.

    Examples
    --------
    >>> import torch, samlib
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> base = torch.optim.SGD([w], lr=0.1)
    >>> samlib.optim.AMP([w], base, rho=0.5, inner_lr=1.0, inner_steps=3).ascents
    3
    """

    _perturbed_by: Tensor

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: BaseOptimizer,
        *,
        rho: float,
        inner_lr: float = 1.0,
        inner_steps: int = 1,
        model: nn.Module | None = None,
        perturb_with: PerturbWith = "averaged",
        same_masks: bool = False,
    ) -> None:
        self.inner_lr = require_number("inner_lr", inner_lr, positive=True)
        self.inner_steps = require_count("inner_steps", inner_steps, minimum=1)
        super().__init__(
            params,
            base_optimizer,
            rho=rho,
            model=model,
            perturb_with=perturb_with,
            same_masks=same_masks,
        )

    @property
    def ascents(self) -> int:
        """The number K of steps of ascent."""
        return self.inner_steps

    def _perturbation(self, gradient: Tensor, rho: Radius) -> Tensor:
        moved = gradient.mul_(self.inner_lr)
        if self._calls.ascended:
            moved.add_(self._perturbed_by)
        length = self._space.norm(moved)
        moved.mul_(torch.where(length > rho, rho / length, 1.0))
        self._perturbed_by = moved.clone()
        return moved

    def _forget(self) -> None:
        self._perturbed_by = torch.empty(0)
        super()._forget()

    def _settings(self) -> dict[str, Any]:
        mine = {"inner_lr": self.inner_lr, "inner_steps": self.inner_steps}
        return {**mine, **super()._settings()}
