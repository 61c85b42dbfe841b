"""The table for functions of a loss, and for the methods of objectives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from hypothesis import strategies as st

import samlib
from samlib import rules
from samlib.landscapes import Quadratic
from samlib.linalg import Shards
from samlib.objective.losses import LossOfModel
from tests.samlib.arguments.kinds import (
    NO_TENSOR,
    WORDS,
    Argument,
    count,
    device,
    dtype,
    flag,
    fraction,
    function,
    indices,
    instance,
    no_empty_batch,
    number,
    numbers_of_a_batch,
    one_of,
    one_point,
    point,
    positive,
    seed,
    some_of,
)
from tests.samlib.arguments.rows import (
    Row,
    at_one_point,
    at_point,
    chosen,
    loss_of_a_network,
    loss_of_batches,
    objective,
    samples,
    with_index,
    with_vector,
)
from tests.samlib.arguments.world import World

NOTIONS = ("worst_direction", "ascent_direction", "average_direction")
CURVATURES = ("top_eigenvalue", "trace", "smallest_nonzero_eigenvalue")


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


def through_outputs(w: World) -> Row:
    """What matrices of a network's loss take."""
    good = samlib.Objective.from_module(w.model, w.loss_fn, w.data)
    return {
        "objective": instance(good, r"Objective\.from_module", w.objective, w.model),
        "x": one_point(good.flat_parameters()),
    }


def spectrum(*bad: torch.Tensor) -> Argument:
    """The eigenvalues of a Hessian, or of several."""
    one = torch.tensor([1.0, 0.5, 0.2], dtype=torch.float64)
    empty = torch.zeros(0), torch.zeros(0, 3), torch.tensor(1.0)
    wrong = (*NO_TENSOR, one.long(), one * math.nan, one * math.inf, *empty, *bad)
    return Argument(one, wrong, r"torch\.Tensor|floating-point|shape|finite|> 0")


def shared_out() -> Row:
    """What says which processes share the data of an objective."""
    wrong = (3, True, "world", [0], torch.distributed.GroupMember.NON_GROUP_MEMBER)
    return {
        "process_group": Argument(None, wrong, "process_group"),
        "shard_vectors": flag().or_none(),
    }


OF_LOSSES: dict[str, Callable[[World], Row]] = {
    "samlib.Objective": lambda w: {"function": function(torch.sum), "dim": count(3)},
    "samlib.ModuleObjective": lambda w: {
        **loss_of_batches(w),
        **shared_out(),
        "parameters": replace(chosen()["parameters"], good=None),
        "loss": instance(LossOfModel(w.loss_of_batch), "from_loss", w.loss_of_batch, w.loss_fn),
    },
    "samlib.Objective.from_loss": lambda w: {**loss_of_batches(w), **shared_out()},
    "samlib.Objective.from_module": lambda w: {
        **loss_of_a_network(w),
        **chosen(),
        **shared_out(),
        "check": flag(),
    },
    "samlib.gauss_newton": through_outputs,
    "samlib.fisher": lambda w: {
        **through_outputs(w),
        "labels": one_of("sampled", "empirical", "sampled"),
        "seed": seed(),
    },
    "samlib.hessian_block": lambda w: {
        **through_outputs(w),
        "names": Argument(
            ["0.weight", "*.bias"],
            ([None], [3], ["nonsense"], ["0.weight", "w*"], [b"0.bias"]),
            r"a string|0\.weight, 0\.bias, 1\.weight, 1\.bias, 3\.weight, 3\.bias",
        ),
    },
    "samlib.layerwise": lambda w: {
        **through_outputs(w),
        "by": Argument(
            ["0.weight", "*.bias"],
            (
                *(None, 3, "", "nonsense", b"module", w.x, [], [3], ["nonsense"]),
                *({}, {3: "*"}, {"a": 3}, {"a": ["w*"]}, {"a": [None]}),
            ),
            r"'module', 'parameter'|a string|0\.weight, 0\.bias",
        ),
        "rho": positive().or_none(),
        "rtol": fraction(),
        "trace_rtol": fraction(),
        "confidence": probability(),
        "seed": seed(),
        "max_products": count(70, 4),
        "progress": flag(),
    },
    "samlib.hessian": lambda w: {"objective": objective(w), "x": one_point(w.x[0])},
    "samlib.Operator": lambda w: {
        "dim": count(3),
        "device": device(),
        "dtype": dtype(),
        "matvec": function(lambda v: 2 * v),
        "matmat": function(lambda v: 2 * v).or_none(),
        "by_batch": function(lambda draw: iter(())).or_none(),
        "rounding": positive().or_none(),
        "nearby": function(lambda: None).or_none(),
        "shards": instance(Shards(3), r"samlib\.linalg\.Shards", w.model).or_none(),
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
    "samlib.dynamics.cycles.two_cycle_multipliers": lambda w: {
        "eigenvalues": spectrum(),
        "lr": positive(),
    },
    "samlib.dynamics.cycles.ascent_cycle": lambda w: {
        "eigenvalues": spectrum(torch.tensor([1.0, 0.0]), torch.tensor([1.0, -0.5])),
        "lr": positive(),
        "partner": count(2, 2, 3).or_none(),
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
    "samlib.ModuleObjective.look": at_one_point,
    "samlib.ModuleObjective.row": lambda w: {"k": count(2, 0, 5)},
}
