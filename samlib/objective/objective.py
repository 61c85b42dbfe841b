"""A loss L: R^D → R on a flat parameter vector, with its derivatives, batched.

Everything else in samlib takes an :class:`Objective`: it asks for values, gradients and
Hessian-vector products and never looks inside. Make one from any differentiable function
of a vector, or from a network, a loss and data with :meth:`Objective.from_module`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.conv import _ConvNd
from torch.utils.data import DataLoader, RandomSampler

from samlib._validation import (
    require_callable,
    require_count,
    require_indices,
    require_instance,
    require_one_point,
    require_pair,
    require_point,
)
from samlib.objective.data import Pairs, require_batch, require_data
from samlib.objective.derivatives import (
    ScalarFunction,
    double_backward,
    kept_graph,
    reverse_over_forward,
)

LossFunction = Callable[[Any, Any], Tensor]

# Points are evaluated together as long as their numbers fit into about this many; beyond it, a
# batch saves no time and costs memory.
_BATCHED_NUMBERS = 2**24


class Objective:
    """A twice differentiable loss on Rᴰ.

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
        self._function = require_callable("function", function, "x [dim] ↦ a scalar tensor")
        self.dim = require_count("dim", dim, minimum=1)

    @classmethod
    def from_module(
        cls, model: nn.Module, loss_fn: LossFunction, data: tuple[Any, Any] | Pairs
    ) -> ModuleObjective:
        """Make the objective x ↦ loss_fn(model(inputs; x), targets), averaged over the data.

        Parameters
        ----------
        model
            The network. Its trainable parameters, flattened in the order of
            ``model.parameters()``, are x. Sharpness belongs to a deterministic function, so the
            network is evaluated in eval mode: dropout is off and BatchNorm uses its running
            statistics. The module itself, its mode, its buffers and its ``.grad`` fields are
            never changed.
        loss_fn
            Maps (outputs, targets) to a scalar that averages over the rows, as
            ``torch.nn.MSELoss()`` and ``torch.nn.CrossEntropyLoss()`` do.
        data
            (inputs, targets), two tensors with the same number of rows, or anything that gives
            such pairs and can be iterated again and again: a list, a DataLoader. Batches count
            by their rows, so the last may be short; one batch is in memory at a time. Nothing
            is moved between devices.

        Raises
        ------
        TypeError
            If data is neither, or can be iterated only once.
        ValueError
            If inputs and targets differ in their rows or have none, if the loader shuffles and
            drops its last batch (every pass would then see another loss), if loss_fn sums, or
            if the model has no trainable parameter.

        Examples
        --------
        >>> import torch, samlib
        >>> model = torch.nn.Linear(3, 1)
        >>> rows = torch.utils.data.TensorDataset(torch.randn(8, 3), torch.randn(8, 1))
        >>> loader = torch.utils.data.DataLoader(rows, batch_size=5)
        >>> samlib.Objective.from_module(model, torch.nn.MSELoss(), loader)
        ModuleObjective(dim=4, model=Linear, data=DataLoader)
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
        return self._batched(double_backward(self._scalar), x, v)

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v at one point x [dim], for many v [dim] in turn.

        The graph of the gradient is built once and kept, so a product costs less than by
        :meth:`hessian_vector_product`.
        """
        return kept_graph(self._scalar, require_one_point("x", x, self.dim))

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

    def component_value(self, x: Tensor, k: Tensor) -> Tensor:
        """L_k(x) with one component index per point: x [batch, dim], k [batch] → [batch].

        Raises
        ------
        ValueError
            If the objective is not a finite sum.
        """
        raise _no_components()

    def component_gradient(self, x: Tensor, k: Tensor) -> Tensor:
        """∇L_k(x) with one component index per point: x [batch, dim], k [batch] → [batch, dim].

        Raises
        ------
        ValueError
            If the objective is not a finite sum.
        """
        raise _no_components()

    def _scalar(self, x: Tensor) -> Tensor:
        value = self._function(x)
        if not isinstance(value, Tensor) or value.dim() != 0:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"function must return a scalar tensor (shape []), got {got}")
        return value

    def _batched(
        self, function: Callable[..., Tensor], *points: Tensor, at_once: int | None = None
    ) -> Tensor:
        shape = points[0].shape[:-1]
        if not shape:
            return function(*points)
        flat = [point.reshape(-1, self.dim) for point in points]
        if at_once is None:
            at_once = max(1, _BATCHED_NUMBERS // self.dim)
        result: Tensor
        if at_once == 1:
            result = torch.stack([function(*each) for each in zip(*flat, strict=True)])
        else:
            result = vmap(function, randomness="same", chunk_size=at_once)(*flat)
        return result.reshape(*shape, *result.shape[1:])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim})"


