"""The table for the flows along the bottom of a valley, and for the chain of the residuals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from tests.samlib.arguments.kinds import (
    NO_TENSOR,
    Argument,
    count,
    flag,
    fraction,
    number,
    one_point,
    positive,
    seed,
)
from tests.samlib.arguments.losses import CURVATURES
from tests.samlib.arguments.rows import Row, objective
from tests.samlib.arguments.world import World

OF_FLOWS = Argument(
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
)


def chain(w: World) -> Row:
    return {
        "lr": positive(0.01),
        "batch_size": count(1).or_none(),
        "samples": count(8),
        "seed": seed(),
        "progress": flag(),
    }


OF_FLOW: dict[str, Callable[[World], Row]] = {
    "samlib.flow.central_flow": lambda w: {
        "objective": objective(w),
        "start": one_point(w.x[0], w.x[0] * math.nan),
        "times": OF_FLOWS,
        "lr": number(0.01, lambda x: 0 < x < 2 / 19, "> 0|below 2/λ₁", (0, 0.2)),
        "rho": positive(0.01),
        "rtol": fraction(0.05),
        "progress": flag(),
    },
    "samlib.flow.flow_corrections": lambda w: {
        "objective": objective(w),
        "x": replace(
            one_point(torch.tensor([0.5, 0.5, 0.0, 0.0]).double(), w.x[0], w.x[0] * math.nan),
            says=r"torch\.Tensor|floating|shape|float32|finite|on Γ",
        ),
        "lr": number(0.01, lambda x: 0 < x < 2 / 19.5, "> 0|below 2/λ₁", (0, 0.11)),
        "rho": positive(),
        "rank": count(2, 1, 4).or_none(),
    },
    "samlib.limiting_flow": lambda w: {
        "objective": objective(w),
        "start": one_point(w.x[0], w.x[0] * math.nan),
        "regularizer": Argument(
            "top_eigenvalue",
            (None, 3, "", "nonsense", ["trace"], w.x),
            ", ".join(CURVATURES),
        ),
        "times": OF_FLOWS,
        "lr": positive(0.01).or_none(),
        "rho": positive(0.01).or_none(),
        "rtol": fraction(1e-6),
        "atol": fraction(1e-6),
        "rank": count(2, 1, 4).or_none(),
        "gap_rtol": fraction(1e-4),
        "progress": flag(),
    },
    "samlib.flow.residual_chain": lambda w: {
        "gram": Argument(
            torch.eye(2, dtype=torch.float64),
            (
                *NO_TENSOR,
                torch.eye(2, dtype=torch.int64),
                torch.zeros(0, 0),
                torch.ones(2),
                torch.ones(2, 3),
                torch.ones(2, 2),
                -torch.eye(2),
                torch.tensor([[2.0, 1.0], [0.0, 2.0]]),
                torch.eye(2) * math.inf,
            ),
            r"torch\.Tensor|floating-point|shape|symmetric|definite|finite",
        ),
        **chain(w),
    },
    "samlib.flow.uncoupled_chain": lambda w: {
        "curvatures": Argument(
            torch.ones(2),
            (
                *NO_TENSOR,
                torch.ones(2, dtype=torch.int64),
                torch.ones(0),
                torch.ones(2, 2),
                torch.tensor(1.0),
                torch.tensor([1.0, 0.0]),
                torch.tensor([1.0, math.nan]),
            ),
            r"torch\.Tensor|floating-point|shape|> 0",
        ),
        "lr": chain(w)["lr"],
    },
    "samlib.flow.chain_drift": lambda w: {
        "objective": objective(w),
        "x": one_point(w.x[0] * torch.tensor([1, 1, 0, 0]), w.x[0] * math.nan),
        **chain(w),
    },
    "samlib.flow.chain_flow": lambda w: {
        "objective": objective(w),
        "start": one_point(w.x[0], w.x[0] * math.nan),
        "times": OF_FLOWS,
        "rtol": fraction(1e-4),
        "atol": fraction(1e-4),
        **chain(w),
    },
    "samlib.flow.chain_spread": lambda w: {
        "objective": objective(w),
        "start": one_point(w.x[0], w.x[0] * math.nan),
        "times": OF_FLOWS,
        "pieces": count(1),
        "rtol": fraction(1e-4),
        "atol": fraction(1e-4),
        **chain(w),
    },
}
