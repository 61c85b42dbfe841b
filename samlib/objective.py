"""A loss L: R^D → R on a flat parameter vector, with its derivatives, batched.

Everything else in samlib takes an :class:`Objective`: it asks for values, gradients and
Hessian-vector products and never looks inside. Make one from any differentiable function
of a vector, or from a network, a loss and data with :meth:`Objective.from_module`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from samlib._validation import require_count, require_pair, require_point

ScalarFunction = Callable[[Tensor], Tensor]
LossFunction = Callable[[Any, Any], Tensor]


class Objective:
    """A twice differentiable loss on R^D.

    Parameters
    ----------
    function
        Maps a tensor of shape [dim] to a scalar tensor, with differentiable torch operations.
    dim
        D, the number of parameters.

    Notes
    -----
    Every method accepts leading batch dimensions, x: [..., dim], and answers on the device and
    in the dtype of its input. Batches go through :func:`torch.func.vmap`; a single point of
    shape [dim] does not, so a function that vmap cannot trace still works point by point.

    Examples
    --------
    >>> import torch, samlib
    >>> bowl = samlib.Objective(lambda x: (x**2).sum() / 2, dim=3)
    >>> bowl.gradient(torch.tensor([1.0, 2.0, 3.0]))
    tensor([1., 2., 3.])
    >>> bowl.value(torch.ones(5, 3)).shape
    torch.Size([5])
    """

    def __init__(self, function: ScalarFunction, dim: int) -> None:
        if not callable(function):
            raise TypeError(f"function must be callable, got {type(function).__name__}")
        self._function = function
        self.dim = require_count("dim", dim, minimum=1)

    @classmethod
    def from_module(
        cls, model: nn.Module, loss_fn: LossFunction, data: tuple[Any, Any]
    ) -> ModuleObjective:
        """Make the objective x ↦ loss_fn(model(inputs; x), targets).

        Parameters
        ----------
        model
            The network. Its trainable parameters, flattened in the order of
            ``model.parameters()``, are x. It is evaluated in eval mode; the module itself, its
            mode, its buffers and its ``.grad`` fields are never changed.
        loss_fn
            Maps (outputs, targets) to a scalar that averages over the rows, as
            ``torch.nn.MSELoss()`` and ``torch.nn.CrossEntropyLoss()`` do.
        data
            (inputs, targets), tensors with the same number of rows, on the model's device.

        Raises
        ------
        TypeError, ValueError
            If data is not a pair of tensors with equally many rows, or if the model has no
            trainable parameter.

        Examples
        --------
        >>> import torch, samlib
        >>> model = torch.nn.Linear(3, 1)
        >>> data = (torch.randn(8, 3), torch.randn(8, 1))
        >>> objective = samlib.Objective.from_module(model, torch.nn.MSELoss(), data)
        >>> objective.dim
        4
        """
        return ModuleObjective(model, loss_fn, data)

    def value(self, x: Tensor) -> Tensor:
        """L(x): [..., dim] → [...].

        Raises
        ------
        ValueError
            If x has the wrong shape, or the function does not return a scalar.
        """
        return self._batched(self._scalar, require_point("x", x, self.dim))

    def gradient(self, x: Tensor) -> Tensor:
        """∇L(x): [..., dim] → [..., dim]."""
        return self._batched(grad(self._scalar), require_point("x", x, self.dim))

    def hessian_vector_product(self, x: Tensor, v: Tensor) -> Tensor:
        """∇²L(x) v, exactly, without forming the Hessian (Pearlmutter, 1994).

        x and v have shape [..., dim] and broadcast against each other.
        """
        x, v = require_pair(x, v, self.dim)
        return self._batched(_double_backward(self._scalar), x, v)

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v at one point x [dim], for many v in turn.

        The graph of the gradient is built once and kept, so a product costs less than by
        :meth:`hessian_vector_product`.
        """
        require_point("x", x, self.dim)
        at = x.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self._scalar(at), at, create_graph=True)

        def product(v: Tensor) -> Tensor:
            if not gradient.requires_grad:  # a linear loss
                return torch.zeros_like(v)
            (image,) = torch.autograd.grad(
                gradient, at, v, retain_graph=True, materialize_grads=True
            )
            return image

        return product

    def hessian(self, x: Tensor) -> Tensor:
        """∇²L(x) as a dense matrix: [..., dim] → [..., dim, dim]. For small D."""
        require_point("x", x, self.dim)
        basis = torch.eye(self.dim, dtype=x.dtype, device=x.device)
        rows = self.hessian_vector_product(x.unsqueeze(-2), basis.expand(*x.shape, self.dim))
        return (rows + rows.mT) / 2

    @property
    def components(self) -> Sequence[Objective] | None:
        """The L_k of L = (1/M) Σ_k L_k, or None if L is not given as a finite sum."""
        return None

    def component_gradient(self, x: Tensor, k: Tensor) -> Tensor:
        """∇L_k(x) with one component index per point: x [batch, dim], k [batch] → [batch, dim].

        Raises
        ------
        ValueError
            If the objective is not a finite sum.
        """
        raise ValueError(
            "this objective has no components: a stochastic rule needs a loss that is a mean "
            "of terms, such as a landscape or Objective.from_module(model, loss_fn, data)"
        )

    def _scalar(self, x: Tensor) -> Tensor:
        value = self._function(x)
        if not isinstance(value, Tensor) or value.dim() != 0:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"function must return a scalar tensor (shape []), got {got}")
        return value

    def _batched(self, function: Callable[..., Tensor], *points: Tensor) -> Tensor:
        shape = points[0].shape[:-1]
        if not shape:
            return function(*points)
        flat = [point.reshape(-1, self.dim) for point in points]
        result: Tensor = vmap(function, randomness="same")(*flat)
        return result.reshape(*shape, *result.shape[1:])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim})"


