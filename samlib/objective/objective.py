"""A loss L: R^D → R on a flat parameter vector, with its derivatives, batched.

Everything else in samlib takes an :class:`Objective`: it asks for values, gradients and
Hessian-vector products and never looks inside. Make one from any differentiable function
of a vector, or from a network, a loss and data with :meth:`Objective.from_module`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from samlib._batching import how_many_at_once
from samlib._validation import (
    require_callable,
    require_count,
    require_flag,
    require_instance,
    require_one_point,
    require_pair,
    require_point,
    require_points,
    require_text,
    require_vector,
)
from samlib.objective.average import AverageLoss
from samlib.objective.batch_loss import BatchLoss
from samlib.objective.components import Rows
from samlib.objective.data import Pairs
from samlib.objective.derivatives import (
    Derivative,
    ScalarFunction,
    double_backward,
    gradient,
    kept_graph,
    value,
)
from samlib.objective.network import LossFunction, Network
from samlib.objective.points import at_points
from samlib.objective.rounding import with_rounding_unit


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
        self._rounding_units: dict[tuple[torch.dtype, torch.device], float] = {}

    @classmethod
    def from_module(
        cls,
        model: nn.Module,
        loss_fn: LossFunction,
        data: tuple[Any, Any] | Pairs,
        *,
        check: bool = True,
    ) -> ModuleObjective:
        """Make the objective x ↦ loss_fn(model(inputs; x), targets), averaged over the data.

        Parameters
        ----------
        model
            The network. Its trainable parameters, flattened in the order of
            ``model.parameters()``, are x. Sharpness belongs to a deterministic function, so the
            network is evaluated in eval mode: dropout is off and BatchNorm uses its running
            statistics. An evaluation borrows the module and gives it back as it was, with its
            mode, buffers, attributes and ``.grad`` fields: do not train it in another thread
            meanwhile.
        loss_fn
            Maps (outputs, targets) to a scalar that averages over the rows, as
            ``torch.nn.MSELoss()`` does. It may read the model's parameters, for a penalty. Those
            of torch's losses that divide by something else than rows (kept labels, the weights
            of their classes, single entries) are known, as objects or functions.
        data
            (inputs, targets), two tensors with the same number of rows, or anything that gives
            such pairs and can be iterated again and again: a list, a DataLoader. Batches count
            by what the loss divides by, or else by their rows, so that the mean is that over all
            data and the last may be short; one batch is in memory at a time. Nothing is moved
            between devices.
        check
            Whether to make sure of what the numbers rest on. The first evaluation then takes a
            second pass over the data, and refuses a loss that is not the same in both, or that
            sums over rows, or reads parameters from elsewhere than the model. It warns of
            parameters that the loss does not depend on, and of a loss that is no mean over rows.

        Raises
        ------
        TypeError
            If data is neither, or can be iterated only once.
        ValueError
            If inputs and targets differ in their rows or have none, if the loader's sampler
            draws other rows in every pass, if loss_fn sums, or if the model has no trainable
            parameter; at the first evaluation, if a check fails.

        Examples
        --------
        >>> import torch, samlib
        >>> model = torch.nn.Linear(3, 1)
        >>> rows = torch.utils.data.TensorDataset(torch.randn(8, 3), torch.randn(8, 1))
        >>> loader = torch.utils.data.DataLoader(rows, batch_size=5)
        >>> samlib.Objective.from_module(model, torch.nn.MSELoss(), loader)
        ModuleObjective(dim=4, model=Linear, data=DataLoader)
        """
        return ModuleObjective(model, loss_fn, data, check=check)

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
        return lambda v: product(require_vector("v", v, x))[0]

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
        x = require_points("x", x, self.dim)
        key = x.dtype, x.device
        if key not in self._rounding_units:
            point = x.detach().reshape(-1, self.dim)[0]
            unit = with_rounding_unit(lambda: self._once(point))[1]
            self._rounding_units[key] = max(unit, torch.finfo(x.dtype).eps)
        return self._rounding_units[key]

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

    def _once(self, x: Tensor) -> Tensor:
        """L at one point x [dim], or the loss of some of the data there."""
        return self._scalar(x)

    def _batched(self, derive: Callable[[ScalarFunction], Derivative], *points: Tensor) -> Tensor:
        at_once = how_many_at_once(self.dim)
        return at_points(derive(self._scalar), *points, at_once=at_once)[0]

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
        self,
        model: nn.Module,
        loss_fn: LossFunction,
        data: tuple[Any, Any] | Pairs,
        *,
        check: bool = True,
    ) -> None:
        require_instance("model", model, nn.Module, "a torch.nn.Module")
        require_callable("loss_fn", loss_fn, "(outputs, targets) ↦ a scalar tensor")
        self._network = Network(model, loss_fn)
        self._average = AverageLoss(self._network, data, check=require_flag("check", check))
        pair = self._average.pair
        self._rows: Rows | None = None
        if pair is not None and isinstance(pair[0], Tensor):
            self._rows = Rows(self._average, *pair, check=check)
        super().__init__(self.value, self._network.dim)

    def flat_parameters(self) -> Tensor:
        """A copy of the model's trainable parameters as they are now: [dim]."""
        return self._network.flatten()

    def load_flat_parameters(self, x: Tensor) -> None:
        """Write x [dim] into the model's trainable parameters."""
        self._network.load(require_one_point("x", x, self.dim))

    def where(self, *names: str) -> Tensor:
        """Which coordinates of x are these parameters: booleans [dim].

        Parameters
        ----------
        names
            Names of trainable parameters, as in ``model.named_parameters()``, or shell patterns.

        Raises
        ------
        ValueError
            If no parameter is called so.

        Examples
        --------
        >>> import torch, samlib
        >>> data = torch.zeros(1, 2), torch.zeros(1, 1)
        >>> model, loss_fn = torch.nn.Linear(2, 1), torch.nn.MSELoss()
        >>> objective = samlib.Objective.from_module(model, loss_fn, data)
        >>> objective.where("w*")
        tensor([ True,  True, False])
        """
        for name in names:
            require_text("names", name)
        return self._network.where(names)

    @property
    def in_one_batch(self) -> bool:
        """Whether the data are one pair of tensors."""
        return self._average.pair is not None

    def batches(self, x: Tensor) -> Iterator[BatchLoss]:
        """The loss of each batch of the data, for what is done at x [dim]."""
        return self._average.batch_losses(require_one_point("x", x, self.dim))

    def value(self, x: Tensor) -> Tensor:
        """L(x): [..., dim] → [...]."""
        return self._average.mean(value, require_point("x", x, self.dim))

    def gradient(self, x: Tensor) -> Tensor:
        """∇L(x): [..., dim] → [..., dim]."""
        return self._average.mean(gradient, require_point("x", x, self.dim))

    def hessian_vector_product(self, x: Tensor, v: Tensor) -> Tensor:
        """∇²L(x) v. x and v have shape [..., dim] and broadcast against each other."""
        return self._average.mean(double_backward, *require_pair(x, v, self.dim))

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v at one point x [dim], for many v [dim] in turn.

        Over one pair of tensors the graph of the gradient is kept. Over batches it is made anew
        for each, so that memory does not grow with their number. On a GPU, a network with
        convolutions is differentiated forwards first, because the second backward pass of a
        convolution is slow there.
        """
        product = self._average.hessian_operator(require_one_point("x", x, self.dim))
        return lambda v: product(require_vector("v", v, x))

    @property
    def components(self) -> Sequence[Objective] | None:
        """One objective per data row, L_k(x) = loss_fn(model(inputs[k]; x), targets[k]).

        Where rows count differently, by ``ignore_index`` or weights of classes, each L_k is
        multiplied by how much it counts, so that L is their mean. None if the data came in
        batches, which may be shuffled: their rows have no numbers.

        Raises
        ------
        ValueError
            If a check finds that loss_fn is not a mean over rows.
        """
        return None if self._rows is None else _RowObjectives(self._require_rows(), self.dim)

    def component_value(self, x: Tensor, k: Tensor) -> Tensor:
        """L_k(x) with one row index per point: x [batch, dim], k [batch] → [batch]."""
        return self._require_rows().at(value, require_point("x", x, self.dim), k)

    def component_gradient(self, x: Tensor, k: Tensor) -> Tensor:
        """∇L_k(x) with one row index per point: x [batch, dim], k [batch] → [batch, dim]."""
        return self._require_rows().at(gradient, require_point("x", x, self.dim), k)

    def row(self, k: int) -> Objective:
        """The loss of data row k alone, times how much it counts."""
        rows = self._require_rows()
        return Objective(
            rows.alone(require_count("k", k, minimum=0, maximum=len(rows) - 1)), self.dim
        )

    def _require_rows(self) -> Rows:
        if self._rows is None:
            raise _no_components()
        self._rows.require_mean()
        return self._rows

    def _once(self, x: Tensor) -> Tensor:
        return self._average.of_first_batch(x)

    def __repr__(self) -> str:
        model = type(self._network.module).__name__
        return f"ModuleObjective(dim={self.dim}, model={model}, {self._average.described})"


class _RowObjectives(Sequence[Objective]):
    """The components of a ModuleObjective, made when asked for."""

    def __init__(self, rows: Rows, dim: int) -> None:
        self._rows, self._dim = rows, dim

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return [self[j] for j in range(len(self))[k]]
        return Objective(self._rows.alone(range(len(self))[k]), self._dim)
