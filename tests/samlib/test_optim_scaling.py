"""samlib.optim in mixed precision: each pass is unscaled by itself."""

from __future__ import annotations

import copy

import pytest
import torch
from optimizers import (
    FAMILY,
    IN_TWO_STEPS,
    SCALE,
    Problem,
    make,
    scaled_step,
    scaler_for,
    step,
)
from torch import Tensor, nn

from samlib import optim


@pytest.fixture
def problem(device: torch.device) -> Problem:
    return Problem(device)


def scaled_two_step(
    problem: Problem,
    optimizer: optim.SharpnessAware,
    scaler: torch.amp.GradScaler,
    spoil_call: int = 0,
    unscale: bool = False,
) -> None:
    """The documented loop."""
    calls = 0

    def backward(create_graph: bool = False) -> None:
        nonlocal calls
        calls += 1
        loss = nn.functional.mse_loss(problem.model(problem.inputs), problem.targets)
        loss = loss * torch.inf if calls == spoil_call else loss
        scaler.scale(loss).backward(create_graph=create_graph)

    optimizer.zero_grad()
    backward(getattr(optimizer, "refreshes", False))
    for _ in range(optimizer.ascents):
        optimizer.first_step(scaler)
        assert all(bool(p.isfinite().all()) for p in problem.model.parameters())
        backward()
    if unscale:
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(problem.model.parameters(), 1e9)
    scaler.step(optimizer)


@pytest.mark.parametrize("name", FAMILY)
def test_with_a_scaler_the_steps_are_the_same(name: str, device: torch.device) -> None:
    plain, scaled = Problem(device), Problem(device)
    optimizers = [make(name, p, momentum=0.9) for p in (plain, scaled)]
    scaler = scaler_for(device)
    for _ in range(4):
        expected = step(plain, optimizers[0])
        torch.testing.assert_close(scaled_step(scaled, optimizers[1], scaler), expected)
        scaler.update()
    # A power of two scales exactly; unscaling is in float32, exact for powers of two as well.
    torch.testing.assert_close(scaled.weights(), plain.weights(), rtol=0, atol=1e-12)
    assert scaler.get_scale() == SCALE


@pytest.mark.parametrize("unscale", [False, True])
@pytest.mark.parametrize("name", IN_TWO_STEPS)
@pytest.mark.filterwarnings("ignore:Using backward")
def test_with_a_scaler_two_steps_are_the_same(
    name: str, unscale: bool, device: torch.device
) -> None:
    plain, scaled = Problem(device), Problem(device)
    optimizers = [make(name, p, momentum=0.9) for p in (plain, scaled)]
    scaler = scaler_for(device)
    for _ in range(4):
        step(plain, optimizers[0])
        scaled_two_step(scaled, optimizers[1], scaler, unscale=unscale)
        scaler.update()
    torch.testing.assert_close(scaled.weights(), plain.weights(), rtol=0, atol=1e-12)
    assert not hasattr(optimizers[1], "grad_scale")


@pytest.mark.parametrize("spoil_call", [1, 2])
@pytest.mark.parametrize("name", FAMILY)
def test_an_infinity_in_either_pass_skips_the_step_and_backs_off(
    name: str, spoil_call: int, device: torch.device
) -> None:
    if name == "DiametricalRisk" and spoil_call == 1:
        spoil_call = 8  # its only call with a gradient
    problem, scaler = Problem(device), scaler_for(device)
    optimizer = make(name, problem, momentum=0.9)
    for _ in range(3 if name == "LookSAM" else 1):  # LookSAM's fourth step has both passes
        scaled_step(problem, optimizer, scaler)
        scaler.update()
    before, state = problem.weights(), copy.deepcopy(optimizer.state_dict())
    scaled_step(problem, optimizer, scaler, spoil_call)
    if name == "DiametricalRisk" and spoil_call == 2:
        return  # an infinite loss without a gradient: that direction is the worst
    scaler.update()
    assert torch.equal(problem.weights(), before)
    assert str(optimizer.state_dict()) == str(state)
    assert scaler.get_scale() == SCALE / 2
    scaled_step(problem, optimizer, scaler)
    scaler.update()
    assert not torch.equal(problem.weights(), before)
    assert scaler.get_scale() == SCALE / 2


