"""What all optimizers of samlib.optim have in common: they are safe to use."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from optimizers import (
    FAMILY,
    IN_TWO_STEPS,
    LR,
    TAKES_LOSS,
    Problem,
    every_optimizer,
    make,
    step,
    two_step,
    two_step_optimizers,
)
from torch import Tensor, nn

# torch's advice against what EigenSAM's two-step use needs; the gradients are cleared at once
pytestmark = pytest.mark.filterwarnings("ignore:Using backward")


@pytest.fixture
def problem(device: torch.device) -> Problem:
    return Problem(device)


@every_optimizer
def test_it_returns_the_loss_at_the_weights_before_the_step(name: str, problem: Problem) -> None:
    optimizer = make(name, problem)
    for _ in range(3):
        before = problem.objective.value(problem.weights())
        torch.testing.assert_close(step(problem, optimizer).detach(), before)


@two_step_optimizers
@pytest.mark.parametrize("micro_batches", [1, 4])
def test_two_steps_are_one_with_a_closure(
    name: str, micro_batches: int, device: torch.device
) -> None:
    one, other = Problem(device), Problem(device)
    optimizers = make(name, one, momentum=0.9), make(name, other, momentum=0.9)
    for _ in range(5):
        step(one, optimizers[0])
        two_step(other, optimizers[1], micro_batches)
    torch.testing.assert_close(other.weights(), one.weights(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in IN_TWO_STEPS if n not in TAKES_LOSS])
def test_a_closure_may_accumulate_micro_batches(name: str, device: torch.device) -> None:
    one, other = Problem(device), Problem(device)
    whole, accumulated = make(name, one), make(name, other)

    def closure() -> float:
        total = 0.0
        for rows in range(0, 8, 2):
            outputs = other.model(other.inputs[rows : rows + 2])
            loss = nn.functional.mse_loss(outputs, other.targets[rows : rows + 2]) / 4
            loss.backward()
            total += loss.item()
        return total

    for _ in range(4):
        expected = step(one, whole)
        assert math.isclose(accumulated.step(closure), float(expected.detach()))
    torch.testing.assert_close(other.weights(), one.weights(), rtol=0, atol=1e-12)


@every_optimizer
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_any_call_leaves_the_weights_bit_for_bit(
    name: str, error: type[BaseException], problem: Problem
) -> None:
    optimizer = make(name, problem, momentum=0.9)
    step(problem, optimizer)
    before = problem.weights()
    state = copy.deepcopy(optimizer.state_dict())
    calls = moved = 0
    for fail_at in range(1, 12):
        calls = 0

        def fail() -> None:
            nonlocal calls, moved
            calls += 1
            if calls == fail_at:  # noqa: B023
                moved += not torch.equal(problem.weights(), before)
                raise error("stop")

        if calls_of_a_step(name, 1) < fail_at:
            break
        with pytest.raises(error, match="stop"):
            step(problem, optimizer, fail)
        assert torch.equal(problem.weights(), before)
        assert_same_state(optimizer.state_dict(), state)
    assert moved > 0 or name == "LookSAM"  # which does not perturb in its second step
    step(problem, optimizer)  # and it goes on
    assert not torch.equal(problem.weights(), before)


def calls_of_a_step(name: str, t: int) -> int:
    return {"LookSAM": 2 if t % 3 == 0 else 1, "MSAM": 6, "AMP": 4, "DiametricalRisk": 8}.get(
        name, 2
    )


def assert_same_state(one: Any, other: Any) -> None:
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_state(one[key], other[key])
    else:
        assert one == other


@every_optimizer
def test_an_error_in_the_base_step_leaves_the_weights_too(name: str, problem: Problem) -> None:
    class Failing(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            for p in self.param_groups[0]["params"]:
                p.add_(1)
            raise RuntimeError("half way")

    parameters = list(problem.model.parameters())
    optimizer = FAMILY[name](parameters, Failing(parameters, lr=0.1))
    before = problem.weights()
    with pytest.raises(RuntimeError, match="half way"):
        step(problem, optimizer)
    assert torch.equal(problem.weights(), before)


@two_step_optimizers
def test_restore_ends_a_two_step(name: str, problem: Problem) -> None:
    optimizer, before = make(name, problem), problem.weights()
    loss = nn.functional.mse_loss(problem.model(problem.inputs), problem.targets)
    loss.backward(create_graph=getattr(optimizer, "refreshes", False))
    optimizer.first_step()
    assert not torch.equal(problem.weights(), before)
    optimizer.restore()
    assert torch.equal(problem.weights(), before)
    two_step(problem, optimizer)
    assert not torch.equal(problem.weights(), before)


@every_optimizer
def test_training_goes_on_from_a_saved_state_as_if_never_stopped(
    name: str, device: torch.device
) -> None:
    whole, first, second = Problem(device), Problem(device), Problem(device)
    uninterrupted, stopped = (make(name, p, momentum=0.9) for p in (whole, first))
    for _ in range(8):
        step(whole, uninterrupted)
    for _ in range(4):  # inside a period of LookSAM and EigenSAM
        step(first, stopped)
    file = io.BytesIO()
    torch.save({"model": first.model.state_dict(), "optimizer": stopped.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file)
    second.model.load_state_dict(saved["model"])
    resumed = make(name, second, momentum=0.9)
    resumed.load_state_dict(saved["optimizer"])
    for _ in range(4):
        step(second, resumed)
    assert torch.equal(second.weights(), whole.weights())
    assert_same_state(resumed.state_dict(), uninterrupted.state_dict())


@every_optimizer
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_model_and_optimizer_goes_on_by_itself(
    name: str, copied: Callable[[Any], Any], problem: Problem
) -> None:
    optimizer = make(name, problem, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    step(problem, optimizer)
    scheduler.step()
    model, twin = copied((problem.model, optimizer))
    other = Problem(problem.inputs.device)
    other.model = model
    assert type(twin) is type(optimizer)
    assert twin.param_groups is twin.base_optimizer.param_groups
    for _ in range(3):
        step(problem, optimizer)
        step(other, twin)
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert torch.equal(weights, problem.weights())


@every_optimizer
def test_parameters_keep_their_storage(name: str, problem: Problem) -> None:
    # What holds a view of the weights, a flattened buffer or an average of them, must see a step.
    optimizer = make(name, problem)
    parameters = list(problem.model.parameters())
    views = [p.detach() for p in parameters]
    before = [view.clone() for view in views]
    for _ in range(4):
        step(problem, optimizer)
    assert [v.data_ptr() for v in views] == [p.data_ptr() for p in parameters]
    assert not any(torch.equal(v, old) for v, old in zip(views, before, strict=True))


@every_optimizer
def test_unused_parameters_stay_and_have_no_gradient(name: str, device: torch.device) -> None:
    problem = Problem(device)
    unused = nn.Parameter(torch.ones(3, dtype=torch.float64, device=device))
    parameters = [*problem.model.parameters(), unused]
    base = torch.optim.SGD(parameters, lr=LR, momentum=0.9, weight_decay=0.1)
    optimizer = FAMILY[name](parameters, base)
    for _ in range(4):
        step(problem, optimizer)
    assert unused.tolist() == [1, 1, 1]
    assert unused.grad is None


@every_optimizer
def test_a_radius_of_zero_moves_nothing(name: str, problem: Problem) -> None:
    optimizer, seen = make(name, problem, rho=0.0), list[Tensor]()
    before = problem.weights()
    step(problem, optimizer, lambda: seen.append(problem.weights()))
    assert all(torch.equal(x, before) for x in seen)


@pytest.mark.parametrize("name", ["SAM", "UnnormalizedSAM", "ASAM", "AWP", "AMP", "EigenSAM"])
def test_groups_with_radii_of_their_own_scale_the_perturbation(
    name: str, device: torch.device
) -> None:
    one, other = Problem(device), Problem(device)
    seen: dict[int, list[Tensor]] = {0: [], 1: []}
    settings = {"inner_steps": 1, "inner_lr": 1e3} if name == "AMP" else {}
    for place, (problem, radii) in enumerate(((one, (0.1, 0.1)), (other, (0.3, 0.1)))):
        first, last = list(problem.model[0].parameters()), list(problem.model[2].parameters())
        base = torch.optim.SGD([{"params": first}, {"params": last}], lr=LR)
        groups = [{"params": p, "rho": r} for p, r in zip((first, last), radii, strict=True)]
        optimizer = FAMILY[name](groups, base, **settings)
        step(problem, optimizer, lambda to=seen[place], of=problem: to.append(of.weights()))
    size = sum(p.numel() for p in one.model[0].parameters())
    same, scaled = (points[1] - points[0] for points in seen.values())
    torch.testing.assert_close(scaled[:size], 3 * same[:size], rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(scaled[size:], same[size:], rtol=1e-9, atol=1e-13)
    assert float(same[:size].norm()) > 0
