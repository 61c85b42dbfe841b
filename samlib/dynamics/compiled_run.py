"""Runs in compiled code: a rule's kernel, repeated on a loss that is compiled, too."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import broadcast_batch
from samlib.dynamics.rules import Rule


def can_compile(rule: Rule, x: Tensor) -> bool:
    """Whether there is compiled code for a rule at such points."""
    return (
        rule.kernel is not None
        and _keeps_its_step(type(rule))
        and x.device.type == "cpu"
        and x.dtype == torch.float64
        and importlib.util.find_spec("numba") is not None
    )


def _keeps_its_step(rule: type[Rule]) -> bool:
    """Whether a class steps as the one that names the kernel: one derived from it may not."""
    names_it = next(each for each in rule.__mro__ if "kernel" in vars(each))
    return issubclass(names_it, Rule) and rule.step is names_it.step


def run_compiled(
    loss: tuple[Any, Any],
    parameters: Sequence[float] | NDArray[np.float64],
    weights: Sequence[float],
    rule: Rule,
    blocks: Iterable[tuple[int, Tensor | None]],
    every: int,
    points: Tensor,
    bar: ProgressBar | None = None,
) -> None:
    """Fill points [batch, records, dim] from points[:, 0] by the compiled kernel of the rule.

    Parameters
    ----------
    loss, parameters, weights
        The compiled gradient and Hessian-vector product, with what they take.
    rule
        The rule.
    blocks
        How many steps to take at a time, with the components that are drawn in them.
    every
        Which steps are recorded.
    points
        Where they are.
    bar
        What is told after each block.
    """
    from samlib.dynamics import compiled

    assert rule.kernel is not None
    start = points[:, 0]
    batch = len(start)
    state = start.numpy().T.copy()
    lr, rho = (
        broadcast_batch(name, value, start).expand(batch, 1)[:, 0].contiguous().numpy()
        for name, value in (("lr", rule.lr), ("rho", getattr(rule, "rho", 0.0)))
    )
    each = np.repeat(np.array(weights)[:, None], batch, axis=1)
    records = np.empty((points.shape[1] - 1, start.shape[1], batch))
    first = 0
    for size, draws in blocks:
        with _tiny_numbers_as_zero():
            compiled.advance(
                getattr(compiled, rule.kernel),
                loss,
                np.asarray(parameters, dtype=np.float64),
                each,
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
        if bar is not None:
            bar.update(size)
    points[:, 1:] = torch.from_numpy(records).permute(2, 0, 1)
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
