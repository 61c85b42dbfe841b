"""The mean of what batches give, each with the weight that it has among all data."""

from __future__ import annotations

import torch
from torch import Tensor


class WeightedMean:
    """The mean of tensors that come one after another, each with a weight ≥ 0.

    What has weight 0 is passed over, also where it is not finite.
    """

    def __init__(self) -> None:
        self.parts: tuple[Tensor, ...] | None = None
        self.weight: float | Tensor = 0  # of all that came

    def add(self, parts: tuple[Tensor, ...], weight: float | Tensor) -> None:
        """Take in tensors of the shapes of those before."""
        if not isinstance(weight, Tensor) and not weight:
            return
        if isinstance(weight, Tensor):  # stays on its device: nobody has to wait for it
            weight = weight.to(torch.promote_types(parts[0].dtype, torch.float32))
        before, self.weight = self.weight, self.weight + weight
        if self.parts is None:
            self.parts = parts
            return
        share = weight / self.weight
        self.parts = tuple(
            _towards(mean, part, share, before)
            for mean, part in zip(self.parts, parts, strict=True)
        )


def _towards(mean: Tensor, part: Tensor, share: float | Tensor, before: float | Tensor) -> Tensor:
    if not isinstance(share, Tensor):
        return mean + (part - mean) * share
    moved = torch.where(torch.as_tensor(before) > 0, mean + (part - mean) * share.to(mean), part)
    return torch.where(share > 0, moved, mean)
