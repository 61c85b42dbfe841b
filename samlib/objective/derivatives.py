"""Derivatives of a scalar function, each together with the value, which comes with it for free."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, grad_and_value, jvp

from samlib.objective.forward_formulas import PlainNormalization
from samlib.objective.points import is_transformed

ScalarFunction = Callable[[Tensor], Tensor]
"""L: [dim] → []."""

Derivative = Callable[..., tuple[Tensor, Tensor]]
"""Gives what it is named after, and L(x)."""


def value(function: ScalarFunction) -> Derivative:
    """x ↦ L(x), and L(x) again."""

    def twice(x: Tensor) -> tuple[Tensor, Tensor]:
        loss = function(x)
        return loss, loss

    return twice


def gradient(function: ScalarFunction) -> Derivative:
    """x ↦ ∇L(x), and L(x)."""
    result: Derivative = grad_and_value(function)
    return result


def plain_gradient(function: ScalarFunction) -> Derivative:
    """The gradient without transforms of torch.func, for what they cannot follow."""

    def at_point(x: Tensor) -> tuple[Tensor, Tensor]:
        at = x.detach().requires_grad_()
        with torch.enable_grad():
            loss = function(at)
        if not loss.requires_grad:  # a constant
            return torch.zeros_like(x), loss
        (slope,) = torch.autograd.grad(loss, at, materialize_grads=True)
        return slope, loss.detach()

    return at_point


def double_backward(function: ScalarFunction) -> Derivative:
    """(x, v) ↦ ∇²L(x) v as the gradient of ⟨∇L(x), v⟩, v held fixed; and L(x)."""

    def product(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if not any(is_transformed(point) or point.requires_grad for point in (x, v)):
            return kept_graph(function, x)(v)  # the same, without what transforms cost

        def slope(y: Tensor) -> tuple[Tensor, Tensor]:
            first, loss = grad_and_value(function)(y)
            return torch.dot(first, v), loss

        result: tuple[Tensor, Tensor] = grad(slope, has_aux=True)(x)
        return result

    return product


def kept_graph(function: ScalarFunction, x: Tensor) -> Derivative:
    """v ↦ ∇²L(x) v over one graph of the gradient, which lives as long as the result; and L(x)."""
    at = x.detach().requires_grad_()
    with torch.enable_grad():
        loss = function(at)
        if loss.requires_grad:
            (first,) = torch.autograd.grad(loss, at, create_graph=True, materialize_grads=True)
        else:  # a constant
            first = torch.zeros_like(x)
    loss = loss.detach()

    def product(v: Tensor) -> tuple[Tensor, Tensor]:
        if not first.requires_grad:  # a linear loss
            return torch.zeros_like(v), loss
        (image,) = torch.autograd.grad(first, at, v, retain_graph=True, materialize_grads=True)
        return image, loss

    return product


def reverse_over_forward(function: ScalarFunction, x: Tensor) -> Derivative:
    """v ↦ ∇²L(x) v as the gradient of the slope of L along v, a forward derivative; and L(x)."""
    at = x.detach().clone()  # the point stays what it was, whatever happens to x

    def plain(y: Tensor) -> Tensor:
        with PlainNormalization():
            return function(y)

    def product(v: Tensor) -> tuple[Tensor, Tensor]:
        def slope(y: Tensor) -> tuple[Tensor, Tensor]:
            loss, along = jvp(plain, (y,), (v,))[:2]
            return along, loss

        try:
            result: tuple[Tensor, Tensor] = grad(slope, has_aux=True)(at)
        except RuntimeError:  # not every operation has a forward derivative, or its derivative
            result = kept_graph(function, at)(v)
        return result

    return product
