"""What is public in samlib, and which arguments it takes, read off samlib itself."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_origin

import samlib
from samlib import claims, flow, landscapes, optim, plotting, problems, rules, training
from samlib.dynamics import cycles
from samlib.landscapes import Landscape
from samlib.objective.scalar_field import ScalarField

explore_widget = importlib.import_module("samlib.widgets.figures.explore.widget")
explore_function = importlib.import_module("samlib.widgets.figures.explore.explore")
MODULES = (
    rules,
    landscapes,
    problems,
    training,
    optim,
    plotting,
    flow,
    claims,
    cycles,
    explore_widget,
    explore_function,
)

# Made by samlib to be read: they take what they are given.
RESULTS = {
    samlib.EigenResult,
    samlib.Estimate,
    samlib.FlowPath,
    samlib.Layers,
    samlib.LimitingRegularizers,
    samlib.Projection,
    samlib.Sharpness,
    samlib.SpectralDensity,
    samlib.Trajectory,
    claims.Claim,
    cycles.AscentCycle,
    flow.CentralPath,
    flow.ChainDrift,
    flow.ChainFlow,
    flow.ChainMoments,
    flow.ChainSpread,
    flow.FlowCorrections,
    flow.Tie,
    problems.CIFAR10,
    problems.Digits,
    problems.InterpolatingNetwork,
    problems.MNIST1D,
    training.History,
    training.Reading,
}

# Their subclasses do what they only describe.
ABSTRACT = {rules.Rule, Landscape, optim.SharpnessAware}

# These raise whatever they are given.
UNAVAILABLE = {
    "samlib.Objective.component_value",
    "samlib.Objective.component_gradient",
    "samlib.optim.MSAM.first_step",
    "samlib.optim.DiametricalRisk.first_step",
    "samlib.optim.DiametricalRisk.register_gradient_hook",
}

# What these need beside samlib.
NEEDS = {
    "samlib.problems.digits": "sklearn",
    "samlib.problems.mnist1d": "mnist1d",
    "samlib.problems.cifar10": "torchvision",
}


def public_names() -> dict[str, Any]:
    """The functions and classes that a reader may call, by name."""
    found = {f"samlib.{name}": getattr(samlib, name) for name in samlib.__all__}
    for module in MODULES:
        found.update(
            {
                f"{module.__name__}.{name}": thing
                for name, thing in vars(module).items()
                if not name.startswith("_")
                and getattr(samlib, name, None) is not thing
                and (
                    name in getattr(module, "__all__", ())
                    or getattr(thing, "__module__", None) == module.__name__
                )
            }
        )
    return {
        name: thing
        for name, thing in found.items()
        if callable(thing)
        and get_origin(thing) is None  # a name for types
        and not (isinstance(thing, type) and issubclass(thing, Exception))
    }


@dataclass(frozen=True)
class Callee:
    """A public function, constructor or method."""

    name: str  # as the reader writes it
    row: str  # where its arguments stand in the table
    owner: type | None  # of a method
    signature: inspect.Signature

    def bound_to(self, instance: Any) -> Callable[..., Any]:
        """What to call, with keywords alone; several arguments at once come as a tuple or dict."""
        method = self.name.rsplit(".", 1)[1]
        target = PUBLIC[self.name] if self.owner is None else getattr(instance, method)

        def call(**arguments: Any) -> Any:
            positional: list[Any] = []
            keywords: dict[str, Any] = {}
            for name, parameter in self.signature.parameters.items():
                if name not in arguments:
                    continue
                if parameter.kind is parameter.VAR_POSITIONAL:
                    positional = [keywords.pop(each) for each in list(keywords)]
                    positional += arguments[name]
                elif parameter.kind is parameter.VAR_KEYWORD:
                    keywords |= arguments[name]
                else:
                    keywords[name] = arguments[name]
            return target(*positional, **keywords)

        return call


def methods_of(owner: type) -> Iterator[tuple[str, type, Callable[..., Any]]]:
    """The public methods of a class with the class that defines them, samlib's own alone."""
    seen = set()
    for base in owner.__mro__:
        if not base.__module__.startswith("samlib"):
            continue
        for name, member in vars(base).items():
            function = getattr(member, "__func__", member)
            if name in seen or (name.startswith("_") and name != "__call__"):
                continue
            seen.add(name)
            inherited = isinstance(member, classmethod) and base is not owner
            if isinstance(function, types.FunctionType) and not inherited:
                yield name, base, function


def callees() -> Iterator[Callee]:
    for name, thing in PUBLIC.items():
        if not isinstance(thing, type):
            yield Callee(name, name, None, inspect.signature(thing))
            continue
        if thing not in RESULTS:
            yield Callee(name, name, None, inspect.signature(thing))
        if thing in ABSTRACT:
            continue
        for method, base, function in methods_of(thing):
            full = f"{name}.{method}"
            if full in UNAVAILABLE:
                continue
            signature = inspect.signature(function)
            own = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
            row = f"{NAMES.get(base, f'{base.__module__}.{base.__qualname__}')}.{method}"
            yield Callee(full, row, thing, signature.replace(parameters=own))


PUBLIC = public_names()
NAMES = {thing: name for name, thing in PUBLIC.items() if isinstance(thing, type)}
NAMES[ScalarField] = "samlib.Objective"  # whose methods are those of its base
CALLEES = [callee for callee in callees() if callee.signature.parameters]
