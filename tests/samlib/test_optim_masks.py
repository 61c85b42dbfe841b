"""samlib.optim with same_masks: all passes draw the same random numbers, and the stream goes on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from optimizers import CLASSES, FAMILY, LR, Problem, every_optimizer
from torch import Tensor, nn

from samlib.optim import SharpnessAware


class Drawing(Problem):
    """A problem whose network has dropout, and that keeps what each pass drew."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.model.insert(1, nn.Dropout(0.5))
        self.drawn: list[Tensor] = []
        self.model[1].register_forward_hook(lambda m, i, output: self.drawn.append(output == 0))

    def loss(self, *batch: Tensor) -> Tensor:
        inputs, targets = batch or (self.inputs, self.targets)
        return nn.functional.mse_loss(self.model(inputs), targets)

    def backward(self, *batch: Tensor) -> Tensor:
        value = self.loss(*batch)
        value.backward()
        return value

    def step(self, optimizer: SharpnessAware) -> Any:
        if optimizer.takes_batch:
            return optimizer.step(self.backward, self.inputs, self.targets)
        return optimizer.step(self.loss if optimizer.takes_loss else self.backward)


def make(name: str, problem: Drawing, same_masks: bool = True) -> SharpnessAware:
    parameters = list(problem.model.parameters())
    base = torch.optim.SGD(parameters, lr=LR)
    return FAMILY[name](parameters, base, same_masks=same_masks)


def passes(name: str, drawn: list[Tensor]) -> list[list[Tensor]]:
    """What was drawn, for each micro-batch of MSAM, or else in the whole step."""
    return [drawn[i : i + 2] for i in range(0, len(drawn), 2)] if name == "MSAM" else [drawn]


@every_optimizer
def test_all_passes_of_a_step_draw_the_same(name: str, device: torch.device) -> None:
    problem = Drawing(device)
    optimizer = make(name, problem)
    for _ in range(4):
        ascents, problem.drawn = optimizer.ascents, []
        problem.step(optimizer)
        for masks in passes(name, problem.drawn):
            assert len(masks) >= ascents + 1
            assert all(torch.equal(masks[0], other) for other in masks[1:])
    apart = Drawing(device)
    apart.step(make(name, apart, same_masks=False))
    for masks in passes(name, apart.drawn):
        assert not all(torch.equal(masks[0], other) for other in masks[1:])


@every_optimizer
def test_afterwards_the_stream_goes_on_as_after_one_pass(name: str, device: torch.device) -> None:
    problem, plain = Drawing(device), Drawing(device)
    optimizer = make(name, problem)
    torch.manual_seed(2)
    problem.step(optimizer)
    after = torch.rand(3, device=device)
    torch.manual_seed(2)
    rows = 3 if CLASSES[name].takes_batch else 8
    for part in plain.inputs.split(rows):
        plain.model(part)
    assert torch.equal(after, torch.rand(3, device=device))


def test_steps_draw_anew(device: torch.device) -> None:
    problem = Drawing(device)
    optimizer = make("SAM", problem)
    for _ in range(3):
        problem.step(optimizer)
    assert not torch.equal(problem.drawn[0], problem.drawn[2])
    assert not torch.equal(problem.drawn[2], problem.drawn[4])


@pytest.mark.parametrize("call", [1, 2])
def test_after_an_error_the_stream_goes_on(call: int, device: torch.device) -> None:
    problem, calls = Drawing(device), []
    optimizer = make("SAM", problem)

    def failing() -> Tensor:
        value = problem.backward()
        calls.append(torch.get_rng_state())
        if len(calls) == call:
            torch.rand(5)
            raise KeyError("stop")
        return value

    with pytest.raises(KeyError, match="stop"):
        optimizer.step(failing)
    if call == 2:  # as after the first pass, and not after the draws that failed
        assert torch.equal(torch.get_rng_state(), calls[0])
    problem.drawn = []
    problem.step(optimizer)
    assert torch.equal(*problem.drawn)


def in_two_steps(optimizer: SharpnessAware, loss: Callable[[], Tensor]) -> None:
    loss().backward(create_graph=getattr(optimizer, "refreshes", False))
    for _ in range(optimizer.ascents):
        optimizer.first_step()
        loss().backward()
    optimizer.second_step()
    optimizer.zero_grad()


@pytest.mark.parametrize("name", ["SAM", "AMP", "EigenSAM"])
@pytest.mark.filterwarnings("ignore:Using backward")
def test_in_two_steps_a_function_repeats_what_it_draws(name: str, device: torch.device) -> None:
    one, other = Drawing(device), Drawing(device)
    optimizers = [make(name, each) for each in (one, other)]
    torch.manual_seed(4)
    for _ in range(3):
        in_two_steps(optimizers[0], optimizers[0].with_same_masks(one.loss))
    torch.manual_seed(4)
    for _ in range(3):
        other.step(optimizers[1])
    torch.testing.assert_close(one.weights(), other.weights(), rtol=0, atol=1e-12)


def test_in_two_steps_without_it_the_first_is_refused_and_says_so(device: torch.device) -> None:
    problem = Drawing(device)
    optimizer, before = make("SAM", problem), problem.weights()
    for _ in range(2):  # also in the step after one that had it
        with pytest.raises(RuntimeError, match=r"with_same_masks\(lambda: loss_fn"):
            in_two_steps(optimizer, problem.loss)
        assert torch.equal(problem.weights(), before)
        optimizer.zero_grad()
        in_two_steps(optimizer, optimizer.with_same_masks(problem.loss))
        before = problem.weights()


def test_it_is_shown_and_copied(device: torch.device) -> None:
    optimizer = make("GSAM", Drawing(device))
    assert "same_masks=True" in repr(optimizer)
    assert copy.deepcopy(optimizer).same_masks
    assert "same_masks" not in repr(make("GSAM", Drawing(device), same_masks=False))
