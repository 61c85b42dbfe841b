"""A network as a function of its parameters: the derivatives of its own autograd, untouched."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

import samlib
from samlib import Objective
from tests.samlib.small_networks import (
    Normalized,
    Tied,
    data_of,
    mlp,
    problem,
)

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


@pytest.mark.parametrize("kind", ["pair", "loader"])
def test_the_module_is_left_as_it_was(kind: str) -> None:
    torch.manual_seed(0)
    model = Normalized()
    model.layers[1].eval()  # not all submodules in one mode
    inputs, targets = torch.randn(7, 3), torch.randn(7, 3)
    model(inputs).sum().backward()
    modes = [m.training for m in model.modules()]
    buffers = {n: b.clone() for n, b in model.named_buffers()}
    weights = {n: (p.clone(), p.grad.clone()) for n, p in model.named_parameters()}
    objective = Objective.from_module(model, nn.MSELoss(), data_of(kind, inputs, targets))
    x, before = objective.flat_parameters(), torch.get_rng_state()
    objective.hessian(x)
    objective.hessian_operator(x)(x)
    samlib.top_eigenpairs(objective, x)
    assert objective.value(x) == objective.value(x), "dropout is off"
    assert [m.training for m in model.modules()] == modes
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, buffers[name])
    for name, p in model.named_parameters():
        assert torch.equal(p, weights[name][0])
        assert torch.equal(p.grad, weights[name][1])
        assert p.requires_grad
    if kind == "pair":  # a DataLoader draws a seed each time it is iterated
        assert torch.equal(torch.get_rng_state(), before)


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


def test_component_values_are_those_of_the_rows() -> None:
    inputs, targets = torch.randn(5, 3), torch.randn(5, 1)
    objective = Objective.from_module(nn.Linear(3, 1), nn.MSELoss(), (inputs, targets))
    x, k = torch.randn(4, objective.dim), torch.tensor([4, 0, 2, 2])
    values = objective.component_value(x, k)
    for i in range(4):
        expected = (inputs[k[i]] @ x[i, :3] + x[i, 3] - targets[k[i], 0]) ** 2
        torch.testing.assert_close(values[i], expected)
    landscape = samlib.landscapes.TwoValleys()
    x, k = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])
    assert landscape.components is not None
    expected = torch.stack([landscape.components[j].value(p) for j, p in zip(k, x, strict=True)])
    torch.testing.assert_close(landscape.component_value(x, k), expected)


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


def test_a_module_without_trainable_parameters_is_refused() -> None:
    data = (torch.ones(3, 3), torch.ones(3, 3))
    with pytest.raises(ValueError, match="requires_grad"):
        Objective.from_module(mlp().requires_grad_(False), nn.MSELoss(), data)
