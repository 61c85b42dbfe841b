"""Hessian-vector products of a scalar function, in three ways."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, jvp

ScalarFunction = Callable[[Tensor], Tensor]


def double_backward(function: ScalarFunction) -> Callable[[Tensor, Tensor], Tensor]:
    """Hessian-vector product as the gradient of ⟨∇L(x), v⟩, v held fixed."""

    def product(x: Tensor, v: Tensor) -> Tensor:
        result: Tensor = grad(lambda y: torch.dot(grad(function)(y), v))(x)
        return result

    return product


def kept_graph(function: ScalarFunction, x: Tensor) -> Callable[[Tensor], Tensor]:
    """v ↦ ∇²L(x) v over one graph of the gradient, which lives as long as the result."""
    at = x.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(function(at), at, create_graph=True)

    def product(v: Tensor) -> Tensor:
        if not gradient.requires_grad:  # a linear loss
            return torch.zeros_like(v)
        (image,) = torch.autograd.grad(gradient, at, v, retain_graph=True, materialize_grads=True)
        return image

    return product


def reverse_over_forward(function: ScalarFunction, x: Tensor) -> Callable[[Tensor], Tensor]:
    """v ↦ ∇²L(x) v as the gradient of the slope of L along v, which a forward pass gives."""
    at = x.detach().clone()  # the point stays what it was, whatever happens to x

    def product(v: Tensor) -> Tensor:
        try:
            image: Tensor = grad(lambda y: jvp(function, (y,), (v,))[1])(at)
        except NotImplementedError:  # not every operation has a forward derivative
            image = kept_graph(function, at)(v)
        return image

    return product
