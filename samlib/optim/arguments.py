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


def require_group(param_group: Any) -> dict[str, Any]:
    """Return a group of parameters that is one."""
    require_instance("param_group", param_group, dict, "a dict with the key 'params'")
    if "params" not in param_group:
        raise ValueError(
            f"param_group must be a dict with the key 'params', got {shown(param_group)}"
        )
    group: dict[str, Any] = param_group
    return group


def require_state(state_dict: Any, parameters: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a state into the base optimizer's and our own; refuse what would fail half way.

    A state that the base optimizer saved has none of our own, which then starts anew.
    """
    require_instance("state_dict", state_dict, dict, "what state_dict() returned")
    own = state_dict.get("sharpness_aware", {"steps": 0, "vectors": {}})
    fits = (
        isinstance(own, dict)
        and isinstance(own.get("steps"), int)
        and isinstance(own.get("vectors"), dict)
        and all(place in range(parameters) for place in own["vectors"])
    )
    if not fits:
        raise ValueError(
            "state_dict['sharpness_aware'] must be what state_dict() returned for as many "
            f"parameters, got {shown(own)}"
        )
    if missing := {"state", "param_groups"} - set(state_dict):
        raise ValueError(
            f"state_dict must be what state_dict() returned, got {shown(state_dict)} "
            f"without {' and '.join(sorted(missing))}"
        )
    return {key: value for key, value in state_dict.items() if key != "sharpness_aware"}, own
