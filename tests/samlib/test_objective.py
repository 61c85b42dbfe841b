"""samlib.objective: derivatives against finite differences, autograd and dense Hessians."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

import samlib
from samlib import Objective

DIM = 4


def wavy(x: Tensor) -> Tensor:
    """A loss with a dense, indefinite, point-dependent Hessian."""
    return torch.sin(x).prod() + (x[0] * x[1:] ** 2).sum() + torch.exp(0.3 * x[1] * x[2])


def points(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, DIM, generator=generator, dtype=torch.float64).to(device, dtype)


def tolerance(dtype: torch.dtype) -> dict[str, float]:
    return {"rtol": 0, "atol": 1e-11 if dtype == torch.float64 else 2e-4}


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_value_gradient_and_hessian_agree_with_autograd_at_every_point_of_a_batch(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> None:
    objective = Objective(wavy, DIM)
    x = points(shape, dtype, device)
    value, gradient, hessian = objective.value(x), objective.gradient(x), objective.hessian(x)
    assert value.shape == shape
    assert gradient.shape == (*shape, DIM)
    assert hessian.shape == (*shape, DIM, DIM)
    for result in (value, gradient, hessian):
        assert result.dtype == dtype
        assert result.device.type == device.type
        assert not result.requires_grad
    for i, point in enumerate(x.reshape(-1, DIM)):
        leaf = point.clone().requires_grad_()
        loss = wavy(leaf)
        torch.testing.assert_close(value.reshape(-1)[i], loss.detach(), **tolerance(dtype))
        (expected,) = torch.autograd.grad(loss, leaf)
        torch.testing.assert_close(gradient.reshape(-1, DIM)[i], expected, **tolerance(dtype))
        expected = torch.autograd.functional.hessian(wavy, point)
        torch.testing.assert_close(hessian.reshape(-1, DIM, DIM)[i], expected, **tolerance(dtype))


def test_derivatives_agree_with_central_differences(device: torch.device) -> None:
    objective = Objective(wavy, DIM)
    x = points((6,), torch.float64, device)
    h = 1e-5
    for i in range(DIM):
        e = torch.zeros_like(x[0])
        e[i] = h
        slope = (objective.value(x + e) - objective.value(x - e)) / (2 * h)
        torch.testing.assert_close(objective.gradient(x)[:, i], slope, rtol=0, atol=1e-8)
        turn = (objective.gradient(x + e) - objective.gradient(x - e)) / (2 * h)
        torch.testing.assert_close(
            objective.hessian_vector_product(x, e / h), turn, rtol=0, atol=1e-8
        )


def test_hessian_vector_product_broadcasts_points_against_vectors(device: torch.device) -> None:
    objective = Objective(wavy, DIM)
    x, v = points((3,), torch.float64, device), points((2, 1), torch.float64, device)
    product = objective.hessian_vector_product(x, v)
    assert product.shape == (2, 3, DIM)
    expected = torch.einsum("bij,cj->cbi", objective.hessian(x), v[:, 0])
    torch.testing.assert_close(product, expected)
    one = objective.hessian_vector_product(x[0], v)
    torch.testing.assert_close(one[1, 0], objective.hessian(x[0]) @ v[1, 0])


def test_hessian_operator_is_the_hessian_for_many_vectors(
    dtype: torch.dtype, device: torch.device
) -> None:
    objective, x = Objective(wavy, DIM), points((), dtype, device)
    with torch.no_grad():
        product = objective.hessian_operator(x)
        columns = [product(v) for v in torch.eye(DIM, dtype=dtype, device=device)]
    torch.testing.assert_close(torch.stack(columns), objective.hessian(x), **tolerance(dtype))
    assert not x.requires_grad
    linear = Objective(lambda x: x.sum(), DIM).hessian_operator(x)
    assert linear(torch.ones_like(x)).tolist() == [0] * DIM


def test_a_single_point_needs_no_vmap() -> None:
    # A branch on a value cannot be traced by vmap.
    objective = Objective(lambda x: x.abs().sum() if x[0] > 0 else -x.sum(), 2)
    assert objective.gradient(torch.tensor([1.0, -2.0])).tolist() == [1, -1]
    assert objective.gradient(torch.tensor([-1.0, 2.0])).tolist() == [-1, -1]


def test_an_objective_from_a_function_has_no_components() -> None:
    objective = Objective(wavy, DIM)
    assert objective.components is None
    with pytest.raises(ValueError, match="no components"):
        objective.component_gradient(torch.zeros(1, DIM), torch.tensor([0]))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0] * DIM, TypeError, "torch.Tensor"),
        (torch.ones(DIM, dtype=torch.int64), TypeError, r"x\.double\(\)"),
        (torch.ones(DIM + 1), ValueError, r"\[\.\.\., 4\]"),
        (torch.ones(DIM, 1), ValueError, r"\(4, 1\)"),
        (torch.tensor(1.0), ValueError, "shape"),
    ],
)
def test_a_wrong_point_is_named_with_what_is_allowed(
    x: object, error: type[Exception], message: str
) -> None:
    objective = Objective(wavy, DIM)
    for method in (objective.value, objective.gradient, objective.hessian):
        with pytest.raises(error, match=message):
            method(x)  # type: ignore[arg-type]
    with pytest.raises(error):
        objective.hessian_vector_product(torch.ones(DIM), x)  # type: ignore[arg-type]


def test_points_and_vectors_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        Objective(wavy, DIM).hessian_vector_product(torch.ones(2, DIM), torch.ones(3, DIM))


@pytest.mark.parametrize("function", [lambda x: x, lambda x: x.sum(0, keepdim=True), lambda x: 1.0])
def test_a_function_that_does_not_return_a_scalar_is_refused(function: object) -> None:
    objective = Objective(function, 3)  # type: ignore[arg-type]
    for x in (torch.ones(3), torch.ones(2, 3)):
        with pytest.raises(ValueError, match="scalar"):
            objective.value(x)
        with pytest.raises(ValueError, match="scalar"):
            objective.gradient(x)


@pytest.mark.parametrize(("dim", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError)])
def test_a_wrong_dimension_is_refused(dim: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="dim"):
        Objective(wavy, dim)
    with pytest.raises(TypeError, match="callable"):
        Objective(3, 3)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------- from_module


class Tied(nn.Module):
    """A network that uses one matrix twice, has a frozen bias, and a buffer it writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(3, 3)
        self.decode = nn.Linear(3, 3)
        self.decode.weight = self.encode.weight
        self.decode.bias.requires_grad_(False)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.decode(torch.tanh(self.encode(x)))


