"""Every argument of every public name is checked: what is wrong raises, says so, changes nothing.

The public names and their arguments are read off samlib itself, so that a new one without an entry
in the table below is a failure.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import math
import random
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import samlib
from samlib import claims, landscapes, optim, plotting, problems, rules, training
from samlib.landscapes import FourDimensional, Landscape, Quadratic
from samlib.widgets import Explore

explore_module = importlib.import_module("samlib.widgets.figures.explore.widget")
MODULES = (rules, landscapes, problems, training, optim, plotting, claims, explore_module)

pytestmark = pytest.mark.usefixtures("one_thread")

# ─────────────────────────────────────────────────────────────────── what is public, and with what

# Made by samlib to be read: they take what they are given.
RESULTS = {
    samlib.EigenResult,
    samlib.Estimate,
    samlib.FlowPath,
    samlib.LimitingRegularizers,
    samlib.Projection,
    samlib.Sharpness,
    samlib.SpectralDensity,
    samlib.Trajectory,
    claims.Claim,
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
                and (
                    name in getattr(module, "__all__", ())
                    or getattr(thing, "__module__", None) == module.__name__
                )
            }
        )
    return {
        name: thing
        for name, thing in found.items()
        if callable(thing) and not (isinstance(thing, type) and issubclass(thing, Exception))
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
CALLEES = [callee for callee in callees() if callee.signature.parameters]

# ─────────────────────────────────────────────────────────────── what is right, and what is wrong


@dataclass(frozen=True)
class Argument:
    """A value that is accepted, others that are not, and how an error says what is allowed."""

    good: Any
    bad: tuple[Any, ...] = ()
    says: str = ""
    drawn: st.SearchStrategy[Any] | None = None
    called: str | None = None  # in the error, if not by its name

    def or_none(self) -> Argument:
        """The same argument, which may also be None."""
        drawn = None if self.drawn is None else self.drawn.filter(lambda value: value is not None)
        bad = tuple(value for value in self.bad if value is not None)
        return Argument(self.good, bad, self.says, drawn, self.called)


def free(good: Any, why: str) -> Argument:
    """An argument that samlib passes on, or does not look at."""
    assert why
    return Argument(good)


NO_NUMBERS = (None, True, "2", [1.0], 1j, object())
NOT_FINITE = (math.nan, math.inf, -math.inf)
NO_TENSOR = (None, 1.0, True, "x", [0.0] * 4, np.zeros(4))
WORDS = st.text(max_size=5)


def number(
    good: float, inside: Callable[[float], bool], says: str, bad: tuple[Any, ...] = ()
) -> Argument:
    floats = st.floats().filter(lambda x: not inside(x))
    tensors = (torch.tensor([0.5, 0.5]), torch.tensor([]), torch.tensor(1), torch.tensor(0.5j))
    numbers = (-1.0, -(10**400), 10**400)
    wrong = (*NO_NUMBERS, *NOT_FINITE, *numbers, *tensors, *bad)
    return Argument(good, wrong, rf"number|{says}", floats | WORDS | st.booleans())


def positive(good: float = 0.1) -> Argument:
    return number(good, lambda x: 0 < x < math.inf, "> 0", (0, 0.0, -0.0))


def non_negative(good: float = 0.1) -> Argument:
    return number(good, lambda x: 0 <= x < math.inf, "≥ 0")


def fraction(good: float = 0.1) -> Argument:
    return number(good, lambda x: 0 < x < 1, "between 0 and 1", (0, 0.0, 1, 1.0, 1.5, -0.5))


def numbers_of_a_batch(one: Argument, unfit: Tensor) -> Argument:
    """A number, or one for each point."""
    kept = [value for value in one.bad if not (isinstance(value, Tensor) and value.numel() == 2)]
    wrong = (*kept, unfit, torch.tensor([0.1, math.nan]), torch.tensor([0.1, -1.0]))
    return Argument(one.good, wrong, rf"{one.says}|dtype|shape", one.drawn)


def count(
    good: int, least: int = 1, most: int | None = None, extra: tuple[Any, ...] = ()
) -> Argument:
    too_many = () if most is None else (most + 1, most + 10**30)
    fractional = (2.0, 2.5, torch.tensor(2), np.float64(2.0))
    wrong = (*NO_NUMBERS, *NOT_FINITE, *fractional, least - 1, -(10**30), *too_many, *extra)
    integers = st.integers(max_value=least - 1)
    if most is not None:
        integers |= st.integers(min_value=most + 1)
    return Argument(good, wrong, r"integer|≥|at most|even|6n|below", integers | st.floats() | WORDS)


def seed(bits: int = 64) -> Argument:
    return count(3, 0, 2**bits - 1)


def flag(good: bool = False) -> Argument:
    return Argument(good, (None, 0, 1, "yes", [], torch.tensor(True)), "True or False", WORDS)


def text(good: str, *bad: str) -> Argument:
    return Argument(good, (None, 3, True, ["a"], b"a", *bad), "string|must")


def one_of(good: str, *allowed: str) -> Argument:
    words = WORDS.filter(lambda word: word not in allowed)
    wrong = (None, 3, True, "", "nonsense", allowed, [good], object())
    return Argument(good, wrong, ", ".join(map(re.escape, allowed)), words)


def some_of(good: Any, *allowed: str) -> Argument:
    words = WORDS.filter(lambda word: word not in allowed)
    wrong = (None, 3, True, "", "nonsense", [good, "nonsense"], [3], object())
    return Argument(good, wrong, ", ".join(map(re.escape, allowed)), words | st.tuples(words))


def point(good: Tensor, *bad: Any) -> Argument:
    dim = good.shape[-1]
    dtypes = (torch.int64, torch.bool, torch.complex64)
    shapes = ((dim + 1,), (dim, dim + 1), (dim + 1, 1), (), (0,))
    wrong = (
        *NO_TENSOR,
        *(torch.zeros(dim, dtype=dtype) for dtype in dtypes),
        *(torch.zeros(shape) for shape in shapes),
        *bad,
    )
    sizes = st.lists(st.integers(0, 5), max_size=3).filter(lambda shape: shape[-1:] != [dim])
    return Argument(
        good, wrong, r"torch\.Tensor|floating-point|shape|point|finite", sizes.map(torch.zeros)
    )


def one_point(good: Tensor, *bad: Any) -> Argument:
    return point(good, good.expand(2, -1), good.expand(1, -1), *bad)


def no_empty_batch(of: Argument) -> Argument:
    empty = torch.zeros(0, of.good.shape[-1])
    return Argument(of.good, (*of.bad, empty), of.says, of.drawn, of.called)


def indices(good: Tensor, most: int) -> Argument:
    """Component indices: one, or several, for each point of a batch."""
    others = (torch.float64, torch.bool, torch.complex64)
    wrong = (
        *NO_TENSOR,
        *(good.to(dtype) for dtype in others),
        torch.full_like(good, -1),
        torch.full_like(good, most + 1),
        torch.cat([good, good]),
        good[:0],
    )
    return Argument(good, wrong, r"torch\.Tensor|integer|shape|indices")


def function(good: Any) -> Argument:
    return Argument(good, (None, 3, "loss", torch.zeros(2), [good]), "callable")


def instance(good: Any, says: str, *bad: Any) -> Argument:
    return Argument(good, (None, 3, "name", object(), type(good), [good], *bad), says)


def dtype() -> Argument:
    others = (torch.int64, torch.bool, torch.complex128)
    return Argument(torch.float64, (None, "float64", float, np.float64, *others), "floating-point")


def device() -> Argument:
    return Argument("cpu", (None, 3, "", "nowhere", "cpu:x", ["cpu"]), "'cpu'")


# ──────────────────────────────────────────────────────────────────── what must not be changed


def rows() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(6, 3, generator=generator, dtype=torch.float64),
        torch.randn(6, 2, generator=generator, dtype=torch.float64),
    )


class World:
    """A network in the middle of its training, and what else the calls are made with."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 2)
        ).double()
        self.inputs, self.targets = self.data = rows()
        self.loss_fn = nn.MSELoss()
        self.base = self.sgd(self.groups())
        self.backward()
        self.base.step()
        self.base.zero_grad()
        self.model[2].eval()
        self.optimizer = self.sgd(self.groups())
        self.objective = FourDimensional()
        self.x = torch.tensor([[0.5, 0.5, 0.1, 0.2], [0.4, 0.3, 0.2, 0.1]], dtype=torch.float64)
        self.k = torch.tensor([0, 1])
        self.instance: Any = None

    def groups(self) -> list[dict[str, Any]]:
        first, *others = self.model.parameters()
        return [{"params": [first]}, {"params": others}]

    def sgd(self, parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.01, momentum=0.9)

    def loss(self) -> Tensor:
        loss: Tensor = self.loss_fn(self.model(self.inputs), self.targets)
        return loss

    def loss_and_backward(self, *batch: Tensor) -> Tensor:
        loss = self.loss()
        loss.backward()
        return loss

    def backward(self, create_graph: bool = False) -> None:
        self.model.zero_grad()
        self.loss().backward(create_graph=create_graph)

    def state(self) -> list[Any]:
        """Everything that a call with a wrong argument must leave as it was."""
        parameters = list(self.model.parameters())
        own = self.instance.state_dict() if isinstance(self.instance, optim.SharpnessAware) else {}
        return fingerprint(
            [
                torch.get_rng_state(),
                hash(random.getstate()),
                np.random.get_state()[1:3],
                torch.get_default_dtype(),
                torch.is_grad_enabled(),
                self.model.state_dict(),
                [p.grad for p in parameters],
                [p.requires_grad for p in parameters],
                [module.training for module in self.model.modules()],
                [len(module._forward_pre_hooks) for module in self.model.modules()],
                len(nn.modules.module._global_forward_pre_hooks),
                self.base.state_dict(),
                self.optimizer.state_dict(),
                own,
                [self.x, self.k, self.inputs, self.targets],
                plt.get_fignums(),
            ]
        )


