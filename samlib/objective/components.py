"""The losses of single rows, as the components of a loss over a pair of tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vmap

from samlib._batching import how_many_at_once
from samlib._validation import require_indices
from samlib.objective.average import AverageLoss
from samlib.objective.derivatives import Derivative, ScalarFunction
from samlib.objective.rounding import with_rounding_unit
from samlib.objective.rows import rows_make
from samlib.objective.second_pass import Pass


class Rows:
    """The losses of the rows, each times how much it counts, so that the loss is their mean.

    Parameters
    ----------
    average
        The loss over one pair of tensors.
    check
        Whether to make sure, before they are used, that it is their mean.
    """

    def __init__(
        self, average: AverageLoss, inputs: Tensor, targets: Tensor, *, check: bool
    ) -> None:
        self._average, self._inputs, self._targets = average, inputs, targets
        self._to_check = check

    def __len__(self) -> int:
        return len(self._targets)

    def require_mean(self) -> None:
        """Raise if the loss of the pair is not a mean over its rows; look once.

        Raises
        ------
        ValueError
            If it is not.
        """
        if not self._to_check:
            return
        network, pair = self._average.network, (self._inputs, self._targets)
        x = network.flatten()
        loss, unit = with_rounding_unit(lambda: network.loss(x, *pair))
        self._average.check(x, Pass(loss, 1, len(self)))
        kind = rows_make(network, self._average.size, x, pair, float(loss), unit)
        if kind != "mean":
            does = "sums" if kind == "sum" else "ignores or weighs targets, or compares rows"
            raise ValueError(
                f"this objective has no components: loss_fn is not a mean over rows (it {does}); "
                "give one of torch's losses, such as torch.nn.CrossEntropyLoss()"
            )
        self._to_check = False

    def alone(self, k: int) -> ScalarFunction:
        """The loss of row k."""
        network, row = self._average.network, slice(k, k + 1)
        inputs, targets = self._inputs[row], self._targets[row]
        if self._shares is None:
            return lambda x: network.loss(x, inputs, targets)
        share = float(self._shares[k])
        if share == 0:  # the loss of a row that is ignored is 0/0
            return lambda x: 0 * x.sum()
        return lambda x: share * network.loss(x, inputs, targets)

    def at(self, derive: Callable[[ScalarFunction], Derivative], x: Tensor, k: Tensor) -> Tensor:
        """What ``derive`` makes of row k's loss at x, for each of x [batch, dim] and k [batch]."""
        require_indices("k", k, x, len(self))

        def of_row(x: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
            return derive(lambda y: self._average.network.loss(y, inputs, targets))(x)[0]

        at_once = how_many_at_once(self._average.network.dim)
        result: Tensor = vmap(of_row, chunk_size=at_once)(
            x, self._inputs[k].unsqueeze(1), self._targets[k].unsqueeze(1)
        )
        if self._shares is None:
            return result
        share = self._shares.to(result)[k].reshape(-1, *[1] * (result.dim() - 1))
        return torch.where(share == 0, 0, share * result)

    @functools.cached_property
    def _shares(self) -> Tensor | None:
        """How much each row counts, 1 on average; None if all count alike."""
        size, targets = self._average.size, self._targets.cpu()
        if size is None or not isinstance(size(targets[:1]), Tensor):
            return None
        sizes = torch.stack([torch.as_tensor(size(row)) for row in targets.unsqueeze(1)]).double()
        return None if bool((sizes == sizes[0]).all()) else sizes * len(sizes) / sizes.sum()
