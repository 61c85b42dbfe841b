"""What counts as a layer of a network: groups of its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from samlib._validation import require_text, shown
from samlib.linalg import norm, unit_direction
from samlib.linalg.dense import at_least_single
from samlib.objective import ModuleObjective
from samlib.objective.network import matching

_ALLOWED = "'module', 'parameter', a list of names or patterns of parameters, or a dict of them"

# What torch's parametrizations put between a module's name and that of its parameters.
_PARAMETRIZED = "parametrizations"


class Grouping:
    """The layers of a network, and their parts of vectors on all of its parameters.

    Attributes
    ----------
    layers
        The names of the parameters of each layer, in their order in x, by the layer's own name.
    """

    def __init__(self, network: ModuleObjective, layers: Mapping[str, Sequence[str]]) -> None:
        self.layers = layers
        self._sizes = {name: shape.numel() for name, shape in network.shapes.items()}

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def weights(self) -> Tensor:
        """The number of weights of each layer, [layers]."""
        return torch.tensor(
            [sum(self._sizes[name] for name in names) for names in self.layers.values()]
        )

    def norms(self, vector: Tensor) -> Tensor:
        """The norm of each layer's part of a vector [dim], [layers]."""
        parts = self._parts(at_least_single(vector.detach()))
        return torch.cat([norm(_together(parts, names)) for names in self.layers.values()])

    def steps(self, gradient: Tensor, rho: float) -> Iterator[Tensor]:
        """For each layer a step [dim] of length ρ along its own part of the gradient alone."""
        slopes = self._parts(gradient)
        for names in self.layers.values():
            step = torch.zeros_like(gradient)
            pieces = rho * unit_direction(_together(slopes, names))
            sizes = [self._sizes[name] for name in names]
            for name, piece in zip(names, torch.split(pieces, sizes), strict=True):
                self._parts(step)[name].copy_(piece)
            yield step

    def _parts(self, vector: Tensor) -> dict[str, Tensor]:
        """The entries of a vector [dim] for each parameter, as views, by its name."""
        pieces = torch.split(vector, list(self._sizes.values()))
        return dict(zip(self._sizes, pieces, strict=True))


def _together(parts: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    return torch.cat([parts[name] for name in names])


def group_parameters(by: Any, network: ModuleObjective) -> Grouping:
    """The layers that ``by`` means, as for :func:`samlib.layerwise`.

    Raises
    ------
    TypeError
        If it is none of what is allowed.
    ValueError
        If it is another word, empty, or names no parameter.
    """
    names = [name for name, shape in network.shapes.items() if shape.numel()]
    if isinstance(by, str):
        return Grouping(network, _by_kind(by, names))
    if isinstance(by, Mapping):
        groups = dict(by)
    elif isinstance(by, Sequence) and not isinstance(by, bytes):
        groups = {require_text("by", pattern): pattern for pattern in by}
    else:
        raise TypeError(f"by must be {_ALLOWED}, got {shown(by)}")
    if not groups:
        raise ValueError(f"by must be {_ALLOWED}, not empty, got {shown(by)}")
    layers: dict[str, Sequence[str]] = {}
    for name, patterns in groups.items():
        require_text("by", name)
        several = [patterns] if isinstance(patterns, str) else patterns
        if not isinstance(several, Iterable):
            raise TypeError(f"by must be {_ALLOWED}, got {shown(patterns)} in it")
        found = matching(names, [require_text("by", each) for each in several], "by")
        layers[name] = [each for each in names if each in found]
    return Grouping(network, layers)


def _by_kind(kind: str, names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    if kind == "parameter":
        return {name: (name,) for name in names}
    if kind != "module":
        raise ValueError(f"by must be {_ALLOWED}, got {kind!r}")
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(_owner(name), []).append(name)
    return layers


def _owner(name: str) -> str:
    """The module that a parameter belongs to; itself, where that is the whole network."""
    modules = name.split(".")[:-1]
    if _PARAMETRIZED in modules:
        modules = modules[: modules.index(_PARAMETRIZED)]
    return ".".join(modules) or name