def fingerprint(value: Any) -> Any:
    """Something that can be compared, to the last bit."""
    if isinstance(value, Tensor):
        return str(value.dtype), tuple(value.shape), value.detach().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, Mapping):
        return {key: fingerprint(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [fingerprint(each) for each in value]
    return value


# ─────────────────────────────────────────────────────────────────────────────── the table

Row = dict[str, Argument]
NOTIONS = ("worst_direction", "ascent_direction", "average_direction")
CURVATURES = ("top_eigenvalue", "trace", "smallest_nonzero_eigenvalue")


def objective(w: World) -> Argument:
    return instance(w.objective, r"samlib\.Objective", w.model, w.loss)


def curvature(w: World, **others: Argument) -> Row:
    """What all functions of a loss and points take."""
    return {
        "objective": objective(w),
        "x": no_empty_batch(point(w.x)),
        "progress": flag(),
        **others,
    }


def matrix_free(w: World, **others: Argument) -> Row:
    """The same, with more dimensions than a dense Hessian is made for."""
    large = Quadratic(torch.linspace(1, 2, 65))
    x = no_empty_batch(point(torch.ones(1, 65, dtype=torch.float64)))
    loss = Argument(large, objective(w).bad, r"samlib\.Objective or samlib\.Operator")
    return {"loss": loss, "x": x, "progress": flag(), **others}


def probability(good: float = 0.9) -> Argument:
    return number(good, lambda x: 0 <= x < 1, "at least 0 and below 1", (1, 1.0, 1.5, -0.5))


def sharpness(w: World, **others: Argument) -> Row:
    return curvature(w, rho=numbers_of_a_batch(positive(), unfit=torch.ones(3)), **others)


def samples() -> Argument:
    return count(8, 4, extra=(7,))


def loss_of_a_network(w: World) -> Row:
    inputs, targets = w.data
    wrong = (None, 3, "rows", inputs, {"inputs": inputs}, iter([w.data]), (inputs, [1.0] * 6))
    pairs = ((inputs, targets[:5]), (inputs[:0], targets[:0]), (inputs, targets, targets))
    return {
        "model": instance(w.model, r"torch\.nn\.Module", w.loss),
        "loss_fn": function(w.loss_fn),
        "data": Argument(
            w.data, (*wrong, *pairs), "pair|rows|once|tensor with", called="data|inputs|targets"
        ),
    }


def through_outputs(w: World) -> Row:
    """What matrices of a network's loss take."""
    good = samlib.Objective.from_module(w.model, w.loss_fn, w.data)
    return {
        "objective": instance(good, r"Objective\.from_module", w.objective, w.model),
        "x": one_point(good.flat_parameters()),
    }


def network(w: World) -> Argument:
    return loss_of_a_network(w)["model"]


def weights() -> Row:
    """Where a network, or data, are to be."""
    return {"seed": seed(), "dtype": dtype(), "device": device()}


def rule(w: World, *radius: str, **others: Argument) -> Row:
    kinds = {"lr": positive(), **{name: non_negative() for name in radius}}
    numbers = {n: numbers_of_a_batch(kind, unfit=torch.ones(2, 2)) for n, kind in kinds.items()}
    return {**numbers, **others}


def rule_step(w: World, k: Argument | None = None) -> Row:
    ignored = free(None, "full-batch rules take it as others do, and do not look at it")
    x = point(w.x, w.x[0], w.x[None])
    return {"objective": objective(w), "x": x, "k": ignored if k is None else k}


def at_point(w: World) -> Row:
    """The methods of an objective, or of Γ, at points of its own dimension."""
    return {"x": point(torch.full((2, w.instance.dim), 0.1, dtype=torch.float64))}


def at_one_point(w: World) -> Row:
    return {"x": one_point(torch.full((w.instance.dim,), 0.1, dtype=torch.float64))}


def with_vector(w: World) -> Row:
    unfit = torch.zeros(3, w.instance.dim)
    return {**at_point(w), "v": point(at_point(w)["x"].good, unfit)}


def with_index(w: World) -> Row:
    terms = len(w.instance.components)
    return {**at_point(w), "k": indices(torch.zeros(2, dtype=torch.int64), terms - 1)}


def optimizer(w: World, local: bool = True, **others: Argument) -> Row:
    stranger = nn.Parameter(torch.zeros(2))
    bases = (torch.optim.LBFGS(w.model.parameters()), torch.optim.SGD, w.model)
    params = (None, 3, "w", [], [3], torch.zeros(2), {"params": []}, [stranger], [w.model])
    half_wrong = []
    for rho in (-1.0, math.nan, "1"):
        half_wrong.append(w.groups())
        half_wrong[-1][1]["rho"] = rho
    row = {
        "params": Argument(
            w.groups(),
            (*params, list(w.model.parameters()), *half_wrong),
            "parameters|≥ 0",
            called="params|rho",
        ),
        "base_optimizer": instance(w.base, "instance|without a closure", *bases),
        "rho": non_negative(),
        "model": instance(w.model, r"torch\.nn\.Module", w.loss).or_none(),
        **others,
    }
    if local:
        row["perturb_with"] = one_of("averaged", "averaged", "local")
    return row


def scaler(good: Any = None) -> Argument:
    return Argument(good, ("scaler", 3, True, object(), [None]), "GradScaler")


def closure_of(w: World) -> Argument:
    by_loss = isinstance(w.instance, (optim.EigenSAM, optim.DiametricalRisk))
    return function(w.loss if by_loss else w.loss_and_backward).or_none()


def first_step(w: World) -> Row:
    w.backward(create_graph=isinstance(w.instance, optim.EigenSAM))
    return {"scaler": scaler()}


def added_group(w: World) -> Row:
    new = [nn.Parameter(torch.zeros(2, dtype=torch.float64))]
    radii = tuple({"params": new, "rho": rho} for rho in (-1.0, math.nan, "1", None, True))
    wrong = (None, 3, "w", new, {}, {"rho": 0.1}, *radii)
    return {
        "param_group": Argument({"params": new}, wrong, "'params'|≥ 0", called="param_group|rho")
    }


def loaded_state(w: World) -> Row:
    state = w.instance.state_dict()
    own: tuple[Any, ...] = (None, 3, {}, {"steps": 1}, {"steps": 1, "vectors": {99: w.x}})
    wrong = (None, 3, "state", [], {}, *({**state, "sharpness_aware": each} for each in own))
    return {"state_dict": Argument(state, wrong, r"what state_dict\(\) returned")}


def axes(w: World) -> Argument:
    return Argument(None, (3, "axes", [], plt, object()), "axes of matplotlib")


def style() -> Argument:
    return free({"color": "#444444"}, "matplotlib's plot takes it, and says what is wrong with it")


def of_history(w: World) -> Row:
    names = Argument(["loss"], (3, [], "nonsense", ["loss", "nonsense"], [3]), "loss|not be empty")
    return {"names": names, "ax": axes(w), "style": style()}


def of_trajectory(w: World) -> Row:
    return {"name": one_of("x1", "x1", "x2", "x3", "x4", "loss"), "ax": axes(w), "style": style()}


def of_flow(w: World) -> Row:
    return {"name": one_of("trace", *CURVATURES).or_none(), "ax": axes(w), "style": style()}


def explored(w: World) -> Row:
    rho = Argument(0.1, (*NO_NUMBERS, *NOT_FINITE, 0, -1, 1e4), "finite number from", WORDS)
    return {**loss_of_a_network(w), "rho": rho, "k": count(2), "samples": samples(), "seed": seed()}


def formula() -> Argument:
    return function(landscapes.Quadratic.formulas.value)


TABLE: dict[str, Callable[[World], Row]] = {
    "samlib.Objective": lambda w: {"function": function(torch.sum), "dim": count(3)},
    "samlib.ModuleObjective": lambda w: {**loss_of_a_network(w), "check": flag()},
    "samlib.Objective.from_module": lambda w: {**loss_of_a_network(w), "check": flag()},
    "samlib.gauss_newton": through_outputs,
    "samlib.fisher": lambda w: {
        **through_outputs(w),
        "labels": one_of("sampled", "empirical", "sampled"),
        "seed": seed(),
    },
    "samlib.hessian": lambda w: {"objective": objective(w), "x": one_point(w.x[0])},
    "samlib.Operator": lambda w: {
        "dim": count(3),
        "device": device(),
        "dtype": dtype(),
        "matvec": function(lambda v: 2 * v),
        "rounding": positive().or_none(),
        "nearby": function(lambda: None).or_none(),
    },
    "samlib.Operator.restricted": lambda w: {
        "kept": Argument(
            torch.tensor([True, False, True]),
            (None, True, torch.ones(3), torch.tensor([True]), torch.zeros(3, dtype=torch.bool)),
            "booleans of shape",
        )
    },
    "samlib.alignment": lambda w: matrix_free(
        w, k=count(1, 1, 65), rtol=fraction(), confidence=probability()
    ),
    "samlib.top_eigenpairs": lambda w: matrix_free(
        w,
        k=count(1, 1, 65),
        rtol=fraction(),
        confidence=probability(),
        guess=one_point(
            torch.ones(65), *(torch.full((65,), v) for v in (0.0, math.nan, math.inf))
        ).or_none(),
        max_products=count(70),
        on_product=function(lambda: None).or_none(),
    ),
    "samlib.smallest_nonzero_eigenvalue": lambda w: matrix_free(
        w,
        rank=count(2, 1, 65).or_none(),
        rtol=fraction(),
        zero_rtol=fraction().or_none(),
        confidence=probability(),
        max_products=count(70),
    ),
    "samlib.trace": lambda w: matrix_free(
        w, rtol=fraction(), seed=seed(), max_products=count(70, 4)
    ),
    "samlib.spectral_density": lambda w: matrix_free(
        w,
        x=one_point(torch.ones(65)),
        probes=count(2, 2),
        steps=count(2),
        width=positive().or_none(),
        points=count(9, 2),
        seed=seed(),
    ),
    "samlib.ascent_direction_sharpness": lambda w: {
        name: each for name, each in sharpness(w).items() if name != "progress"
    },
    "samlib.average_direction_sharpness": lambda w: sharpness(w, samples=samples(), seed=seed()),
    "samlib.worst_direction_sharpness": lambda w: sharpness(
        w, restarts=count(1, 0), rtol=fraction(), seed=seed()
    ),
    "samlib.stochastic_sharpness": lambda w: sharpness(
        w,
        notion=one_of("worst_direction", *NOTIONS),
        options=Argument(
            {"restarts": 1},
            ({"samples": 8}, {"nonsense": 3}, {"seed": -1}, {"rtol": 2.0}, {"restarts": 1.5}),
            "restarts, rtol, seed|≥ 0|between 0 and 1|integer",
            called="options|seed|rtol|restarts",
        ),
    ),
    "samlib.limiting_regularizers": lambda w: curvature(w, rank=count(2, 1, 4).or_none()),
    "samlib.project_to_minimizers": lambda w: curvature(
        w,
        x=point(w.x, w.x * math.nan, w.x * math.inf),
        rtol=fraction(1e-6),
        atol=fraction(1e-6),
        rank=count(2, 1, 4).or_none(),
        max_evaluations=count(1000),
    ),
    "samlib.limiting_flow": lambda w: {
        "objective": objective(w),
        "start": one_point(w.x[0], w.x[0] * math.nan),
        "regularizer": Argument(
            "trace", (None, 3, "", "nonsense", ["trace"], w.x), ", ".join(CURVATURES)
        ),
        "times": Argument(
            [0.0, 0.1],
            (
                None,
                3,
                "01",
                [],
                [1.0, 0.5],
                [0.0, 0.0],
                [-1.0],
                [math.nan],
                [0.0, math.inf],
                [True],
                ["1"],
                [None],
                [1j],
                [[0.0]],
                torch.zeros(1, 2),
                torch.tensor([True]),
            ),
            "finite",
        ),
        "rtol": fraction(1e-6),
        "atol": fraction(1e-6),
        "rank": count(2, 1, 4).or_none(),
        "gap_rtol": fraction(1e-4),
        "progress": flag(),
    },
    "samlib.simulate": lambda w: {
        "objective": objective(w),
        "rule": instance(rules.StochasticSAM(0.01, 0.1), r"samlib\.rules", w.base, rules.SAM),
        "start": no_empty_batch(point(w.x, w.x[None])),
        "steps": count(3, 0),
        "every": count(1),
        "record": some_of(("x", "loss"), "x", "loss", "gradient", "alignment", "top_eigenvalue"),
        "seed": replace(seed().or_none(), good=None),
        "progress": flag(),
        "draws": Argument(
            None,
            indices(torch.zeros(3, 2, 1).long(), 1).bad[1:],
            r"torch\.Tensor|integer|shape|indices",
        ),
    },
    # ── methods of objectives
    "samlib.Objective.value": at_point,
    "samlib.Objective.gradient": at_point,
    "samlib.Objective.hessian": at_point,
    "samlib.Objective.hessian_vector_product": with_vector,
    "samlib.Objective.rounding_unit": at_point,
    "samlib.Objective.hessian_operator": at_one_point,
    "samlib.ModuleObjective.value": at_point,
    "samlib.ModuleObjective.gradient": at_point,
    "samlib.ModuleObjective.hessian_vector_product": with_vector,
    "samlib.ModuleObjective.hessian_operator": at_one_point,
    "samlib.ModuleObjective.component_value": with_index,
    "samlib.ModuleObjective.component_gradient": with_index,
    "samlib.ModuleObjective.load_flat_parameters": at_one_point,
    "samlib.ModuleObjective.where": lambda w: {
        "names": Argument(
            ["0.weight", "*.bias"],
            ([None], [3], ["nonsense"], ["0.weight", "w*"], [b"0.bias"]),
            r"a string|0\.weight, 0\.bias, 1\.weight, 1\.bias, 3\.weight, 3\.bias",
            st.tuples(WORDS.filter(lambda word: "*" not in word)),
        )
    },
    "samlib.ModuleObjective.batches": at_one_point,
    "samlib.ModuleObjective.row": lambda w: {"k": count(2, 0, 5)},
    # ── results
    # ── rules
    "samlib.rules.unit_direction": lambda w: {
        "gradient": Argument(
            w.x,
            (*NO_TENSOR, w.x.long(), w.x > 0, w.x * 1j, torch.tensor(1.0), torch.zeros(2, 0)),
            r"torch\.Tensor|dtype|shape",
        )
    },
    "samlib.rules.Rule": rule,
    "samlib.rules.GradientDescent": rule,
    "samlib.rules.SAM": lambda w: rule(w, "rho"),
    "samlib.rules.UnnormalizedSAM": lambda w: rule(w, "rho"),
    "samlib.rules.AscentLossDescent": lambda w: rule(w, "rho"),
    "samlib.rules.StochasticSAM": lambda w: rule(w, "rho", batch_size=count(1)),
    "samlib.rules.GradientDescent.step": rule_step,
    "samlib.rules.SAM.step": rule_step,
    "samlib.rules.UnnormalizedSAM.step": rule_step,
    "samlib.rules.AscentLossDescent.step": rule_step,
    "samlib.rules.StochasticSAM.step": lambda w: rule_step(w, indices(w.k, 1)),
    # ── landscapes
    "samlib.landscapes.Formulas": lambda w: {
        name: formula() for name in ("value", "gradient", "hessian_vector_product")
    },
    "samlib.landscapes.MinimizerManifold": lambda w: {
        "dim": count(4, 1),
        "normal": Argument(
            (2, 3), (None, 3, "23", [4], [-1], [1.0], [True]), "coordinates|≥|most|int"
        ),
        "curvatures": function(lambda x: x[..., 2:] + 1),
    },
    "samlib.landscapes.MinimizerManifold.nearest": at_point,
    "samlib.landscapes.MinimizerManifold.distance": at_point,
    "samlib.landscapes.MinimizerManifold.eigenvalues": at_point,
    "samlib.landscapes.MinimizerManifold.top_eigenvalue": at_point,
    "samlib.landscapes.MinimizerManifold.smallest_nonzero_eigenvalue": at_point,
    "samlib.landscapes.MinimizerManifold.trace": at_point,
    "samlib.landscapes.Landscape": lambda w: {
        "dim": count(2),
        "terms": count(1),
        "parameters": Argument(
            (1.0,), (None, 3, "12", [None], ["1"], [True], [math.nan], [1j], [[1.0]]), "numbers"
        ),
    },
    "samlib.landscapes.Landscape.value": at_point,
    "samlib.landscapes.Landscape.gradient": at_point,
    "samlib.landscapes.Landscape.hessian_vector_product": with_vector,
    "samlib.landscapes.Landscape.hessian_operator": at_one_point,
    "samlib.landscapes.Landscape.component_value": with_index,
    "samlib.landscapes.Landscape.component_gradient": with_index,
    "samlib.landscapes.Quadratic": lambda w: {
        "eigenvalues": Argument(
            [2.0, 1.0],
            (
                None,
                3.0,
                "21",
                [],
                [1.0, 0.0],
                [1.0, -2.0],
                [math.nan],
                [math.inf],
                [[1.0, 2.0]],
                [True],
                ["1"],
                [None],
                [1j],
                w.x,
                torch.tensor([True]),
                torch.tensor([1j]),
            ),
            "numbers|> 0",
        )
    },
    "samlib.landscapes.Quadratic.in_invariant_set": lambda w: {
        **at_point(w),
        "lr": positive(),
        "rho": non_negative(),
    },
    "samlib.landscapes.TanhNetwork": lambda w: {
        "inputs": Argument(
            w.inputs,
            (
                *NO_TENSOR,
                w.inputs.long(),
                w.inputs * 1j,
                w.inputs[0],
                w.inputs[:0],
                w.inputs[:3],
                w.inputs * math.nan,
                w.inputs / 0,
            ),
            r"torch\.Tensor|dtype|shape|finite",
        ),
        "targets": Argument(
            w.targets[:, 0],
            (
                *NO_TENSOR,
                w.targets[:, 0].long(),
                w.targets[:, 0] * 1j,
                w.targets,
                w.targets[0],
                w.targets[:, 0] * math.nan,
            ),
            r"torch\.Tensor|dtype|shape|finite",
        ),
        "hidden": count(2),
    },
    "samlib.landscapes.TanhNetwork.value": at_point,
    "samlib.landscapes.TanhNetwork.hessian_vector_product": with_vector,
    "samlib.landscapes.TanhNetwork.component_value": with_index,
    "samlib.landscapes.TanhNetwork.output": lambda w: {
        **at_point(w),
        "inputs": Argument(
            w.inputs,
            (*NO_TENSOR, w.inputs.long(), w.inputs * 1j, w.inputs[0], w.inputs[:, :2], w.x),
            r"torch\.Tensor|dtype|shape",
        ),
    },
    # ── problems
    "samlib.problems.digits": lambda w: {
        "train_rows": count(10, 1, 1796),
        "dtype": dtype(),
        "device": device(),
    },
    "samlib.problems.mnist1d": lambda w: {
        **weights(),
        "train_rows": count(10, 1, 4999),
        "seed": seed(bits=32),
    },
    "samlib.problems.cifar10": lambda w: {
        "root": Argument("data", (None, 3, True, ["data"]), "folder"),
        "train_rows": count(10).or_none(),
        "download": flag(),
        "dtype": dtype(),
        "device": device(),
    },
    "samlib.problems.perceptron": lambda w: {
        **weights(),
        "sizes": Argument(
            (3, 2),
            (None, 3, "32", (), (3,), (3, 0), (3, -2), (3, 2.5), (3, True), ("3", "2"), (3, None)),
            "widths|input and the output|integer|≥ 1",
        ),
    },
    "samlib.problems.resnet": lambda w: {
        **weights(),
        "depth": count(8, 8, extra=(10, 12)),
        "width": count(2, 2, extra=(3,)),
        "classes": count(2),
    },
    "samlib.problems.interpolating_network": lambda w: {
        **weights(),
        "inputs": count(3),
        "hidden": count(2),
        "points": count(2, 1, 9),
    },
    # ── training
    "samlib.training.fit": lambda w: {
        **loss_of_a_network(w),
        "optimizer": instance(
            w.optimizer, "Optimizer|parameters", w.sgd([torch.zeros(1, requires_grad=True)])
        ),
        "epochs": count(1, 0),
        "batch_size": count(3, 1, 6).or_none(),
        "seed": seed().or_none(),
        "scheduler": Argument(
            torch.optim.lr_scheduler.StepLR(copy.deepcopy(w.optimizer), 1),
            (3, "cosine", True, [], torch.optim.lr_scheduler),
            "scheduler",
        ),
        "monitors": Argument(
            [lambda step, model: {}], (None, 3, [3], ["trace"], [None], "trace"), "list|callable"
        ),
        "progress": flag(),
    },
    "samlib.training.SharpnessMonitor": lambda w: {
        "measure": Argument(
            ("trace", "worst_direction"),
            (*some_of("trace", "trace").bad, [], ()),
            "among top_eigenvalue, trace, alignment|at least one",
        ),
        "rho": positive(),
        "every": count(2).or_none(),
        "data": loss_of_a_network(w)["data"].or_none(),
        "loss_fn": function(w.loss_fn).or_none(),
        "rtol": fraction(),
        "prefix": text("test_"),
    },
    "samlib.training.SharpnessMonitor.start": lambda w: {
        "data": loss_of_a_network(w)["data"].or_none(),
        "loss_fn": function(w.loss_fn).or_none(),
    },
    "samlib.training.SharpnessMonitor.__call__": lambda w: {
        "step": free(0, "monitors may use it; this one does not"),
        "model": network(w),
    },
    "samlib.training.AccuracyMonitor": lambda w: {
        "data": replace(loss_of_a_network(w)["data"], good=(w.inputs, w.targets[:, 0].long())),
        "every": count(2).or_none(),
        "name": text("test"),
    },
    "samlib.training.AccuracyMonitor.__call__": lambda w: {
        "step": free(0, "monitors may use it; this one does not"),
        "model": network(w),
    },
    # ── optimizers
    "samlib.optim.SharpnessAware": optimizer,
    "samlib.optim.SAM": optimizer,
    "samlib.optim.UnnormalizedSAM": optimizer,
    "samlib.optim.AWP": optimizer,
    "samlib.optim.ASAM": lambda w: optimizer(w, eta=non_negative()),
    "samlib.optim.AMP": lambda w: optimizer(w, inner_lr=positive(), inner_steps=count(1)),
    "samlib.optim.MSAM": lambda w: optimizer(w, m=count(2)),
    "samlib.optim.GSAM": lambda w: optimizer(w, local=False, alpha=non_negative()),
    "samlib.optim.LookSAM": lambda w: optimizer(
        w, local=False, alpha=non_negative(), every=count(2)
    ),
    "samlib.optim.EigenSAM": lambda w: optimizer(
        w, alpha=non_negative(), every=count(2), power_steps=count(1), seed=seed()
    ),
    "samlib.optim.DiametricalRisk": lambda w: optimizer(
        w, local=False, directions=count(2), seed=seed(bits=32)
    ),
    "samlib.optim.SharpnessAware.step": lambda w: {"closure": closure_of(w), "scaler": scaler()},
    "samlib.optim.SharpnessAware.first_step": first_step,
    "samlib.optim.EigenSAM.first_step": first_step,
    "samlib.optim.MSAM.step": lambda w: {
        "closure": Argument(w.loss_and_backward, function(None).bad, "callable|needs a closure"),
        "batch": Argument(
            w.data,
            ((), (w.inputs, w.targets[:5]), (3,), ("rows",), (w.inputs[:0],), (torch.tensor(1.0),)),
            "as many rows",
            called=r"MSAM\.step",
        ),
        "scaler": scaler(),
    },
    "samlib.optim.wrapper.Wrapper.add_param_group": added_group,
    "samlib.optim.wrapper.Wrapper.load_state_dict": loaded_state,
    # ── plotting
    "samlib.plotting.plot_history": lambda w: {
        "history": instance(history(), "fit returns"),
        **of_history(w),
    },
    "samlib.plotting.plot_spectral_density": lambda w: {
        "density": instance(density(), "spectral_density returns"),
        "ax": axes(w),
    },
    "samlib.plotting.plot_trajectory": lambda w: {
        "trajectory": instance(trajectory(), "simulate returns"),
        **of_trajectory(w),
    },
    "samlib.plotting.plot_limiting_flow": lambda w: {
        "flow": instance(flow(), "limiting_flow returns"),
        **of_flow(w),
    },
    # ── claims
    "samlib.claims.check": lambda w: {
        "identifier": text("root-two", "", "A", "a b", "-a", "a_b", "é"),
        **{
            name: Argument(
                [1.0, 2.0],
                (None, "one", 1j, [], 1.0, [1.0], [[1.0, 2.0], [3.0]], [True, False], w.x * 1j),
                "shape|numbers",
            )
            for name in ("predicted", "measured")
        },
        "rtol": non_negative().or_none(),
        "atol": non_negative().or_none(),
        "source": text("arithmetic", ""),
        "statement": text("They are equal.", ""),
    },
    # ── the interactive figure
    "samlib.widgets.figures.explore.widget.explore": explored,
    "samlib.widgets.figures.explore.widget.Explore": explored,
    "samlib.widgets.figures.explore.widget.Explore.sweep": lambda w: {
        "radii": Argument(
            [0.1],
            (None, 3, "12", [None], ["1"], [True], [0.0], [-1.0], [math.nan], [1e4]),
            "numbers|finite number from",
            called="radii|rho",
        )
    },
    "samlib.widgets.figures.explore.widget.Explore.wait": lambda w: {
        "timeout": non_negative(30.0).or_none()
    },
    "samlib.widgets.figures.explore.widget.Explore.set_state": lambda w: {
        "sync_data": free({}, "the protocol of ipywidgets sends it")
    },
    "samlib.widgets.core.figure.Figure.to_html": lambda w: {"id": text("here").or_none()},
}


@functools.cache
def trajectory() -> samlib.Trajectory:
    start = torch.full((4,), 0.1, dtype=torch.float64)
    return samlib.simulate(FourDimensional(), rules.SAM(0.01, 0.1), start, 2, record=("x", "loss"))


@functools.cache
def flow() -> samlib.FlowPath:
    start = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64)
    return samlib.limiting_flow(FourDimensional(), start, "trace", [0.0, 0.1])


@functools.cache
def density() -> samlib.SpectralDensity:
    return samlib.spectral_density(Quadratic([2.0, 1.0]), torch.zeros(2))


@functools.cache
def history() -> training.History:
    model = nn.Linear(3, 2).double()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    return training.fit(model, rows(), sgd, loss_fn=nn.MSELoss(), epochs=2)


MADE: dict[type, Callable[[], Any]] = {
    samlib.Trajectory: trajectory,
    samlib.FlowPath: flow,
    samlib.SpectralDensity: density,
    training.History: history,
}

# ────────────────────────────────────────────────────────────────────────────── the tests


@pytest.fixture
def world() -> Iterator[World]:
    before = torch.get_rng_state()
    world = World()
    yield world
    if isinstance(world.instance, Explore):
        world.instance.close()
    plt.close("all")
    torch.set_rng_state(before)


def good(row: Row) -> dict[str, Any]:
    return {name: argument.good for name, argument in row.items()}


def prepare(world: World, callee: Callee) -> Row:
    """Make the instance whose method is called, with good arguments; return the method's row."""
    if (owner := callee.owner) is not None:
        name = next(name for name, thing in PUBLIC.items() if thing is owner)
        row = TABLE[name](world) if name in TABLE else {}
        world.instance = MADE[owner]() if owner in MADE else owner(**good(row))
        if isinstance(world.instance, Explore):
            world.instance.wait()
    return TABLE[callee.row](world)


def shows(value: Any, message: str) -> bool:
    """Whether the message shows the value or one in it, or of a tensor its shape or dtype."""
    inside: list[Any] = []
    forms = [repr(value), str(value)]
    if isinstance(value, (Tensor, np.ndarray)):
        forms = [str(tuple(value.shape)), str(list(value.shape)), str(value.dtype)]
        inside = [*value.shape[:1], *value.reshape(-1).tolist()]
    elif isinstance(value, dict):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple)):
        inside = list(value)
        forms += ["(0,)"] if not value else []
    shortest = (" ".join(form.split())[:11] for form in forms)  # long ones are cut short
    return any(form in message for form in shortest) or any(shows(v, message) for v in inside)


