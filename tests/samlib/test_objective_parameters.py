"""Objectives in some of the parameters of a network."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import samlib
from samlib import Objective

ROWS = 9
INPUTS, TARGETS = torch.randn(2, ROWS, 3, generator=torch.Generator().manual_seed(0)).double()


def deep() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)
    ).double()


CHOSEN: dict[str, tuple[Any, list[str]]] = {
    "name": ("2.weight", ["2.weight"]),
    "pattern": ("*.bias", ["0.bias", "2.bias", "4.bias"]),
    "several": (["4.*", "0.weight"], ["0.weight", "4.weight", "4.bias"]),
    "predicate": (lambda name, p: p.dim() == 2, ["0.weight", "2.weight", "4.weight"]),
}


@pytest.mark.parametrize("kind", CHOSEN)
def test_derivatives_in_some_parameters_are_blocks_of_those_in_all(kind: str) -> None:
    which, names = CHOSEN[kind]
    model = deep()
    whole = Objective.from_module(model, nn.MSELoss(), (INPUTS, TARGETS))
    chosen = Objective.from_module(model, nn.MSELoss(), (INPUTS, TARGETS), parameters=which)
    at, x = whole.where(*names), chosen.flat_parameters()
    y = whole.flat_parameters()
    assert torch.equal(x, y[at])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(chosen.gradient(x), whole.gradient(y)[at])
        torch.testing.assert_close(chosen.hessian(x), whole.hessian(y)[at][:, at])
    torch.testing.assert_close(
        samlib.gauss_newton(chosen, x).to_dense(),
        samlib.gauss_newton(whole, y).to_dense()[at][:, at],
    )
    chosen.load_flat_parameters(0 * x)
    assert torch.equal(whole.flat_parameters() == 0, at)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("which", "error", "message"),
    [
        ("5.weight", ValueError, r"parameters must be of trainable .*0\.weight, .*got '5\.weight'"),
        (["0.*", "7.*"], ValueError, r"got '7\.\*'"),
        ([], ValueError, r"must name at least one .*got \[\]"),
        (lambda name, p: False, ValueError, "is False for all"),
        (3, TypeError, "parameters must be a name or a pattern"),
        ([3], TypeError, "parameters must be a string"),
    ],
)
def test_parameters_that_are_none_are_refused(which: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Objective.from_module(deep(), nn.MSELoss(), (INPUTS, TARGETS), parameters=which)


def test_parameters_on_several_devices_are_refused_by_name() -> None:
    model = deep()
    model[4].to("meta")
    with pytest.raises(ValueError, match=r"'2\.bias' on cpu and '4\.bias' on meta; choose"):
        Objective.from_module(model, nn.MSELoss(), (INPUTS, TARGETS))
    Objective.from_module(model, nn.MSELoss(), (INPUTS, TARGETS), parameters=["0.*", "2.*"])


def test_parameters_of_mixed_dtypes_make_one_x_of_the_widest() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.narrow, self.wide = nn.Linear(3, 4).bfloat16(), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.wide(self.narrow(x.bfloat16()).float().tanh())

    model = Mixed()
    objective = Objective.from_module(model, nn.MSELoss(), (INPUTS.float(), TARGETS.float()))
    x = objective.flat_parameters()
    assert x.dtype == torch.float32
    truth = F.mse_loss(model(INPUTS.float()), TARGETS.float())
    torch.testing.assert_close(objective.value(x), truth.detach())
    gradients = torch.autograd.grad(truth, list(model.parameters()))
    flat = torch.cat([g.flatten().float() for g in gradients])
    torch.testing.assert_close(objective.gradient(x), flat)
    assert objective.rounding_unit(x) == torch.finfo(torch.bfloat16).eps
    objective.load_flat_parameters(2 * x)
    assert model.narrow.weight.dtype == torch.bfloat16
