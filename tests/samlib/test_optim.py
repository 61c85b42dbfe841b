"""samlib.optim: SAM on networks is the rule on the flattened network, and it is safe to use."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from optimizers import (
    Problem,
)
from torch import Tensor, nn

from samlib import Objective, rules
from samlib.optim import SAM


@pytest.fixture
def problem(device: torch.device) -> Problem:
    return Problem(device)


def test_around_sgd_it_is_the_rule_on_the_flattened_network(problem: Problem) -> None:
    optimizer, x = problem.sam(), problem.weights()[None]
    closure = problem.closure(optimizer)
    for _ in range(10):
        x = rules.SAM(0.05, 0.1).step(problem.objective, x)
        optimizer.step(closure)
        torch.testing.assert_close(problem.weights(), x[0], rtol=0, atol=1e-13)


def test_with_momentum_it_is_sgd_on_the_gradient_at_the_perturbed_weights(
    problem: Problem,
) -> None:
    optimizer = problem.sam(momentum=0.9, weight_decay=0.01)
    closure = problem.closure(optimizer)
    x, velocity = problem.weights(), torch.zeros_like(problem.weights())
    for _ in range(5):
        g = problem.objective.gradient(x)
        perturbed = problem.objective.gradient(x + 0.1 * g / g.norm())
        velocity = 0.9 * velocity + perturbed + 0.01 * x
        x = x - 0.05 * velocity
        optimizer.step(closure)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_a_zero_gradient_it_is_the_rule_too(dtype: torch.dtype, device: torch.device) -> None:
    # Two tensors with 3 parameters at the minimum of ½ Σ λᵢ pᵢ²
    lam = torch.tensor([3.0, 2.0, 1.0], dtype=dtype, device=device)
    parameters = [nn.Parameter(torch.zeros(n, dtype=dtype, device=device)) for n in (1, 2)]
    optimizer = SAM(parameters, torch.optim.SGD(parameters, lr=0.1), rho=0.3)
    objective = Objective(lambda x: (lam * x * x).sum() / 2, 3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective._function(torch.cat(parameters))
        loss.backward()
        return loss

    x = torch.zeros(1, 3, dtype=dtype, device=device)
    eps = torch.finfo(dtype).eps
    for _ in range(3):
        optimizer.step(closure)
        x = rules.SAM(0.1, 0.3).step(objective, x)
        torch.testing.assert_close(torch.cat(parameters).detach(), x[0], rtol=4 * eps, atol=eps)
    assert float(x.abs().min()) > 0


def test_it_returns_the_loss_before_the_step(problem: Problem) -> None:
    optimizer = problem.sam()
    before = problem.objective.value(problem.weights())
    torch.testing.assert_close(optimizer.step(problem.closure(optimizer)).detach(), before)
    assert problem.objective.value(problem.weights()) != before


def test_with_rho_zero_it_is_the_base_optimizer(device: torch.device) -> None:
    plain, ours = Problem(device), Problem(device)
    base = torch.optim.Adam(plain.model.parameters(), lr=0.01)
    optimizer = SAM(
        ours.model.parameters(), torch.optim.Adam(ours.model.parameters(), lr=0.01), rho=0.0
    )
    for _ in range(5):
        base.step(plain.closure(base))
        optimizer.step(ours.closure(optimizer))
    assert torch.equal(plain.weights(), ours.weights())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("call", [1, 2])
def test_an_exception_in_the_closure_leaves_the_weights_bit_for_bit(
    call: int, error: type[BaseException], problem: Problem
) -> None:
    optimizer = problem.sam(momentum=0.9)
    closure = problem.closure(optimizer)
    optimizer.step(closure)
    before, momentum = problem.weights(), copy.deepcopy(optimizer.state_dict()["state"])
    calls = 0

    def failing() -> Tensor:
        nonlocal calls
        calls += 1
        if calls == call:
            moved = not torch.equal(problem.weights(), before)
            assert moved == (call == 2), "the second call is at the perturbed weights"
            raise error("stop")
        return closure()

    with pytest.raises(error, match="stop"):
        optimizer.step(failing)
    assert calls == call
    assert torch.equal(problem.weights(), before)
    for state, kept in zip(
        optimizer.state_dict()["state"].values(), momentum.values(), strict=True
    ):
        assert torch.equal(state["momentum_buffer"], kept["momentum_buffer"])
    optimizer.step(closure)  # and it goes on
    assert not torch.equal(problem.weights(), before)


def test_an_exception_in_the_base_step_leaves_the_weights_too(problem: Problem) -> None:
    class Failing(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            with torch.no_grad():
                self.param_groups[0]["params"][0].add_(1)
            raise RuntimeError("half way")

    base = Failing(problem.model.parameters(), lr=0.1)
    optimizer = SAM(problem.model.parameters(), base, rho=0.1)
    before = problem.weights()
    with pytest.raises(RuntimeError, match="half way"):
        optimizer.step(problem.closure(optimizer))
    assert torch.equal(problem.weights(), before)


def test_the_weights_return_exactly_before_the_base_steps(problem: Problem) -> None:
    seen = []

    class Watching(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            seen.append(problem.weights())

    base = Watching(problem.model.parameters(), lr=0.1)
    optimizer = SAM(problem.model.parameters(), base, rho=1e3)
    before = problem.weights()
    optimizer.step(problem.closure(optimizer))
    assert torch.equal(seen[0], before)


def test_without_a_closure_it_says_that_it_needs_one(problem: Problem) -> None:
    with pytest.raises(ValueError, match="needs a closure"):
        problem.sam().step()


def test_a_closure_without_backward_is_refused_and_changes_nothing(problem: Problem) -> None:
    optimizer, before = problem.sam(), problem.weights()
    with pytest.raises(ValueError, match="backward"):
        optimizer.step(lambda: torch.tensor(0.0))
    assert torch.equal(problem.weights(), before)


def test_parameters_without_a_gradient_stay_and_do_not_count(device: torch.device) -> None:
    used, unused = (nn.Parameter(torch.ones(2, device=device)) for _ in range(2))
    optimizer = SAM([used, unused], torch.optim.SGD([used, unused], lr=0.1), rho=0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (used**2).sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    # g = (1, 1), ‖g‖ = √2, and the gradient at w + ρg/‖g‖ is 1 + 0.5/√2 in each place.
    expected = torch.full((2,), 1 - 0.1 * (1 + 0.5 / math.sqrt(2)), device=device)
    torch.testing.assert_close(used.detach(), expected)
    assert unused.tolist() == [1, 1]


def test_gradients_are_on_within_no_grad(problem: Problem) -> None:
    optimizer, before = problem.sam(), problem.weights()
    with torch.no_grad():
        optimizer.step(problem.closure(optimizer))
    assert not torch.equal(problem.weights(), before)


def test_training_goes_on_from_a_saved_state_as_if_never_stopped(device: torch.device) -> None:
    whole, first, second = Problem(device), Problem(device), Problem(device)
    optimizers = [p.sam(momentum=0.9) for p in (whole, first)]
    for _ in range(6):
        optimizers[0].step(whole.closure(optimizers[0]))
    for _ in range(3):
        optimizers[1].step(first.closure(optimizers[1]))
    second.model.load_state_dict(first.model.state_dict())
    resumed = second.sam(rho=0.7, lr=9.0)  # overwritten by what is loaded
    resumed.load_state_dict(copy.deepcopy(optimizers[1].state_dict()))
    for _ in range(3):
        resumed.step(second.closure(resumed))
    assert torch.equal(second.weights(), whole.weights())


def test_a_state_saved_without_sam_or_loaded_into_the_base_works(device: torch.device) -> None:
    plain, ours = Problem(device), Problem(device)
    base = torch.optim.SGD(plain.model.parameters(), lr=0.01, momentum=0.9)
    base.step(plain.closure(base))
    optimizer = ours.sam(rho=0.2, momentum=0.9)
    ours.model.load_state_dict(plain.model.state_dict())
    for load in (optimizer.load_state_dict, optimizer.base_optimizer.load_state_dict):
        load(copy.deepcopy(base.state_dict()))
        before = ours.weights()
        optimizer.step(ours.closure(optimizer))
        assert not torch.equal(ours.weights(), before)
        assert optimizer.param_groups[0]["rho"] == 0.2
        assert optimizer.param_groups[0]["lr"] == 0.01
        assert optimizer.param_groups is optimizer.base_optimizer.param_groups


@pytest.mark.parametrize("on_base", [True, False])
def test_a_scheduler_may_be_attached_to_either_optimizer(on_base: bool, problem: Problem) -> None:
    optimizer = problem.sam(lr=0.1)
    target = optimizer.base_optimizer if on_base else optimizer
    scheduler = torch.optim.lr_scheduler.StepLR(target, step_size=1, gamma=0.5)
    x, lr = problem.weights()[None], 0.1
    for _ in range(4):
        optimizer.step(problem.closure(optimizer))
        scheduler.step()
        x = rules.SAM(lr, 0.1).step(problem.objective, x)
        lr /= 2
    torch.testing.assert_close(problem.weights(), x[0], rtol=0, atol=1e-13)
    assert optimizer.param_groups[0]["lr"] == optimizer.base_optimizer.param_groups[0]["lr"] == lr


def test_each_group_may_have_a_rho_of_its_own(problem: Problem) -> None:
    first, last = list(problem.model[0].parameters()), list(problem.model[2].parameters())
    base = torch.optim.SGD([{"params": first}, {"params": last, "lr": 0.01}], lr=0.05)
    optimizer = SAM([{"params": first, "rho": 0.3}, {"params": last}], base, rho=0.1)
    x = problem.weights()
    size = sum(p.numel() for p in first)
    rho = torch.full_like(x, 0.1)
    rho[:size] = 0.3
    lr = torch.full_like(x, 0.01)
    lr[:size] = 0.05
    for _ in range(3):
        g = problem.objective.gradient(x)
        x = x - lr * problem.objective.gradient(x + rho * g / g.norm())
        optimizer.step(problem.closure(optimizer))
    torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)


def test_a_group_can_be_added_later(problem: Problem) -> None:
    first, last = list(problem.model[0].parameters()), list(problem.model[2].parameters())
    optimizer = SAM(first, torch.optim.SGD(first, lr=0.05), rho=0.1)
    optimizer.add_param_group({"params": last})
    x = rules.SAM(0.05, 0.1).step(problem.objective, problem.weights()[None])
    optimizer.step(problem.closure(optimizer))
    torch.testing.assert_close(problem.weights(), x[0], rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="rho"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "rho": -1.0})


def test_parameters_that_are_not_the_bases_are_refused(problem: Problem) -> None:
    parameters = list(problem.model.parameters())
    for other in (
        parameters[:-1],
        parameters[::-1],
        list(Problem(torch.device("cpu"), 1).model.parameters()),
    ):
        with pytest.raises(ValueError, match="same parameters"):
            SAM(parameters, torch.optim.SGD(other, lr=0.1), rho=0.1)
    groups = [{"params": parameters[:2]}, {"params": parameters[2:]}]
    with pytest.raises(ValueError, match="same groups"):
        SAM(parameters, torch.optim.SGD(groups, lr=0.1), rho=0.1)


def test_a_base_optimizer_must_be_an_instance(problem: Problem) -> None:
    with pytest.raises(TypeError, match="instance"):
        SAM(problem.model.parameters(), torch.optim.SGD, rho=0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("rho", [-0.1, math.nan, math.inf])
def test_rho_must_be_non_negative_and_finite(rho: float, problem: Problem) -> None:
    with pytest.raises(ValueError, match="rho"):
        problem.sam(rho=rho)
    parameters = list(problem.model.parameters())
    base = torch.optim.SGD(parameters, lr=0.1)
    with pytest.raises(ValueError, match="rho"):
        SAM([{"params": parameters, "rho": rho}], base, rho=0.1)
