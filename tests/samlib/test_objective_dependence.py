"""Parameters that a loss does not depend on, or reads past what stands in their place."""

from __future__ import annotations

import copy
import functools
import warnings

import pytest
import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from samlib import Objective
from tests.samlib.small_networks import mlp

INPUTS = torch.linspace(-2, 2, 21).double().sin().reshape(7, 3)
TARGETS = torch.linspace(-1, 3, 21).double().cos().reshape(7, 3)
DATA = INPUTS, TARGETS


@pytest.mark.parametrize("name", ["weights", "0.weight"])
def test_a_loss_or_forward_that_holds_parameters_itself_is_refused(name: str) -> None:
    model = mlp().double()
    if name == "weights":
        held = list(model.parameters())

        def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
            return F.mse_loss(outputs, targets) + sum((w**2).sum() for w in held)

        message = "'0.weight', '0.bias', '2.weight', '2.bias' from a variable of its own"
    else:
        loss_fn, weight = F.mse_loss, model[0].weight
        model[0].forward = lambda x: F.linear(x, weight)  # type: ignore[method-assign]
        message = "'0.weight' from a variable of its own"
    objective = Objective.from_module(model, loss_fn, DATA)
    x = objective.flat_parameters()
    for evaluate in (objective.value, objective.gradient, lambda x: objective.components):
        with pytest.raises(ValueError, match=message):
            evaluate(x)
    with pytest.raises(ValueError, match=message):
        objective.hessian_operator(x)(x)
    Objective.from_module(model, loss_fn, DATA, check=False).value(x)


class Routed(nn.Module):
    """Rows with a positive sum go to one expert, others to the second, none to the third."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.experts[0 if x.sum() > 0 else 1](x)


def test_parameters_that_no_batch_uses_are_named_once() -> None:
    rows = torch.ones(2, 3)
    objective = Objective.from_module(Routed(), nn.MSELoss(), [(rows, rows), (-rows, rows)])
    x = objective.flat_parameters()
    named = "does not depend on the trainable parameters 'experts.2.weight', 'experts.2.bias' of"
    with pytest.warns(UserWarning, match=named) as record:
        assert torch.equal(objective.gradient(x), objective.gradient(x))
    assert len(record) == 1
    objective = Objective.from_module(Routed(), nn.MSELoss(), (rows, rows))
    with pytest.warns(UserWarning, match="'experts.1.weight'.*'experts.2.bias'"):
        objective.hessian_operator(x)(x)


def test_nothing_is_said_of_parameters_that_are_used_or_frozen() -> None:
    rows = torch.ones(2, 3)
    model = Routed()
    model.experts[2].requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in ([(rows, rows), (-rows, rows)], [(-rows, rows), (rows, rows)]):
            objective = Objective.from_module(model, nn.MSELoss(), data)
            objective.value(objective.flat_parameters())
        unchecked = Objective.from_module(Routed(), nn.MSELoss(), (rows, rows), check=False)
        unchecked.value(unchecked.flat_parameters())


def test_a_copy_whose_forward_leads_back_to_the_original_is_named() -> None:
    model = mlp().double()
    model[0].forward = functools.partial(model[0].forward)  # type: ignore[method-assign]
    copied = copy.deepcopy(model)
    copied[0].forward = model[0].forward  # type: ignore[method-assign]
    objective = Objective.from_module(copied, nn.MSELoss(), DATA)
    with pytest.warns(UserWarning, match=r"'0\.weight', '0\.bias' .* still uses another model's"):
        objective.gradient(objective.flat_parameters())


def test_a_loss_without_any_parameter_is_named_too() -> None:
    objective = Objective.from_module(mlp(), lambda p, y: y.mean(), (INPUTS.float(), TARGETS))
    x = objective.flat_parameters()
    with pytest.warns(UserWarning, match=r"'0\.weight', '0\.bias', '2\.weight', '2\.bias'"):
        assert float(objective.value(x)) == pytest.approx(float(TARGETS.mean()))
    assert objective.hessian_operator(x)(x).tolist() == [0] * objective.dim
