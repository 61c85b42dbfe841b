"""Checks of what an optimizer is made with, and of a state that it is to load."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from itertools import chain
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from samlib._validation import require_instance, require_number, shown
from samlib.optim.together import Together


def require_base(base_optimizer: Any, refused: type) -> Optimizer:
    """Return the base optimizer, several of them as one; refuse what cannot be one."""
    if not isinstance(base_optimizer, (list, tuple)):
        return _require_one_base(base_optimizer, refused)
    if not base_optimizer:
        raise ValueError(
            f"base_optimizer must be an instance, or several of them; got {shown(base_optimizer)}"
        )
    bases = [_require_one_base(each, refused) for each in base_optimizer]
    parameters = [id(p) for each in bases for group in each.param_groups for p in group["params"]]
    if len(set(parameters)) < len(parameters):
        raise ValueError(
            "each parameter must be in one base_optimizer only, got one in several of "
            f"{shown(base_optimizer)}"
        )
    return bases[0] if len(bases) == 1 else Together(bases)


def _require_one_base(base_optimizer: Any, refused: type) -> Optimizer:
    """Refuse what is no optimizer, needs a closure, or is around another optimizer itself."""
    if not isinstance(base_optimizer, Optimizer):
        raise TypeError(
            "base_optimizer must be an instance such as torch.optim.SGD(params, lr=0.1), "
            f"got {shown(base_optimizer)}"
        )
    closure = inspect.signature(base_optimizer.step).parameters.get("closure")
    needs_closure = closure is not None and closure.default is inspect.Parameter.empty
    if needs_closure or isinstance(base_optimizer, refused):
        raise TypeError(
            f"base_optimizer must be able to step without a closure, got {shown(base_optimizer)}"
        )
    if getattr(base_optimizer, "_overlap_with_ddp", False):
        raise ValueError(
            "base_optimizer must step when it is told to: a ZeroRedundancyOptimizer with "
            "overlap_with_ddp=True steps within backward(), also in the first pass"
        )
    return base_optimizer


def require_params(params: Any) -> list[Any]:
    """Return the parameters, or groups of them, as a list."""
    allowed = "params must be a non-empty iterable of parameters, or of dicts with them"
    if isinstance(params, (Tensor, str, dict)) or not isinstance(params, Iterable):
        raise TypeError(f"{allowed}, got {shown(params)}")
    given = list(params)
    for entry in given:
        if not isinstance(entry, (Tensor, dict, tuple)):  # torch knows parameters with names, too
            raise TypeError(f"{allowed}, got {shown(entry)} in it")
    if not given:
        raise ValueError(f"{allowed}, got {shown(given)}")
    return given


def require_radii(own: list[dict[str, Any]], base_optimizer: Optimizer) -> list[float]:
    """Return ρ for each group of the base optimizer; refuse groups of other parameters.

    For several base optimizers all parameters may come as one group, in any order.
    """
    base = base_optimizer.param_groups
    own_ids, base_ids = ([[id(p) for p in g["params"]] for g in groups] for groups in (own, base))
    radii = [require_number("rho of a parameter group", group["rho"]) for group in own]
    if isinstance(base_optimizer, Together) and len(own) == 1:
        radii *= len(base)
        own_ids, base_ids = ([sorted(chain(*ids))] for ids in (own_ids, base_ids))
    if own_ids != base_ids:
        raise ValueError(
            "params must be the same parameters, in the same groups, as base_optimizer's; got "
            f"{sum(map(len, own_ids))} in {len(own_ids)} groups against "
            f"{sum(map(len, base_ids))} in {len(base)}"
        )
    return radii


def require_known_parts(parameters: Iterable[Tensor]) -> None:
    """Refuse parts that do not tell which processes hold the others."""
    if any(getattr(p, "_fsdp_flattened", False) for p in parameters):
        raise ValueError(
            "params must not be those of FullyShardedDataParallel: they are pieces, and their "
            "norms those of one process; shard the model with torch.distributed.fsdp.fully_shard"
        )


def require_group(param_group: Any) -> dict[str, Any]:
    """Return a group of parameters that is one."""
    require_instance("param_group", param_group, dict, "a dict with the key 'params'")
    if "params" not in param_group:
        raise ValueError(
            f"param_group must be a dict with the key 'params', got {shown(param_group)}"
        )
    group: dict[str, Any] = param_group
    return group
