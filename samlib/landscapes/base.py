"""What all landscapes share: a loss written as plain arithmetic, with derivatives and components.

What the formulas and their weights mean stands at the head of :mod:`samlib.landscapes`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from samlib._validation import (
    require_callable,
    require_count,
    require_indices,
    require_numbers,
    require_one_point,
    require_pair,
    require_point,
)
from samlib.landscapes.manifold import MinimizerManifold
from samlib.objective import Objective

Formula = Callable[..., Any]


@dataclass(frozen=True)
class Formulas:
    """A loss and its derivatives as plain arithmetic.

    ``value(x, w, p)`` returns L; ``gradient(x, w, p, g)`` writes ∇L into g;
    ``hessian_vector_product(x, v, w, p, h)`` writes ∇²L v into h. Here x, v, g and h are indexed
    by component, w by term, and p holds the landscape's parameters.
    """

    value: Formula
    gradient: Formula
    hessian_vector_product: Formula

    def __post_init__(self) -> None:
        for name, formula in vars(self).items():
            require_callable(name, formula, "plain arithmetic on the components of x")


class Landscape(Objective):
    """An objective given by plain-arithmetic formulas: base class of the book's toy losses.

    Parameters
    ----------
    dim
        D, the number of components of x.
    terms
        M, the number of terms of the sum.
    parameters
        The numbers that the formulas receive as p.

    Attributes
    ----------
    formulas
        The class's :class:`Formulas`.
    minimizer_manifold
        Γ with λ₁, λ_M and the trace on it, a :class:`MinimizerManifold`.
    """

    formulas: ClassVar[Formulas]
    minimizer_manifold: MinimizerManifold

    def __init__(self, dim: int, terms: int, *, parameters: Sequence[float] = ()) -> None:
        super().__init__(self.value, dim)
        self.terms = require_count("terms", terms, minimum=1)
        self.parameters = plain_parameters(parameters)
        self.weights = (1.0,) * terms

    def value(self, x: Tensor) -> Tensor:
        """L(x): [..., dim] → [...]."""
        components = require_point("x", x, self.dim).movedim(-1, 0)
        result: Tensor = self.formulas.value(components, self.weights, self.parameters)
        return result

    def gradient(self, x: Tensor) -> Tensor:
        """∇L(x): [..., dim] → [..., dim]."""
        return self._weighted_gradient(require_point("x", x, self.dim), self.weights)

    def hessian_vector_product(self, x: Tensor, v: Tensor) -> Tensor:
        """∇²L(x) v. x and v have shape [..., dim] and broadcast against each other."""
        x, v = require_pair(x, v, self.dim)
        product = [x.new_empty(0)] * self.dim
        self.formulas.hessian_vector_product(
            x.movedim(-1, 0), v.movedim(-1, 0), self.weights, self.parameters, product
        )
        return torch.stack(product, dim=-1)

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v at one point x [dim]."""
        require_one_point("x", x, self.dim)
        return lambda v: self.hessian_vector_product(x, v)

    @property
    def components(self) -> Sequence[Objective] | None:
        """The L_k of L = (1/M) Σ_k L_k, each M times one term; None for such an L_k itself."""
        if self.weights != (1.0,) * self.terms:
            return None
        return [self._component(k) for k in range(self.terms)]

    def component_value(self, x: Tensor, k: Tensor) -> Tensor:
        """L_k(x) with one component index per point: x [batch, dim], k [batch] → [batch]."""
        components = require_point("x", x, self.dim).movedim(-1, 0)
        result: Tensor = self.formulas.value(components, self._only(k, x), self.parameters)
        return result

    def component_gradient(self, x: Tensor, k: Tensor) -> Tensor:
        """∇L_k(x) with one component index per point: x [batch, dim], k [batch] → [batch, dim]."""
        return self._weighted_gradient(require_point("x", x, self.dim), self._only(k, x))

    def _only(self, k: Tensor, x: Tensor) -> Tensor:
        """The weights that make L_k of L: M at term k, 0 elsewhere."""
        require_indices("k", k, x, self.terms)
        chosen = torch.arange(self.terms, device=x.device).unsqueeze(-1) == k
        return chosen.to(x) * self.terms

    def _weighted_gradient(self, x: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
        gradient = [x.new_empty(0)] * self.dim
        self.formulas.gradient(x.movedim(-1, 0), weights, self.parameters, gradient)
        return torch.stack(gradient, dim=-1)

    def _component(self, k: int) -> Landscape:
        component = copy.copy(self)
        component.weights = tuple(float(self.terms) if j == k else 0.0 for j in range(self.terms))
        component._function = component.value
        vars(component).pop("minimizer_manifold", None)  # Γ belongs to the sum, not to one term
        return component


def plain_parameters(parameters: Sequence[float]) -> tuple[float, ...]:
    """Return the parameters as floats; a landscape may have none."""
    if isinstance(parameters, (list, tuple)) and not parameters:
        return ()
    return tuple(require_numbers("parameters", parameters).tolist())
