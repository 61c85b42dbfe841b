"""Arguments that many rows of the table share."""

from __future__ import annotations

import torch

from tests.samlib.arguments.kinds import (
    Argument,
    count,
    flag,
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
    wrong = (None, 3, "rows", inputs, {"inputs": 3}, iter([w.data]), (inputs, [1.0] * 6))
    pairs = ((inputs, targets[:5]), (inputs[:0], targets[:0]), (inputs, targets[:5], targets))
    return {
        "model": instance(w.model, r"torch\.nn\.Module", w.loss),
        "loss_fn": function(w.loss_fn),
        "data": Argument(
            w.data, (*wrong, *pairs), "pair|rows|once|tensor with", called="data|inputs|targets"
        ),
    }


def chosen() -> Row:
    """What batches count by, and which parameters make x."""
    names = ("nonsense", [], ["0.*", "nonsense"], 3, [3], lambda name, p: False)
    return {
        "size": Argument(None, (3, "rows", True, [len]), "callable|'batch'"),
        "parameters": Argument("*.bias", names, "pattern|string|at least one|trainable"),
    }


def loss_of_batches(w: World) -> Row:
    """A network with a loss of model and batch."""
    row = loss_of_a_network(w)
    wrong = (None, 3, "rows", {}, {"inputs": 3}, iter([w.data]), torch.tensor(1.0))
    return {
        "model": row["model"],
        "loss": function(w.loss_of_batch),
        "data": Argument(w.data, wrong, "batch|rows|once"),
        **chosen(),
        "check": flag(),
    }


def either_loss(w: World) -> Row:
    """A network with a loss of outputs and targets, or instead of model and batch."""
    return {
        **loss_of_a_network(w),
        "loss_fn": Argument(w.loss_fn, function(w.loss_fn).bad, "callable|must be given"),
        "loss": Argument(None, (3, "loss", w.loss_of_batch), "callable|must be given"),
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
