"""The toy losses of the book, with exact derivatives and known minimizer manifolds.

Most have the form L(x) = ½ Σ_k λ_k y_k², a valley whose curvatures λ_k may depend on where along
the valley we stand. Their formulas are written once, in plain arithmetic on the components of x:
the same lines run on torch tensors (any device, any batch) and, compiled, on plain numbers.

A formula takes a weight w_k for each of the M terms. All weights 1 give L; weight M on one term
and 0 elsewhere give the component L_k of the finite sum L = (1/M) Σ_k L_k that 1-SAM draws from.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from samlib._validation import (
    require_callable,
    require_count,
    require_indices,
    require_number,
    require_numbers,
    require_one_point,
    require_pair,
    require_point,
    require_positive,
    require_tensor,
    shown,
)
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


class MinimizerManifold:
    """Γ, the set of minimizers of a landscape, and the curvature on it.

    Parameters
    ----------
    dim
        D, the dimension of the surrounding space.
    normal
        The coordinates that vanish on Γ; their number is M, the rank of ∇²L there.
    curvatures
        Maps x [..., dim] on Γ to the M non-zero eigenvalues of ∇²L(x), [..., M], in any order.
    """

    def __init__(
        self, dim: int, normal: Sequence[int], curvatures: Callable[[Tensor], Tensor]
    ) -> None:
        self.dim = require_count("dim", dim, minimum=1)
        if isinstance(normal, str) or not isinstance(normal, Iterable):
            raise TypeError(f"normal must be a sequence of coordinates, got {shown(normal)}")
        self.normal = tuple(
            require_count("every entry of normal", i, minimum=0, maximum=dim - 1) for i in normal
        )
        self._curvatures = require_callable("curvatures", curvatures, "x [..., dim] ↦ [..., M]")

    def nearest(self, x: Tensor) -> Tensor:
        """The point of Γ nearest to x: [..., dim] → [..., dim]."""
        on_manifold = require_point("x", x, self.dim).clone()
        on_manifold[..., list(self.normal)] = 0.0
        return on_manifold

    def distance(self, x: Tensor) -> Tensor:
        """The Euclidean distance from x to Γ: [..., dim] → [...]."""
        normal = require_point("x", x, self.dim)[..., list(self.normal)]
        distance: Tensor = torch.linalg.vector_norm(normal, dim=-1)
        return distance

    def eigenvalues(self, x: Tensor) -> Tensor:
        """λ₁ ≥ … ≥ λ_M > 0 at the point of Γ nearest to x: [..., dim] → [..., M]."""
        return self._curvatures(self.nearest(x)).sort(dim=-1, descending=True).values

    def top_eigenvalue(self, x: Tensor) -> Tensor:
        """λ₁ at the point of Γ nearest to x. S^Max = λ₁/2 (Definition 4.1)."""
        return self.eigenvalues(x)[..., 0]

    def smallest_nonzero_eigenvalue(self, x: Tensor) -> Tensor:
        """λ_M at the point of Γ nearest to x. S^Asc = λ_M/2 (Definition 4.1)."""
        return self.eigenvalues(x)[..., -1]

    def trace(self, x: Tensor) -> Tensor:
        """Tr ∇²L at the point of Γ nearest to x. S^Avg = Tr/(2D) (Definition 4.1)."""
        return self._curvatures(self.nearest(x)).sum(dim=-1)


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

    def __init__(self, dim: int, terms: int, parameters: Sequence[float] = ()) -> None:
        super().__init__(self.value, dim)
        self.terms = require_count("terms", terms, minimum=1)
        self.parameters = _parameters(parameters)
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


def _parameters(parameters: Sequence[float]) -> tuple[float, ...]:
    """Return the parameters as floats; a landscape may have none."""
    if isinstance(parameters, (list, tuple)) and not parameters:
        return ()
    return tuple(require_numbers("parameters", parameters).tolist())


def _quadratic_value(x: Any, w: Any, p: Any) -> Any:
    total = 0.0 * x[0]
    for i in range(len(p)):
        total = total + w[i] * p[i] * x[i] * x[i] / 2
    return total


def _quadratic_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    for i in range(len(p)):
        g[i] = w[i] * p[i] * x[i]


def _quadratic_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    for i in range(len(p)):
        h[i] = w[i] * p[i] * v[i]


class Quadratic(Landscape):
    """L(x) = ½ Σ_i λ_i x_i², the setting of Theorem 4.8. Its components are D λ_i x_i² / 2.

    The coordinates are the eigenbasis of the Hessian. Γ is the origin.

    Parameters
    ----------
    eigenvalues
        The λ_i: positive finite numbers, in any order.

    Raises
    ------
    ValueError
        If there is no eigenvalue, or one is not finite and positive.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 1.0])
    >>> quadratic.gradient(torch.tensor([1.0, 1.0]))
    tensor([2., 1.])
    """

    formulas = Formulas(_quadratic_value, _quadratic_gradient, _quadratic_product)

    def __init__(self, eigenvalues: Sequence[float] | Tensor) -> None:
        values = require_numbers("eigenvalues", eigenvalues)
        require_positive("eigenvalues", values)
        self.eigenvalues = tuple(values.tolist())
        super().__init__(len(values), len(values), self.eigenvalues)
        self.minimizer_manifold = MinimizerManifold(
            self.dim,
            range(self.dim),
            lambda x: x.new_tensor(self.eigenvalues).expand(x.shape),
        )

    def in_invariant_set(self, x: Tensor, lr: float, rho: float) -> Tensor:
        """Is x in the set that SAM enters and never leaves? [..., dim] → bool [...].

        The set is where ‖P^(j:D) ∇L(x)‖ ≤ ηρλ_j² for every j, P^(j:D) being the projection on the
        eigenvectors with eigenvalues at most λ_j. With ηλ₁ < 1 and ρ > 0 SAM enters it from
        every start, which is the first half of the proof of Theorem 4.8: a step multiplies
        component i of ∇L by 1 − ηλ_i − ηρλ_i²/‖∇L‖. Outside, where ‖∇L‖ > ηρλ_j², that is at most
        max(ηλ_j, 1 − ηλ_D) < 1 in size for i ≥ j; inside, it cannot lead out.

        Parameters
        ----------
        x
            Points, [..., dim].
        lr, rho
            η > 0 and ρ ≥ 0.

        Raises
        ------
        ValueError
            If η or ρ is out of range or not finite, or x has the wrong shape.

        Examples
        --------
        >>> import torch, samlib
        >>> quadratic = samlib.landscapes.Quadratic([3.0, 1.0])
        >>> x = torch.tensor([[0.3, 0.85], [0.3, 0.1]])
        >>> quadratic.in_invariant_set(x, lr=0.3, rho=0.4)
        tensor([False,  True])
        """
        lr, rho = require_number("lr", lr, positive=True), require_number("rho", rho)
        require_point("x", x, self.dim)
        values, order = x.new_tensor(self.eigenvalues).sort()
        gradient = self.gradient(x)[..., order]
        # The smallest come first, so the projections grow with the sum.
        projected = gradient.square().cumsum(dim=-1).sqrt()
        inside: Tensor = (projected <= lr * rho * values.square()).all(dim=-1)
        return inside

    def __repr__(self) -> str:
        return f"Quadratic(eigenvalues={list(self.eigenvalues)})"


# The formulas write tanh z as 2/(1 + e^(−2z)) − 1, because plain arithmetic runs everywhere;
# its absolute error is below 3e-16, and it does not overflow into NaN at either end.


def _two_valleys_value(x: Any, w: Any, p: Any) -> Any:
    t = 2 / (1 + math.e ** (-2 * x[0])) - 1
    return (w[0] * (3 + 0.5 * t) * x[1] * x[1] + w[1] * (1 - 0.8 * t) * x[2] * x[2]) / 2


def _two_valleys_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    t = 2 / (1 + math.e ** (-2 * x[0])) - 1
    slope = 1 - t * t
    g[0] = slope * (0.25 * w[0] * x[1] * x[1] - 0.4 * w[1] * x[2] * x[2])
    g[1] = w[0] * (3 + 0.5 * t) * x[1]
    g[2] = w[1] * (1 - 0.8 * t) * x[2]


def _two_valleys_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    t = 2 / (1 + math.e ** (-2 * x[0])) - 1
    slope = 1 - t * t
    h00 = -2 * t * slope * (0.25 * w[0] * x[1] * x[1] - 0.4 * w[1] * x[2] * x[2])
    h01 = 0.5 * slope * w[0] * x[1]
    h02 = -0.8 * slope * w[1] * x[2]
    h[0] = h00 * v[0] + h01 * v[1] + h02 * v[2]
    h[1] = h01 * v[0] + w[0] * (3 + 0.5 * t) * v[1]
    h[2] = h02 * v[0] + w[1] * (1 - 0.8 * t) * v[2]


class TwoValleys(Landscape):
    """L(x, y₁, y₂) = ½ (λ₁(x) y₁² + λ₂(x) y₂²) with λ₁ = 3 + ½ tanh x and λ₂ = 1 − 0.8 tanh x.

    Along the floor Γ = {y₁ = y₂ = 0} the top eigenvalue falls to the left and the trace to the
    right, so full-batch SAM and 1-SAM, started from one point, drift apart. The components are
    λ₁(x) y₁² and λ₂(x) y₂².

    Examples
    --------
    >>> import torch, samlib
    >>> floor = samlib.landscapes.TwoValleys().minimizer_manifold
    >>> start = torch.zeros(3)
    >>> floor.top_eigenvalue(start), floor.trace(start)
    (tensor(3.), tensor(4.))
    """

    formulas = Formulas(_two_valleys_value, _two_valleys_gradient, _two_valleys_product)

    def __init__(self) -> None:
        super().__init__(dim=3, terms=2)
        self.minimizer_manifold = MinimizerManifold(3, (1, 2), _two_valleys_curvatures)


def _two_valleys_curvatures(x: Tensor) -> Tensor:
    t = torch.tanh(x[..., 0])
    return torch.stack([3 + 0.5 * t, 1 - 0.8 * t], dim=-1)


def _four_dimensional_value(x: Any, w: Any, p: Any) -> Any:
    d1 = 1 - x[0]
    d2 = 1 - x[1]
    f1 = x[0] * x[0] + 6 * x[1] * x[1] + 8
    f2 = 4 * d1 * d1 + d2 * d2 + 1
    return w[0] * f1 * x[2] * x[2] + w[1] * f2 * x[3] * x[3]


def _four_dimensional_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    d1 = 1 - x[0]
    d2 = 1 - x[1]
    f1 = x[0] * x[0] + 6 * x[1] * x[1] + 8
    f2 = 4 * d1 * d1 + d2 * d2 + 1
    g[0] = w[0] * (2 * x[0] * x[2] * x[2]) - w[1] * (8 * d1 * x[3] * x[3])
    g[1] = w[0] * (12 * x[1] * x[2] * x[2]) - w[1] * (2 * d2 * x[3] * x[3])
    g[2] = w[0] * (2 * f1 * x[2])
    g[3] = w[1] * (2 * f2 * x[3])


def _four_dimensional_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    d1 = 1 - x[0]
    d2 = 1 - x[1]
    f1 = x[0] * x[0] + 6 * x[1] * x[1] + 8
    f2 = 4 * d1 * d1 + d2 * d2 + 1
    h00 = 2 * w[0] * x[2] * x[2] + 8 * w[1] * x[3] * x[3]
    h11 = 12 * w[0] * x[2] * x[2] + 2 * w[1] * x[3] * x[3]
    h02 = 4 * w[0] * x[0] * x[2]
    h12 = 24 * w[0] * x[1] * x[2]
    h03 = -16 * w[1] * d1 * x[3]
    h13 = -4 * w[1] * d2 * x[3]
    h[0] = h00 * v[0] + h02 * v[2] + h03 * v[3]
    h[1] = h11 * v[1] + h12 * v[2] + h13 * v[3]
    h[2] = h02 * v[0] + h12 * v[1] + 2 * w[0] * f1 * v[2]
    h[3] = h03 * v[0] + h13 * v[1] + 2 * w[1] * f2 * v[3]


class FourDimensional(Landscape):
    """L(x) = F₁(x₁, x₂) x₃² + F₂(x₁, x₂) x₄², the loss of the paper's Figure 1.

    F₁ = x₁² + 6x₂² + 8 and F₂ = 4(1 − x₁)² + (1 − x₂)² + 1. On Γ = {x₃ = x₄ = 0} the non-zero
    eigenvalues are 2F₁ and 2F₂. Each notion of sharpness prefers its own point of Γ: F₁, and
    with it λ₁, is least at (0, 0), F₂ (λ_M) at (1, 1), their sum (the trace) at (0.8, 1/7). The
    components are 2F₁x₃² and 2F₂x₄².

    Examples
    --------
    >>> import torch, samlib
    >>> landscape = samlib.landscapes.FourDimensional()
    >>> landscape.minimizer_manifold.top_eigenvalue(torch.zeros(4))
    tensor(16.)
    """

    formulas = Formulas(
        _four_dimensional_value, _four_dimensional_gradient, _four_dimensional_product
    )

    def __init__(self) -> None:
        super().__init__(dim=4, terms=2)
        self.minimizer_manifold = MinimizerManifold(4, (2, 3), _four_dimensional_curvatures)


def _four_dimensional_curvatures(x: Tensor) -> Tensor:
    f1 = x[..., 0] ** 2 + 6 * x[..., 1] ** 2 + 8
    f2 = 4 * (1 - x[..., 0]) ** 2 + (1 - x[..., 1]) ** 2 + 1
    return torch.stack([2 * f1, 2 * f2], dim=-1)


def _curved_valley_value(x: Any, w: Any, p: Any) -> Any:
    h = x[1] - x[0] * x[0] / 2
    return w[0] * h * h / 2


def _curved_valley_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    h = x[1] - x[0] * x[0] / 2
    g[0] = -w[0] * h * x[0]
    g[1] = w[0] * h


def _curved_valley_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    height = x[1] - x[0] * x[0] / 2
    h[0] = w[0] * ((x[0] * x[0] - height) * v[0] - x[0] * v[1])
    h[1] = w[0] * (v[1] - x[0] * v[0])


class CurvedValley(Landscape):
    """L(x) = ½ (x₂ − ½x₁²)²: a valley whose floor is a parabola.

    The minimizers Γ = {x₂ = ½x₁²} are a curve. Along it ∇²L has one non-zero eigenvalue,
    λ₁ = 1 + x₁², so the valley is widest where it bends most, at the origin. L has no local
    maximum: the largest value in a ball lies on its boundary.

    Examples
    --------
    >>> import torch, samlib
    >>> valley = samlib.landscapes.CurvedValley()
    >>> torch.linalg.eigvalsh(valley.hessian(torch.tensor([1.0, 0.5])))
    tensor([0., 2.])
    """

    formulas = Formulas(_curved_valley_value, _curved_valley_gradient, _curved_valley_product)

    def __init__(self) -> None:
        super().__init__(dim=2, terms=1)


def _double_well_value(x: Any, w: Any, p: Any) -> Any:
    h = x[0] * x[0] - 1
    return w[0] * (h * h / 4 + x[1] * x[1] / 2)


def _double_well_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    g[0] = w[0] * (x[0] * x[0] - 1) * x[0]
    g[1] = w[0] * x[1]


def _double_well_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    h[0] = w[0] * (3 * x[0] * x[0] - 1) * v[0]
    h[1] = w[0] * v[1]


class DoubleWell(Landscape):
    """L(x) = ¼(x₁² − 1)² + ½x₂²: two minimizers, (±1, 0), and a saddle between them.

    At the saddle, the origin, the gradient vanishes and ∇²L = diag(−1, 1). ΔL = 3x₁² ≥ 0, so L
    is subharmonic: the largest value in a ball lies on its boundary.

    Examples
    --------
    >>> import torch, samlib
    >>> samlib.landscapes.DoubleWell().hessian(torch.zeros(2)).diag()
    tensor([-1.,  1.])
    """

    formulas = Formulas(_double_well_value, _double_well_gradient, _double_well_product)

    def __init__(self) -> None:
        super().__init__(dim=2, terms=1)


# A network with one hidden layer. x holds the weights of the hidden layer unit by unit, then
# the biases of its units, then their output weights; p holds the number of inputs, the number
# of hidden units, the rows of inputs one after the other, and the targets.


def _tanh_network_value(x: Any, w: Any, p: Any) -> Any:
    inputs, hidden, points = int(p[0]), int(p[1]), len(w)
    biases, outputs = hidden * inputs, hidden * (inputs + 1)
    total = 0.0
    for k in range(points):
        row = 2 + k * inputs
        output = 0.0
        for j in range(hidden):
            z = x[biases + j]
            for i in range(inputs):
                z = z + x[j * inputs + i] * p[row + i]
            output = output + x[outputs + j] * (2 / (1 + math.e ** (-2 * z)) - 1)
        residual = output / hidden**0.5 - p[2 + points * inputs + k]
        total = total + w[k] * residual * residual / (2 * points)
    return total


def _tanh_network_gradient(x: Any, w: Any, p: Any, g: Any) -> None:
    inputs, hidden, points = int(p[0]), int(p[1]), len(w)
    biases, outputs = hidden * inputs, hidden * (inputs + 1)
    t = [0.0] * hidden
    for i in range(len(x)):
        g[i] = 0.0
    for k in range(points):
        row = 2 + k * inputs
        output = 0.0
        for j in range(hidden):
            z = x[biases + j]
            for i in range(inputs):
                z = z + x[j * inputs + i] * p[row + i]
            t[j] = 2 / (1 + math.e ** (-2 * z)) - 1
            output = output + x[outputs + j] * t[j]
        residual = output / hidden**0.5 - p[2 + points * inputs + k]
        q = w[k] * residual / (points * hidden**0.5)
        for j in range(hidden):
            s = q * x[outputs + j] * (1 - t[j] * t[j])
            for i in range(inputs):
                g[j * inputs + i] = g[j * inputs + i] + s * p[row + i]
            g[biases + j] = g[biases + j] + s
            g[outputs + j] = g[outputs + j] + q * t[j]


def _tanh_network_product(x: Any, v: Any, w: Any, p: Any, h: Any) -> None:
    inputs, hidden, points = int(p[0]), int(p[1]), len(w)
    biases, outputs = hidden * inputs, hidden * (inputs + 1)
    t = [0.0] * hidden
    dt = [0.0] * hidden  # d· is the change of · as x moves along v
    for i in range(len(x)):
        h[i] = 0.0
    for k in range(points):
        row = 2 + k * inputs
        output = 0.0
        doutput = 0.0
        for j in range(hidden):
            z = x[biases + j]
            dz = v[biases + j]
            for i in range(inputs):
                z = z + x[j * inputs + i] * p[row + i]
                dz = dz + v[j * inputs + i] * p[row + i]
            t[j] = 2 / (1 + math.e ** (-2 * z)) - 1
            dt[j] = (1 - t[j] * t[j]) * dz
            output = output + x[outputs + j] * t[j]
            doutput = doutput + v[outputs + j] * t[j] + x[outputs + j] * dt[j]
        residual = output / hidden**0.5 - p[2 + points * inputs + k]
        q = w[k] * residual / (points * hidden**0.5)
        dq = w[k] * doutput / (points * hidden)
        for j in range(hidden):
            slope = 1 - t[j] * t[j]
            ds = (dq * x[outputs + j] + q * v[outputs + j]) * slope
            ds = ds - 2 * q * x[outputs + j] * t[j] * dt[j]
            for i in range(inputs):
                h[j * inputs + i] = h[j * inputs + i] + ds * p[row + i]
            h[biases + j] = h[biases + j] + ds
            h[outputs + j] = h[outputs + j] + dq * t[j] + q * dt[j]


class TanhNetwork(Landscape):
    """L(x) = (1/2M) Σ_k (f(s_k; x) − y_k)² with f(s; x) = aᵀ tanh(W s + b)/√hidden.

    The training loss of a network with one hidden layer and one output. It fits the paper's
    Setting 5.1: with more parameters than data points, Γ is the set of weights that interpolate
    the data, ∇²L has rank M there (Theorem 5.2), and the components L_k = ½ (f(s_k) − y_k)² are
    the losses of single points. Γ has no closed form;
    :func:`samlib.flow.project_to_minimizers` finds points of it.

    Parameters
    ----------
    inputs
        The s_k, [points, inputs]; kept in float64, used in the dtype and on the device of x.
    targets
        The y_k, [points].
    hidden
        The number of hidden units. x is W [hidden × inputs], row by row, then b [hidden], then
        a [hidden], so dim = hidden · (inputs + 2).

    Raises
    ------
    ValueError
        If the shapes do not fit, there is no point or no input, or a number is not finite.

    Examples
    --------
    >>> import torch, samlib
    >>> network = samlib.landscapes.TanhNetwork(torch.ones(1, 2), torch.ones(1), hidden=4)
    >>> network.dim, float(network.value(torch.zeros(network.dim)))
    (16, 0.5)
    """

    formulas = Formulas(_tanh_network_value, _tanh_network_gradient, _tanh_network_product)

    def __init__(self, inputs: Tensor, targets: Tensor, hidden: int) -> None:
        require_tensor("inputs", inputs)
        require_tensor("targets", targets)
        if inputs.dim() != 2 or inputs.numel() == 0 or targets.shape != inputs.shape[:1]:
            raise ValueError(
                "inputs must have shape [points, inputs] and targets [points], at least one of "
                f"each; got {tuple(inputs.shape)} and {tuple(targets.shape)}"
            )
        self.inputs = inputs.detach().to("cpu", torch.float64, copy=True)
        self.targets = targets.detach().to("cpu", torch.float64, copy=True)
        for name, values in (("inputs", self.inputs), ("targets", self.targets)):
            if not bool(values.isfinite().all()):
                wrong = values[~values.isfinite()][0].item()
                raise ValueError(f"{name} must be finite, got {wrong} in it")
        self.hidden = require_count("hidden", hidden, minimum=1)
        points, features = inputs.shape
        self._constants: dict[Any, tuple[Tensor, Tensor, Tensor]] = {}
        super().__init__(
            hidden * (features + 2),
            points,
            [features, hidden, *self.inputs.flatten().tolist(), *self.targets.tolist()],
        )

    # The formulas loop over units and points, which suits a compiler. On tensors the same
    # arithmetic is written for whole layers.

    def value(self, x: Tensor) -> Tensor:
        """L(x): [..., dim] → [...]."""
        return self._weighted_value(require_point("x", x, self.dim), self.weights)

    def output(self, x: Tensor, inputs: Tensor) -> Tensor:
        """f(s; x) at any inputs s: x [..., dim], inputs [rows, features] → [..., rows].

        Raises
        ------
        ValueError
            If x or the inputs have the wrong shape.
        """
        features = self.inputs.shape[1]
        if require_tensor("inputs", inputs).dim() != 2 or inputs.shape[1] != features:
            raise ValueError(
                f"inputs must have shape [rows, {features}], got {tuple(inputs.shape)}"
            )
        return self._outputs(require_point("x", x, self.dim), inputs.to(x))[-1]

    def component_value(self, x: Tensor, k: Tensor) -> Tensor:
        """L_k(x) with one component index per point: x [batch, dim], k [batch] → [batch]."""
        return self._weighted_value(require_point("x", x, self.dim), self._only(k, x))

    def hessian_vector_product(self, x: Tensor, v: Tensor) -> Tensor:
        """∇²L(x) v. x and v have shape [..., dim] and broadcast against each other."""
        x, v = require_pair(x, v, self.dim)
        a, t, residual = self._forward(x)
        inputs, _, weights = self._like(x)
        dw, db, da = self._layers(v)
        slope = 1 - t * t
        dt = slope * (inputs @ dw.mT + db.unsqueeze(-2))
        doutput = (t * da.unsqueeze(-2) + dt * a.unsqueeze(-2)).sum(dim=-1)
        q = (weights * residual / (self.terms * self.hidden**0.5)).unsqueeze(-1)
        dq = (weights * doutput / (self.terms * self.hidden)).unsqueeze(-1)
        ds = (dq * a.unsqueeze(-2) + q * da.unsqueeze(-2)) * slope
        ds = ds - 2 * q * a.unsqueeze(-2) * t * dt
        return self._join(x, ds, (dq * t + q * dt).sum(dim=-2))

    def _weighted_value(self, x: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
        residual = self._forward(x)[-1]
        return (self._by_point(x, weights) * residual**2).sum(dim=-1) / (2 * self.terms)

    def _weighted_gradient(self, x: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
        a, t, residual = self._forward(x)
        q = self._by_point(x, weights) * residual / (self.terms * self.hidden**0.5)
        s = q.unsqueeze(-1) * a.unsqueeze(-2) * (1 - t * t)
        return self._join(x, s, (q.unsqueeze(-1) * t).sum(dim=-2))

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give a [..., hidden], the tanh [..., points, hidden] and the residuals [..., points]."""
        inputs, targets, _ = self._like(x)
        a, t, outputs = self._outputs(x, inputs)
        return a, t, outputs - targets

    def _outputs(self, x: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give a [..., hidden], the tanh [..., rows, hidden] and f at the inputs [..., rows]."""
        w, b, a = self._layers(x)
        t = torch.tanh(inputs @ w.mT + b.unsqueeze(-2))
        return a, t, (t @ a.unsqueeze(-1)).squeeze(-1) / self.hidden**0.5

    def _by_point(self, x: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
        """The weights, [points] or [..., points]; given as numbers, they are the landscape's."""
        return weights.movedim(0, -1) if isinstance(weights, Tensor) else self._like(x)[2]

    def _layers(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.inputs.shape[1]
        w, b, a = torch.split(x, [self.hidden * features, self.hidden, self.hidden], dim=-1)
        return w.reshape(*w.shape[:-1], self.hidden, features), b, a

    def _join(self, x: Tensor, s: Tensor, a: Tensor) -> Tensor:
        """A vector like x from s, a factor per point and unit [..., points, hidden], and a."""
        return torch.cat([(s.mT @ self._like(x)[0]).flatten(-2), s.sum(dim=-2), a], dim=-1)

    def _like(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, targets and weights as x is, copied to a device once."""
        key = (x.device, x.dtype, self.weights)
        if key not in self._constants:
            weights = torch.tensor(self.weights, dtype=torch.float64).to(x)
            self._constants[key] = (self.inputs.to(x), self.targets.to(x), weights)
        return self._constants[key]

    def __repr__(self) -> str:
        points, features = self.inputs.shape
        return f"TanhNetwork(inputs={features}, hidden={self.hidden}, points={points})"