def require_objective(objective: Objective) -> Objective:
    """Return ``objective`` if it is one, otherwise raise ``TypeError``."""
    return require_instance("objective", objective, Objective, "a samlib.Objective")


def _no_components() -> ValueError:
    return ValueError(
        "this objective has no components: a stochastic rule or notion needs a loss that is a "
        "mean of terms, such as a landscape or Objective.from_module(model, loss_fn, (inputs, "
        "targets)) with one pair of tensors"
    )


class ModuleObjective(Objective):
    """The training loss of a network as a function of its flattened parameters.

    Made by :meth:`Objective.from_module`, which explains the arguments.
    """

    def __init__(
        self, model: nn.Module, loss_fn: LossFunction, data: tuple[Any, Any] | Pairs
    ) -> None:
        require_instance("model", model, nn.Module, "a torch.nn.Module")
        require_callable("loss_fn", loss_fn, "(outputs, targets) ↦ a scalar tensor")
        if getattr(loss_fn, "reduction", "mean") == "sum":
            raise ValueError("loss_fn must average over the rows, got one with reduction='sum'")
        self._pair = require_data(data)
        _require_same_loss(data)
        self._data = data if self._pair is None else [self._pair]
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if not self._parameters:
            raise ValueError("model has no parameter with requires_grad=True")
        self._model = model
        self._skeleton = _in_eval_mode(model)
        self._loss_fn = loss_fn
        self._convolves = any(isinstance(module, _ConvNd) for module in model.modules())
        self._shapes = [p.shape for p in self._parameters.values()]
        self._sizes = [p.numel() for p in self._parameters.values()]
        super().__init__(self.value, sum(self._sizes))

    def flat_parameters(self) -> Tensor:
        """A copy of the model's trainable parameters as they are now: [dim]."""
        return torch.cat([p.detach().reshape(-1) for p in self._parameters.values()])

    def load_flat_parameters(self, x: Tensor) -> None:
        """Write x [dim] into the model's trainable parameters."""
        require_one_point("x", x, self.dim)
        with torch.no_grad():
            for name, part in self._unflatten(x).items():
                self._parameters[name].copy_(part)

    def value(self, x: Tensor) -> Tensor:
        """L(x): [..., dim] → [...]."""
        return self._mean(lambda loss: loss, require_point("x", x, self.dim))

    def gradient(self, x: Tensor) -> Tensor:
        """∇L(x): [..., dim] → [..., dim]."""
        return self._mean(grad, require_point("x", x, self.dim))

    def hessian_vector_product(self, x: Tensor, v: Tensor) -> Tensor:
        """∇²L(x) v. x and v have shape [..., dim] and broadcast against each other."""
        return self._mean(double_backward, *require_pair(x, v, self.dim))

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v at one point x [dim], for many v [dim] in turn.

        Over one pair of tensors the graph of the gradient is kept. Over batches it is made anew
        for each, so that memory does not grow with their number. On a GPU, a network with
        convolutions is differentiated forwards first, because the second backward pass of a
        convolution is slow there.
        """
        require_one_point("x", x, self.dim)
        derive = reverse_over_forward if x.is_cuda and self._convolves else kept_graph
        if self._pair is not None:
            return derive(self._on(*self._pair), x)
        return lambda v: self._mean(lambda loss: lambda x, v: derive(loss, x)(v), x, v)

    @property
    def components(self) -> Sequence[Objective] | None:
        """One objective per data row, L_k(x) = loss_fn(model(inputs[k]; x), targets[k]).

        None if the data came in batches, which may be shuffled: their rows have no numbers.
        """
        pair = self._pair
        return _RowObjectives(self, len(pair[1])) if pair and isinstance(pair[0], Tensor) else None

    def component_value(self, x: Tensor, k: Tensor) -> Tensor:
        """L_k(x) with one row index per point: x [batch, dim], k [batch] → [batch]."""
        return self._by_row(self._loss, x, k)

    def component_gradient(self, x: Tensor, k: Tensor) -> Tensor:
        """∇L_k(x) with one row index per point: x [batch, dim], k [batch] → [batch, dim]."""
        return self._by_row(grad(self._loss), x, k)

    def row(self, k: int) -> Objective:
        """The loss of data row k alone."""
        inputs, targets = self._require_pair()
        require_count("k", k, minimum=0, maximum=len(targets) - 1)
        return Objective(self._on(inputs[k : k + 1], targets[k : k + 1]), self.dim)

    def _require_pair(self) -> tuple[Tensor, Tensor]:
        if self._pair is None or not isinstance(self._pair[0], Tensor):
            raise _no_components()
        return self._pair

    def _by_row(self, function: Callable[..., Tensor], x: Tensor, k: Tensor) -> Tensor:
        inputs, targets = self._require_pair()
        require_indices("k", k, require_point("x", x, self.dim), len(targets))
        result: Tensor = vmap(function, chunk_size=max(1, _BATCHED_NUMBERS // self.dim))(
            x, inputs[k].unsqueeze(1), targets[k].unsqueeze(1)
        )
        return result

    def _mean(self, derive: Callable[[ScalarFunction], Any], *points: Tensor) -> Tensor:
        """The mean over the rows of what ``derive`` makes of a batch's loss, at the points."""
        mean, rows = None, 0
        for inputs, targets in self._batches(points[0]):
            loss, at_once = self._on(inputs, targets), self._points_at_once(inputs)
            part = self._batched(derive(loss), *points, at_once=at_once)
            rows += len(targets)
            mean = part if mean is None else mean + (part - mean) * (len(targets) / rows)
        if mean is None:
            raise ValueError("data gave no batch; it must be possible to iterate it repeatedly")
        return mean

    def _batches(self, x: Tensor) -> Iterator[tuple[Any, Tensor]]:
        for batch in self._data:
            inputs, targets = require_batch(batch)
            if isinstance(inputs, Tensor):
                _require_like(x, inputs)
            yield inputs, targets

    def _points_at_once(self, inputs: Any) -> int:
        if not isinstance(inputs, Tensor):
            return 1
        # Hidden layers are counted as a multiple of the input: a guess, on the safe side.
        return max(1, _BATCHED_NUMBERS // max(self.dim, 16 * inputs.numel()))

    def _unflatten(self, x: Tensor) -> dict[str, Tensor]:
        parts = torch.split(x, self._sizes)
        names_and_shapes = zip(self._parameters, self._shapes, strict=True)
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(names_and_shapes, parts, strict=True)
        }

    def _on(self, inputs: Any, targets: Any) -> ScalarFunction:
        return lambda x: self._loss(x, inputs, targets)

    def _loss(self, x: Tensor, inputs: Any, targets: Any) -> Tensor:
        frozen = {n: p for n, p in self._model.named_parameters() if n not in self._parameters}
        # Copies, because a module may write to its buffers when it is evaluated.
        buffers = {n: b.clone() for n, b in self._model.named_buffers()}
        state = {**frozen, **buffers, **self._unflatten(x)}
        # The fused kernels of attention have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            loss = self._loss_fn(functional_call(self._skeleton, state, (inputs,)), targets)
        if not isinstance(loss, Tensor) or loss.dim() != 0:
            got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"loss_fn must return a scalar tensor (shape []), got {got}")
        return loss

    def __repr__(self) -> str:
        data = "DataLoader" if isinstance(self._data, DataLoader) else type(self._data).__name__
        seen = f"data={data}" if self._pair is None else f"rows={len(self._pair[1])}"
        return f"ModuleObjective(dim={self.dim}, model={type(self._model).__name__}, {seen})"