def assert_refused(world: World, callee: Callee, name: str, value: Any) -> None:
    row = TABLE[callee.row](world)  # anew, because some of what is given is used up
    argument, before = row[name], world.state()
    with pytest.raises((ValueError, TypeError)) as caught:
        callee.bound_to(world.instance)(**{**good(row), name: value})
    message = str(caught.value)
    assert re.search(rf"\b({argument.called or name})\b", message), f"which argument? {message}"
    assert re.search(argument.says, message), f"what is allowed? {message}"
    assert shows(value, message), f"what was given? {message}"
    assert world.state() == before, f"what failed has changed something: {message}"


def test_every_entry_is_of_a_public_name() -> None:
    assert set(TABLE) == {callee.row for callee in CALLEES}
    assert set(PUBLIC.values()) >= RESULTS | ABSTRACT
    assert set(NEEDS) | {name.rsplit(".", 1)[0] for name in UNAVAILABLE} <= set(PUBLIC)


# What a call is about, although it has a default; everything else with a default is an option.
SUBJECTS = {
    "samlib.problems.digits": {"train_rows"},
    "samlib.problems.mnist1d": {"train_rows"},
    "samlib.problems.resnet": {"depth"},
    ".step": {"k"},  # of rules that draw components
    "samlib.training.SharpnessMonitor": {"measure"},
    "Explore.sweep": {"radii"},
    "Explore.wait": {"timeout"},
    "Explore.to_html": {"id"},
}


