"""Gauss-Newton matrices against JᵀMJ from explicit Jacobians, and what theorems say of them."""

from __future__ import annotations

import itertools
import re
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import samlib
from samlib import Objective, gauss_newton, hessian
from samlib.linalg.operator import rounding_error
from tests.samlib.small_networks import (
    Attentive,
    Convolutional,
    Normalized,
    Tied,
    data_of,
    mlp,
    through_rows,
)
from tests.samlib.test_objective_sizes import LOSSES, case, in_batches

pytestmark = pytest.mark.filterwarnings("ignore:the second derivative of loss_fn")

CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}


def deep(name: str) -> tuple[nn.Module, Any, Tensor, Tensor]:
    """A network that is not linear in its weights, with one of torch's losses."""
    model, loss_fn, inputs, targets = case(name)
    return nn.Sequential(nn.Linear(3, 3), nn.Tanh(), model).double(), loss_fn, inputs, targets


def truth(model: nn.Module, loss_fn: Any, inputs: Any, targets: Tensor) -> Tensor:
    jacobian, second = through_rows(model, loss_fn, inputs, targets)
    matrix: Tensor = jacobian.T @ second @ jacobian
    return matrix


@pytest.mark.parametrize("kind", ["pair", "list", "shuffled"])
@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_of_torch_against_explicit_jacobians(name: str, kind: str) -> None:
    model, loss_fn, inputs, targets = deep(name)
    data = (inputs, targets) if kind == "pair" else in_batches(kind, inputs, targets)
    objective = Objective.from_module(model, loss_fn, data)
    matrix = gauss_newton(objective, objective.flat_parameters()).to_dense()
    torch.testing.assert_close(matrix, truth(model, loss_fn, inputs, targets), **CLOSE)
    assert torch.linalg.eigvalsh(matrix).min() > -1e-12


@pytest.mark.parametrize("kind", ["pair", "list", "shuffled", "loader"])
@pytest.mark.parametrize("loss", ["MSE", "cross entropy", "a loss of one's own"])
@pytest.mark.parametrize("factory", [mlp, Convolutional, Normalized, Tied, Attentive])
def test_each_network_against_explicit_jacobians(factory: Any, loss: str, kind: str) -> None:
    torch.manual_seed(0)
    model = factory().double()
    inputs, numbers = torch.randn(2, 7, 3).double()
    if isinstance(model, (Normalized, Convolutional)):
        model(3 * inputs + 1)  # running statistics that are not the initial ones
    if loss == "cross entropy":
        loss_fn, targets = nn.CrossEntropyLoss(), numbers.argmax(dim=1)
    else:
        own = lambda y, t: (y - t).square().mean(dim=1).sqrt().cosh().mean()  # noqa: E731
        loss_fn, targets = (nn.MSELoss() if loss == "MSE" else own), numbers
    before = {name: value.clone() for name, value in model.state_dict().items()}
    objective = Objective.from_module(model, loss_fn, data_of(kind, inputs, targets))
    operator = gauss_newton(objective, objective.flat_parameters())
    matrix = operator @ torch.eye(objective.dim).double()
    model_after = model.state_dict()
    assert all(torch.equal(value, model_after[name]) for name, value in before.items())
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    torch.testing.assert_close(matrix, matrix.T, **CLOSE)
    torch.testing.assert_close(matrix, truth(model, loss_fn, inputs, targets), **CLOSE)
    assert torch.linalg.eigvalsh(operator.to_dense()).min() > -1e-10 * matrix.norm()


@pytest.mark.parametrize("name", [n for n in LOSSES if not n.startswith(("BCELoss", "KL", "NLL"))])
def test_it_is_the_hessian_of_a_network_that_is_linear_in_its_weights(name: str) -> None:
    model, loss_fn, inputs, targets = case(name)
    if not isinstance(model, nn.Sequential) or isinstance(model[-1], nn.Identity):
        objective = Objective.from_module(model, loss_fn, (inputs, targets))
        x = objective.flat_parameters()
        matrix = gauss_newton(objective, x).to_dense()
        torch.testing.assert_close(matrix, objective.hessian(x), **CLOSE)


@given(
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    rows=st.integers(1, 6),
    seed=st.integers(0, 2**16),
)
def test_at_zero_residual_it_is_the_hessian_and_elsewhere_not(
    widths: list[int], rows: int, seed: int
) -> None:
    torch.manual_seed(seed)
    sizes = [2, *widths, 2]
    layers = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.Tanh())]
    model = nn.Sequential(*layers).double()
    inputs = torch.randn(rows, 2).double()
    fitted = model(inputs).detach()
    for targets, same in ((fitted, True), (fitted + 1, False)):
        objective = Objective.from_module(model, nn.MSELoss(), (inputs, targets))
        x = objective.flat_parameters()
        full, matrix = objective.hessian(x), gauss_newton(objective, x).to_dense()
        torch.testing.assert_close(matrix, truth(model, nn.MSELoss(), inputs, targets), **CLOSE)
        close = (matrix - full).norm() <= 1e-10 * full.norm()
        assert bool(close) == same