def _double_backward(function: ScalarFunction) -> Callable[[Tensor, Tensor], Tensor]:
    """Hessian-vector product as the gradient of ⟨∇L(x), v⟩, v held fixed."""

    def product(x: Tensor, v: Tensor) -> Tensor:
        result: Tensor = grad(lambda y: torch.dot(grad(function)(y), v))(x)
        return result

    return product


class ModuleObjective(Objective):
    """The training loss of a network as a function of its flattened parameters.

    Made by :meth:`Objective.from_module`, which explains the arguments.
    """

    def __init__(self, model: nn.Module, loss_fn: LossFunction, data: tuple[Any, Any]) -> None:
        inputs, targets = _require_rows(data)
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if not self._parameters:
            raise ValueError("model has no parameter with requires_grad=True")
        self._model = model
        # A copy fixes eval mode without touching the caller's module; its parameters and
        # buffers are replaced by ours at every call.
        self._skeleton = copy.deepcopy(model).eval()
        self._loss_fn = loss_fn
        self._inputs, self._targets = inputs, targets
        self._shapes = [p.shape for p in self._parameters.values()]
        self._sizes = [p.numel() for p in self._parameters.values()]
        super().__init__(lambda x: self._loss(x, inputs, targets), sum(self._sizes))

    def flat_parameters(self) -> Tensor:
        """A copy of the model's trainable parameters as they are now: [dim]."""
        return torch.cat([p.detach().reshape(-1) for p in self._parameters.values()])

    def load_flat_parameters(self, x: Tensor) -> None:
        """Write x [dim] into the model's trainable parameters."""
        require_point("x", x, self.dim)
        if x.dim() != 1:
            raise ValueError(f"x must have shape [{self.dim}], got {tuple(x.shape)}")
        with torch.no_grad():
            for name, part in self._unflatten(x).items():
                self._parameters[name].copy_(part)

    @property
    def components(self) -> Sequence[Objective]:
        """One objective per data row: L_k(x) = loss_fn(model(inputs[k]; x), targets[k])."""
        return _RowObjectives(self)

    def component_gradient(self, x: Tensor, k: Tensor) -> Tensor:
        """∇L_k(x) with one row index per point: x [batch, dim], k [batch] → [batch, dim]."""
        require_point("x", x, self.dim)
        inputs, targets = self._inputs[k].unsqueeze(1), self._targets[k].unsqueeze(1)
        result: Tensor = vmap(grad(self._loss))(x, inputs, targets)
        return result

    def row(self, k: int) -> Objective:
        """The loss of data row k alone."""
        inputs, targets = self._inputs[k : k + 1], self._targets[k : k + 1]
        return Objective(lambda x: self._loss(x, inputs, targets), self.dim)

    @property
    def rows(self) -> int:
        """The number of data rows."""
        return len(self._inputs)

    def _unflatten(self, x: Tensor) -> dict[str, Tensor]:
        parts = torch.split(x, self._sizes)
        names_and_shapes = zip(self._parameters, self._shapes, strict=True)
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(names_and_shapes, parts, strict=True)
        }

    def _loss(self, x: Tensor, inputs: Any, targets: Any) -> Tensor:
        frozen = {n: p for n, p in self._model.named_parameters() if n not in self._parameters}
        # Copies, because a module may write to its buffers when it is evaluated.
        buffers = {n: b.clone() for n, b in self._model.named_buffers()}
        state = {**frozen, **buffers, **self._unflatten(x)}
        loss: Tensor = self._loss_fn(functional_call(self._skeleton, state, (inputs,)), targets)
        return loss


class _RowObjectives(Sequence[Objective]):
    """The components of a ModuleObjective, made when asked for."""

    def __init__(self, objective: ModuleObjective) -> None:
        self._objective = objective

    def __len__(self) -> int:
        return self._objective.rows

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return [self._objective.row(j) for j in range(len(self))[k]]
        return self._objective.row(range(len(self))[k])


def _require_rows(data: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError("data must be a pair (inputs, targets) of tensors")
    inputs, targets = data
    if not isinstance(inputs, Tensor) or not isinstance(targets, Tensor):
        raise TypeError(
            "data must be a pair of tensors, got "
            f"({type(inputs).__name__}, {type(targets).__name__})"
        )
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise ValueError(
            f"inputs and targets must have the same number of rows, at least one; "
            f"got {len(inputs)} and {len(targets)}"
        )
    return inputs, targets