class Normalized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))


def problem(
    factory: object, device: torch.device
) -> tuple[nn.Module, samlib.ModuleObjective, Tensor, Tensor]:
    torch.manual_seed(0)
    model = factory().double().to(device)  # type: ignore[operator]
    inputs = torch.randn(6, 3, dtype=torch.float64).to(device)
    targets = torch.randn(6, 3, dtype=torch.float64).to(device)
    if isinstance(model, Normalized):
        model(3 * inputs + 1)  # running statistics that are not the initial ones
    return model, Objective.from_module(model, nn.MSELoss(), (inputs, targets)), inputs, targets


FACTORIES = [mlp, Tied, Normalized]


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_network_has_the_derivatives_of_its_own_autograd(
    factory: object, device: torch.device
) -> None:
    model, objective, inputs, targets = problem(factory, device)
    x = objective.flat_parameters()
    twin = copy.deepcopy(model).eval()
    loss = nn.functional.mse_loss(twin(inputs), targets)
    trainable = [p for p in twin.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, trainable, create_graph=True)
    gradient = torch.cat([g.reshape(-1) for g in gradients])
    rows = [
        torch.cat(
            [
                torch.zeros_like(p).reshape(-1) if h is None else h.reshape(-1)
                for p, h in zip(
                    trainable,
                    torch.autograd.grad(g, trainable, retain_graph=True, allow_unused=True),
                    strict=True,
                )
            ]
        )
        for g in gradient
    ]
    assert objective.dim == sum(p.numel() for p in trainable)
    torch.testing.assert_close(objective.value(x), loss.detach())
    torch.testing.assert_close(objective.gradient(x), gradient.detach())
    torch.testing.assert_close(objective.hessian(x), torch.stack(rows))
    both = torch.stack([x, 2 * x])
    torch.testing.assert_close(objective.gradient(both)[0], gradient.detach())
    torch.testing.assert_close(objective.gradient(both)[1], objective.gradient(2 * x))


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("training", [True, False])
def test_evaluating_leaves_the_module_untouched(
    factory: object, training: bool, device: torch.device
) -> None:
    model, objective, _, _ = problem(factory, device)
    model.train(training)
    for p in model.parameters():
        p.grad = torch.full_like(p, 7.0)
    state = copy.deepcopy(model.state_dict())
    x = objective.flat_parameters() + 1
    batch = torch.stack([x, -x])
    for points_ in (x, batch):
        objective.value(points_)
        objective.gradient(points_)
        objective.hessian_vector_product(points_, points_)
    objective.component_gradient(batch, torch.tensor([0, 3], device=device))
    objective.components[1].gradient(x)
    assert all(module.training == training for module in model.modules())
    assert all(bool((p.grad == 7).all()) for p in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_later_running_statistics_are_seen(device: torch.device) -> None:
    model, objective, inputs, targets = problem(Normalized, device)
    x = objective.flat_parameters()
    before = objective.value(x)
    model.train()
    model(5 * inputs - 2)
    model.eval()
    after = nn.functional.mse_loss(model(inputs), targets).detach()
    assert before != after
    torch.testing.assert_close(objective.value(x), after)


def test_frozen_parameters_are_not_part_of_x_but_their_changes_are_seen(
    device: torch.device,
) -> None:
    model, objective, inputs, targets = problem(Tied, device)
    assert objective.dim == 9 + 3
    x = objective.flat_parameters()
    before = objective.value(x)
    with torch.no_grad():
        model.decode.bias += 1  # type: ignore[union-attr, operator]
        after = nn.functional.mse_loss(copy.deepcopy(model)(inputs), targets)
    assert before != after
    torch.testing.assert_close(objective.value(x), after)


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_components_average_to_the_loss(factory: object, device: torch.device) -> None:
    _, objective, _, _ = problem(factory, device)
    x = objective.flat_parameters()
    assert len(objective.components) == 6
    mean = torch.stack([component.value(x) for component in objective.components]).mean()
    torch.testing.assert_close(mean, objective.value(x))
    gradients = torch.stack([component.gradient(x) for component in objective.components])
    torch.testing.assert_close(gradients.mean(dim=0), objective.gradient(x))
    assert not torch.allclose(gradients[0], gradients[1])
    torch.testing.assert_close(objective.components[-1].gradient(x), gradients[5])
    assert [float(c.value(x)) for c in objective.components[1:3]] == [
        float(objective.row(k).value(x)) for k in (1, 2)
    ]
    with pytest.raises(IndexError):
        objective.components[6]


@pytest.mark.parametrize("factory", FACTORIES)
def test_component_gradient_takes_one_index_per_point(
    factory: object, device: torch.device
) -> None:
    _, objective, _, _ = problem(factory, device)
    x = objective.flat_parameters() + torch.arange(4, device=device).double()[:, None] / 10
    k = torch.tensor([5, 0, 0, 2], device=device)
    expected = torch.stack([objective.components[int(j)].gradient(p) for p, j in zip(x, k)])  # noqa: B905
    torch.testing.assert_close(objective.component_gradient(x, k), expected)


def test_class_labels_are_targets_too(device: torch.device) -> None:
    torch.manual_seed(0)
    model = mlp().double().to(device)
    inputs = torch.randn(6, 3, dtype=torch.float64).to(device)
    labels = torch.tensor([0, 1, 2, 2, 1, 0], device=device)
    objective = Objective.from_module(model, nn.CrossEntropyLoss(), (inputs, labels))
    x = objective.flat_parameters()
    loss = nn.functional.cross_entropy(model(inputs), labels).detach()
    torch.testing.assert_close(objective.value(x), loss)
    gradients = objective.component_gradient(x.expand(6, -1), torch.arange(6, device=device))
    torch.testing.assert_close(gradients.mean(dim=0), objective.gradient(x))


@pytest.mark.parametrize("factory", FACTORIES)
def test_flat_parameters_and_load_are_inverse(factory: object, device: torch.device) -> None:
    model, objective, inputs, targets = problem(factory, device)
    x = objective.flat_parameters()
    copied = x.clone()
    objective.load_flat_parameters(x + 1)
    assert torch.equal(x, copied), "flat_parameters is a copy"
    assert torch.equal(objective.flat_parameters(), x + 1)
    model.eval()
    loss = functional_call(model, {}, (inputs,))
    torch.testing.assert_close(
        objective.value(x + 1), nn.functional.mse_loss(loss, targets).detach()
    )
    with pytest.raises(ValueError, match="shape"):
        objective.load_flat_parameters(x.expand(2, -1))
    with pytest.raises(ValueError, match="shape"):
        objective.load_flat_parameters(x[:-1])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (torch.ones(3, 3), TypeError),
        ((torch.ones(3, 3),), TypeError),
        ((torch.ones(3, 3), [1.0, 2.0, 3.0]), TypeError),
        ((torch.ones(3, 3), torch.ones(2, 3)), ValueError),
        ((torch.ones(0, 3), torch.ones(0, 3)), ValueError),
    ],
)
def test_wrong_data_are_refused(data: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        Objective.from_module(mlp(), nn.MSELoss(), data)  # type: ignore[arg-type]


def test_a_module_without_trainable_parameters_is_refused() -> None:
    data = (torch.ones(3, 3), torch.ones(3, 3))
    with pytest.raises(ValueError, match="requires_grad"):
        Objective.from_module(mlp().requires_grad_(False), nn.MSELoss(), data)


def test_a_loss_per_row_is_refused() -> None:
    data = (torch.ones(3, 3), torch.ones(3, 3))
    objective = Objective.from_module(mlp(), nn.MSELoss(reduction="none"), data)
    with pytest.raises(ValueError, match="scalar"):
        objective.gradient(objective.flat_parameters())