def large(kind: str = "pair") -> tuple[samlib.ModuleObjective, Tensor, Tensor]:
    """A network of 139 weights, above 64, so that nothing is made dense; x and its matrix."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 4))
    inputs, targets = torch.randn(20, 6).double(), torch.randint(4, (20,))
    data = (
        data_of(kind, inputs, targets)
        if kind != "list"
        else list(zip(inputs.split(8), targets.split(8), strict=True))
    )
    objective = Objective.from_module(model.double(), nn.CrossEntropyLoss(), data)
    matrix = truth(model, nn.CrossEntropyLoss(), inputs, targets)
    return objective, objective.flat_parameters(), matrix


@pytest.mark.parametrize("kind", ["pair", "list"])
def test_eigenpairs_trace_density_and_alignment_take_it(kind: str) -> None:
    objective, x, matrix = large(kind)
    operator = gauss_newton(objective, x)
    values, vectors = torch.linalg.eigh(matrix)
    found = samlib.top_eigenpairs(operator, k=3, rtol=1e-6)
    torch.testing.assert_close(found.values, values.flip(0)[:3], rtol=1e-6, atol=0)
    trace = samlib.trace(operator, rtol=0.01)
    assert abs(trace.value - matrix.trace()) <= 4 * trace.error
    density = samlib.spectral_density(operator, probes=8, steps=40)
    for power in (1, 2):
        moments = (density.weights * density.nodes**power).sum(dim=-1)
        error = moments.std() / len(moments) ** 0.5
        assert abs(moments.mean() - (values**power).mean()) <= 4 * error
    slope = objective.gradient(x)
    cosine = samlib.alignment(operator, slope, k=2, rtol=1e-4)
    expected = (vectors[:, -2:].T @ slope).norm() / slope.norm()
    torch.testing.assert_close(cosine, expected, rtol=1e-3, atol=0)


def test_sums_multiples_and_restrictions() -> None:
    objective, x, matrix = large()
    full, chosen = objective.hessian(x), objective.where("2.*", "4.bias")
    operator = (hessian(objective, x) + (-1) * gauss_newton(objective, x)).restricted(chosen)
    expected = (full - matrix)[chosen][:, chosen]
    torch.testing.assert_close(operator.to_dense(), expected, **CLOSE)


def test_parameters_are_found_by_name_and_by_pattern() -> None:
    objective, _, _ = large()
    sizes = {"0.weight": 48, "0.bias": 8, "2.weight": 48, "2.bias": 6, "4.weight": 24, "4.bias": 4}
    belongs = [name for name, size in sizes.items() for _ in range(size)]
    for patterns, names in {
        ("0.weight",): {"0.weight"},
        ("*.bias",): {"0.bias", "2.bias", "4.bias"},
        ("[02].weight", "4.*"): {"0.weight", "2.weight", "4.weight", "4.bias"},
        ("*",): set(sizes),
    }.items():
        assert objective.where(*patterns).tolist() == [name in names for name in belongs]
    for unknown in ("weight", "1.*", "0.Weight"):
        known = r"0\.weight, 0\.bias, 2\.weight, 2\.bias, 4\.weight, 4\.bias, .*"
        with pytest.raises(ValueError, match=known + re.escape(repr(unknown))):
            objective.where("0.weight", unknown)


class NoForwardRule(torch.autograd.Function):
    """The hyperbolic tangent, in the old style: with a derivative backwards alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.tanh()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return slope * (1 - x.tanh() ** 2)


class Backwards(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return NoForwardRule.apply(x)


@pytest.mark.parametrize("kind", ["pair", "list"])
@pytest.mark.parametrize("width", [3, None])
def test_without_a_forward_derivative_it_is_the_same(kind: str, width: int | None) -> None:
    torch.manual_seed(0)
    first = nn.Linear(3, 3) if width else nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 1, 1))
    model = nn.Sequential(first, Backwards(), nn.Flatten(), nn.Linear(3, 2)).double()
    inputs, targets = torch.randn(7, 3).double(), torch.randn(7, 2).double()
    objective = Objective.from_module(model, nn.MSELoss(), data_of(kind, inputs, targets))
    matrix = gauss_newton(objective, objective.flat_parameters()).to_dense()
    torch.testing.assert_close(matrix, truth(model, nn.MSELoss(), inputs, targets), **CLOSE)


