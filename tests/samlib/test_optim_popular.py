"""samlib.optim: what the popular one-file SAM is called with is refused, with what to write."""

from __future__ import annotations

import inspect
import re

import pytest
import torch
from optimizers import FAMILY, IN_TWO_STEPS, Problem, every_optimizer, make, two_step_optimizers
from torch import nn

from samlib import optim
from samlib.optim import ASAM, SAM


@pytest.fixture
def model() -> nn.Module:
    return nn.Linear(3, 2)


def written(error: TypeError) -> str:
    """The lines that an error says to write."""
    lines = [line.strip() for line in str(error).splitlines() if line.startswith("    ")]
    return "\n".join(lines)


def run(lines: str, model: nn.Module) -> torch.optim.Optimizer:
    names: dict[str, object] = {"model": model, "torch": torch, "SAM": SAM, "ASAM": ASAM}
    exec(lines, names)
    optimizer = names["optimizer"]
    assert isinstance(optimizer, torch.optim.Optimizer)
    return optimizer


@pytest.mark.parametrize("by_name", [True, False])
def test_a_class_for_a_base_says_two_lines_that_make_the_same(
    by_name: bool, model: nn.Module
) -> None:
    settings = {"rho": 0.1, "lr": 0.3, "momentum": 0.9}
    base = {"base_optimizer": torch.optim.SGD} if by_name else {}
    with pytest.raises(TypeError, match=r"must be an instance, got <class") as caught:
        SAM(model.parameters(), *([] if by_name else [torch.optim.SGD]), **base, **settings)
    optimizer = run(written(caught.value), model)
    assert type(optimizer) is SAM
    assert type(optimizer.base_optimizer) is torch.optim.SGD
    group = optimizer.param_groups[0]
    assert {key: group[key] for key in settings} == settings


@pytest.mark.parametrize("adaptive", [True, False])
def test_its_adaptive_one_is_asam(adaptive: bool, model: nn.Module) -> None:
    with pytest.raises(TypeError) as caught:
        SAM(model.parameters(), torch.optim.SGD, rho=2.0, adaptive=adaptive, lr=0.1)
    assert type(run(written(caught.value), model)) is (ASAM if adaptive else SAM)
    base = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match="optimizer of its own, ASAM"):
        SAM(model.parameters(), base, rho=2.0, adaptive=adaptive)


def test_without_rho_it_is_told_that_of_the_popular_one(model: nn.Module) -> None:
    with pytest.raises(TypeError) as caught:
        SAM(model.parameters(), torch.optim.SGD, lr=0.1)  # type: ignore[call-arg]
    assert run(written(caught.value), model).param_groups[0]["rho"] == 0.05


@every_optimizer
def test_every_optimizer_names_itself(name: str, model: nn.Module) -> None:
    with pytest.raises(TypeError, match=rf"optimizer = {name}\(model.parameters\(\), base, rho="):
        FAMILY[name](model.parameters(), torch.optim.AdamW, lr=0.1)


@two_step_optimizers
@pytest.mark.parametrize("step", ["first_step", "second_step"])
@pytest.mark.parametrize("value", [True, False])
def test_zero_grad_in_a_step_says_the_lines_of_one(name: str, step: str, value: bool) -> None:
    problem = Problem(torch.device("cpu"))
    optimizer, before = make(name, problem), problem.weights()
    with pytest.raises(TypeError, match=re.escape(f"{name}.{step}(zero_grad={value})")) as caught:
        getattr(optimizer, step)(zero_grad=value)
    assert torch.equal(problem.weights(), before)
    if name == "SAM":
        names = {"optimizer": optimizer, "model": problem.model, "loss_fn": nn.MSELoss()}
        exec(written(caught.value), {**names, "inputs": problem.inputs, "targets": problem.targets})
        other = Problem(torch.device("cpu"))
        make("SAM", other).step(lambda: other.closure(torch.optim.SGD([nn.Parameter()]))())
        torch.testing.assert_close(problem.weights(), other.weights(), rtol=0, atol=1e-14)
        assert all(p.grad is None for p in problem.model.parameters())


def test_other_wrong_arguments_are_pythons(model: nn.Module) -> None:
    base = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'lr'"):
        SAM(model.parameters(), base, rho=0.1, lr=0.1)  # type: ignore[call-arg]


@every_optimizer
def test_signatures_stay_what_they_are(name: str) -> None:
    kind = getattr(optim, name)
    assert list(inspect.signature(kind).parameters)[:3] == ["params", "base_optimizer", "rho"]
    if name in IN_TWO_STEPS:
        assert list(inspect.signature(kind.first_step).parameters) == ["self", "scaler"]
