"""The state of two optimizers, a base and the one around it, as one that torch's tools can save.

What the outer one keeps is in the form of a base optimizer's state: its vector parameter by
parameter, its number of steps in each group. torch.distributed.checkpoint gives parameters names
and cuts what belongs to them anew for another number of processes; it drops everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from samlib._validation import require_instance, shown
from samlib.optim.shards import part

VECTOR, STEPS = "sharpness_aware", "sharpness_aware_steps"


def joined(
    of_base: dict[str, Any], steps: int, pieces: dict[Tensor, Tensor], parameters: Sequence[Tensor]
) -> dict[str, Any]:
    """Add to a base optimizer's state the number of steps and the pieces of a vector."""
    state = dict(of_base["state"])
    for place, p in enumerate(parameters):
        if p in pieces:
            state[place] = {**state.get(place, {}), VECTOR: pieces[p]}
    groups = [{**group, STEPS: steps} for group in of_base["param_groups"]]
    return {**of_base, "state": state, "param_groups": groups}


def separated(
    state_dict: Any, parameters: Sequence[Tensor]
) -> tuple[dict[str, Any], int, dict[Tensor, Tensor]]:
    """Undo :func:`joined`; refuse what would fail half way.

    A state that the base optimizer saved has no steps and no vector. In version 0.1.0 they had a
    place of their own.
    """
    require_instance("state_dict", state_dict, dict, "what state_dict() returned")
    if missing := {"state", "param_groups"} - set(state_dict):
        raise ValueError(
            f"state_dict must be what state_dict() returned, got {shown(state_dict)} "
            f"without {' and '.join(sorted(missing))}"
        )
    if VECTOR in state_dict:
        of_base, (steps, vectors) = _without(state_dict, VECTOR), _of_old(state_dict[VECTOR])
    else:
        of_base, steps, vectors = _of_new(state_dict)
    fits = type(steps) is int and all(
        place in range(len(parameters))
        and isinstance(vector, Tensor)
        and vector.shape == parameters[place].shape
        for place, vector in vectors.items()
    )
    if not fits:
        raise ValueError(
            "state_dict must be what state_dict() returned for the same parameters, got "
            f"{steps} steps and, of {len(parameters)} parameters, vectors for {shown(vectors)}"
        )
    return of_base, steps, {parameters[place]: vector for place, vector in vectors.items()}


def prepares(optimizer: Optimizer) -> bool:
    """Whether a step is that by which torch.distributed.checkpoint prepares a new optimizer.

    To be able to load a state it lets the optimizer make one, by a step that moves nothing: there
    is no state yet, and learning rates and gradients are zero.
    """
    groups = optimizer.param_groups
    if optimizer.state or any("lr" not in group or float(group["lr"]) for group in groups):
        return False
    gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
    return bool(gradients) and not any(bool(part(gradient).any()) for gradient in gradients)


def _of_new(state_dict: dict[str, Any]) -> tuple[dict[str, Any], Any, dict[int, Any]]:
    groups, state = state_dict["param_groups"], state_dict["state"]
    keys = [key for group in groups for key in group["params"]]  # numbers, or names
    vectors = {
        place: state[key][VECTOR]
        for place, key in enumerate(keys)
        if isinstance(state.get(key), dict) and VECTOR in state[key]
    }
    steps = groups[0].get(STEPS, 0) if groups else 0
    kept = {
        key: _without(entries, VECTOR) if isinstance(entries, dict) else entries
        for key, entries in state.items()
        if not isinstance(entries, dict) or set(entries) != {VECTOR}
    }
    groups = [_without(group, STEPS) for group in groups]
    return {**state_dict, "state": kept, "param_groups": groups}, steps, vectors


def _of_old(own: Any) -> tuple[Any, dict[Any, Any]]:
    if not isinstance(own, dict) or not isinstance(own.get("vectors"), dict):
        raise ValueError(
            f"state_dict['{VECTOR}'] must be what state_dict() returned, got {shown(own)}"
        )
    return own.get("steps"), own["vectors"]


def _without(entries: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if name != key}
