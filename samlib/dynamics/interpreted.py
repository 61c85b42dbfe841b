"""A loss of one's own in compiled code: followed once, its arithmetic is interpreted there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samlib._progress import ProgressBar
from samlib.dynamics import interpreter
from samlib.dynamics.compiled_run import run_compiled
from samlib.dynamics.lowering import straight_line
from samlib.dynamics.rules import Rule
from samlib.objective import Objective

# So many instructions, times points, take a fraction of a second; then a run can be interrupted.
_AT_ONCE = 10**8

# At so many of the recorded steps the derivatives are compared with torch's.
_COMPARED = 8

# What rounding may differ by: relative to the derivative there, and to that at the start.
_HERE, _AT_START = 1e-6, 1e-9


def run_interpreted(
    objective: Objective, rule: Rule, steps: int, every: int, points: Tensor, bar: ProgressBar
) -> bool:
    """Fill points [batch, records, dim] from points[:, 0], and say whether that could be done.

    It could not where the loss is no straight-line program, or does not behave as one: where it
    has other derivatives than were followed, or is followed to others after the run.
    """
    start = points[:, 0]
    at_start = _derivatives(objective, rule, start)  # first, because a loss may keep tensors
    loss = _follow(objective, rule, start[0])
    if loss is None or not _agree(loss.derivatives(start), at_start, at_start):
        return False
    at_once = max(1, _AT_ONCE // (loss.instructions * len(start)))
    blocks = ((min(at_once, steps - first), None) for first in range(0, steps, at_once))
    functions = interpreter.gradient, interpreter.product
    run_compiled(functions, loss.parameters, (1.0,), rule, blocks, every, points, bar)
    for k in np.unique(np.linspace(0, points.shape[1] - 1, _COMPARED).astype(int)):
        x = points[:, k]
        if not _agree(loss.derivatives(x), _derivatives(objective, rule, x), at_start):
            return False
    again = _follow(objective, rule, start[0])
    return again is not None and np.array_equal(loss.bits, again.bits)


@dataclass(frozen=True, eq=False)
class _Followed:
    """The derivatives that a rule needs, as programs.

    Attributes
    ----------
    parameters
        The programs, as the interpreter takes them.
    instructions
        How many they have.
    has_product
        Whether the product with the Hessian is one of them.
    """

    parameters: NDArray[np.float64]
    instructions: int
    has_product: bool

    @property
    def bits(self) -> NDArray[np.int64]:
        """The programs as integers, which are equal where NaN is."""
        return self.parameters.view(np.int64)

    def derivatives(self, x: Tensor) -> list[Tensor]:
        """What :func:`_derivatives` gives, by the interpreter."""
        columns = np.ascontiguousarray(x.numpy().T)
        weights, gradient = np.ones((1, len(x))), np.empty_like(columns)
        interpreter.gradient(columns, weights, self.parameters, gradient)
        found = [torch.from_numpy(gradient.T)]
        if self.has_product:
            ones, product = np.ones_like(columns), np.empty_like(columns)
            interpreter.product(columns, ones, weights, self.parameters, product)
            found.append(torch.from_numpy(product.T))
        return found


def _derivatives(objective: Objective, rule: Rule, x: Tensor) -> list[Tensor]:
    """∇L and, if the rule needs products, ∇²L (1, …, 1) at x [batch, dim], by torch."""
    found = [objective.gradient(x)]
    if rule.second_order:
        found.append(objective.hessian_vector_product(x, torch.ones_like(x)))
    return found


def _follow(objective: Objective, rule: Rule, x: Tensor) -> _Followed | None:
    gradient = straight_line(objective.gradient, x)
    if gradient is None:
        return None
    if not rule.second_order:
        return _Followed(interpreter.encode(gradient, None), len(gradient.code), False)
    product = straight_line(objective.hessian_vector_product, x, torch.ones_like(x))
    if product is None:
        return None
    length = len(gradient.code) + len(product.code)
    return _Followed(interpreter.encode(gradient, product), length, True)


def _agree(found: Sequence[Tensor], torchs: Sequence[Tensor], at_start: Sequence[Tensor]) -> bool:
    """Whether derivatives [batch, dim] differ by rounding alone, where they are finite."""
    for mine, theirs, first in zip(found, torchs, at_start, strict=True):
        here, there = theirs.abs().amax(dim=-1), first.abs().amax(dim=-1)
        close = (mine - theirs).abs().amax(dim=-1) <= _HERE * here + _AT_START * there
        if not bool((close | ~here.isfinite()).all()):
            return False
    return True
