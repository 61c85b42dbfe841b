"""A loss L: R^D → R on a flat parameter vector, with its derivatives, batched.

Everything else in samlib takes an :class:`Objective`: it asks for values, gradients and products
with the Hessian, and never looks inside. Make one from any differentiable function of a vector, or
from a network and data with :meth:`Objective.from_loss` or :meth:`Objective.from_module`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch.distributed as dist
from torch import Size, Tensor, nn

from samlib._validation import (
    require_count,
    require_flag,
    require_instance,
    require_one_point,
    require_pair,
    require_point,
    require_text,
)
from samlib.linalg import Shards
from samlib.objective.average import AverageLoss
from samlib.objective.batch import Batch, is_cuttable
from samlib.objective.batch_loss import BatchLoss
from samlib.objective.components import Lazy, Rows
from samlib.objective.data import Data, require_like
from samlib.objective.derivatives import double_backward, gradient, value
from samlib.objective.losses import (
    Loss,
    LossFunction,
    LossOfModel,
    LossOfOutputs,
    ModelLossFunction,
    inputs_of,
)
from samlib.objective.network import Chosen, Network
from samlib.objective.process_group import processes_of
from samlib.objective.products import Products
from samlib.objective.scalar_field import ScalarField, no_components
from samlib.objective.shares import SizeArgument, require_size


class Objective(ScalarField):
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

    @classmethod
    def from_loss(
        cls,
        model: nn.Module,
        loss: ModelLossFunction,
        data: Any,
        *,
        size: SizeArgument = None,
        parameters: Chosen | None = None,
        process_group: dist.ProcessGroup | None = None,
        shard_vectors: bool | None = None,
        check: bool = True,
    ) -> ModuleObjective:
        """Make the objective x ↦ loss(model, batch) with x as the model's parameters, averaged.

        Parameters
        ----------
        model
            The network. Its trainable parameters, flattened in the order of
            ``model.parameters()``, are x. Sharpness belongs to a deterministic function, so the
            network is evaluated in eval mode: dropout is off and BatchNorm uses its running
            statistics. An evaluation borrows the module and gives it back as it was, with its
            mode, buffers, attributes and ``.grad`` fields: do not train it in another thread
            meanwhile. What compiles it or spreads it over devices is taken off.
        loss
            Maps the model and a batch to a scalar that averages over what the batch counts by,
            such as ``lambda model, batch: model(**batch).loss``. It may read the model's
            parameters, for a penalty.
        data
            One batch, a mapping, a tensor or a tuple of tensors, or anything that gives batches
            and can be iterated again and again: a list, a DataLoader. One batch is in memory at a
            time, and is moved to the device of x.
        size
            Maps a batch to the number of units that its loss is the mean of, so that the mean over
            batches is that over all units: tokens, pixels, kept labels. If not given, it is what
            torch's own loss divides by (labels that are not ignored, the weights of their
            classes, single entries), wherever the loss is what one of them gave; else the rows.
            "batch": the loss belongs to whole batches, as a contrastive one does; each counts as
            one.
        parameters
            Which of the trainable parameters make x: names or shell patterns of them, as in
            ``model.named_parameters()``, or (name, parameter) ↦ whether it does. The others are
            constants. All, if not given.
        process_group
            The processes that share the data, such as ``torch.distributed.group.WORLD``: each has
            the model, with the same parameters, and rows of its own, however many, or none
            (``data=[]``). Results are those of all rows, to the bit the same in each. Every
            process must make the same calls, and an error in one ends them in all.
        shard_vectors
            Whether each process holds a part alone of vectors (x, v, eigenvectors, the basis of
            Lanczos), ``objective.shards.length`` entries of ``objective.dim``. It does where the
            model's parameters are spread by ``fully_shard``; each is gathered as it is used.
        check
            Whether to make sure of what the numbers rest on. The first evaluation then takes a
            second pass over the data, and refuses a loss that is not the same in both, or that
            sums over rows, or reads parameters from elsewhere than the model. It warns of
            parameters that the loss does not depend on, and of a loss that is no mean over rows.

        Raises
        ------
        TypeError
            If an argument is of the wrong kind, or data can be iterated only once.
        ValueError
            If the loader's sampler draws other rows in every pass, or no trainable parameter is
            called so; at the first evaluation, if a check fails.

        Examples
        --------
        >>> import torch, samlib
        >>> model = torch.nn.Linear(3, 1)
        >>> batch = {"x": torch.randn(8, 3), "y": torch.randn(8, 1)}
        >>> def loss(model, batch):
        ...     return (model(batch["x"]) - batch["y"]).square().mean()
        >>> samlib.Objective.from_loss(model, loss, batch, parameters="weight")
        ModuleObjective(dim=3, model=Linear, rows=8)
        """
        return ModuleObjective(
            model,
            LossOfModel(loss),
            data,
            size=size,
            parameters=parameters,
            process_group=process_group,
            shard_vectors=shard_vectors,
            check=check,
        )

    @classmethod
    def from_module(
        cls,
        model: nn.Module,
        loss_fn: LossFunction,
        data: Data,
        *,
        size: SizeArgument = None,
        parameters: Chosen | None = None,
        process_group: dist.ProcessGroup | None = None,
        shard_vectors: bool | None = None,
        check: bool = True,
    ) -> ModuleObjective:
        """Make the objective x ↦ loss_fn(model(inputs; x), targets), averaged over the data.

        That is :meth:`from_loss` for a model of inputs and a loss of outputs and targets.

        Parameters
        ----------
        model, size, parameters, process_group, shard_vectors, check
            As for :meth:`from_loss`.
        loss_fn
            Maps (outputs, targets) to a scalar that averages over the rows, as
            ``torch.nn.MSELoss()`` does. What torch's own losses divide by is known.
        data
            (inputs, targets), two tensors with the same number of rows, or anything that gives
            such pairs and can be iterated again and again: a list, a DataLoader. Inputs may be
            several, (inputs, ..., targets), or a tuple, for ``model(*inputs)``, or a mapping, for
            ``model(**inputs)``. A batch that is a mapping is both, inputs and targets.

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
        return ModuleObjective(
            model,
            LossOfOutputs(loss_fn),
            data,
            size=size,
            parameters=parameters,
            process_group=process_group,
            shard_vectors=shard_vectors,
            check=check,
        )


