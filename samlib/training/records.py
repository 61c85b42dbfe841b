"""What is kept while a network is trained, so that nothing finished is lost."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Mapping

import torch
from torch import Tensor

from samlib.training.history import History, Reading, Status

# Losses stay on the device, where they cost nothing, and come to the host this many at a time.
_LOSSES_AT_ONCE = 100


class DivergedError(Exception):
    """A loss was not finite."""


class Records:
    """The losses of a training in progress, and the readings of its monitors.

    Whatever is added costs the same, however much is there. An interrupt between two statements
    finds everything that was added.
    """

    def __init__(self, monitors: int) -> None:
        self._losses: list[float] = []
        self._pending: list[Tensor] = []  # the newest losses, still on the device
        self._epochs: list[int] = []
        self._rows: list[tuple[int, Mapping[str, float]]] = []  # after which step, numbers by name
        self._owner: dict[str, int] = {}  # the monitor that gives a name
        self._read_at = [-1] * monitors  # after which step each monitor was called last

    @property
    def steps(self) -> int:
        """How many steps were finished."""
        return len(self._epochs)

    def add_step(self, epoch: int, loss: Tensor) -> None:
        """Keep the loss of a step that was finished, on its device for the time being."""
        self._pending.append(loss)
        self._epochs.append(epoch)
        if len(self._pending) == _LOSSES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Bring the losses to the host; raise ``DivergedError`` at one that is not finite."""
        if not self._pending:
            return
        newest = torch.stack(self._pending).cpu().double()
        wrong = (~newest.isfinite()).nonzero()
        if len(wrong):
            newest = newest[: int(wrong[0]) + 1]
        # One statement: an interrupt finds every loss in one of the two lists, and in one alone.
        self._losses[len(self._losses) :], self._pending = newest.tolist(), []
        if len(wrong):
            raise DivergedError

    def was_read(self, monitor: int) -> bool:
        """Whether the monitor of this number was called after the newest step."""
        return self._read_at[monitor] == self.steps

    def add_readings(self, monitor: int, readings: Mapping[str, float]) -> None:
        """Keep what the monitor of this number gave after the newest step."""
        for name in readings:
            if self._owner.setdefault(name, monitor) != monitor:
                raise ValueError(
                    f"two monitors give {name!r}; give one of them another name or prefix"
                )
        self._rows.append((self.steps, readings))
        self._read_at[monitor] = self.steps

    def mean_loss_of_epoch(self) -> float:
        """The mean of the losses of the newest epoch."""
        self.flush()
        losses = self._losses[bisect.bisect_left(self._epochs, self._epochs[-1]) :]
        return sum(losses) / len(losses)

    def history(self, status: Status) -> History:
        """All of it, for the user."""
        with contextlib.suppress(DivergedError):
            self.flush()
        steps = min(len(self._losses), len(self._epochs))
        return History(
            torch.tensor(self._losses[:steps], dtype=torch.float64),
            torch.tensor(self._epochs[:steps], dtype=torch.int64),
            self._readings(),
            status,
        )

    def _readings(self) -> dict[str, Reading]:
        """One series for each name but those that are the errors of another."""
        found: dict[str, list[tuple[int, float]]] = {}
        for step, readings in self._rows:
            for name, value in readings.items():
                found.setdefault(name, []).append((step, value))
        steps, values = {}, {}
        for name, pairs in found.items():
            steps[name] = torch.tensor([step for step, _ in pairs])
            values[name] = torch.tensor([value for _, value in pairs], dtype=torch.float64)
        errors = {f"{name}_error" for name in found}
        return {
            name: Reading(steps[name], values[name], values.get(f"{name}_error"))
            for name in found
            if name not in errors
        }
