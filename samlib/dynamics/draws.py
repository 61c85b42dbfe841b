"""Which components of the loss a stochastic rule sees at each step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from samlib._validation import require_integers, shown
from samlib.dynamics.rules import Rule
from samlib.objective import Objective

# Component indices are drawn this many steps at a time, which bounds their memory.
_DRAWN_STEPS = 10_000


def draw_components(
    objective: Objective,
    rule: Rule,
    batch: int,
    steps: int,
    seed: int | None,
    draws: Tensor | None,
) -> Iterator[tuple[int, Tensor | None]]:
    """Cut steps into blocks, each with its component indices if the rule needs them.

    The indices of a block have shape [its steps, batch · batch_size], those of a run side by
    side.
    """
    if not rule.stochastic:
        if draws is not None:
            raise ValueError(
                f"draws must be None: {type(rule).__name__} draws no components, got {shown(draws)}"
            )
        return iter([(steps, None)])
    if objective.components is None:
        raise ValueError(
            "this rule draws components, and the objective has none: use a landscape or "
            "Objective.from_module(model, loss_fn, data)"
        )
    number, size = len(objective.components), getattr(rule, "batch_size", 1)
    if draws is None:
        return _drawn(number, steps, batch, size, _generator(seed))
    if seed is not None:
        raise ValueError(f"seed must be None where draws are given, not both; got {seed}")
    return iter([(steps, _require_draws(draws, (steps, batch, size), number))])


def _drawn(
    components: int, steps: int, batch: int, size: int, generator: torch.Generator
) -> Iterator[tuple[int, Tensor]]:
    at_once = max(1, _DRAWN_STEPS // size)
    for first in range(0, steps, at_once):
        count = min(at_once, steps - first)
        yield count, torch.randint(components, (count, batch * size), generator=generator)


def _require_draws(draws: Tensor, shape: tuple[int, int, int], components: int) -> Tensor:
    """The given draws as [steps, batch · batch_size]."""
    require_integers("draws", draws)
    if tuple(draws.shape) != (shape[:2] if draws.dim() == 2 and shape[2] == 1 else shape):
        raise ValueError(
            f"draws must have shape [steps, batch, batch_size] = {list(shape)}, "
            f"got {list(draws.shape)}"
        )
    if draws.numel() and not 0 <= int(draws.min()) <= int(draws.max()) < components:
        raise ValueError(
            f"draws must be component indices from 0 to {components - 1}, got "
            f"{int(draws.min())} to {int(draws.max())}"
        )
    return draws.detach().to("cpu", torch.int64).reshape(shape[0], -1).contiguous()


def _generator(seed: int | None) -> torch.Generator:
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator
