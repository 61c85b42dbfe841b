"""A network as a function of its trainable parameters, flattened."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parallel import DistributedDataParallel

from samlib._validation import require_text, shown
from samlib.linalg import Shards
from samlib.objective.evaluation import evaluation
from samlib.objective.gathering import Gathering, Layout
from samlib.objective.output_layer import MANY_CLASSES
from samlib.objective.sharded import is_spread, reshard, spread_like, whole
from samlib.objective.standing_in import stand_in

T = TypeVar("T")

Chosen = str | Iterable[str] | Callable[[str, nn.Parameter], bool]
"""Names of parameters or shell patterns of them, or (name, parameter) ↦ whether it is chosen."""


class Network:
    """(x, a function of the model) ↦ what it gives with x as the model's parameters.

    No copy of the model is evaluated, whose patched methods and hooks would lead back to the
    original, but the model itself. For the length of one evaluation its trainable parameters are
    parts of x, also for a loss that reads them; its buffers are copies, because a module may
    write to them; and every submodule is in eval mode. Afterwards each has all its attributes
    back, whatever the evaluation set, and whether or not it succeeded.

    Parameters
    ----------
    model
        The module. What spreads it over devices (DataParallel, DistributedDataParallel) or
        compiles it is taken off: an evaluation is one process's, and has second derivatives.
    parameters
        Which of the trainable parameters make x; the others are constants. All, if None.

    Attributes
    ----------
    is_mixed
        Whether the parameters have different dtypes.
    gathering
        How parameters are gathered for single operations; None: they are whole.
    makes_many_classes
        Whether a layer may: only then it is worth to watch out for a cross-entropy of them.

    Raises
    ------
    ValueError
        If no parameter of the model is trainable, none is called so, or they are on several
        devices.
    """

    def __init__(self, model: nn.Module, parameters: Chosen | None = None) -> None:
        self._given, self.module = model, _unwrapped(model)
        reshard(self.module)
        trainable = {n: p for n, p in self.module.named_parameters() if p.requires_grad}
        if not trainable:
            raise ValueError("model has no parameter with requires_grad=True")
        which = require_chosen(parameters)
        self.parameters = trainable if which is None else _chosen(trainable, which)
        _require_one_device(self.parameters)
        self._constants = {id(p) for n, p in trainable.items() if n not in self.parameters}
        self._shapes = [p.shape for p in self.parameters.values()]
        self._sizes = [p.numel() for p in self.parameters.values()]
        self._dtypes = [p.dtype for p in self.parameters.values()]
        self._widest = reduce(torch.promote_types, self._dtypes)
        self.dim = sum(self._sizes)
        self.gathering: Gathering | None = None
        self.is_mixed = any(dtype != self._widest for dtype in self._dtypes)
        weights = [p for p in self.module.parameters() if p.dim() > 1]
        self.makes_many_classes = any(len(weight) >= MANY_CLASSES for weight in weights)

    @property
    def convolves(self) -> bool:
        """Whether a layer is a convolution."""
        return any(isinstance(module, _ConvNd) for module in self.module.modules())

    @property
    def is_spread(self) -> bool:
        """Whether each process holds a part of the parameters alone."""
        return any(map(is_spread, self.parameters.values()))

    def gather_by_operation(self, shards: Shards) -> Gathering | None:
        """Let evaluations between its ``begin`` and ``end`` take the part of x that is held here.

        No parameter is whole for long in them. Gives None, and does nothing, where
        layers keep their parameters for themselves.
        """
        if any(isinstance(module, nn.RNNBase) for module in self.module.modules()):
            return None
        starts = itertools.accumulate(self._sizes, initial=0)
        layouts = [
            Layout(start, shape, None if dtype == self._widest else dtype)
            for start, shape, dtype in zip(starts, self._shapes, self._dtypes, strict=False)
        ]
        self.gathering = Gathering(layouts, shards)
        return self.gathering

    def flatten(self, shards: Shards | None = None) -> Tensor:
        """A copy of what this process holds of the parameters as they are now, one after another.

        [length], in the widest of their dtypes. One parameter is whole at a time.
        """
        reshard(self.module)
        shards = Shards(self.dim) if shards is None else shards
        pieces, before = [], 0
        for parameter in self.parameters.values():
            flat = whole(parameter.detach()).reshape(-1)
            kept = slice(*(min(max(end - before, 0), len(flat)) for end in shards.bounds))
            pieces.append(flat[kept].to(self._widest, copy=True))
            before += len(flat)
        return torch.cat(pieces)

    def unflatten(self, x: Tensor) -> dict[str, Tensor]:
        """The parts of x [dim], by the names and in the shapes of the parameters.

        Where some parameters are narrower than others, their parts are, too. While they
        are gathered for single operations, x is [length], and the parts are pieces.
        """
        if self.gathering is not None and self.gathering.active:
            return dict(zip(self.parameters, self.gathering.split(x), strict=True))
        return self._cut(x)

    def _cut(self, x: Tensor) -> dict[str, Tensor]:
        names, pieces = self.parameters, torch.split(x, self._sizes)
        parts = zip(names, pieces, self._shapes, self._dtypes, strict=True)
        return {
            name: piece.reshape(shape).to(x.dtype if dtype == self._widest else dtype)
            for name, piece, shape, dtype in parts
        }

    def load(self, x: Tensor) -> None:
        """Write x [dim], whole in every process, into the parameters."""
        reshard(self.module)
        with torch.no_grad():
            for name, part in self._cut(x).items():
                parameter = self.parameters[name]
                parameter.copy_(spread_like(part.to(parameter.dtype), parameter))

    def where(self, patterns: Sequence[str]) -> Tensor:
        """Which entries of x belong to the parameters with these names or shell patterns: [dim].

        Raises
        ------
        ValueError
            If no parameter of x is called so.
        """
        chosen = matching(list(self.parameters), patterns, "names")
        flags = torch.tensor([name in chosen for name in self.parameters])
        return flags.repeat_interleave(torch.tensor(self._sizes))

    def evaluate(self, parts: Mapping[str, Tensor], use: Callable[[nn.Module], T]) -> T:
        """What ``use`` makes of the model with these tensors in place of the parameters."""
        reshard(self.module)
        gathering = self.gathering
        if gathering is not None and gathering.active:
            parts = {n: stand_in(gathering, k, parts[n]) for k, n in enumerate(self.parameters)}
        by_identity = {id(p): parts[name] for name, p in self.parameters.items()}
        many = self.makes_many_classes
        with evaluation(self._given, by_identity, self._constants, many_classes=many):
            return use(self.module)


def _unwrapped(model: nn.Module) -> nn.Module:
    while True:
        if isinstance(model, (nn.DataParallel, DistributedDataParallel)):
            model = model.module
        elif isinstance(original := getattr(model, "_orig_mod", None), nn.Module):
            model = original  # torch.compile(original)
        else:
            return model


def require_chosen(which: Chosen | None) -> Chosen | None:
    """Return ``parameters`` if it is a way to choose some, otherwise raise."""
    if which is None or callable(which):
        return which
    if not isinstance(which, (str, Iterable)):
        raise TypeError(
            "parameters must be a name or a pattern, several of them, or a function of name and "
            f"parameter; got {shown(which)}"
        )
    patterns = [which] if isinstance(which, str) else list(which)
    if not patterns:
        raise ValueError(f"parameters must name at least one of the model, got {shown(which)}")
    return [require_text("parameters", pattern) for pattern in patterns]


def _chosen(trainable: Mapping[str, nn.Parameter], which: Chosen) -> dict[str, nn.Parameter]:
    if callable(which):
        chosen = {n: p for n, p in trainable.items() if which(n, p)}
        if not chosen:
            raise ValueError(
                f"parameters must choose at least one of the {len(trainable)} trainable "
                f"parameters of the model, and {shown(which)} is False for all of them"
            )
        return chosen
    names = matching(list(trainable), list(which), "parameters")
    return {n: p for n, p in trainable.items() if n in names}


def matching(
    names: Sequence[str], patterns: Sequence[str], argument: str = "parameters"
) -> set[str]:
    """The names that are one of the patterns, or else match one."""
    all_found = {
        p: [p] if p in names else [n for n in names if fnmatch.fnmatchcase(n, p)] for p in patterns
    }
    for pattern, found in all_found.items():
        if not found:
            raise ValueError(
                f"{argument} must be of trainable parameters of the model, {', '.join(names)}, or "
                f"patterns of them; got {pattern!r}"
            )
    if not all_found:
        raise ValueError(f"{argument} must name at least one parameter of the model, got none")
    return {name for found in all_found.values() for name in found}


def _require_one_device(parameters: Mapping[str, nn.Parameter]) -> None:
    devices = {p.device: n for n, p in parameters.items()}
    if len(devices) > 1:
        raise ValueError(
            "the parameters of x must be on one device, got "
            + " and ".join(f"{name!r} on {device}" for device, name in devices.items())
            + "; choose those of one device with parameters=, or move the model"
        )
