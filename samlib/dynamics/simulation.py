"""Repeating an update rule, from many starts at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

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
from samlib.dynamics.run import run
from samlib.dynamics.trajectory import RECORDABLE, Trajectory
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
        Whether to show a bar if it takes more than two seconds (on landscapes, compiled runs show
        none).
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
    ``samlib[compiled]``). So do runs of 1,000 steps or more on a loss of your own, or a small
    network on one batch: its operations are followed once, and their arithmetic is interpreted in
    compiled code, equal to torch up to rounding. Where that cannot be (larger networks, other
    dtypes and devices, rules that draw components), what was followed is run by torch, equal to
    the bit. Both are compared with the loss itself, at some steps and after the run. A loss that
    looks at numbers to branch on them, draws random ones, changes from call to call, or comes with
    data in batches is evaluated at every step, as in short runs.

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
    draw = partial(draw_components, objective, rule, len(x), steps, seed, draws)

    recorded = [*range(0, steps, every), steps]
    points = x.new_empty((len(x), len(recorded), objective.dim))
    points[:, 0] = x
    run(objective, rule, steps, every, draw, points, progress=progress)

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
