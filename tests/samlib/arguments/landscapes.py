"""The table for update rules and landscapes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from samlib import landscapes
from tests.samlib.arguments.kinds import (
    NO_TENSOR,
    Argument,
    count,
    free,
    function,
    indices,
    non_negative,
    numbers_of_a_batch,
    point,
    positive,
)
from tests.samlib.arguments.rows import (
    Row,
    at_one_point,
    at_point,
    objective,
    with_index,
    with_vector,
)
from tests.samlib.arguments.world import World


def rule(w: World, *radius: str, **others: Argument) -> Row:
    kinds = {"lr": positive(), **{name: non_negative() for name in radius}}
    numbers = {n: numbers_of_a_batch(kind, unfit=torch.ones(2, 2)) for n, kind in kinds.items()}
    return {**numbers, **others}


def rule_step(w: World, k: Argument | None = None) -> Row:
    ignored = free(None, "full-batch rules take it as others do, and do not look at it")
    x = point(w.x, w.x[0], w.x[None])
    return {"objective": objective(w), "x": x, "k": ignored if k is None else k}


def formula() -> Argument:
    return function(landscapes.Quadratic.formulas.value)


OF_RULES_AND_LANDSCAPES: dict[str, Callable[[World], Row]] = {
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
}
