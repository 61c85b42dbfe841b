"""Repeating an update rule, from many starts at once."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy

import numpy as np
import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    broadcast_batch,
    require_count,
    require_flag,
    require_instance,
    require_names,
    require_points,
    require_seed,
)
from samlib.dynamics.draws import draw_components
from samlib.dynamics.rules import Rule
from samlib.dynamics.trajectory import RECORDABLE, Trajectory
from samlib.landscapes import Landscape
from samlib.objective import Objective, require_objective


def simulate(
    objective: Objective,
    rule: Rule,
    start: Tensor,
    steps: int,
    *,
    every: int = 1,
    record: Iterable[str] = ("x", "loss", "alignment"),
    seed: int | None = None,
    progress: bool = True,
    draws: Tensor | None = None,
) -> Trajectory:
    """Repeat an update rule and record what is asked for.

    Parameters
    ----------
    objective
        The loss.
    rule
        One of :mod:`samlib.rules`. Its lr and rho are numbers or tensors [batch].
    start
        [dim] or [batch, dim]. Starts, lr and rho broadcast to one batch.
    steps
        The number of updates.
    every
        Record at step 0, every so many steps, and at the last step.
    record
        Any of "x", "loss", "gradient", "alignment" (|cos∠(∇L(x), v₁(∇²L(x)))|) and
        "top_eigenvalue" (λ₁ of ∇²L(x)).
    seed
        Fixes the components that a stochastic rule draws; they are drawn on the CPU, so that they
        are the same on every device. Each run of the batch has draws of its own.
    progress
        Whether to show a bar if it takes more than two seconds (compiled runs show none).
    draws
        The components that a stochastic rule is to use, instead of drawing them: an integer
        tensor [steps, batch, batch_size] (without its last dimension for batch size one).

    Returns
    -------
    Trajectory
        Tensors [batch, records, ...] on the device and in the dtype of ``start``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, if the loss at the start is not
        finite, or if a stochastic rule meets an objective without components.

    Warns
    -----
    RuntimeWarning
        If a run diverges, that is, ends at a point that is not finite.

    Notes
    -----
    On the CPU in float64, a landscape runs compiled if Numba is installed (the extra
    ``samlib[compiled]``); anything else is a batched torch loop.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 1.0])
    >>> rule = samlib.rules.SAM(lr=0.2, rho=torch.tensor([0.1, 0.2]).double())
    >>> run = samlib.simulate(quadratic, rule, torch.ones(2).double(), steps=500, every=100)
    >>> run.x.shape
    torch.Size([2, 6, 2])
    >>> run.x[:, -1].norm(dim=-1)  # → ηρλ₁/(2 − ηλ₁), Theorem 4.8
    tensor([0.0250, 0.0500], dtype=torch.float64)
    """
    require_objective(objective)
    require_instance("rule", rule, Rule, "one of samlib.rules")
    names = require_names("record", record, RECORDABLE)
    require_count("steps", steps, minimum=0)
    require_count("every", every, minimum=1)
    require_flag("progress", progress)
    if seed is not None:
        seed = require_seed("seed", seed)
    x, lr, rho = _batch(objective, rule, start)
    _require_finite_loss(objective, x)
    components = draw_components(objective, rule, len(x), steps, seed, draws)

    recorded = [*range(0, steps, every), steps]
    points = x.new_empty((len(x), len(recorded), objective.dim))
    points[:, 0] = x
    if _can_compile(objective, rule, x):
        _run_compiled(objective, rule, steps, every, components, points)
    else:
        with ProgressBar(steps, type(rule).__name__, progress) as bar:
            _run_torch(objective, rule, steps, every, components, points, bar)

    _warn_if_diverged(points[:, -1])
    data = {name: RECORDABLE[name](objective, points, progress) for name in names}
    return Trajectory(torch.tensor(recorded, device=x.device), data, lr, rho)


def _batch(objective: Objective, rule: Rule, start: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Broadcast start, lr and rho to one batch: [batch, dim], [batch], [batch] or None."""
    require_points("start", start, objective.dim)
    if start.dim() > 2:
        raise ValueError(
            f"start must have shape [{objective.dim}] or [batch, {objective.dim}], "
            f"got {tuple(start.shape)}"
        )
    x = start.detach().reshape(-1, objective.dim)
    given = {"lr": rule.lr, "rho": getattr(rule, "rho", None)}
    sizes = {len(value) for value in given.values() if isinstance(value, Tensor) and value.dim()}
    batch = max({len(x), *sizes})
    if len(x) not in (1, batch):
        raise ValueError(
            f"start has batch size {len(x)}, which does not match the {batch} of lr and rho"
        )
    x = (x if len(x) == batch else x.expand(batch, -1)).clone()
    columns = {
        name: None if value is None else broadcast_batch(name, value, x).expand(batch, 1)[:, 0]
        for name, value in given.items()
    }
    lr = columns["lr"]
    assert lr is not None
    return x, lr, columns["rho"]


