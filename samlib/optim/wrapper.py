"""An optimizer around another one: one set of parameter groups and state, and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from samlib._validation import require_number
from samlib.optim.arguments import (
    require_base,
    require_group,
    require_known_parts,
    require_params,
    require_radii,
)
from samlib.optim.checkpoint import joined, separated
from samlib.optim.memory import Memory
from samlib.optim.popular import says_what_to_write
from samlib.optim.shards import part
from samlib.optim.together import set_mode
from samlib.optim.vectors import flatten, wide

Radius = float | Tensor
ParameterGroups = Iterable[Tensor] | Iterable[dict[str, Any]]
BaseOptimizer = Optimizer | Sequence[Optimizer]


class Wrapper(Optimizer):
    """Shares parameter groups and state with a base optimizer; each group has a radius ρ.

    Attributes without an underscore and the memory are what a copy or a pickle takes along; the
    others serve a single step, and :meth:`_start` makes them anew.
    """

    _keeps_vector: ClassVar[bool] = False  # whether there is one in the memory

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in {"__init__", "first_step", "second_step"} & set(vars(cls)):
            setattr(cls, name, says_what_to_write(vars(cls)[name]))

    def __init__(
        self, params: ParameterGroups, base_optimizer: BaseOptimizer, *, rho: float
    ) -> None:
        base = require_base(base_optimizer, Wrapper)
        super().__init__(require_params(params), {"rho": require_number("rho", rho)})
        radii = require_radii(self.param_groups, base)
        require_known_parts(self._parameters())
        # Only now, when nothing can fail any more.
        for group, radius in zip(base.param_groups, radii, strict=True):
            group["rho"] = radius
        self.defaults = {**base.defaults, **self.defaults}
        self.base_optimizer = base
        self._memory = Memory()
        self._start()

    def _start(self) -> None:
        self._share_with_base()

    def _share_with_base(self) -> None:
        # Loading a state gives the base optimizer new groups, perhaps saved without ρ.
        self.param_groups = self.base_optimizer.param_groups
        self.state = self.base_optimizer.state
        for group in self.param_groups:
            group.setdefault("rho", self.defaults["rho"])

    def _require_settled(self, what: str) -> None:
        """Refuse to go on in the middle of a step; ``what`` names the call."""

    def _settings(self) -> dict[str, Any]:
        """What distinguishes this optimizer from another of its class, beside ρ, for repr."""
        return {}

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _radius(self, parameters: list[Tensor]) -> Radius:
        """ρ as a number, or as a vector with one entry for each of theirs where groups differ."""
        radii = {require_number("rho of a group", g["rho"]) for g in self.param_groups}
        if len(radii) == 1:
            return float(radii.pop())
        of = {p: group["rho"] for group in self.param_groups for p in group["params"]}
        return flatten([torch.full_like(part(p), of[p], dtype=wide(p.dtype)) for p in parameters])

    def _radii(self) -> str:
        return " | ".join(dict.fromkeys(f"{group['rho']:g}" for group in self.param_groups))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, perhaps with a ``rho`` of its own, to both optimizers."""
        if "base_optimizer" not in self.__dict__:  # while torch sets up this optimizer's groups
            super().add_param_group(param_group)
            return
        self._require_settled("add_param_group()")
        group = require_group(param_group)
        rho = require_number("rho", group.get("rho", self.defaults["rho"]))
        self.base_optimizer.add_param_group({**group, "rho": rho})

    def train(self) -> None:
        """Put a base optimizer with two modes (a schedule-free one) into that of training."""
        set_mode([self.base_optimizer], "train")

    def eval(self) -> None:
        """Put a base optimizer with two modes into that of evaluation."""
        set_mode([self.base_optimizer], "eval")

    def state_dict(self) -> dict[str, Any]:
        """The base optimizer's state with ρ in its groups, and what is this optimizer's own."""
        self._require_settled("state_dict()")
        parameters = self._parameters()
        kept = [p for p in parameters if p.requires_grad] if self._keeps_vector else []
        own = self._memory.steps, self._memory.pieces(kept)
        return joined(self.base_optimizer.state_dict(), *own, parameters)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned; a state saved by the base optimizer will do."""
        self._require_settled("load_state_dict()")
        of_base, steps, pieces = separated(state_dict, self._parameters())
        self.base_optimizer.load_state_dict(of_base)
        self._share_with_base()
        known = bool(pieces) or not self._keeps_vector  # SAM's state is no beginning of LookSAM's
        self._memory.load(steps if known else 0, pieces)

    def __getstate__(self) -> dict[str, Any]:
        self._require_settled("copying")
        shared = ("state", "param_groups", "step")  # a scheduler wraps step() of the instance
        kept = {
            key: value
            for key, value in self.__dict__.items()
            if not key.startswith("_") and key not in shared
        }
        return {**kept, "_memory": self._memory}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._start()

    def __repr__(self) -> str:
        settings = "".join(f", {name}={value!r}" for name, value in self._settings().items())
        base = "\n  ".join(repr(self.base_optimizer).splitlines())
        return f"{type(self).__name__}(\n  rho={self._radii()}{settings}\n  {base}\n)"
