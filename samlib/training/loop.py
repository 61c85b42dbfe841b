"""A small training loop, with monitors that measure the network while it learns."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
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
from samlib.objective import LossFunction
from samlib.optim import SharpnessAware
from samlib.training.batches import Batches, Data
from samlib.training.history import History, Reading, Status, plural
from samlib.training.monitors import Monitor, require_loss_fn
from samlib.training.states import modes_kept, random_state_kept

# Losses stay on the device, where they cost nothing, and come to the host this many at a time.
_LOSSES_AT_ONCE = 100


def fit(
    model: nn.Module,
    data: Data,
    optimizer: Optimizer,
    *,
    loss_fn: LossFunction,
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
        (inputs, targets), two tensors with the same number of rows, or anything that gives such
        pairs and can be iterated once an epoch: a DataLoader, a list. Nothing is moved between
        devices.
    optimizer
        Any torch optimizer, those of :mod:`samlib.optim` included; each step is
        ``optimizer.step(closure)``.
    loss_fn
        Maps (outputs, targets) to a scalar, for example ``torch.nn.CrossEntropyLoss()``.
    epochs
        How often to go through the data. For one pair without a batch size an epoch is one step.
    batch_size
        For one pair: rows a step, drawn without replacement in each epoch; the last batch may be
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
        If data is neither, or can be iterated only once.
    ValueError
        If an argument is out of range, the optimizer has none of the model's parameters, model
        and data are on different devices, data gives no batch, or two monitors use one name.

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
    require_loss_fn(loss_fn)
    require_count("epochs", epochs, minimum=0)
    if seed is not None:
        seed = require_seed("seed", seed)
    if scheduler is not None and not callable(getattr(scheduler, "step", None)):
        raise TypeError(f"scheduler must be a learning-rate scheduler, got {shown(scheduler)}")
    require_flag("progress", progress)
    _require_parameters_of(model, optimizer)
    batches = Batches(data, batch_size, seed)
    monitors = _require_monitors(monitors)
    for monitor in monitors:
        if hasattr(monitor, "start"):
            monitor.start(data, loss_fn)
    run = _Run(model, optimizer, loss_fn, monitors)
    total = None if batches.per_epoch is None else epochs * batches.per_epoch
    status: Status = "complete"
    with (
        random_state_kept(model, seed) if seed is not None else contextlib.nullcontext(),
        modes_kept(model),
        ProgressBar(total, "training", progress) as bar,
    ):
        try:
            model.train()
            run.read(monitors)
            for epoch in range(1, epochs + 1):
                for inputs, targets in batches:
                    run.step(epoch, inputs, targets)
                    bar.update()
                run.finish_epoch(last=epoch == epochs)
                if scheduler is not None:
                    _step_scheduler(scheduler, run)
            run.flush()
        except KeyboardInterrupt:
            status = "interrupted"
        except _DivergedError:
            status = "diverged"
    history = run.history(status)
    if status == "interrupted":
        _warn(f"interrupted after {plural(len(history.losses), 'step')}; the history ends there")
    if status == "diverged":
        _warn(
            f"the loss is {history.losses[-1]} after {plural(len(history.losses) - 1, 'step')}: "
            "training stopped; a smaller learning rate may help"
        )
    return history


class _DivergedError(Exception):
    """A loss was not finite."""


class _Run:
    """One training in progress: what is recorded, and when the monitors are called."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: LossFunction,
        monitors: Sequence[Monitor],
    ) -> None:
        self.model, self.optimizer, self.loss_fn = model, optimizer, loss_fn
        self.takes_loss = isinstance(optimizer, SharpnessAware) and optimizer.takes_loss
        self.takes_batch = isinstance(optimizer, SharpnessAware) and optimizer.takes_batch
        self.monitors = monitors
        self.losses: list[float] = []
        self.pending: list[Tensor] = []  # the newest losses, still on the device
        self.epochs: list[int] = []
        self.rows: list[tuple[int, int, Mapping[str, float]]] = []  # step, monitor, numbers
        self.owner: dict[str, int] = {}

    def step(self, epoch: int, inputs: Any, targets: Any) -> None:
        if not self.epochs:
            _require_same_device(self.model, inputs)
        losses: list[Tensor] = []

        def closure(inputs: Any = inputs, targets: Any = targets) -> Tensor:
            loss = self.loss_fn(self.model(inputs), targets)
            self.optimizer.zero_grad()
            if not self.takes_loss:
                loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            return loss

        step: Any = self.optimizer.step  # torch says that a closure returns a float
        if self.takes_batch:
            self.pending.append(step(closure, inputs, targets).detach())
        else:
            step(closure)
            self.pending.append(losses[0])
        self.epochs.append(epoch)
        if len(self.pending) == _LOSSES_AT_ONCE:
            self.flush()
        due = [m for m in self.monitors if _every(m) and len(self.epochs) % _every(m) == 0]
        self.read(due)

    def finish_epoch(self, last: bool) -> None:
        self.read([m for m in self.monitors if last or not _every(m)])

    def read(self, monitors: Sequence[Monitor]) -> None:
        """Call those monitors that have not read this step yet."""
        step = len(self.epochs)
        done = {number for at, number, _ in self.rows if at == step}
        due = [(i, m) for i, m in enumerate(self.monitors) if m in monitors and i not in done]
        if not due:
            return
        self.flush()
        with modes_kept(self.model), random_state_kept(self.model):
            self.model.eval()
            for number, monitor in due:
                readings = {name: float(value) for name, value in monitor(step, self.model).items()}
                for name in readings:
                    if self.owner.setdefault(name, number) != number:
                        raise ValueError(
                            f"two monitors give {name!r}; give one of them another name or prefix"
                        )
                self.rows.append((step, number, readings))

    def flush(self) -> None:
        """Bring the losses to the host, and stop at one that is not finite."""
        if not self.pending:
            return
        losses = torch.stack(self.pending).cpu().double()
        wrong = (~losses.isfinite()).nonzero()
        if len(wrong):
            losses = losses[: int(wrong[0]) + 1]
        # One statement: an interrupt finds every loss in one of the two lists.
        self.losses, self.pending = self.losses + losses.tolist(), []
        if len(wrong):
            raise _DivergedError

    def mean_loss_of_epoch(self) -> float:
        self.flush()
        newest = self.epochs[-1]
        of_epoch = [loss for e, loss in zip(self.epochs, self.losses, strict=True) if e == newest]
        return sum(of_epoch) / len(of_epoch)

    def history(self, status: Status) -> History:
        with contextlib.suppress(_DivergedError):
            self.flush()
        found: dict[str, list[tuple[int, float]]] = {}
        for step, _, readings in self.rows:
            for name, value in readings.items():
                found.setdefault(name, []).append((step, value))
        series = {
            name: (
                torch.tensor([s for s, _ in pairs]),
                torch.tensor([v for _, v in pairs]).double(),
            )
            for name, pairs in found.items()
        }
        errors = {f"{name}_error" for name in series} & set(series)
        steps = min(len(self.losses), len(self.epochs))
        return History(
            torch.tensor(self.losses[:steps], dtype=torch.float64),
            torch.tensor(self.epochs[:steps], dtype=torch.int64),
            {
                name: Reading(steps, values, series.get(f"{name}_error", (None, None))[1])
                for name, (steps, values) in series.items()
                if name not in errors
            },
            status,
        )


def _every(monitor: Monitor) -> int:
    """Steps between two calls; 0 for once an epoch."""
    return getattr(monitor, "every", None) or 0


def _step_scheduler(scheduler: LRScheduler, run: _Run) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(run.mean_loss_of_epoch())
    else:
        scheduler.step()


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


def _require_same_device(model: nn.Module, inputs: Any) -> None:
    device = next(model.parameters()).device
    if isinstance(inputs, Tensor) and inputs.device != device:
        raise ValueError(
            f"model is on {device}, the inputs on {inputs.device}; move one of them first"
        )


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)
