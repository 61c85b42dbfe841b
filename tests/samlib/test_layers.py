"""Layer by layer: against dense Hessians, and against what theorems say of diagonal blocks."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import samlib
from samlib import Objective, hessian, hessian_block, layerwise
from samlib.linalg import Operator
from samlib.sharpness import layers as layers_module
from tests.samlib.layered import Dense, dense
from tests.samlib.small_networks import Tied, problem

pytestmark = pytest.mark.usefixtures("one_thread")

CLOSE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-12}  # float64, after a few hundred operations
NAMES = ("perceptron", "convolutional", "transformer")


@functools.cache
def network(name: str) -> Dense:
    return dense(name)


@functools.cache
def measured(name: str, by: str) -> samlib.Layers:
    n = network(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # at a start, traces may cancel
        return layerwise(n.objective, n.x, by=by, rho=0.05, progress=False)


def members(n: Dense, by: str) -> Mapping[str, list[str]]:
    """The parameters of each layer."""
    groups: dict[str, list[str]] = {}
    for name in n.parameters:
        groups.setdefault(name if by == "parameter" else name.rsplit(".", 1)[0], []).append(name)
    return groups


def flat(parts: Mapping[str, Tensor], names: Any) -> Tensor:
    return torch.cat([parts[name].reshape(-1) for name in names])


# ─────────────────────────────────────────────────────────────────────── against dense Hessians


@pytest.mark.parametrize("by", ["module", "parameter"])
@pytest.mark.parametrize("name", NAMES)
def test_each_layer_is_that_of_the_dense_hessian(name: str, by: str) -> None:
    n, found, groups = network(name), measured(name, by), members(network(name), by)
    assert found.names == tuple(groups)
    assert any(size > 64 for size in found.weights)  # both searched for
    assert any(size <= 64 for size in found.weights)  # and formed
    for i, names in enumerate(groups.values()):
        block, gradient = n.block(names), flat(n.gradients, names)
        top, total = torch.linalg.eigvalsh(block)[-1], block.trace()
        assert found.weights[i] == len(block)
        torch.testing.assert_close(found.norms[i], flat(n.parameters, names).norm(), **CLOSE)
        torch.testing.assert_close(found.gradient_norms[i], gradient.norm(), **CLOSE)
        off = (found.top_eigenvalues.value[i] - top).abs()
        assert off <= found.top_eigenvalues.error[i] + 1e-14
        assert found.top_eigenvalues.error[i] <= 0.02 * torch.linalg.matrix_norm(block, 2)
        # 40 layers, each with a standard error: beyond four of them is 1 in 16,000 for one
        assert (found.traces.value[i] - total).abs() <= 4 * found.traces.error[i] + 1e-14
        if found.converged[i]:
            assert found.traces.error[i] <= 0.05 * found.traces.value[i].abs()
        if len(block) <= 64:
            torch.testing.assert_close(found.traces.value[i], total, **CLOSE)


@pytest.mark.parametrize("name", NAMES)
def test_shares_are_those_of_the_gradient_and_of_the_top_eigenvector(name: str) -> None:
    n, found = network(name), measured(name, "module")
    names = list(n.parameters)
    vector = torch.linalg.eigh(n.block(names)).eigenvectors[:, -1]
    pieces = torch.split(vector, [n.parameters[each].numel() for each in names])
    of_vector = dict(zip(names, pieces, strict=True))
    gradient = flat(n.gradients, names)
    for i, group in enumerate(members(n, "module").values()):
        share = flat(n.gradients, group).square().sum() / gradient.square().sum()
        torch.testing.assert_close(found.gradient_shares[i], share, **CLOSE)
        off = found.eigenvector_shares.value[i] - flat(of_vector, group).square().sum()
        assert off.abs() <= found.eigenvector_shares.error[i]
    assert bool((found.eigenvector_shares.error < 0.2).all())  # it says something
    for shares in (found.gradient_shares, found.eigenvector_shares.value):
        torch.testing.assert_close(shares.sum(), torch.tensor(1.0).double(), **CLOSE)


@pytest.mark.parametrize("name", NAMES)
def test_the_rise_is_that_of_a_step_along_the_gradient_of_the_layer(name: str) -> None:
    n, found = network(name), measured(name, "module")
    assert found.sharpness is not None
    for i, names in enumerate(members(n, "module").values()):
        length = flat(n.gradients, names).norm()
        step = {each: 0.05 * n.gradients[each] / length for each in names}
        moved = {each: p + step.get(each, 0) for each, p in n.parameters.items()}
        rise = n.loss(moved) - n.loss(n.parameters)
        off = (found.sharpness.value[i] - rise).abs()
        assert off <= found.sharpness.error[i] < 1e-12


# ────────────────────────────────────────────────────────────────────────────── what theorems say


@pytest.mark.parametrize("by", ["module", "parameter"])
@pytest.mark.parametrize("name", NAMES)
def test_blocks_interlace_and_their_traces_add_up(name: str, by: str) -> None:
    n, found = network(name), measured(name, by)
    tops = found.top_eigenvalues
    assert bool((tops.value - tops.error <= found.whole.values[0] + found.whole.errors[0]).all())
    total = n.block(list(n.parameters)).trace()
    error = found.traces.error.square().sum().sqrt()
    assert (found.traces.value.sum() - total).abs() <= 3 * error  # fixed draws


def test_a_rectified_network_that_is_written_otherwise() -> None:
    """λ₁‖w‖² of each weight matrix stays where c moves from one layer to the next."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 20), nn.ReLU(), nn.Linear(20, 4)).double()
    data = torch.randn(30, 5).double(), torch.randn(30, 4).double()
    objective = Objective.from_module(model, nn.MSELoss(), data)

    def products() -> tuple[Tensor, Tensor]:
        found = layerwise(
            objective, objective.flat_parameters(), by=["0.weight", "2.weight"], rtol=1e-8
        )
        return found.top_eigenvalues.value, found.top_eigenvalues.value * found.norms.square()

    before, invariant = products()
    with torch.no_grad():
        model[0].weight *= 3
        model[0].bias *= 3
        model[2].weight /= 3
    after, same = products()
    torch.testing.assert_close(
        after, before * torch.tensor([1 / 9, 9.0]).double(), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(same, invariant, rtol=1e-6, atol=0)


@pytest.mark.filterwarnings("ignore:the error of λ₁ is more")
@pytest.mark.parametrize("seed", range(6))
def test_the_error_of_an_eigenvector_share_is_a_bound(seed: int) -> None:
    """Of a coarse search, in which v is far from v₁."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(8, 10), nn.Tanh(), nn.Linear(10, 6)).double()
    data = torch.randn(40, 8).double(), torch.randint(6, (40,))
    objective = Objective.from_module(model, nn.CrossEntropyLoss(), data)
    x = objective.flat_parameters()
    found = layerwise(objective, x, rtol=0.2, trace_rtol=0.5, by="parameter")
    vector = torch.linalg.eigh(hessian(objective, x).to_dense()).eigenvectors[:, -1]
    exact = torch.stack([part.square().sum() for part in torch.split(vector, [80, 10, 60, 6])])
    off = (found.eigenvector_shares.value - exact).abs()
    assert off.max() > 1e-6
    assert bool((off <= found.eigenvector_shares.error).all())


def test_a_double_top_eigenvalue_has_no_vector_to_share() -> None:
    model = nn.Linear(40, 2, bias=False).double()
    data = torch.diag(torch.linspace(0.1, 1, 40)).double(), torch.zeros(40, 2).double()
    objective = Objective.from_module(model, nn.MSELoss(), data)
    found = layerwise(objective, objective.flat_parameters())
    assert found.eigenvector_shares.error.item() == pytest.approx(1.0)


# ─────────────────────────────────────────────────────────────────────────── what counts as one


def test_a_tied_parameter_appears_once_and_a_frozen_one_not() -> None:
    model, objective, *_ = problem(Tied, torch.device("cpu"))
    found = layerwise(objective, objective.flat_parameters(), by="parameter")
    assert found.names == ("encode.weight", "encode.bias")
    assert found.weights.tolist() == [9, 3]
    assert len(list(model.named_parameters(remove_duplicate=False))) == 4
    exact = hessian(objective, objective.flat_parameters()).to_dense()
    expected = torch.linalg.eigvalsh(exact[:9, :9])[-1]
    torch.testing.assert_close(found.top_eigenvalues.value[0], expected, **CLOSE)


class Rooted(nn.Module):
    """Parameters of the network itself, of a parametrization, with a bracket, without entries."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.nothing = nn.Parameter(torch.ones(0))
        self.linear = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
        self.odd = nn.ParameterDict({"a[1]": torch.ones(2), "a1": torch.ones(2)})

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.linear(x) * self.odd["a[1]"] + self.odd["a1"]


def test_layers_by_module_parameter_pattern_and_name() -> None:
    torch.manual_seed(0)
    model = Rooted().double()
    data = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    objective = Objective.from_module(model, nn.MSELoss(), data, check=False)
    of = functools.partial(layerwise, objective, objective.flat_parameters())
    assert dict(zip(of().names, of().weights.tolist(), strict=True)) == {
        "scale": 1,
        "linear": 10,
        "odd": 4,
    }
    named = dict(model.named_parameters())
    assert of(by="parameter").names == tuple(n for n in named if n != "nothing")
    assert of(by=["odd.a[1]"]).weights.tolist() == [2]
    overlapping = of(by={"all": "*", "some": ["scale", "odd.a1"]})
    assert overlapping.names == ("all", "some")
    assert overlapping.weights.tolist() == [15, 3]
    whole = hessian(objective, objective.flat_parameters()).to_dense()
    torch.testing.assert_close(overlapping.traces.value[0], whole.trace(), **CLOSE)


class Unused(nn.Module):
    """A small and a large layer that the loss does not see, and a network that is linear."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = nn.Linear(2, 2), nn.Linear(10, 10)
        self.used = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_layer_that_is_not_used_is_zero(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = Unused().to(dtype)
    data = torch.randn(5, 3, dtype=dtype), torch.randn(5, 1, dtype=dtype)
    objective = Objective.from_module(model, nn.MSELoss(), data, check=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if dtype == torch.bfloat16 else "error", RuntimeWarning)
        found = layerwise(objective, objective.flat_parameters(), rho=0.5)
    assert found.sharpness is not None
    for exact in (found.top_eigenvalues, found.traces, found.sharpness):
        assert exact.value[:2].tolist() == [0, 0]
        assert bool(exact.value.isfinite().all())
    assert found.top_eigenvalues.error[:2].tolist() == [0, 0]
    assert found.eigenvector_shares.value[:2].max() < 1e-7  # but for the noise of the search
    assert found.gradient_shares.tolist() == [0, 0, 1]
    assert found.converged[:2].tolist() == [True, True]


def test_a_loss_that_is_linear_has_no_curvature_and_no_top_eigenvector() -> None:
    model = Unused().double()
    data = torch.ones(4, 3).double(), torch.ones(4, 1).double()
    objective = Objective.from_module(
        model, lambda outputs, targets: (outputs * targets).mean(), data, check=False
    )
    found = layerwise(objective, objective.flat_parameters(), rho=1.0)
    assert found.top_eigenvalues.value.tolist() == found.traces.value.tolist() == [0, 0, 0]
    assert bool((found.eigenvector_shares.error >= 0.99).all())
    assert found.sharpness is not None
    torch.testing.assert_close(found.sharpness.value[2], torch.tensor(2.0).double())


def test_no_gradient_has_no_shares_and_what_is_not_finite_is_nan() -> None:
    model = nn.Sequential(nn.Linear(3, 30), nn.Tanh(), nn.Linear(30, 1)).double()
    inputs = torch.randn(4, 3).double()
    fitted = Objective.from_module(model, nn.MSELoss(), (inputs, model(inputs).detach()))
    found = layerwise(fitted, fitted.flat_parameters())
    assert found.gradient_norms.tolist() == [0, 0]
    assert bool(found.gradient_shares.isnan().all())
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        lost = layerwise(fitted, fitted.flat_parameters() * math.nan, rho=0.1)
    for estimate in lost.estimates.values():
        assert bool(estimate.value.isnan().all())
    assert not lost.converged.any()


# ──────────────────────────────────────────────────────────────────────────────── what it costs


def test_products_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    n, spent = network("convolutional"), list[int]()

    def counted(objective: Objective, x: Tensor, *names: str) -> Operator:
        operator, i = hessian_block(objective, x, *names), len(spent)
        spent.append(0)

        def matvec(v: Tensor) -> Tensor:
            spent[i] += 1
            return operator.matvec(v)

        return replace(operator, matvec=matvec)

    monkeypatch.setattr(layers_module, "hessian_block", counted)
    found = layerwise(n.objective, n.x)
    assert found.products.tolist() == spent
    assert spent[1] == 8  # batch norm, whose matrix is formed once


def test_one_warning_tells_of_all_layers_whose_error_is_large() -> None:
    n = network("transformer")
    with pytest.warns(RuntimeWarning) as caught:
        found = layerwise(n.objective, n.x, max_products=6, by="parameter")
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "the whole, " in message
    assert " more: " in message
    assert caught[0].filename == __file__
    assert not found.converged.all()
    assert repr(found).endswith("not converged)")


def test_the_warnings_of_a_first_evaluation_are_not_lost() -> None:
    model = Unused().double()
    data = torch.randn(5, 3).double(), torch.randn(5, 1).double()
    objective = Objective.from_module(model, nn.MSELoss(), data)
    with pytest.warns(UserWarning, match="does not depend"):
        layerwise(objective, objective.flat_parameters())


def test_the_table_has_a_row_for_each_layer() -> None:
    n, found = network("perceptron"), measured("perceptron", "module")
    frame = found.to_dataframe()
    assert frame["layer"].tolist() == ["0", "2", "4"]
    assert list(frame)[-4:] == [
        "ascent_direction",
        "ascent_direction_error",
        "products",
        "converged",
    ]
    assert frame["trace_error"].tolist() == found.traces.error.tolist()
    without = replace(found, sharpness=None).to_dataframe()
    assert "ascent_direction" not in without
    assert repr(found).startswith("Layers(3 of them, λ₁ from ")
    again = layerwise(n.objective, n.x.requires_grad_(), rho=0.05).to_dataframe()
    assert again.equals(frame)
