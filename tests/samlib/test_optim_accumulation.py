"""samlib.optim: gradients from before step(closure) never enter half of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from optimizers import CLASSES, FAMILY, IN_TWO_STEPS, LR, Problem, every_optimizer, make, step
from torch import Tensor, nn

from samlib.optim import SharpnessAware

WITH_BACKWARD = [name for name, of in CLASSES.items() if not (of.takes_loss or of.takes_batch)]
REFUSED = r"gradients of earlier backward passes"

Batches = list[tuple[Tensor, Tensor]]


@pytest.fixture
def problem(device: torch.device) -> Problem:
    return Problem(device)


def batches(problem: Problem, rows: int) -> Batches:
    return list(zip(problem.inputs.split(rows), problem.targets.split(rows), strict=True))


def loss_of(problem: Problem, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.mse_loss(problem.model(batch[0]), batch[1])


def lightning(problem: Problem, optimizer: Any, data: Batches, accumulate: int) -> None:
    """Imitate Lightning's automatic optimization: the closure clears before the first batch."""
    for i, batch in enumerate(data):

        def closure(i: int = i, batch: tuple[Tensor, Tensor] = batch) -> Tensor:
            loss = loss_of(problem, batch) / accumulate
            if i % accumulate == 0:
                optimizer.zero_grad()
            loss.backward()
            return loss

        if (i + 1) % accumulate:
            closure()
        else:
            optimizer.step(closure)


def accelerate(problem: Problem, optimizer: Any, data: Batches, accumulate: int) -> None:
    """Imitate a loop in Accelerate's accumulate(): steps and clearing are skipped in between."""
    for i, batch in enumerate(data):

        def closure(batch: tuple[Tensor, Tensor] = batch) -> Tensor:
            loss = loss_of(problem, batch) / accumulate
            loss.backward()
            return loss

        if (i + 1) % accumulate:
            closure()
        else:
            optimizer.step(closure)
            optimizer.zero_grad()


frameworks = pytest.mark.parametrize("loop", [lightning, accelerate])


