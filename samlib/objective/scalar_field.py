"""A loss L: R^D → R of a flat parameter vector, with its derivatives, batched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from samlib._batching import how_many_at_once
from samlib._validation import (
    require_callable,
    require_count,
    require_one_point,
    require_pair,
    require_point,
    require_points,
)
from samlib.linalg import Shards
from samlib.objective.derivatives import (
    Derivative,
    ScalarFunction,
    double_backward,
    gradient,
    kept_graph,
    value,
)
from samlib.objective.points import Together, at_points
from samlib.objective.products import Products, how_many_pay
from samlib.objective.rounding_unit import with_rounding_unit


class ScalarField:
    """A twice differentiable function on Rᴰ. See :class:`samlib.Objective`."""

    def __init__(self, function: ScalarFunction, dim: int) -> None:
        self._function = require_callable("function", function, "x [dim] ↦ a scalar tensor")
        self.dim = require_count("dim", dim, minimum=1)
        self._products_together = Together(how_many_pay)
        self._rounding_units: dict[tuple[torch.dtype, torch.device], float] = {}

    @property
    def shards(self) -> Shards:
        """How points and vectors lie over processes. Mostly each process has all of them."""
        return Shards(self.dim)

    def value(self, x: Tensor) -> Tensor:
        """L(x): [..., dim] → [...].

        Raises
        ------
        ValueError
            If x has the wrong shape, or the function does not return a scalar.
        """
        return self._batched(value, require_point("x", x, self.dim))

    def gradient(self, x: Tensor) -> Tensor:
        """∇L(x): [..., dim] → [..., dim]."""
        return self._batched(gradient, require_point("x", x, self.dim))

    def hessian_vector_product(self, x: Tensor, v: Tensor) -> Tensor:
        """∇²L(x) v, exactly, without forming the Hessian (Pearlmutter, 1994).

        x and v have shape [..., dim], one dtype and one device, and broadcast against each other.
        """
        return self._batched(double_backward, *require_pair(x, v, self.dim))

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v at one point x [dim], for many v [dim] in turn.

        The graph of the gradient is built once and kept, so a product costs less than by
        :meth:`hessian_vector_product`. The v have the dtype and are on the device of x.
        """
        product = kept_graph(self._scalar, require_one_point("x", x, self.dim))
        return Products(lambda v: self._products_together(product, tuple, v)[0], x)

    def hessian(self, x: Tensor) -> Tensor:
        """∇²L(x) as a dense matrix: [..., dim] → [..., dim, dim]. For small D."""
        require_point("x", x, self.dim)
        basis = torch.eye(self.dim, dtype=x.dtype, device=x.device)
        rows = self.hessian_vector_product(x.unsqueeze(-2), basis.expand(*x.shape, self.dim))
        return (rows + rows.mT) / 2

    def rounding_unit(self, x: Tensor) -> float:
        """The unit roundoff of the arithmetic that L is really computed in at x [..., dim].

        The largest ``torch.finfo(dtype).eps`` among the dtype of x and the floating-point dtypes
        of all that operations give while L is evaluated, once for each dtype and device of x:
        over data in batches, of the first. A network in bfloat16 behind a float32 loss, or a
        region under autocast, shows here.

        Examples
        --------
        >>> import torch, samlib
        >>> narrow = samlib.Objective(lambda x: x.bfloat16().square().sum().float(), dim=3)
        >>> narrow.rounding_unit(torch.ones(3))
        0.0078125
        """
        x = require_points("x", x, self.shards.length)
        key = x.dtype, x.device
        if key not in self._rounding_units:
            point = x.detach().reshape(-1, x.shape[-1])[0]
            self._rounding_units[key] = max(self._unit_at(point), torch.finfo(x.dtype).eps)
        return self._rounding_units[key]

    @property
    def components(self) -> Sequence[Any] | None:
        """The L_k of L = (1/M) Σ_k L_k, or None if L is not given as a finite sum."""
        return None

    def component_value(self, x: Tensor, k: Tensor) -> Tensor:
        """L_k(x) with one component index per point: x [batch, dim], k [batch] → [batch].

        Raises
        ------
        ValueError
            If the objective is not a finite sum.
        """
        raise no_components()

    def component_gradient(self, x: Tensor, k: Tensor) -> Tensor:
        """∇L_k(x) with one component index per point: x [batch, dim], k [batch] → [batch, dim].

        Raises
        ------
        ValueError
            If the objective is not a finite sum.
        """
        raise no_components()

    def _scalar(self, x: Tensor) -> Tensor:
        value = self._function(x)
        if not isinstance(value, Tensor) or value.dim() != 0:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"function must return a scalar tensor (shape []), got {got}")
        return value

    def _unit_at(self, x: Tensor) -> float:
        """The unit roundoff of the arithmetic at one point x [dim], where it exceeds x's."""
        return with_rounding_unit(lambda: self._scalar(x))[1]

    def _batched(self, derive: Callable[[ScalarFunction], Derivative], *points: Tensor) -> Tensor:
        at_once = how_many_at_once(self.dim)
        return at_points(derive(self._scalar), *points, at_once=at_once)[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim})"


def no_components() -> ValueError:
    """There are no components to be asked for."""
    return ValueError(
        "this objective has no components: a stochastic rule or notion needs a loss that is a "
        "mean of terms, such as a landscape or Objective.from_module(model, loss_fn, (inputs, "
        "targets)) with one pair of tensors"
    )
