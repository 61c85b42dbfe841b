"""samlib.optim: calls out of order and bad input are refused by name."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from optimizers import (
    FAMILY,
    LR,
    TAKES_LOSS,
    Problem,
    every_optimizer,
    make,
)
from torch import nn

from samlib import optim


@pytest.fixture
def problem(device: torch.device) -> Problem:
    return Problem(device)


@every_optimizer
def test_out_of_order_calls_are_refused(name: str, problem: Problem) -> None:
    optimizer, before = make(name, problem), problem.weights()
    with pytest.raises(ValueError, match="needs a closure"):
        optimizer.step()
    with pytest.raises(RuntimeError, match=r"second_step\(\) after 0 calls of first_step"):
        optimizer.second_step()
    assert torch.equal(problem.weights(), before)


@pytest.mark.parametrize("name", ["MSAM", "DiametricalRisk"])
def test_without_two_step_use_it_says_so(name: str, problem: Problem) -> None:
    with pytest.raises(RuntimeError, match=r"use step\(closure"):
        make(name, problem).first_step()


def test_between_the_two_steps_only_the_second_may_come(problem: Problem) -> None:
    optimizer = make("SAM", problem)
    closure = problem.closure(optimizer)
    before = problem.weights()
    closure()
    optimizer.first_step()
    perturbed = problem.weights()
    for forbidden, message in (
        (optimizer.first_step, r"first_step\(\) after 1 call of first_step"),
        (lambda: optimizer.step(closure), "perturbed"),
        (optimizer.state_dict, "perturbed"),
        (lambda: optimizer.load_state_dict({}), "perturbed"),
        (lambda: optimizer.add_param_group({"params": []}), "perturbed"),
        (lambda: copy.deepcopy(optimizer), "perturbed"),
    ):
        with pytest.raises(RuntimeError, match=message):
            forbidden()
        assert torch.equal(problem.weights(), perturbed)
    with pytest.raises(ValueError, match=r"no parameter has a gradient"):
        optimizer.second_step()  # the second backward pass was forgotten
    assert torch.equal(problem.weights(), before)


def test_amp_counts_its_steps_of_ascent(problem: Problem) -> None:
    optimizer = make("AMP", problem)
    closure = problem.closure(optimizer)
    closure()
    optimizer.first_step()
    closure()
    with pytest.raises(RuntimeError, match=r"after 1 call of first_step\(\).*needs 3"):
        optimizer.second_step()
    optimizer.restore()


def test_a_two_step_that_clears_nothing_does_not_add_the_gradients_up(problem: Problem) -> None:
    # The first step has used its gradients; left in place, they would enter the update.
    optimizer, x = make("SAM", problem), problem.weights()
    for use in (optimizer.first_step, optimizer.second_step):
        nn.functional.mse_loss(problem.model(problem.inputs), problem.targets).backward()
        use()
    g = problem.objective.gradient(x)
    expected = x - LR * problem.objective.gradient(x + 0.1 * g / g.norm())
    torch.testing.assert_close(problem.weights(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", TAKES_LOSS)
def test_a_closure_that_should_return_the_loss_is_checked(name: str, problem: Problem) -> None:
    optimizer, before = make(name, problem), problem.weights()
    if name == "EigenSAM":
        with pytest.raises(ValueError, match=r"must not call backward"):
            optimizer.step(problem.closure(optimizer))
    with pytest.raises(TypeError, match="return the loss as a tensor"):
        optimizer.step(lambda: None)
    assert torch.equal(problem.weights(), before)


def test_eigensam_in_two_steps_needs_the_graph_of_the_gradient(problem: Problem) -> None:
    optimizer = make("EigenSAM", problem)
    problem.closure(optimizer)()
    with pytest.raises(ValueError, match=r"create_graph=optimizer\.refreshes"):
        optimizer.first_step()


def test_msam_needs_a_batch(problem: Problem) -> None:
    optimizer = make("MSAM", problem)
    for batch in ((), (problem.inputs, problem.targets[:3]), (torch.tensor(1.0),), ("ab", "cd")):
        with pytest.raises(ValueError, match="as many rows"):
            optimizer.step(problem.closure(optimizer), *batch)


@pytest.mark.parametrize(
    ("name", "settings", "argument"),
    [
        ("ASAM", {"eta": -1.0}, "eta"),
        ("GSAM", {"alpha": -1.0}, "alpha"),
        ("GSAM", {"alpha": math.nan}, "alpha"),
        ("LookSAM", {"every": 0}, "every"),
        ("LookSAM", {"alpha": math.inf}, "alpha"),
        ("MSAM", {"m": 0}, "m must"),
        ("EigenSAM", {"power_steps": 0}, "power_steps"),
        ("EigenSAM", {"seed": -1}, "seed"),
        ("AMP", {"inner_lr": 0.0}, "inner_lr"),
        ("AMP", {"inner_steps": 0}, "inner_steps"),
        ("DiametricalRisk", {"directions": 0}, "directions"),
        *((name, {"rho": -0.1}, "rho") for name in FAMILY),
    ],
)
def test_settings_out_of_range_are_refused(
    name: str, settings: dict[str, Any], argument: str, problem: Problem
) -> None:
    with pytest.raises(ValueError, match=argument):
        make(name, problem, **settings)


def test_base_optimizers_that_need_a_closure_are_refused(problem: Problem) -> None:
    parameters = list(problem.model.parameters())
    for base in (torch.optim.LBFGS(parameters), make("SAM", problem)):
        with pytest.raises(TypeError, match="without a closure"):
            optim.SAM(parameters, base, rho=0.1)


@every_optimizer
def test_it_tells_its_settings(name: str, problem: Problem) -> None:
    optimizer = make(name, problem, momentum=0.9)
    text = repr(optimizer)
    assert text.startswith(f"{name}(\n  rho={optimizer.param_groups[0]['rho']}")
    assert "momentum: 0.9" in text
    for setting, value in optimizer._settings().items():
        assert f"{setting}={value}" in text
