"""The loss of one batch, as a whole and as a loss of the network's outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from samlib.objective.dependence import require_of_outputs
from samlib.objective.linearization import Linearization
from samlib.objective.network import LossFunction, Network, one_tensor
from samlib.objective.rounding import with_rounding_unit
from samlib.objective.rows import rows_make
from samlib.objective.sizes import Size, shares_of_rows, weigh


class BatchLoss:
    """x ↦ ℓ(f(x)), f the outputs of a network on a batch and ℓ their loss.

    Parameters
    ----------
    network
        The network with its loss.
    inputs, targets
        The batch.
    size
        What the loss of a batch divides by, None if that is not known.
    before
        How many entries the targets of the batches before it have.
    """

    def __init__(
        self, network: Network, inputs: Any, targets: Tensor, size: Size | None, before: int
    ) -> None:
        self.inputs, self.targets, self.before = inputs, targets, before
        self._network, self._size = network, size

    @property
    def weight(self) -> float | Tensor:
        """How much the batch counts in the mean over all of them."""
        return weigh(self._size, self.targets)

    @property
    def loss_fn(self) -> LossFunction:
        """ℓ, as a function of outputs and targets."""
        return self._network.loss_fn

    def __call__(self, x: Tensor) -> Tensor:
        """ℓ(f(x)): [dim] → []."""
        return self._network.loss(x, self.inputs, self.targets)

    def outputs(self, x: Tensor) -> Tensor:
        """f(x).

        Raises
        ------
        TypeError
            If the model gives something else than one tensor.
        """
        return self._network.evaluate(self._network.unflatten(x), self.inputs, one_tensor)

    def linearized(self, x: Tensor) -> Linearization:
        """f near x [dim]."""
        return Linearization(self.outputs, x, forwards=self._network.convolves)

    def of_outputs(self, outputs: Tensor) -> Tensor:
        """ℓ of outputs."""
        return self._network.loss_of(outputs, self.targets)

    def require_of_outputs(self, x: Tensor) -> None:
        """Raise ``ValueError`` if the loss depends on x otherwise than through the outputs."""
        require_of_outputs(self._network, x, self.inputs, self.targets)

    def is_mean_over_rows(self, x: Tensor) -> bool:
        """Whether ℓ is the mean of the losses of the rows, weighted by ``shares``, at x [dim]."""
        batch = self.inputs, self.targets
        loss, unit = with_rounding_unit(lambda: self(x.detach()))
        return rows_make(self._network, self._size, x, batch, float(loss.detach()), unit) == "mean"

    def shares(self, dtype: torch.dtype) -> Tensor:
        """How much each row counts in ℓ, as a share of all: [rows]."""
        return shares_of_rows(self._size, self.targets, dtype)