@frameworks
@pytest.mark.parametrize("name", WITH_BACKWARD)
@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulation_around_a_closure_is_refused_and_changes_nothing(
    name: str, accumulate: int, loop: Callable[..., None], problem: Problem
) -> None:
    optimizer, before = make(name, problem, momentum=0.9), problem.weights()
    with pytest.raises(RuntimeError, match=REFUSED):
        loop(problem, optimizer, batches(problem, 8 // accumulate), accumulate)
    assert torch.equal(problem.weights(), before)
    with pytest.raises(RuntimeError, match=REFUSED):  # and again, until they are cleared
        optimizer.step(lambda: loss_of(problem, batches(problem, 8)[0]).backward())
    optimizer.zero_grad()
    step(problem, optimizer)
    assert not torch.equal(problem.weights(), before)


@frameworks
@pytest.mark.parametrize("name", WITH_BACKWARD)
def test_without_accumulation_the_same_loops_train(
    name: str, loop: Callable[..., None], device: torch.device
) -> None:
    one, other = Problem(device), Problem(device)
    optimizers = [make(name, p, momentum=0.9) for p in (one, other)]
    loop(one, optimizers[0], batches(one, 8) * 4, 1)
    for _ in range(4):
        step(other, optimizers[1])
    assert torch.equal(one.weights(), other.weights())


@every_optimizer
def test_gradients_of_an_earlier_backward_are_refused_by_every_optimizer(
    name: str, problem: Problem
) -> None:
    optimizer, before = make(name, problem), problem.weights()
    (batch,) = batches(problem, 8)
    loss_of(problem, batch).backward()
    with pytest.raises(RuntimeError, match=REFUSED) as caught:
        step(problem, optimizer)
    assert torch.equal(problem.weights(), before)
    assert ("first_step()" in str(caught.value)) == (name in IN_TWO_STEPS)
    for clear in (optimizer.zero_grad, lambda: optimizer.zero_grad(set_to_none=False)):
        loss_of(problem, batch).backward()
        clear()
        step(problem, optimizer)


@every_optimizer
@pytest.mark.parametrize("set_to_none", [True, False])
def test_what_a_closure_clears_itself_does_not_matter(
    name: str, set_to_none: bool, device: torch.device
) -> None:
    # As with any torch optimizer: what is in .grad after the closure is what the step takes.
    one, other = Problem(device), Problem(device)
    optimizers = [make(name, p) for p in (one, other)]
    for t in range(4):
        if set_to_none and t == 0:
            loss_of(one, batches(one, 8)[0]).backward()
        step(one, optimizers[0], lambda: optimizers[0].zero_grad(set_to_none=set_to_none))
        step(other, optimizers[1])
    assert torch.equal(one.weights(), other.weights())


@every_optimizer
def test_what_a_step_leaves_in_grad_is_no_leftover(name: str, device: torch.device) -> None:
    one, other = Problem(device), Problem(device)
    optimizers = [make(name, p) for p in (one, other)]
    for _ in range(4):  # never cleared in the first
        step(one, optimizers[0])
        step(other, optimizers[1])
        optimizers[1].zero_grad()
    assert torch.equal(one.weights(), other.weights())
    step(one, make("SAM", one))  # nor to another optimizer of the family


@every_optimizer
def test_gradients_added_to_what_a_step_left_are_refused(name: str, problem: Problem) -> None:
    optimizer = make(name, problem)
    step(problem, optimizer)
    if CLASSES[name].takes_batch:  # or any other that leaves a gradient
        assert any(p.grad is not None for p in problem.model.parameters())
    loss_of(problem, batches(problem, 8)[0]).backward()
    before = problem.weights()
    with pytest.raises(RuntimeError, match=REFUSED):
        step(problem, optimizer)
    assert torch.equal(problem.weights(), before)


@pytest.mark.parametrize("name", WITH_BACKWARD)
def test_a_closure_that_fails_leaves_no_leftover(name: str, problem: Problem) -> None:
    optimizer, before = make(name, problem), problem.weights()
    (batch,) = batches(problem, 8)

    def failing() -> Tensor:
        loss_of(problem, batch).backward()
        raise KeyError("stop")

    for _ in range(2):
        with pytest.raises(KeyError, match="stop"):
            optimizer.step(failing)
        assert torch.equal(problem.weights(), before)
    step(problem, optimizer)
    loss_of(problem, batch).backward()
    with pytest.raises(KeyError, match="stop"):  # but what was there before remains one
        optimizer.step(failing)
    with pytest.raises(RuntimeError, match=REFUSED):
        step(problem, optimizer)


@pytest.mark.parametrize("name", IN_TWO_STEPS)
@pytest.mark.filterwarnings("ignore:Using backward")
def test_what_the_error_says_to_write_is_the_step_on_all_rows(
    name: str, device: torch.device
) -> None:
    def accumulated(create_graph: bool = False) -> None:
        for batch in batches(one, 2):
            (loss_of(one, batch) / 4).backward(create_graph=create_graph)

    def two_steps(optimizer: SharpnessAware) -> None:
        accumulated(getattr(optimizer, "refreshes", False))
        for _ in range(optimizer.ascents):
            optimizer.first_step()
            accumulated()
        optimizer.second_step()
        optimizer.zero_grad()

    one, other = Problem(device), Problem(device)
    optimizers = [make(name, p, momentum=0.9) for p in (one, other)]
    for _ in range(4):
        two_steps(optimizers[0])
        step(other, optimizers[1])
    torch.testing.assert_close(one.weights(), other.weights(), rtol=0, atol=1e-12)


def test_part_of_the_parameters_with_leftovers_is_enough(device: torch.device) -> None:
    before, after = (nn.Parameter(torch.ones(2, device=device)) for _ in range(2))
    parameters: Iterable[Tensor] = [before, after]
    optimizer = FAMILY["SAM"](parameters, torch.optim.SGD(parameters, lr=LR))
    (before**2).sum().backward()

    def closure() -> Tensor:
        loss = (after**2).sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match=REFUSED):
        optimizer.step(closure)


def test_zeros_in_grad_of_unused_parameters_count_as_no_gradient(device: torch.device) -> None:
    used, unused = (nn.Parameter(torch.ones(2, device=device)) for _ in range(2))
    parameters = [used, unused]
    base = torch.optim.SGD(parameters, lr=LR, weight_decay=0.5)
    optimizer = FAMILY["SAM"](parameters, base)
    ((used**2).sum() + (unused**2).sum()).backward()
    optimizer.zero_grad(set_to_none=False)

    def closure() -> Tensor:
        loss = (used**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert unused.tolist() == [1, 1]


@pytest.mark.parametrize("name", WITH_BACKWARD)
def test_with_a_scaler_leftovers_are_refused_too(name: str, problem: Problem) -> None:
    scaler = torch.amp.GradScaler(problem.inputs.device.type, init_scale=2.0**30)
    optimizer, before = make(name, problem), problem.weights()

    def closure() -> Tensor:
        loss = loss_of(problem, batches(problem, 8)[0])
        scaler.scale(loss).backward()
        return loss

    closure()
    with pytest.raises(RuntimeError, match=REFUSED):
        optimizer.step(closure, scaler=scaler)
    assert torch.equal(problem.weights(), before)
    optimizer.zero_grad()
    optimizer.step(closure, scaler=scaler)
    assert not torch.equal(problem.weights(), before)
