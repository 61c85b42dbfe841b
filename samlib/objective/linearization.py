"""The first-order expansion of a function at a point: products with its Jacobian, both ways."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp


class Linearization:
    """f(x + v) ≈ f(x) + Jv, with the graph of f kept as long as this lives.

    Parameters
    ----------
    function
        f: x [dim] ↦ a tensor of any shape.
    x
        The point, [dim], which must stay as it is.
    forwards
        Whether Jv is a forward derivative, for which f is evaluated anew. Else it comes from the
        graph of w ↦ Jᵀw: this map is linear, and Jv is its derivative, transposed. That saves an
        evaluation, but where a layer is a convolution, differentiating Jᵀw is slow.

    Attributes
    ----------
    outputs
        f(x), without its graph.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], x: Tensor, *, forwards: bool = False
    ) -> None:
        self._function, self._forwards = function, forwards
        self._x = x.detach().requires_grad_()
        with torch.enable_grad():
            self._graph = function(self._x)
        self.outputs = self._graph.detach()
        self._transposed: tuple[Tensor, Tensor] | None = None

    def push(self, v: Tensor) -> Tensor:
        """Jv, in the shape of the outputs, for v [dim]."""
        if self._forwards:
            try:
                image: Tensor = jvp(self._function, (self._x.detach(),), (v,))[1]
                return image.detach()
            except RuntimeError:  # not every operation has a forward derivative
                self._forwards = False
        w, product = self._transpose()
        if not product.requires_grad:
            return torch.zeros_like(self.outputs)
        (image,) = torch.autograd.grad(product, w, v, retain_graph=True, materialize_grads=True)
        return image

    def pull(self, w: Tensor) -> Tensor:
        """Jᵀw [dim] for w in the shape of the outputs."""
        if not self._graph.requires_grad:  # of a constant
            return torch.zeros_like(self._x)
        (image,) = torch.autograd.grad(
            self._graph, self._x, w, retain_graph=True, materialize_grads=True
        )
        return image

    def _transpose(self) -> tuple[Tensor, Tensor]:
        """Some w and Jᵀw, with the graph between them; kept."""
        if self._transposed is None:
            w, product = torch.zeros_like(self.outputs).requires_grad_(), self._x.detach()
            if self._graph.requires_grad:
                with torch.enable_grad():
                    (product,) = torch.autograd.grad(
                        self._graph, self._x, w, create_graph=True, materialize_grads=True
                    )
            self._transposed = w, product
        return self._transposed
