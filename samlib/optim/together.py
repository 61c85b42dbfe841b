"""Several base optimizers, each with parameters of its own, as one: Muon and AdamW in one ball."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer


class Together(Optimizer):
    """Several optimizers whose parameters, states and steps are taken together.

    Its groups and states are those of the optimizers themselves, so schedulers may be attached to
    each, and its ``state_dict`` looks like that of one optimizer with all the groups.
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self.optimizers = tuple(optimizers)
        self.defaults = {}

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The groups of all, in order."""
        return [group for each in self.optimizers for group in each.param_groups]

    @property
    def state(self) -> States:  # type: ignore[override]
        """The states of all, by parameter."""
        return States(*(each.state for each in self.optimizers))

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Step with each, in order."""
        for each in self.optimizers:
            each.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all."""
        for each in self.optimizers:
            each.zero_grad(set_to_none=set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Not without saying to which of them: raises ValueError."""
        raise ValueError(
            "param_group must go to one of the base optimizers: "
            f"base_optimizer.optimizers[i].add_param_group(...), i < {len(self.optimizers)}"
        )

    def state_dict(self) -> dict[str, Any]:
        """The states of all as that of one optimizer, parameters numbered through."""
        state: dict[Any, Any] = {}
        groups: list[dict[str, Any]] = []
        for each in self.optimizers:
            first = sum(len(group["params"]) for group in groups)
            part = each.state_dict()
            state |= {first + place: value for place, value in part["state"].items()}
            for group in part["param_groups"]:
                groups.append({**group, "params": [first + place for place in group["params"]]})
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give each its part; raise ValueError before any is touched if the groups differ."""
        groups, state = list(state_dict["param_groups"]), state_dict["state"]
        saved, own = (
            [len(group["params"]) for group in all_groups]
            for all_groups in (groups, self.param_groups)
        )
        if saved != own:
            raise ValueError(
                "state_dict must be of base optimizers with as many parameters in each group, got "
                f"{saved} for {own}"
            )
        for each in self.optimizers:
            mine = [groups.pop(0) for _ in each.param_groups]
            places = {place for group in mine for place in group["params"]}
            kept = {place: value for place, value in state.items() if place in places}
            each.load_state_dict({"state": kept, "param_groups": mine})

    def train(self) -> None:
        """Put those that have two modes (schedule-free ones) into that of training."""
        set_mode(self.optimizers, "train")

    def eval(self) -> None:
        """Put those that have two modes into that of evaluation."""
        set_mode(self.optimizers, "eval")

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.optimizers))


class States(ChainMap[Any, Any]):
    """One view of several states; what is set goes to the state that holds the parameter."""

    def __getitem__(self, key: Any) -> Any:
        for state in self.maps:
            if key in state:  # a defaultdict would make an entry
                return state[key]
        raise KeyError(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        next((state for state in self.maps if key in state), self.maps[0])[key] = value


def set_mode(optimizers: Sequence[Optimizer], mode: str) -> None:
    """Call ``train`` or ``eval`` of the optimizers that have it."""
    for each in optimizers:
        if callable(change := getattr(each, mode, None)):
            change()