class _RowObjectives(Sequence[Objective]):
    """The components of a ModuleObjective, made when asked for."""

    def __init__(self, objective: ModuleObjective, rows: int) -> None:
        self._objective = objective
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return [self._objective.row(j) for j in range(len(self))[k]]
        return self._objective.row(range(len(self))[k])


def _in_eval_mode(model: nn.Module) -> nn.Module:
    """A copy of the module in eval mode that shares the original's parameters and buffers.

    Evaluating the copy leaves the caller's module, its mode included, untouched; sharing costs
    no memory, and every call brings parameters and buffers of its own.
    """
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors}).eval()


def _require_same_loss(data: tuple[Any, Any] | Pairs) -> None:
    """Refuse data that every pass sees otherwise."""
    if isinstance(data, DataLoader) and data.drop_last and isinstance(data.sampler, RandomSampler):
        raise ValueError(
            "data shuffles and drops its last batch, so that every pass sees another loss; "
            "make the DataLoader with drop_last=False or shuffle=False"
        )


def _require_like(x: Tensor, inputs: Tensor) -> None:
    if inputs.device != x.device:
        raise ValueError(
            f"x is on {x.device}, the inputs on {inputs.device}; move one of them first"
        )
    if inputs.is_floating_point() and inputs.dtype != x.dtype:
        raise ValueError(
            f"x has dtype {x.dtype}, the inputs {inputs.dtype}; give both in one dtype"
        )
