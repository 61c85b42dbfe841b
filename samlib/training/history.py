"""What happened during a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd
import torch
from torch import Tensor

Status = Literal["complete", "interrupted", "diverged"]


class Reading(NamedTuple):
    """What a monitor read under one name: values [n] at steps [n], errors [n] where it gave any."""

    steps: Tensor
    values: Tensor
    errors: Tensor | None


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """What happened during :func:`fit`.

    Attributes
    ----------
    losses
        [steps], float64: ``losses[t]`` is the loss of the batch of step t + 1 at the weights
        before it, that is, after t steps. In full-batch training it is L(x_t).
    epochs
        [steps], the epoch of each step, counted from 1.
    readings
        A :class:`Reading` for each name that a monitor gave, also available as
        ``history[name]``: steps, values, errors.
    status
        "complete"; "interrupted" by the keyboard; or "diverged", that is, stopped at a loss that
        is not finite, which is then the last of ``losses``.
    """

    losses: Tensor
    epochs: Tensor
    readings: Mapping[str, Reading]
    status: Status

    def __getitem__(self, name: str) -> Reading:
        if name not in self.readings:
            raise KeyError(f"{name!r} was not read; there is {', '.join(self.readings) or 'none'}")
        return self.readings[name]

    @property
    def epoch_losses(self) -> Tensor:
        """The mean of the losses over each epoch, [epochs]."""
        count = torch.bincount(self.epochs)[1:]
        return torch.bincount(self.epochs, self.losses)[1:] / count

    def to_dataframe(self) -> pd.DataFrame:
        """One row per step t = 0, 1, …: step, epoch, loss, and what was read after t steps.

        The error of a reading is the column ``<name>_error``. What is not known is NaN: the loss
        after the last step, and readings between two calls of their monitor.
        """
        steps = range(len(self.losses))
        table = pd.DataFrame(
            {"epoch": self.epochs.numpy(), "loss": self.losses.numpy()},
            index=pd.Index(steps, name="step"),
        )
        for name, reading in self.readings.items():
            index = pd.Index(reading.steps.numpy(), name="step")
            columns = {name: pd.Series(reading.values.numpy(), index)}
            if reading.errors is not None:
                columns[f"{name}_error"] = pd.Series(reading.errors.numpy(), index)
            table = table.join(pd.DataFrame(columns), how="outer")
        # The readings at the end belong to the last epoch.
        table["epoch"] = table["epoch"].ffill().fillna(1).astype("int64")
        return table.reset_index()

    def __repr__(self) -> str:
        steps, epochs = len(self.losses), int(self.epochs[-1]) if len(self.epochs) else 0
        lines = [f"History: {plural(steps, 'step')}, {plural(epochs, 'epoch')}, {self.status}"]
        if steps:
            means = self.epoch_losses
            lines.append(f"  loss = {means[0]:.4g} → {means[-1]:.4g}")
        for name, (_, values, errors) in self.readings.items():
            last = f"{values[-1]:.4g}"
            if errors is not None:
                last += f" ± {errors[-1]:.1g}"
            lines.append(
                f"  {name} = {values[0]:.4g} → {last}" if len(values) > 1 else f"  {name} = {last}"
            )
        return "\n".join(lines)


def plural(count: int, noun: str) -> str:
    """Write a count with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
