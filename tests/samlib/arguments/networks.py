"""The table for problems, training and optimizers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from samlib import optim
from samlib.objective.losses import LossOfOutputs
from tests.samlib.arguments.kinds import (
    Argument,
    count,
    device,
    dtype,
    flag,
    fraction,
    free,
    function,
    instance,
    non_negative,
    one_of,
    positive,
    seed,
    some_of,
    text,
)
from tests.samlib.arguments.rows import Row, chosen, either_loss, loss_of_a_network, network
from tests.samlib.arguments.world import World


def weights() -> Row:
    """Where a network, or data, are to be."""
    return {"seed": seed(), "dtype": dtype(), "device": device()}


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
        "base_optimizer": Argument(
            w.base,
            (None, 3, "name", object(), type(w.base), [], [w.base, w.base], [w.base, 3], *bases),
            "instance|without a closure|one base_optimizer only",
        ),
        "rho": non_negative(),
        "model": instance(w.model, r"torch\.nn\.Module", w.loss).or_none(),
        "same_masks": flag(),
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
    old = ({**state, "sharpness_aware": each} for each in own)
    groups = [{**group, "sharpness_aware_steps": 1.5} for group in state["param_groups"]]
    vectors = {0: {"sharpness_aware": torch.zeros(1, 2, 3)}}
    new = ({**state, "param_groups": groups}, {**state, "state": vectors})
    wrong = (None, 3, "state", [], {}, *old, *new)
    return {"state_dict": Argument(state, wrong, r"what state_dict\(\) returned")}


OF_NETWORKS: dict[str, Callable[[World], Row]] = {
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
        **either_loss(w),
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
        "loss": Argument(None, (3, "loss"), "callable|must be given"),
        **chosen(),
        "parameters": Argument("*.bias", (3, [3], []), "pattern|string|at least one"),
        "rtol": fraction(),
        "prefix": text("test_"),
    },
    "samlib.training.SharpnessMonitor.start": lambda w: {
        "data": loss_of_a_network(w)["data"].or_none(),
        "loss": instance(LossOfOutputs(w.loss_fn), "fit makes", w.loss_fn).or_none(),
    },
    "samlib.training.SharpnessMonitor.__call__": lambda w: {
        "step": free(0, "monitors may use it; this one does not"),
        "model": network(w),
    },
    "samlib.training.SAMEffect": lambda w: {
        "optimizer": instance(
            optim.SAM(w.groups(), w.base, rho=0.1), r"an optimizer of samlib\.optim", w.base
        ),
        "measure": Argument(
            ("cosine", "edge", "share"),
            (*(each for each in some_of("edge", "edge").bad if each is not None), [], ()),
            "among difference, ratio, cosine|at least one",
        ),
        "k": count(2),
        "every": count(2).or_none(),
        "data": loss_of_a_network(w)["data"].or_none(),
        "loss_fn": function(w.loss_fn).or_none(),
        "loss": Argument(None, (3, "loss"), "callable|both|either"),
        "size": Argument(None, (3, "rows", True, [len]), "callable|'batch'"),
        "rtol": fraction(),
        "prefix": text("test_"),
        "clipping": positive().or_none(),
    },
    "samlib.training.SAMEffect.start": lambda w: {
        "data": loss_of_a_network(w)["data"].or_none(),
        "loss": instance(LossOfOutputs(w.loss_fn), "fit makes", w.loss_fn).or_none(),
    },
    "samlib.training.SAMEffect.__call__": lambda w: {
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
    "samlib.optim.SharpnessAware.with_same_masks": lambda w: {"closure": function(w.loss)},
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
    "samlib.optim.watchers.Watched.register_gradient_hook": lambda w: {
        "hook": function(lambda first, perturbation, last: None),
        "when": function(lambda: True).or_none(),
    },
    "samlib.optim.wrapper.Wrapper.add_param_group": added_group,
    "samlib.optim.wrapper.Wrapper.load_state_dict": loaded_state,
}
