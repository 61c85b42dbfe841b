"""samlib.optim in real training: BatchNorm, compiled models, learning rates."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
import torch
from optimizers import (
    FAMILY,
    Problem,
    make,
    step,
)
from torch import Tensor, nn


@pytest.fixture
def problem(device: torch.device) -> Problem:
    return Problem(device)


# -------------------------------------------------------------------------- running statistics


def with_norm(device: torch.device, momentum: float | None = 0.1) -> Problem:
    problem = Problem(device)
    norm = nn.BatchNorm1d(5, momentum=momentum)
    problem.model.insert(1, norm.double().to(device))
    return problem


def statistics(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def after_one_forward(problem: Problem) -> dict[str, Tensor]:
    model = copy.deepcopy(problem.model)
    model(problem.inputs)
    return statistics(model)


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("name", [name for name in FAMILY if name != "MSAM"])
def test_running_statistics_follow_the_unperturbed_weights_once_a_step(
    name: str, momentum: float | None, device: torch.device
) -> None:
    problem = with_norm(device, momentum)
    optimizer = make(name, problem)
    for t in range(3):
        expected = after_one_forward(problem)
        step(problem, optimizer)
        assert_equal(statistics(problem.model), expected)
        assert int(problem.model[1].num_batches_tracked) == t + 1


def test_running_statistics_follow_each_micro_batch_of_msam_once(device: torch.device) -> None:
    problem = with_norm(device)
    model = copy.deepcopy(problem.model)
    for inputs in problem.inputs.split(4):
        model(inputs)
    step(problem, make("MSAM", problem, m=4))
    assert_equal(statistics(problem.model), statistics(model))


def test_running_statistics_in_two_step_use_and_after_an_error(device: torch.device) -> None:
    problem = with_norm(device)
    optimizer = make("SAM", problem)
    closure = problem.closure(optimizer)
    expected = after_one_forward(problem)
    closure()
    optimizer.first_step()
    closure()
    optimizer.restore()  # what an error in a step does, too
    assert_equal(statistics(problem.model), expected)
    expected = after_one_forward(problem)
    closure()
    optimizer.first_step()
    closure()
    assert int(problem.model[1].num_batches_tracked) == 3
    optimizer.second_step()
    assert_equal(statistics(problem.model), expected)


def test_forward_passes_outside_of_a_step_update_the_statistics_as_usual(
    device: torch.device,
) -> None:
    problem = with_norm(device)
    step(problem, make("SAM", problem))
    for t in range(3):
        problem.model(problem.inputs)
        assert int(problem.model[1].num_batches_tracked) == t + 2
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_a_two_step_that_is_given_up_leaves_no_hook_behind(problem: Problem) -> None:
    optimizer = make("SAM", problem)
    problem.closure(optimizer)()
    optimizer.first_step()
    assert torch.nn.modules.module._global_forward_pre_hooks
    del optimizer
    gc.collect()
    assert not torch.nn.modules.module._global_forward_pre_hooks


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("how", ["module", "in place", "function"])
@pytest.mark.filterwarnings("ignore:Using `torch.compile")
def test_compiled_models_train_as_uncompiled_ones(
    how: str, backend: str, device: torch.device
) -> None:
    plain, compiled = with_norm(device), with_norm(device)
    model = compiled.model
    optimizers = [make("SAM", plain), make("SAM", compiled, model=_given(model, how))]
    run: Any = model
    if how == "module":
        run = torch.compile(model, backend=backend)
    elif how == "in place":
        model.compile(backend=backend)
    else:
        run = torch.compile(lambda inputs: model(inputs), backend=backend)

    def closure() -> Tensor:
        loss = nn.functional.mse_loss(run(compiled.inputs), compiled.targets)
        loss.backward()
        return loss

    for _ in range(3):
        step(plain, optimizers[0])
        optimizers[1].step(closure)
    torch.testing.assert_close(compiled.weights(), plain.weights(), rtol=0, atol=1e-12)
    for name, buffer in statistics(plain.model).items():
        torch.testing.assert_close(dict(model.named_buffers())[name], buffer)
    assert int(model[1].num_batches_tracked) == 3


def _given(model: nn.Module, how: str) -> nn.Module | None:
    return model if how == "function" else None  # only there no module is seen to run


# ------------------------------------------------------------------------------ learning rates


@pytest.mark.parametrize("on_base", [True, False])
@pytest.mark.parametrize("two_step", [True, False])
def test_one_cycle_moves_learning_rate_and_momentum(
    two_step: bool, on_base: bool, problem: Problem, recwarn: pytest.WarningsRecorder
) -> None:
    optimizer = make("SAM", problem, momentum=0.9)
    target = optimizer.base_optimizer if on_base else optimizer
    scheduler = torch.optim.lr_scheduler.OneCycleLR(target, max_lr=0.1, total_steps=10)
    closure, seen = problem.closure(optimizer), []
    for _ in range(5):
        if two_step:
            closure()
            optimizer.first_step()
            closure()
            optimizer.second_step()
        else:
            optimizer.step(closure)
        scheduler.step()
        seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
    assert len(set(seen)) == 5
    assert optimizer.base_optimizer.param_groups[0]["lr"] == scheduler.get_last_lr()[0]
    assert not [w for w in recwarn if "lr_scheduler.step()" in str(w.message)]


def test_step_hooks_see_both_kinds_of_step(problem: Problem) -> None:
    optimizer, seen = make("SAM", problem), []
    optimizer.register_step_post_hook(lambda *_: seen.append(problem.weights()))
    closure = problem.closure(optimizer)
    optimizer.step(closure)
    closure()
    optimizer.first_step()
    closure()
    optimizer.second_step()
    assert len(seen) == 2
    assert torch.equal(seen[1], problem.weights())
