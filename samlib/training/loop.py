"""The training loop."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from samlib._progress import ProgressBar
from samlib._validation import (
    require_callable,
    require_count,
    require_flag,
    require_instance,
    require_seed,
    shown,
)
from samlib.objective import (
    Batch,
    Data,
    Loss,
    LossFunction,
    ModelLossFunction,
    require_one_loss,
)
from samlib.objective.batch import tensors, to_device, with_tensors
from samlib.optim import SharpnessAware
from samlib.training.batches import Batches
from samlib.training.history import History, Status, plural
from samlib.training.monitors import Monitor
from samlib.training.records import DivergedError, Records
from samlib.training.states import modes_kept, random_state_kept


def fit(
    model: nn.Module,
    data: Data,
    optimizer: Optimizer,
    *,
    loss_fn: LossFunction | None = None,
    loss: ModelLossFunction | None = None,
    epochs: int,
    batch_size: int | None = None,
    seed: int | None = None,
    scheduler: LRScheduler | None = None,
    monitors: Iterable[Monitor] = (),
    progress: bool = True,
) -> History:
    """Train a network and measure it on the way.

    Parameters
    ----------
    model
        The network. It is trained in train mode; afterwards every submodule has the mode that it
        had before.
    data
        One batch, such as (inputs, targets), two tensors with the same number of rows, or anything
        that gives batches and can be iterated once an epoch: a DataLoader, a list. Batches are
        moved to the model's device. For what they may hold see
        :meth:`samlib.Objective.from_module` and :meth:`samlib.Objective.from_loss`.
    optimizer
        Any torch optimizer, those of :mod:`samlib.optim` included; each step is
        ``optimizer.step(closure)``.
    loss_fn
        Maps (outputs, targets) to a scalar, for example ``torch.nn.CrossEntropyLoss()``.
    loss
        Instead of loss_fn: maps (model, batch) to a scalar, for example
        ``lambda model, batch: model(**batch).loss``.
    epochs
        How often to go through the data. For one batch without a batch size an epoch is one step.
    batch_size
        For one batch: rows a step, drawn without replacement in each epoch; the last batch may be
        short. All of them (full-batch training) if not given.
    seed
        Fixes what is random on the way: the batches, dropout, and the order of a DataLoader that
        has no generator of its own. The global random state is then left as it was. If not
        given, all of it draws from the global random state, as usual in torch.
    scheduler
        A learning-rate scheduler, stepped after every epoch (ReduceLROnPlateau with the epoch's
        mean loss).
    monitors
        Functions of (step, model) that return numbers by name, such as :class:`SharpnessMonitor`.
        Each is called at step 0, then after every ``monitor.every`` steps, or every epoch if it
        has no such attribute or it is None, and at the end. The model is in eval mode meanwhile;
        its mode, and the random state, are put back. A number "<name>_error" is kept as the
        error of <name>.
    progress
        Show a progress bar, if the training takes longer than two seconds.

    Returns
    -------
    History

    Raises
    ------
    TypeError
        If data is neither, or can be iterated only once, or not one of loss_fn and loss is given.
    ValueError
        If an argument is out of range, the optimizer has none of the model's parameters, data
        gives no batch, or two monitors use one name.

    Warns
    -----
    RuntimeWarning
        If the training stops early: at a loss that is not finite, or by the keyboard.

    Notes
    -----
    An interrupt (Ctrl-C, or a notebook's stop button) ends the training, not the program: the
    history up to the last finished step is returned, its status "interrupted". The weights are
    those after that step; :mod:`samlib.optim` puts perturbed weights back before anything
    propagates.

    Losses stay on the device and are looked at every 100 steps and before each reading, so that
    no step waits for the device. A loss that is not finite is therefore noticed up to 100 steps
    late; the history ends with it.

    Examples
    --------
    >>> import torch, samlib
    >>> from samlib.training import SharpnessMonitor, fit
    >>> inputs, targets, *_ = samlib.problems.digits(200)
    >>> model = samlib.problems.perceptron((64, 32, 10), seed=0)
    >>> base = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> optimizer = samlib.optim.SAM(model.parameters(), base, rho=0.05)
    >>> history = fit(model, (inputs, targets), optimizer, loss_fn=torch.nn.CrossEntropyLoss(),
    ...               epochs=20, monitors=[SharpnessMonitor("top_eigenvalue", every=5)])
    >>> history["top_eigenvalue"].steps
    tensor([ 0,  5, 10, 15, 20])
    >>> bool(history.losses[-1] < history.losses[0])
    True
    """
    require_instance("model", model, nn.Module, "a torch.nn.Module")
    require_instance("optimizer", optimizer, Optimizer, "a torch.optim.Optimizer")
    of_batch = require_one_loss(loss_fn, loss)
    data = of_batch.require_data(data)
    require_count("epochs", epochs, minimum=0)
    if seed is not None:
        seed = require_seed("seed", seed)
    if scheduler is not None and not callable(getattr(scheduler, "step", None)):
        raise TypeError(f"scheduler must be a learning-rate scheduler, got {shown(scheduler)}")
    require_flag("progress", progress)
    _require_parameters_of(model, optimizer)
    batches = Batches(data, batch_size, seed, next(model.parameters()).device)
    monitors = _require_monitors(monitors)
    for monitor in monitors:
        if hasattr(monitor, "start"):
            monitor.start(data, of_batch)
    run = _Run(model, optimizer, of_batch, monitors)
    total = None if batches.per_epoch is None else epochs * batches.per_epoch
    with (
        random_state_kept(model, seed) if seed is not None else contextlib.nullcontext(),
        modes_kept(model),
        ProgressBar(total, "training", progress) as bar,
    ):
        status = run.train(batches, epochs, scheduler, bar)
    history = run.records.history(status)
    _warn_of_early_end(history)
    return history


class _Run:
    """One training in progress."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss: Loss,
        monitors: Sequence[Monitor],
    ) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.device = next(model.parameters()).device
        self.takes_loss = isinstance(optimizer, SharpnessAware) and optimizer.takes_loss
        self.takes_batch = isinstance(optimizer, SharpnessAware) and optimizer.takes_batch
        self.monitors = monitors
        self.records = Records(len(monitors))

    def train(
        self, batches: Batches, epochs: int, scheduler: LRScheduler | None, bar: ProgressBar
    ) -> Status:
        """Take all steps, and say how it ended."""
        try:
            self.model.train()
            self._read(range(len(self.monitors)))
            for epoch in range(1, epochs + 1):
                for batch in batches:
                    self.loss.require_batch(batch)
                    self._step(epoch, to_device(batch, self.device))
                    bar.update()
                self._finish_epoch(scheduler, last=epoch == epochs)
            self.records.flush()
        except KeyboardInterrupt:
            return "interrupted"
        except DivergedError:
            return "diverged"
        return "complete"

    def _step(self, epoch: int, batch: Batch) -> None:
        losses: list[Tensor] = []

        def closure(*parts: Tensor) -> Tensor:
            loss = self.loss(self.model, with_tensors(batch, parts) if parts else batch)
            self.optimizer.zero_grad()
            if not self.takes_loss:
                loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            return loss

        step: Any = self.optimizer.step  # torch says that a closure returns a float
        if self.takes_batch:
            loss = step(closure, *tensors(batch)).detach()
        else:
            step(closure)
            loss = losses[0]
        self.records.add_step(epoch, loss)
        every = enumerate(map(_every, self.monitors))
        self._read([number for number, n in every if n and self.records.steps % n == 0])

    def _finish_epoch(self, scheduler: LRScheduler | None, last: bool) -> None:
        every = enumerate(map(_every, self.monitors))
        self._read([number for number, n in every if last or not n])
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(self.records.mean_loss_of_epoch())
        elif scheduler is not None:
            scheduler.step()

    def _read(self, numbers: Iterable[int]) -> None:
        """Call the monitors of these numbers, unless they have read this step already."""
        due = [number for number in numbers if not self.records.was_read(number)]
        if not due:
            return
        self.records.flush()
        with modes_kept(self.model), random_state_kept(self.model):
            self.model.eval()
            for number in due:
                readings = self.monitors[number](self.records.steps, self.model)
                self.records.add_readings(
                    number, {name: float(value) for name, value in readings.items()}
                )


def _every(monitor: Monitor) -> int:
    """Steps between two calls; 0 for once an epoch."""
    return getattr(monitor, "every", None) or 0


def _warn_of_early_end(history: History) -> None:
    steps = len(history.losses)
    if history.status == "interrupted":
        message = f"interrupted after {plural(steps, 'step')}; the history ends there"
    elif history.status == "diverged":
        message = (
            f"the loss is {history.losses[-1]} after {plural(steps - 1, 'step')}: "
            "training stopped; a smaller learning rate may help"
        )
    else:
        return
    warnings.warn(message, RuntimeWarning, stacklevel=3)


def _require_parameters_of(model: nn.Module, optimizer: Optimizer) -> None:
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in held for p in model.parameters()):
        raise ValueError(
            "optimizer must have parameters of model, and has none of the parameters, "
            f"got {shown(optimizer)}"
        )


def _require_monitors(monitors: Iterable[Monitor]) -> list[Monitor]:
    if isinstance(monitors, str) or not isinstance(monitors, Iterable):
        raise TypeError(f"monitors must be a list of functions, got {shown(monitors)}")
    return [
        require_callable("every one of monitors", monitor, "(step, model) ↦ numbers by name")
        for monitor in monitors
    ]