def test_it_stays_at_its_point_and_needs_no_gradient_mode() -> None:
    for factory in (mlp, Convolutional):
        torch.manual_seed(0)
        model, data = factory().double(), tuple(torch.randn(2, 7, 3).double())
        for both in (data, [data]):
            objective = Objective.from_module(model, nn.MSELoss(), both)
            x = objective.flat_parameters()
            expected = gauss_newton(objective, x).to_dense()
            with torch.no_grad():
                operator = gauss_newton(objective, x)
                x.zero_()
                objective.load_flat_parameters(x)
                matrix = operator.to_dense()
            objective.load_flat_parameters(torch.linspace(-1, 1, objective.dim).double())
            torch.testing.assert_close(matrix, expected, **CLOSE)
            assert not matrix.requires_grad


@pytest.mark.parametrize("factory", [mlp, Convolutional])
@pytest.mark.parametrize("kind", ["pair", "list"])
def test_what_rounding_does_is_seen(factory: Any, kind: str) -> None:
    torch.manual_seed(0)
    model, (inputs, targets) = factory(), torch.randn(2, 7, 3)
    matrix = {}
    for dtype in (torch.float64, torch.float32):
        data = data_of(kind, inputs.to(dtype), targets.to(dtype))
        objective = Objective.from_module(model.to(dtype), nn.MSELoss(), data)
        operator = gauss_newton(objective, objective.flat_parameters())
        matrix[dtype] = operator.to_dense().double()
        assert operator.unit == torch.finfo(dtype).eps
    v = nn.functional.normalize(torch.randn(objective.dim), dim=0)
    missed = (matrix[torch.float32] - matrix[torch.float64]) @ v.double()
    reported = rounding_error(operator, v, operator @ v)
    assert 0 < missed.norm() <= reported <= 1e-5 * (operator @ v).norm()


def penalized(model: nn.Module) -> Any:
    return lambda y, t: ((y - t) ** 2).mean() + sum((w**2).sum() for w in model[2].parameters())


class WithHidden(nn.Module):
    """A network that keeps a value of its hidden layer for the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).tanh()
        self.hidden = hidden.square().mean()
        return self.last(hidden)


@pytest.mark.parametrize("matrix", [gauss_newton, samlib.fisher])
def test_a_loss_that_reads_more_than_the_outputs_is_refused(matrix: Any) -> None:
    data = tuple(torch.randn(2, 7, 3))
    model, keeps = mlp(), WithHidden()
    aux = lambda y, t: (y - t).square().mean() + keeps.hidden  # noqa: E731
    for network, loss_fn, named in (
        (model, penalized(model), "'2.weight', '2.bias' of"),
        (keeps, aux, "'first.weight', 'first.bias' of"),
    ):
        objective = Objective.from_module(network, loss_fn, data)
        with pytest.raises(ValueError, match=named):
            matrix(objective, objective.flat_parameters())
    own = nn.Parameter(torch.tensor(2.0))  # not of the network
    objective = Objective.from_module(model, lambda y, t: own * (y - t).square().mean(), data)
    matrix(objective, objective.flat_parameters())


def test_where_the_loss_is_linear_in_the_outputs_it_warns() -> None:
    for name, warned in (("NLLLoss", True), ("L1Loss", True), ("CrossEntropyLoss", False)):
        model, loss_fn, inputs, targets = deep(name)
        objective = Objective.from_module(model, loss_fn, (inputs, targets))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            operator = gauss_newton(objective, objective.flat_parameters())
        assert bool(caught) == warned == (operator.to_dense().norm() == 0)
        assert all(warning.filename == __file__ for warning in caught)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(x), x


@pytest.mark.parametrize("matrix", [gauss_newton, samlib.fisher])
def test_what_is_no_network_or_has_other_outputs_is_refused(matrix: Any) -> None:
    with pytest.raises(TypeError, match=r"objective .*from_module.*Quadratic"):
        matrix(samlib.landscapes.Quadratic([1.0]), torch.zeros(1))
    loss_fn = lambda y, t: (y[0] - t).square().mean()  # noqa: E731
    objective = Objective.from_module(Pair(), loss_fn, tuple(torch.randn(2, 7, 3)))
    with pytest.raises(TypeError, match="needs the outputs of the model in one tensor"):
        matrix(objective, objective.flat_parameters())
    with pytest.raises(ValueError, match=r"x must have shape \[12\]"):
        matrix(objective, torch.zeros(2, 12))
