"""The worst of many directions in a ball: diametrical risk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from samlib._validation import require_count, require_seed
from samlib.optim.by_loss import ByLoss
from samlib.optim.space import Space
from samlib.optim.vectors import normal
from samlib.optim.wrapper import BaseOptimizer, ParameterGroups


class DiametricalRisk(ByLoss):
    """Minimize the worst loss in a ball, found by sampling (Norton & Royset, 2021).

    The diametrical risk is max_{‖v‖≤ρ} L(w + v). A step takes the maximum over a finite set: n
    directions uniform on the sphere of radius ρ and, from the second step on, the worst direction
    of the step before. The base optimizer steps from w with the gradient at the worst of them, a
    gradient of the maximum there. The maximum over samples is a lower bound of the risk.

    Parameters
    ----------
    params, base_optimizer, rho, model, same_masks
        As for :class:`SAM`; ρ is the paper's γ. Each replica takes its own worst direction;
        processes that share the weights (fully_shard) take that of their mean loss.
    directions
        n ≥ 1. A step takes n + 2 or n + 3 evaluations of the loss, one of them with a gradient.
    seed
        Of the directions.

    Raises
    ------
    ValueError
        If n or the seed is out of range.

    Notes
    -----
    The closure returns the loss and does not call ``backward``; it is also called without
    gradients. There is no two-step use.

    Examples
    --------
    >>> import torch, samlib
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> base = torch.optim.SGD([w], lr=0.01)
    >>> optimizer = samlib.optim.DiametricalRisk([w], base, rho=0.1, directions=4)
    >>> loss = optimizer.step(lambda: (w**4).sum())
    """

    in_two_steps = False
    two_gradients = False
    _keeps_vector = True
    _worst: Tensor  # the direction that this step found

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: BaseOptimizer,
        *,
        rho: float,
        directions: int = 20,
        seed: int = 0,
        model: nn.Module | None = None,
        same_masks: bool = False,
    ) -> None:
        self.directions = require_count("directions", directions, minimum=1)
        self.seed = require_seed("seed", seed, bits=32)  # the other half of 64 is the step
        super().__init__(params, base_optimizer, rho=rho, model=model, same_masks=same_masks)

    def first_step(self, scaler: Any = None) -> NoReturn:
        """Not for a search over losses: raises RuntimeError."""
        raise RuntimeError(
            "DiametricalRisk evaluates the loss at many points: use step(closure), with a closure "
            "that returns the loss"
        )

    def _both_gradients(self, closure: Callable[[], Any], scaler: Any) -> Any:
        self._leftovers.begin(self._parameters())
        closure = self.with_same_masks(closure) if self.same_masks else closure
        loss = self._loss(closure).detach()
        self._active = [p for p in self._parameters() if p.requires_grad]
        self._space = Space(self._active)
        self._weights.save(self._active)
        self._modules.hold()
        self._place(self._search(closure))
        self._calls.ascended += 1
        with torch.enable_grad():
            self._evaluate(closure, scaler)
        self._finite = self._unscale(scaler)
        return loss

    def _search(self, closure: Callable[[], Any]) -> Tensor:
        """Find the unit direction with the largest loss, without waiting for the device."""
        generator = torch.Generator(self._active[0].device)
        generator.manual_seed((self.seed << 32) + self._memory.steps)  # nothing else to be saved
        first = self._memory.empty
        worst = self._draw(generator) if first else self._memory.recall(self._active)
        largest = self._place(worst, closure)
        for _ in range(self.directions - first):
            direction = self._draw(generator)
            loss = self._place(direction, closure)
            worse = loss > largest
            torch.where(worse, direction, worst, out=worst)
            largest = torch.where(worse, loss, largest)
        self._worst = worst
        return worst

    def _draw(self, generator: torch.Generator) -> Tensor:
        return self._space.unit_(normal(self._active, generator))

    def _place(self, direction: Tensor, closure: Callable[[], Any] | None = None) -> Any:
        """Move to w + ρ v, and evaluate the loss there."""
        self._weights.restore()
        self._perturb(direction * self._radius(self._active))
        return None if closure is None else self._space.mean(self._loss(closure).detach())

    def _remember(self) -> None:
        self._memory.keep(self._worst, self._active)
        super()._remember()

    def _forget(self) -> None:
        self._worst = torch.empty(0)
        super()._forget()

    def _settings(self) -> dict[str, Any]:
        return {"directions": self.directions, "seed": self.seed, **super()._settings()}
