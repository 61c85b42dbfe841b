"""Arguments that many rows of the table share."""

from __future__ import annotations

import torch

from tests.samlib.arguments.kinds import (
    Argument,
    count,
    function,
    indices,
    instance,
    one_point,
    point,
)
from tests.samlib.arguments.world import World

Row = dict[str, Argument]


def objective(w: World) -> Argument:
    return instance(w.objective, r"samlib\.Objective", w.model, w.loss)


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


def network(w: World) -> Argument:
    return loss_of_a_network(w)["model"]


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
