"""Runs by torch operations, batched, on any device: of any rule on any loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy

import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib.dynamics.following import follow
from samlib.dynamics.rules import Rule
from samlib.objective import Objective

Step = Callable[[Tensor, Tensor | None], Tensor]
"""x [batch, dim] and component indices, or None ↦ x⁺."""


@torch.no_grad()
def run_torch(
    step: Step,
    blocks: Iterable[tuple[int, Tensor | None]],
    every: int,
    points: Tensor,
    bar: ProgressBar,
) -> None:
    """Fill points [batch, records, dim] from points[:, 0].

    ``blocks`` says how many steps to take, with the components that are drawn in them.
    """
    x, done = points[:, 0].clone(), 0
    for size, draws in blocks:
        indices = None if draws is None else draws.to(x.device)
        for t in range(size):
            x = step(x, None if indices is None else indices[t])
            done += 1
            bar.update()
            if done % every == 0:
                points[:, done // every] = x
    points[:, -1] = x


def step_of(rule: Rule, objective: Objective, x: Tensor) -> Step:
    """A rule's step on a loss, its numbers moved to where x is: once, not at every step."""
    rule = copy(rule)
    for name in ("lr", "rho"):
        if isinstance(value := getattr(rule, name, None), Tensor):
            object.__setattr__(rule, name, value.to(x))
    return lambda x, k: rule.step(objective, x, k)


class NotTheSameError(Exception):
    """A step gave something else than its operations, followed before, give."""


class FollowedStep:
    """A step whose operations are followed once, and then run without what led to them.

    Where they cannot be followed, it is the step itself. It is so, too, the first time, every time
    whose number is a power of two, and the last: then both are compared.

    Parameters
    ----------
    step
        The step.
    last
        How many times it will be taken.

    Raises
    ------
    NotTheSameError
        If the two are not the same to the bit: the step is no function of what it is given, and
        what was run since the last comparison may be wrong.
    """

    def __init__(self, step: Step, last: int) -> None:
        self._step, self._last, self._taken = step, last, 0
        self._run = step

    def __call__(self, x: Tensor, k: Tensor | None) -> Tensor:
        """Take a step."""
        self._taken += 1
        if self._taken & (self._taken - 1) and self._taken < self._last:
            return self._run(x, k)
        result = self._step(x, k)
        if self._taken == 1:  # not before: there may be tensors that a loss makes once and keeps
            self._run = self._followed(x, k)
        if self._run is not self._step and not _same(self._run(x, k), result):
            raise NotTheSameError
        return result

    def _followed(self, x: Tensor, k: Tensor | None) -> Step:
        if k is None:
            graph = follow(lambda x: self._step(x, None), x)
            return self._step if graph is None else lambda x, k: graph(x)
        return follow(self._step, x, k) or self._step


def _same(x: Tensor, y: Tensor) -> bool:
    return bool(((x == y) | (x.isnan() & y.isnan())).all())
