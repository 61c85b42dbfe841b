"""samlib.optim with unusual parameters, and replicas."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from optimizers import (
    CLASSES,
    FAMILY,
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
    by_loss = CLASSES[name].takes_loss

    def closure(scale: Tensor = rows) -> Tensor:
        loss = scale.mean() * ((single**4).sum() + (double**4).sum())
        if not by_loss:
            loss.backward()
        return loss

    arguments = (rows,) if CLASSES[name].takes_batch else ()
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
