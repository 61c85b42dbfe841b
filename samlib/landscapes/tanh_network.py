"""A network with one hidden layer of tanh units, as a landscape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from samlib._validation import (
    require_count,
    require_pair,
    require_point,
    require_tensor,
)
from samlib.landscapes.base import Formulas, Landscape


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

    def __init__(self, inputs: Tensor, targets: Tensor, *, hidden: int) -> None:
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
            parameters=[features, hidden, *self.inputs.flatten().tolist(), *self.targets.tolist()],
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