def require_objective(objective: Objective) -> Objective:
    """Return ``objective`` if it is one, otherwise raise ``TypeError``."""
    return require_instance("objective", objective, Objective, "a samlib.Objective")


class ModuleObjective(Objective):
    """The training loss of a network as a function of its flattened parameters.

    Made by :meth:`Objective.from_loss` or :meth:`Objective.from_module`: see there.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Any,
        *,
        size: SizeArgument = None,
        parameters: Chosen | None = None,
        process_group: dist.ProcessGroup | None = None,
        shard_vectors: bool | None = None,
        check: bool = True,
    ) -> None:
        require_instance("model", model, nn.Module, "a torch.nn.Module")
        made = "made by Objective.from_loss or Objective.from_module"
        require_instance("loss", loss, (LossOfModel, LossOfOutputs), made)
        data = loss.require_data(data, sized=size is not None)
        self._network = Network(model, parameters)
        self.processes = processes_of(self._network, process_group, shard_vectors)
        self._loss = loss
        self._average = AverageLoss(
            self._network,
            loss,
            data,
            size=require_size(size),
            require=self._require_batch,
            processes=self.processes.gathering_for(self._network),
            check=require_flag("check", check),
        )
        self._rows: Rows | None = None
        if not self.processes.several and self._average.in_one_batch and is_cuttable(data):
            self._rows = Rows(self._average, self._average.one_batch, check=check)
        super().__init__(self.value, self._network.dim)

    @property
    def shapes(self) -> dict[str, Size]:
        """The shapes of the parameters of x, by name and in their order."""
        return {name: p.shape for name, p in self._network.parameters.items()}

    @property
    def shards(self) -> Shards:
        """How points and vectors lie over processes."""
        return self.processes.shards

    def flat_parameters(self) -> Tensor:
        """A copy of the model's parameters that make x, as they are now: [dim]."""
        return self._network.flatten(self.shards)

    def load_flat_parameters(self, x: Tensor) -> None:
        """Write x [dim] into the model's parameters."""
        self._network.load(self.shards.whole(require_one_point("x", x, self.shards.length)))

    def where(self, *names: str) -> Tensor:
        """Which coordinates of x are these parameters: booleans [dim].

        Parameters
        ----------
        names
            Names of parameters of x, as in ``model.named_parameters()``, or shell patterns.

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
        return self.shards.part(self._network.where(names))

    @property
    def in_one_batch(self) -> bool:
        """Whether the data are one batch."""
        return self._average.in_one_batch

    @property
    def obstacle(self) -> str | None:
        """Why points are evaluated one by one; None if they are evaluated together.

        torch.func.vmap cannot follow every network: recurrent layers, masks that select.
        """
        return self._average.together.obstacle

    def batches(self, x: Tensor) -> Iterator[BatchLoss]:
        """The losses of this process's batches, for what is done at x [dim], the whole of it."""
        return self._average.batch_losses(require_one_point("x", x, self.dim))

    def look(self, x: Tensor) -> None:
        """Make sure once, at x [dim], of what the loss must be like."""
        self._average.look(require_one_point("x", x, self.shards.length))

    def value(self, x: Tensor) -> Tensor:
        """L(x): [..., dim] → [...]."""
        return self._average.mean(value, require_point("x", x, self.shards.length))

    def gradient(self, x: Tensor) -> Tensor:
        """∇L(x): [..., dim] → [..., dim]."""
        return self._average.mean(gradient, require_point("x", x, self.shards.length))

    def hessian_vector_product(self, x: Tensor, v: Tensor) -> Tensor:
        """∇²L(x) v. x and v have shape [..., dim] and broadcast against each other."""
        return self._average.mean(double_backward, *require_pair(x, v, self.shards.length))

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v at one point x [dim], for many v [dim] in turn.

        Over one batch the graph of the gradient is kept. Over several it is made anew for each, so
        that memory does not grow with their number. On a GPU, a network with convolutions is
        differentiated forwards first, because the second backward pass of a convolution is slow
        there.
        """
        product = self._average.hessian_operator(require_one_point("x", x, self.shards.length))
        return Products(product, x, self._average.by_batch(x))

    @property
    def components(self) -> Sequence[Objective] | None:
        """One objective per data row, the loss of the network on row k alone, L_k(x).

        Where rows count differently, by ``ignore_index`` or weights of classes, each L_k is
        multiplied by how much it counts, so that L is their mean. None if the data came in
        batches, which may be shuffled: their rows have no numbers.

        Raises
        ------
        ValueError
            If a check finds that the loss is not a mean over rows.
        """
        return None if self._rows is None else Lazy(self.row, len(self._require_rows()))

    def component_value(self, x: Tensor, k: Tensor) -> Tensor:
        """L_k(x) with one row index per point: x [batch, dim], k [batch] → [batch]."""
        return self._require_rows().at(value, require_point("x", x, self.shards.length), k)

    def component_gradient(self, x: Tensor, k: Tensor) -> Tensor:
        """∇L_k(x) with one row index per point: x [batch, dim], k [batch] → [batch, dim]."""
        return self._require_rows().at(gradient, require_point("x", x, self.shards.length), k)

    def row(self, k: int) -> Objective:
        """The loss of data row k alone, times how much it counts."""
        rows = self._require_rows()
        return Objective(
            rows.alone(require_count("k", k, minimum=0, maximum=len(rows) - 1)), self.dim
        )

    def _require_rows(self) -> Rows:
        if self._rows is None:
            raise no_components()
        self._rows.require_mean()
        return self._rows

    def _require_batch(self, batch: Batch, x: Tensor) -> Batch:
        self._loss.require_batch(batch)
        of_outputs = isinstance(self._loss, LossOfOutputs) and not isinstance(batch, Mapping)
        if of_outputs and not self._network.is_mixed:
            require_like(x, inputs_of(batch))
        return batch

    def _unit_at(self, x: Tensor) -> float:
        return self._average.rounding_unit(x)

    def __repr__(self) -> str:
        model = type(self._network.module).__name__
        return f"ModuleObjective(dim={self.dim}, model={model}, {self._average.described})"