@pytest.mark.parametrize("callee", CALLEES, ids=lambda callee: callee.name)
def test_options_are_keyword_only(callee: Callee) -> None:
    if callee.name.startswith("samlib.optim."):
        pytest.skip("closure and scaler go by position, as torch's")
    subjects = {"x"}.union(*(names for end, names in SUBJECTS.items() if callee.name.endswith(end)))
    for name, parameter in callee.signature.parameters.items():
        by_position = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        assert not (by_position and parameter.default is not parameter.empty) or name in subjects


def test_results_check_nothing() -> None:
    for result in RESULTS:
        assert is_dataclass(result) or issubclass(result, tuple)
        assert not hasattr(result, "__post_init__")


def needs(callee: Callee) -> None:
    if callee.name in NEEDS:
        pytest.importorskip(NEEDS[callee.name])


@pytest.mark.parametrize("numbers", ["Python's", "NumPy's"])
@pytest.mark.parametrize("callee", CALLEES, ids=lambda callee: callee.name)
def test_every_argument_has_an_entry_and_what_is_right_is_accepted(
    callee: Callee, numbers: str, world: World
) -> None:
    assert callee.row in TABLE, f"add {callee.row} with its arguments to the table of this test"
    row = prepare(world, callee)
    assert set(row) == set(callee.signature.parameters), "the table and the signature differ"
    if callee.name in ("samlib.problems.mnist1d", "samlib.problems.cifar10"):
        pytest.skip("takes long, or files: see test_problems.py")
    needs(callee)
    arguments = good(row)
    if numbers == "NumPy's":
        kinds = {int: np.int64, float: np.float64, bool: np.bool_}
        arguments = {name: kinds.get(type(v), lambda v: v)(v) for name, v in arguments.items()}
    result = callee.bound_to(world.instance)(**arguments)
    if isinstance(result, Explore):
        result.close()


@pytest.mark.parametrize(
    ("callee", "name"),
    [(callee, name) for callee in CALLEES for name in callee.signature.parameters],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_what_is_wrong_is_refused(callee: Callee, name: str, world: World) -> None:
    if name == "train_rows":
        needs(callee)
    argument = prepare(world, callee)[name]
    for value in argument.bad:
        assert_refused(world, callee, name, value)
    if argument.drawn is not None:

        @settings(max_examples=5)
        @given(value=argument.drawn)
        def refuses(value: Any) -> None:
            assert_refused(world, callee, name, value)

        refuses()
