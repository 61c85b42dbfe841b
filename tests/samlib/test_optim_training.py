"""samlib.optim in real training: BatchNorm, mixed precision, compiled models, replicas."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from test_optim import Problem
from test_optim_family import FAMILY, TWO_STEP, make, step
from torch import Tensor, nn

from samlib import optim


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


# ----------------------------------------------------------------------------- mixed precision

SCALE = 1024.0


def scaler_for(device: torch.device, **settings: Any) -> torch.amp.GradScaler:
    return torch.amp.GradScaler(device.type, init_scale=SCALE, **settings)


def scaled_step(
    problem: Problem,
    optimizer: optim.SharpnessAware,
    scaler: torch.amp.GradScaler,
    spoil_call: int = 0,
) -> Any:
    """One step with a closure, the loss of the given call multiplied by infinity."""
    calls = 0

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        value = nn.functional.mse_loss(problem.model(inputs), targets)
        return value * torch.inf if calls == spoil_call else value

    def backward(inputs: Tensor, targets: Tensor) -> Tensor:
        value = loss(inputs, targets)
        scaler.scale(value).backward()
        return value

    data = (problem.inputs, problem.targets)
    if isinstance(optimizer, optim.MSAM):
        return optimizer.step(backward, *data, scaler=scaler)
    by_loss = isinstance(optimizer, optim.EigenSAM | optim.DiametricalRisk)
    return optimizer.step(lambda: (loss if by_loss else backward)(*data), scaler=scaler)


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
@pytest.mark.parametrize("name", TWO_STEP)
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


# ------------------------------------------------------------------------- unusual parameters


@pytest.mark.parametrize("name", [n for n in FAMILY if n not in ("GSAM", "LookSAM", "EigenSAM")])
def test_sparse_gradients_are_those_of_a_dense_embedding(name: str, device: torch.device) -> None:
    problems = [Problem(device), Problem(device)]
    for problem, sparse in zip(problems, (False, True), strict=True):
        generator = torch.Generator().manual_seed(1)
        embedding = nn.Embedding(10, 3, sparse=sparse).double()
        with torch.no_grad():
            embedding.weight.copy_(torch.randn(10, 3, generator=generator, dtype=torch.float64))
        problem.model.insert(0, embedding.to(device))
        problem.inputs = torch.tensor([1, 3, 3, 1, 0, 7, 7, 7], device=device)
    optimizers = [make(name, problem) for problem in problems]
    for _ in range(3):
        for problem, optimizer in zip(problems, optimizers, strict=True):
            step(problem, optimizer)
    dense, sparse = ([*p.model.parameters()] for p in problems)
    for one, other in zip(dense, sparse, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)
    if name != "MSAM":
        assert sparse[0].grad is not None
        assert sparse[0].grad.is_sparse  # as SparseAdam needs it


@pytest.mark.parametrize("name", ["GSAM", "LookSAM"])
def test_updates_of_both_gradients_make_sparse_ones_dense(name: str, device: torch.device) -> None:
    weight = nn.Parameter(torch.randn(4, 2, device=device))
    optimizer = FAMILY[name]([weight], torch.optim.SGD([weight], lr=0.1))

    def closure() -> Tensor:
        rows = torch.tensor([0, 2], device=device)
        loss = nn.functional.embedding(rows, weight, sparse=True).square().sum()
        loss.backward()
        return loss

    before = weight.detach().clone()
    for _ in range(2):
        optimizer.step(closure)
    assert torch.equal(weight[[1, 3]], before[[1, 3]])
    assert not torch.equal(weight[[0, 2]], before[[0, 2]])


@pytest.mark.parametrize("name", ["SAM", "GSAM", "LookSAM", "AMP", "ASAM"])
def test_a_parameter_without_a_gradient_in_one_pass_returns_exactly(
    name: str, device: torch.device
) -> None:
    always, first, last = (nn.Parameter(torch.full((2,), 0.3, device=device)) for _ in range(3))
    parameters = [always, first, last]
    settings = {"inner_steps": 1} if name == "AMP" else {}
    base = torch.optim.SGD(parameters, lr=0.1, weight_decay=0.5)
    optimizer = FAMILY[name](parameters, base, **settings)
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        loss = (always**2).sum() + ((first if calls == 1 else last) ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert not torch.equal(always, torch.full_like(always, 0.3))
    assert not torch.equal(last, torch.full_like(last, 0.3))
    # A gradient missing in the last pass is none for the base optimizer, or zero where the update
    # is made of both; GSAM then subtracts α times the first.
    assert torch.equal(first, torch.full_like(first, 0.3)) == (name in ("SAM", "AMP", "ASAM"))


def test_an_error_in_the_base_step_restores_what_only_the_last_pass_reached(
    device: torch.device,
) -> None:
    first, last = (nn.Parameter(torch.full((2,), 0.3, device=device)) for _ in range(2))

    class Failing(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            super().step()
            raise RuntimeError("half way")

    optimizer = optim.SAM([first, last], Failing([first, last], lr=0.1), rho=0.1)
    for parameter, use in ((first, optimizer.first_step), (last, optimizer.second_step)):
        (parameter**2).sum().backward()
        with pytest.raises(RuntimeError, match="half way") if parameter is last else nullcontext():
            use()
    for parameter in (first, last):
        assert torch.equal(parameter, torch.full_like(parameter, 0.3))


@pytest.mark.parametrize("name", FAMILY)
def test_parameters_of_several_dtypes_train_together(name: str, device: torch.device) -> None:
    single = nn.Parameter(torch.tensor([1.0, -2.0], device=device))
    double = nn.Parameter(torch.tensor([0.5, 1.5], dtype=torch.float64, device=device))
    parameters = [single, double]
    optimizer = FAMILY[name](parameters, torch.optim.SGD(parameters, lr=1e-3))
    rows = torch.ones(4, device=device)
    by_loss = name in ("EigenSAM", "DiametricalRisk")

    def closure(scale: Tensor = rows) -> Tensor:
        loss = scale.mean() * ((single**4).sum() + (double**4).sum())
        if not by_loss:
            loss.backward()
        return loss

    arguments = (rows,) if name == "MSAM" else ()
    losses = [float(optimizer.step(closure, *arguments).detach()) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)


def test_a_model_moved_to_another_dtype_is_restored_in_it(problem: Problem) -> None:
    optimizer = make("SAM", problem)
    problem.model.float()
    problem.inputs, problem.targets = problem.inputs.float(), problem.targets.float()
    step(problem, optimizer)
    problem.model.double()
    problem.inputs, problem.targets = problem.inputs.double(), problem.targets.double()
    with torch.no_grad():
        for p in problem.model.parameters():
            p.add_(1e-12)  # lost in float32
    before = problem.weights()
    with pytest.raises(RuntimeError, match="stop"):
        step(problem, optimizer, _fails_at(2))
    assert torch.equal(problem.weights(), before)


def _fails_at(call: int) -> Callable[[], None]:
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise RuntimeError("stop")

    return fail


# ------------------------------------------------------------------------------------ replicas


def test_local_perturbations_are_refused_where_they_cannot_work(problem: Problem) -> None:
    with pytest.raises(ValueError, match="DistributedDataParallel module, got Sequential"):
        make("SAM", problem, model=problem.model, perturb_with="local")
    with pytest.raises(ValueError, match=r"must be among averaged, local; got 'mine'"):
        make("SAM", problem, perturb_with="mine")

    class Replicated(nn.Module):
        def no_sync(self) -> Any:
            return nullcontext()

    for name in ("GSAM", "LookSAM"):
        with pytest.raises(TypeError, match="perturb_with"):
            make(name, problem, model=Replicated(), perturb_with="local")
    with pytest.raises(ValueError, match='needs perturb_with="local"'):
        make("EigenSAM", problem, model=Replicated())
    optimizer = make("SAM", problem, model=Replicated(), perturb_with="local")
    assert "perturb_with='local'" in repr(optimizer)
    before = problem.weights()
    with pytest.raises(ValueError, match='needs perturb_with="averaged"'):
        scaled_step(problem, optimizer, scaler_for(problem.inputs.device))
    assert torch.equal(problem.weights(), before)
    step(problem, optimizer)
