"""Which way a run takes: compiled, interpreted in compiled code, or by torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from torch import Tensor

from samlib._progress import ProgressBar
from samlib.dynamics.compiled_run import can_compile, run_compiled
from samlib.dynamics.rules import Rule
from samlib.dynamics.torch_run import FollowedStep, NotTheSameError, run_torch, step_of
from samlib.landscapes import Landscape
from samlib.objective import ModuleObjective, Objective

# To follow a loss takes as long as some hundred steps, and the first time, when torch loads what it
# needs for that, as long as a thousand.
FOLLOWED_STEPS = 1_000

Blocks = Iterable[tuple[int, Tensor | None]]
"""How many steps to take at a time, and the components that are drawn in them."""


def run(
    objective: Objective,
    rule: Rule,
    steps: int,
    every: int,
    draw: Callable[[], Blocks],
    points: Tensor,
    *,
    progress: bool,
) -> None:
    """Fill points [batch, records, dim] from points[:, 0], in the fastest way that there is."""
    x, blocks = points[:, 0], draw()
    compiles = can_compile(rule, x)
    if compiles and isinstance(objective, Landscape):
        _run_landscape(objective, rule, blocks, every, points)
        return
    bar = partial(ProgressBar, steps, type(rule).__name__, progress)
    followed = steps >= FOLLOWED_STEPS and is_one_function(objective)
    if followed and compiles and not rule.stochastic:
        from samlib.dynamics.interpreted import run_interpreted

        with bar() as shown:
            if run_interpreted(objective, rule, steps, every, points, shown):
                return
    step = step_of(rule, objective, x)
    if followed:
        with bar() as shown, suppress(NotTheSameError):
            run_torch(FollowedStep(step, steps), blocks, every, points, shown)
            return
        blocks = draw()
    with bar() as shown:
        run_torch(step, blocks, every, points, shown)


def _run_landscape(
    landscape: Landscape, rule: Rule, blocks: Blocks, every: int, points: Tensor
) -> None:
    from samlib.dynamics.compiled import compile_formulas

    loss, parameters = compile_formulas(landscape.formulas), landscape.parameters
    run_compiled(loss, parameters, landscape.weights, rule, blocks, every, points)


def is_one_function(objective: Objective) -> bool:
    """Whether all evaluations of a loss do the same, so that it is enough to follow one.

    Batches may be others in each pass over the data, and what a class of one's own does is not
    known.
    """
    if isinstance(objective, ModuleObjective):
        alone = not objective.processes.several
        return alone and objective.in_one_batch and objective.obstacle is None
    return type(objective) is Objective