def _require_finite_loss(objective: Objective, x: Tensor) -> None:
    loss = objective.value(x)
    if not bool(loss.isfinite().all()):
        bad = int((~loss.isfinite()).nonzero()[0])
        raise ValueError(
            f"the loss at start must be finite, got {loss[bad].item()} for run {bad} of {len(x)}"
        )


def _warn_if_diverged(x: Tensor) -> None:
    diverged = int((~x.isfinite()).any(dim=-1).sum())
    if diverged:
        warnings.warn(
            f"{diverged} of {len(x)} runs diverged to a point that is not finite; "
            "a smaller lr may help (gradient descent needs lr < 2/λ₁)",
            RuntimeWarning,
            stacklevel=3,
        )


@torch.no_grad()
def _run_torch(
    objective: Objective,
    rule: Rule,
    steps: int,
    every: int,
    components: Iterator[tuple[int, Tensor | None]],
    points: Tensor,
    bar: ProgressBar,
) -> None:
    """Fill points [batch, records, dim] from points[:, 0] by torch operations, on any device."""
    x, step = points[:, 0].clone(), 0
    rule = copy(rule)
    for name in ("lr", "rho"):
        if isinstance(value := getattr(rule, name, None), Tensor):
            object.__setattr__(rule, name, value.to(x))  # once, not at every step
    for size, draws in components:
        indices = None if draws is None else draws.to(x.device)
        for t in range(size):
            x = rule.step(objective, x, None if indices is None else indices[t])
            step += 1
            bar.update()
            if step % every == 0:
                points[:, step // every] = x
    points[:, -1] = x


def _can_compile(objective: Objective, rule: Rule, x: Tensor) -> bool:
    return (
        isinstance(objective, Landscape)
        and rule.kernel is not None
        and x.device.type == "cpu"
        and x.dtype == torch.float64
        and importlib.util.find_spec("numba") is not None
    )


def _run_compiled(
    objective: Objective,
    rule: Rule,
    steps: int,
    every: int,
    components: Iterator[tuple[int, Tensor | None]],
    points: Tensor,
) -> None:
    """Fill points [batch, records, dim] from points[:, 0] by the compiled kernel of the rule."""
    from samlib.dynamics import compiled

    assert isinstance(objective, Landscape)
    assert rule.kernel is not None
    start = points[:, 0]
    batch = len(start)
    state = start.numpy().T.copy()
    weights = np.repeat(np.array(objective.weights)[:, None], batch, axis=1)
    lr, rho = (
        broadcast_batch(name, value, start).expand(batch, 1)[:, 0].contiguous().numpy()
        for name, value in (("lr", rule.lr), ("rho", getattr(rule, "rho", 0.0)))
    )
    records = np.empty((steps // every, objective.dim, batch))
    first = 0
    for size, draws in components:
        with _tiny_numbers_as_zero():
            compiled.advance(
                getattr(compiled, rule.kernel),
                objective.formulas,
                np.array(objective.parameters),
                weights,
                state,
                lr,
                rho,
                first,
                size,
                np.empty((0, batch), dtype=np.int64) if draws is None else draws.numpy(),
                every,
                records,
            )
        first += size
    points[:, 1 : len(records) + 1] = torch.from_numpy(records).permute(2, 0, 1)
    points[:, -1] = torch.from_numpy(state.T)


@contextmanager
def _tiny_numbers_as_zero() -> Iterator[None]:
    """Take numbers below 1e-308 as zero.

    Alignment sends the other components of x there, where processors take up to a hundred times
    as long for each operation.
    """
    smallest = torch.tensor(5e-324, dtype=torch.float64)
    already = bool(smallest * 1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(already)
