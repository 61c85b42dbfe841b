"""samlib.Objective of a function: derivatives against differences and autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

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