@pytest.mark.parametrize("spoil_call", [1, 2])
@pytest.mark.parametrize("unscale", [False, True])
@pytest.mark.parametrize("name", ["SAM", "GSAM", "AMP", "UnnormalizedSAM"])
def test_an_infinity_in_a_two_step_skips_it_too(
    name: str, unscale: bool, spoil_call: int, device: torch.device
) -> None:
    problem, scaler = Problem(device), scaler_for(device)
    optimizer, before = make(name, problem), problem.weights()
    scaled_two_step(problem, optimizer, scaler, spoil_call, unscale)
    scaler.update()
    assert torch.equal(problem.weights(), before)
    assert scaler.get_scale() == SCALE / 2
    scaled_two_step(problem, optimizer, scaler)
    assert not torch.equal(problem.weights(), before)


def test_a_scaler_grows_as_usual(device: torch.device) -> None:
    problem, scaler = Problem(device), scaler_for(device, growth_interval=3)
    optimizer = make("SAM", problem)
    for _ in range(3):
        scaled_step(problem, optimizer, scaler)
        scaler.update()
    assert scaler.get_scale() == 2 * SCALE


def test_a_scaler_that_is_off_changes_nothing(device: torch.device) -> None:
    plain, other = Problem(device), Problem(device)
    optimizers = [make("SAM", p) for p in (plain, other)]
    scaler = torch.amp.GradScaler(device.type, enabled=False)
    step(plain, optimizers[0])
    step(plain, optimizers[0])
    scaled_step(other, optimizers[1], scaler)
    scaled_two_step(other, optimizers[1], scaler)
    assert torch.equal(plain.weights(), other.weights())


def test_scaled_gradients_never_enter_a_step_silently(problem: Problem) -> None:
    scaler, optimizer = scaler_for(problem.inputs.device), make("SAM", problem)
    before = problem.weights()

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(problem.model(problem.inputs), problem.targets)
        scaler.scale(loss).backward()
        return loss

    closure()
    with pytest.raises(RuntimeError, match="closure, scaler=scaler"):
        scaler.step(optimizer, closure)
    with pytest.raises(ValueError, match="needs a closure"):
        scaler.step(optimizer)  # without first_step
    assert not hasattr(optimizer, "grad_scale")
    optimizer.first_step()  # without the scaler
    closure()
    with pytest.raises(RuntimeError, match="in both passes"):
        scaler.step(optimizer)
    optimizer.restore()
    closure()
    optimizer.first_step(scaler)
    closure()
    with pytest.raises(RuntimeError, match="in both passes"):
        optimizer.second_step()  # without the scaler
    optimizer.restore()
    scaler.update()
    closure()
    scaler.unscale_(optimizer)  # before the first step: the second would not be unscaled
    with pytest.raises(RuntimeError, match=r"unscale_\(optimizer\)"):
        optimizer.first_step(scaler)
    assert torch.equal(problem.weights(), before)
    with pytest.raises(TypeError, match="GradScaler"):
        optimizer.step(problem.closure(optimizer), scaler=1024.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_trains(dtype: torch.dtype, device: torch.device) -> None:
    problem = Problem(device)
    scaler = scaler_for(device, enabled=dtype == torch.float16)  # bfloat16 does not need one
    problem.model.float()
    inputs, targets = problem.inputs.float(), problem.targets.float()
    optimizer = make("SAM", problem)

    def closure() -> Tensor:
        with torch.autocast(device.type, dtype):
            loss = nn.functional.mse_loss(problem.model(inputs), targets)
        scaler.scale(loss).backward()
        return loss

    losses = []
    for _ in range(30):
        losses.append(float(optimizer.step(closure, scaler=scaler).detach()))
        scaler.update()
    assert losses[-1] < losses[0] / 2
