"""Updates made of both gradients: GSAM and LookSAM."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from samlib._validation import require_count, require_number
from samlib.optim.sam import SAM
from samlib.optim.space import quotient
from samlib.optim.wrapper import BaseOptimizer, ParameterGroups


class GSAM(SAM):
    """Surrogate-gap guided SAM (Zhuang et al., 2022).

    With g the gradient at w and g_p that at w + ρ g/‖g‖, the base optimizer steps from w with
    g_p − α g_⊥, where g_⊥ is the part of g orthogonal to g_p (their Algorithm 1): it descends the
    perturbed loss and, without changing it to first order, ascends the loss itself, which
    closes the gap between the two.

    Parameters
    ----------
    params, base_optimizer, rho, model, same_masks
        As for :class:`SAM`. The update contains both gradients, so replicas must average both.
    alpha
        α ≥ 0; 0 is SAM.

    Raises
    ------
    ValueError
        If α is negative or not finite.

    Examples
    --------
    >>> import torch, samlib
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> base = torch.optim.SGD([w], lr=0.5)
    >>> samlib.optim.GSAM([w], base, rho=0.1, alpha=0.3).alpha
    0.3
    """

    has_edge = False  # its steps are no longer SAM's
    _combines = True

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: BaseOptimizer,
        *,
        rho: float,
        alpha: float,
        model: nn.Module | None = None,
        same_masks: bool = False,
    ) -> None:
        self.alpha = require_number("alpha", alpha)
        super().__init__(params, base_optimizer, rho=rho, model=model, same_masks=same_masks)

    def _combine(self, first: Tensor, last: Tensor) -> Tensor:
        return last.sub_(self._space.rejection(first, last), alpha=self.alpha)

    def _settings(self) -> dict[str, Any]:
        return {"alpha": self.alpha, **super()._settings()}


class LookSAM(SAM):
    """SAM every k-th step, its direction used again in between (Liu et al., 2022).

    Every k-th step is one of SAM, with gradients g at w and g_s at w + ρ g/‖g‖; it keeps g_v, the
    part of g_s orthogonal to g. The steps in between evaluate g only, and the base optimizer
    steps with g + α (‖g‖/‖g_v‖) g_v (their Algorithm 1).

    Parameters
    ----------
    params, base_optimizer, rho, model, same_masks
        As for :class:`SAM`. The update contains both gradients, so replicas must average both.
    alpha
        α ≥ 0, the weight of the direction that is used again.
    every
        k ≥ 1; 1 is SAM.

    Notes
    -----
    In two-step use ask :attr:`ascents`, which is 0 in between: ::

        loss_fn().backward()
        for _ in range(optimizer.ascents):
            optimizer.first_step()
            loss_fn().backward()
        optimizer.second_step()

    Raises
    ------
    ValueError
        If α is negative or not finite, or k < 1.

    Examples
    --------
    >>> import torch, samlib
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> base = torch.optim.SGD([w], lr=0.01)
    >>> optimizer = samlib.optim.LookSAM([w], base, rho=0.1, alpha=0.7, every=3)
    >>> ascents = []
    >>> def closure():
    ...     loss = (w**4).sum()
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(4):
    ...     ascents.append(optimizer.ascents)
    ...     _ = optimizer.step(closure)
    >>> ascents
    [1, 0, 0, 1]
    """

    has_edge = False  # its steps are no longer SAM's
    _combines = True
    _keeps_vector = True

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: BaseOptimizer,
        *,
        rho: float,
        alpha: float,
        every: int = 5,
        model: nn.Module | None = None,
        same_masks: bool = False,
    ) -> None:
        self.alpha = require_number("alpha", alpha)
        self.every = require_count("every", every, minimum=1)
        super().__init__(params, base_optimizer, rho=rho, model=model, same_masks=same_masks)

    @property
    def ascents(self) -> int:
        """1 every k-th step, 0 in between."""
        return int(self._memory.steps % self.every == 0)

    def _combine(self, first: Tensor, last: Tensor) -> Tensor:
        if self.ascents:
            self._memory.keep(self._space.rejection(last, first), self._active)
            return last
        kept = self._memory.recall(self._active)
        ratio = quotient(self._space.norm(last), self._space.norm(kept))
        return last.add_(kept.mul_(self.alpha * ratio))

    def _settings(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "every": self.every, **super()._settings()}
