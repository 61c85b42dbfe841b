"""Diagonal blocks of Hessians, against the whole one restricted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import samlib
from samlib import Objective, hessian, hessian_block, layerwise
from tests.samlib.small_networks import data_of

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", ["pair", "list", "loader"])
@pytest.mark.parametrize("names", [["0.weight"], ["2.*"], ["*.bias"], ["*"]])
def test_a_block_is_the_hessian_restricted(names: list[str], kind: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    data = data_of(kind, torch.randn(7, 3).double(), torch.randn(7, 3).double())
    objective = Objective.from_module(model, nn.MSELoss(), data)
    x = objective.flat_parameters() + 0.3  # not where the model is
    kept = objective.where(*names)
    block, restricted = hessian_block(objective, x, *names), hessian(objective, x).restricted(kept)
    v = torch.randn(block.dim, dtype=torch.float64)
    before = block @ v
    torch.testing.assert_close(before, restricted @ v, rtol=1e-10, atol=1e-12)
    x += 1  # the point was that of the call
    torch.testing.assert_close(block @ v, before, rtol=0, atol=0)


def test_a_block_over_batches_that_count_differently_of_parameters_of_two_dtypes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5).double()).eval()
    model.register_forward_pre_hook(lambda module, inputs: inputs[0].float())
    model[1].register_forward_hook(lambda module, inputs, outputs: outputs.double())
    labels = torch.tensor([1, 2, -100, 0, -100, -100, -100, 4])
    rows = torch.randn(8, 3)
    batches = [{"x": rows[i : i + 3], "y": labels[i : i + 3]} for i in (0, 3, 6)]

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(model(batch["x"]), batch["y"])

    objective = Objective.from_loss(model, loss, batches, parameters=["0.*", "2.weight"])
    x = objective.flat_parameters()
    assert list(objective.shapes) == ["0.weight", "0.bias", "2.weight"]
    for name in objective.shapes:
        block = hessian_block(objective, x, name).to_dense()
        exact = hessian(objective, x).restricted(objective.where(name)).to_dense()
        # float32 in the first layer, whose derivatives are sums of a hundred terms
        torch.testing.assert_close(block, exact, rtol=1e-4, atol=1e-6)
        assert block.abs().max() > 1e-3


def test_the_rounding_of_a_block_is_that_of_the_whole_computation() -> None:
    """Zero biases do not move by a unit of themselves, and yet their block is rounded."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 20), nn.Tanh(), nn.Linear(20, 3))
    nn.init.zeros_(model[0].bias)
    inputs, targets = torch.randn(50, 30), torch.randn(50, 3)
    objective = Objective.from_module(model, nn.MSELoss(), (inputs, targets))
    single = layerwise(objective, objective.flat_parameters(), by="parameter", rho=0.1)
    i = single.names.index("0.bias")
    block = hessian_block(objective, objective.flat_parameters(), "0.bias")
    assert block.nearby is not None
    v = torch.ones(20)
    assert bool((block.nearby() @ v != block @ v).any())
    alone = samlib.top_eigenpairs(block, rtol=1e-2)  # not from the matrix that is formed once
    torch.testing.assert_close(single.top_eigenvalues.error[i], alone.errors[0], rtol=1e-3, atol=0)
    fine = Objective.from_module(model.double(), nn.MSELoss(), (inputs.double(), targets.double()))
    exact = layerwise(fine, fine.flat_parameters(), by="parameter", rho=0.1, rtol=1e-8)
    for ours, theirs in zip(single.estimates.values(), exact.estimates.values(), strict=True):
        assert ours.error[i] > 0
        assert (ours.value[i] - theirs.value[i]).abs() <= 3 * ours.error[i]
