"""A small training loop, with monitors that measure the network while it learns."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from samlib import plotting
from samlib._data import Pairs, require_batch, require_data
from samlib._progress import ProgressBar
from samlib._validation import (
    require_callable,
    require_count,
    require_flag,
    require_fraction,
    require_instance,
    require_integers,
    require_names,
    require_number,
    require_seed,
    require_text,
    shown,
)
from samlib.curvature import top_eigenpairs, trace
from samlib.objective import LossFunction, Objective
from samlib.optim import MSAM, DiametricalRisk, EigenSAM
from samlib.sharpness import (
    Sharpness,
    ascent_direction_sharpness,
    average_direction_sharpness,
    worst_direction_sharpness,
)

Data = tuple[Any, Any] | Pairs
Monitor = Callable[[int, nn.Module], Mapping[str, Any]]
Status = Literal["complete", "interrupted", "diverged"]

# Losses stay on the device, where they cost nothing, and come to the host this many at a time.
_LOSSES_AT_ONCE = 100


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

    def plot(self, names: Sequence[str] | None = None, ax: Any = None, **style: Any) -> Any:
        """Draw the loss and what was read: see :func:`samlib.plotting.plot_history`."""
        return plotting.plot_history(self, names, ax, **style)

    def __repr__(self) -> str:
        steps, epochs = len(self.losses), int(self.epochs[-1]) if len(self.epochs) else 0
        lines = [f"History: {_plural(steps, 'step')}, {_plural(epochs, 'epoch')}, {self.status}"]
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
    _require_loss_fn(loss_fn)
    require_count("epochs", epochs, minimum=0)
    if seed is not None:
        seed = require_seed("seed", seed)
    if scheduler is not None and not callable(getattr(scheduler, "step", None)):
        raise TypeError(f"scheduler must be a learning-rate scheduler, got {shown(scheduler)}")
    require_flag("progress", progress)
    _require_parameters_of(model, optimizer)
    batches = _Batches(data, batch_size, seed)
    monitors = _require_monitors(monitors)
    for monitor in monitors:
        if hasattr(monitor, "start"):
            monitor.start(data, loss_fn)
    run = _Run(model, optimizer, loss_fn, monitors)
    total = None if batches.per_epoch is None else epochs * batches.per_epoch
    status: Status = "complete"
    with (
        _random_state_kept(model, seed) if seed is not None else contextlib.nullcontext(),
        _modes_kept(model),
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
        _warn(f"interrupted after {_plural(len(history.losses), 'step')}; the history ends there")
    if status == "diverged":
        _warn(
            f"the loss is {history.losses[-1]} after {_plural(len(history.losses) - 1, 'step')}: "
            "training stopped; a smaller learning rate may help"
        )
    return history


class SharpnessMonitor:
    """Reads sharpness and curvature of the loss, with their errors, while a network is trained.

    Parameters
    ----------
    measure
        Any of "top_eigenvalue" (λ₁ of ∇²L), "trace" (Tr ∇²L), "alignment" (|cos∠(∇L, v₁)|), and
        the three notions of sharpness "worst_direction", "ascent_direction" and
        "average_direction" (R^Max, R^Asc and R^Avg at radius ρ).
    rho
        ρ > 0, for the three notions.
    every
        Steps between two readings; None: read at the end of every epoch.
    data, loss_fn
        The loss to measure; that of the training if not given. As for
        :meth:`samlib.Objective.from_module`, data is a pair of tensors or gives such pairs.
    rtol
        The residual of λ₁, relative to its size, at which to stop. The trace stops at a standard
        error of 5 %.
    prefix
        Put before each name, to tell two monitors apart, for example "test_".

    Raises
    ------
    ValueError
        If a measure is unknown, a number is out of range, or ρ is missing.

    Notes
    -----
    ``monitor(step, model)`` may also be called by hand; it then needs data and loss_fn. It
    returns, for each measure, its value, and under "<name>_error" its error: for λ₁ the residual
    (an eigenvalue lies that close), for the alignment the largest sine of the angle between the
    vector found and v₁ that the residual and the gap λ₁ − λ₂ allow (Davis and Kahan), for the
    rest what their function reports. "products" counts the Hessian-vector products.

    Following λ₁ is cheap, because each reading starts from the last eigenvector. Alone that would
    be blind: where λ₂ overtakes λ₁, the old eigenvector is still an eigenvector. So the start also
    has a part along v₂, and every tenth reading is made from scratch, for both.

    The module, its mode, buffers and gradients, and the random state are left alone.

    Examples
    --------
    >>> import torch, samlib
    >>> from samlib.training import SharpnessMonitor
    >>> inputs, targets, *_ = samlib.problems.digits(200)
    >>> model = samlib.problems.perceptron((64, 10), seed=0)
    >>> monitor = SharpnessMonitor(
    ...     "top_eigenvalue", data=(inputs, targets), loss_fn=torch.nn.CrossEntropyLoss())
    >>> sorted(monitor(0, model))
    ['products', 'top_eigenvalue', 'top_eigenvalue_error']
    """

    def __init__(
        self,
        measure: str | Iterable[str] = ("top_eigenvalue", "trace", "alignment"),
        *,
        rho: float | None = None,
        every: int | None = None,
        data: Data | None = None,
        loss_fn: LossFunction | None = None,
        rtol: float = 1e-2,
        prefix: str = "",
    ) -> None:
        self.measure = require_names("measure", measure, (*_CURVATURES, *_NOTIONS))
        if not self.measure:
            raise ValueError(f"measure must name at least one, got {shown(measure)}")
        if rho is not None:
            rho = require_number("rho", rho, positive=True)
        elif wanting := [name for name in self.measure if name in _NOTIONS]:
            raise ValueError(
                f"rho must be given to measure {', '.join(wanting)}, a number > 0; got None"
            )
        self.rho = rho
        self.every = None if every is None else require_count("every", every, minimum=1)
        self.rtol = require_fraction("rtol", rtol)
        self.prefix = require_text("prefix", prefix)
        self._data, self._loss_fn = data, loss_fn
        self.start(data, loss_fn)

    def start(self, data: Data | None, loss_fn: LossFunction | None) -> None:
        """Forget earlier readings; measure this loss where none was given before."""
        if data is not None:
            require_data(data)
        if loss_fn is not None:
            _require_loss_fn(loss_fn)
        self._measured = (
            data if self._data is None else self._data,
            loss_fn if self._loss_fn is None else self._loss_fn,
        )
        self._calls = 0
        self._vectors: Tensor | None = None  # v₁ and, from the last reading of both, v₂

    def __call__(self, step: int, model: nn.Module) -> dict[str, float]:
        """Measure the model as it is."""
        require_instance("model", model, nn.Module, "a torch.nn.Module")
        data, loss_fn = self._measured
        if data is None or loss_fn is None:
            raise ValueError("outside fit, SharpnessMonitor needs data= and loss_fn=, got None")
        readings: dict[str, float] = {}
        with _random_state_kept(model):
            objective = Objective.from_module(model, loss_fn, data)
            self._measure(objective, objective.flat_parameters(), readings)
        return {self.prefix + name: value for name, value in readings.items()}

    def _measure(self, objective: Objective, x: Tensor, readings: dict[str, float]) -> None:
        products = 0
        if "top_eigenvalue" in self.measure or "alignment" in self.measure:
            products += self._top(objective, x, readings)
        for name in self.measure:
            if name == "trace":
                estimate = trace(objective, x, rtol=_TRACE_RTOL, progress=False)
                products += estimate.products
                value, error = estimate.value, estimate.error
            elif name in _NOTIONS:
                assert self.rho is not None
                sharpness = _NOTIONS[name](objective, x, self.rho)
                value, error = sharpness.value, sharpness.error
            else:
                continue
            readings[name], readings[f"{name}_error"] = float(value), float(error)
        readings["products"] = products

    def _top(self, objective: Objective, x: Tensor, readings: dict[str, float]) -> int:
        """Read λ₁ and the alignment; return the number of products."""
        aligned = "alignment" in self.measure
        start = self._start_vector(x)
        k = min(objective.dim, 2 if aligned or start is None else 1)
        pairs = top_eigenpairs(objective, x, k, self.rtol, start, progress=False)
        self._calls += 1
        known = () if self._vectors is None else self._vectors.unbind(-1)
        self._vectors = torch.stack([*pairs.vectors.unbind(-1), *known[k:]], dim=-1)
        if "top_eigenvalue" in self.measure:
            readings["top_eigenvalue"] = float(pairs.values[0])
            readings["top_eigenvalue_error"] = float(pairs.residuals[0])
        if aligned:
            gradient = objective.gradient(x)
            cosine = (pairs.vectors[:, 0] @ gradient).abs() / gradient.norm()
            readings["alignment"] = min(float(cosine), 1.0)
            readings["alignment_error"] = _largest_sine(pairs.values, pairs.residuals)
        return pairs.products

    def _start_vector(self, x: Tensor) -> Tensor | None:
        """v₁ with a part of v₂, as last read; None: start from scratch."""
        vectors = self._vectors
        if self._calls % _READINGS_FROM_ONE_START == 0 or vectors is None:
            return None
        if len(vectors) != len(x) or vectors.device != x.device or vectors.dtype != x.dtype:
            return None
        start: Tensor = vectors @ vectors.new_tensor([1.0, _PART_OF_SECOND])[: vectors.shape[1]]
        return start if bool(start.isfinite().all()) else None


class AccuracyMonitor:
    """Reads the fraction of rows whose largest output is at their target.

    Parameters
    ----------
    data
        (inputs, targets), or anything that gives such pairs again and again; targets are the
        numbers of the classes.
    every
        Steps between two readings; None: read at the end of every epoch.
    name
        Of the number, for example "test_accuracy".

    Examples
    --------
    >>> import torch
    >>> from samlib.training import AccuracyMonitor
    >>> monitor = AccuracyMonitor((torch.eye(2), torch.tensor([0, 1])))
    >>> monitor(0, torch.nn.Identity())
    {'accuracy': 1.0}
    """

    def __init__(self, data: Data, *, every: int | None = None, name: str = "accuracy") -> None:
        self.every = None if every is None else require_count("every", every, minimum=1)
        self.name = require_text("name", name)
        self._batches = _Batches(data, None, None)

    @torch.no_grad()
    def __call__(self, step: int, model: nn.Module) -> dict[str, float]:
        """Count the rows that the model, as it is, gets right."""
        require_instance("model", model, nn.Module, "a torch.nn.Module")
        right, rows = 0, 0
        for inputs, targets in self._batches:
            require_integers("targets", targets)
            right += int((model(inputs).argmax(dim=-1) == targets).sum())
            rows += len(targets)
        return {self.name: right / rows}


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
        self.differentiates_itself = isinstance(optimizer, (EigenSAM, DiametricalRisk))
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
            if not self.differentiates_itself:
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            return loss

        if isinstance(self.optimizer, MSAM):  # cuts the batch itself
            self.pending.append(self.optimizer.step(closure, inputs, targets).detach())
        else:
            self.optimizer.step(closure)  # type: ignore[arg-type]  # not a float, as torch says
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
        with _modes_kept(self.model), _random_state_kept(self.model):
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


class _Batches:
    """The batches of an epoch, anew each time it is iterated."""

    def __init__(self, data: Data, batch_size: int | None, seed: int | None) -> None:
        self._pair = require_data(data)
        if self._pair is None and batch_size is not None:
            raise ValueError(
                f"data already comes in batches; batch_size must be None, got {batch_size}"
            )
        rows = 0 if self._pair is None else len(self._pair[1])
        if batch_size is not None:
            batch_size = require_count("batch_size", batch_size, minimum=1)
            if batch_size > rows:
                raise ValueError(
                    f"batch_size must be at most the {rows} rows, got {shown(batch_size)}"
                )
        self._data, self._size, self._generator = data, batch_size, None
        if batch_size is not None and seed is not None:
            # Apart from the other random numbers: the batches are the same on every device.
            self._generator = torch.Generator().manual_seed(seed)

    @property
    def per_epoch(self) -> int | None:
        if self._pair is None:
            return len(self._data) if isinstance(self._data, Sized) else None
        return 1 if self._size is None else -(-len(self._pair[1]) // self._size)

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        if self._pair is None:
            empty = True
            for batch in self._data:
                empty = False
                yield require_batch(batch)
            if empty:
                raise ValueError("data gave no batch")
        elif self._size is None:
            yield self._pair
        else:
            inputs, targets = self._pair
            order = torch.randperm(len(targets), generator=self._generator).to(targets.device)
            for chosen in torch.split(order, self._size):
                yield inputs[chosen.to(inputs.device)], targets[chosen]


def _every(monitor: Monitor) -> int:
    """Steps between two calls; 0 for once an epoch."""
    return getattr(monitor, "every", None) or 0


def _step_scheduler(scheduler: LRScheduler, run: _Run) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(run.mean_loss_of_epoch())
    else:
        scheduler.step()


def _largest_sine(values: Tensor, residuals: Tensor) -> float:
    """Bound sin∠(v, v₁) for the Ritz vector v of the first of two pairs: residual over gap."""
    if len(values) == 1:
        return 0.0
    gap = values[0] - values[1] - residuals[1]
    if not bool(gap > 0):
        return 1.0
    return min(1.0, float(residuals[0] / gap))


@contextlib.contextmanager
def _modes_kept(model: nn.Module) -> Iterator[None]:
    """Give every submodule its train or eval mode back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def _random_state_kept(model: nn.Module, seed: int | None = None) -> Iterator[None]:
    """Put the random state of the CPU and of the model's GPUs back; seed both, if given."""
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            # Not torch.manual_seed, which would seed all other accelerators too.
            torch.default_generator.manual_seed(seed)
            for device in devices:
                torch.cuda.default_generators[device].manual_seed(seed)
        yield


def _require_parameters_of(model: nn.Module, optimizer: Optimizer) -> None:
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in held for p in model.parameters()):
        raise ValueError(
            "optimizer must have parameters of model, and has none of the parameters, "
            f"got {shown(optimizer)}"
        )


def _require_loss_fn(loss_fn: LossFunction) -> None:
    require_callable("loss_fn", loss_fn, "(outputs, targets) ↦ a scalar tensor")


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


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)


# In monitors: how often to start λ₁ from scratch, and otherwise how much of v₂ to start with.
_READINGS_FROM_ONE_START = 10
_PART_OF_SECOND = 0.1
_TRACE_RTOL = 0.05

_CURVATURES = ("top_eigenvalue", "trace", "alignment")


def _worst(objective: Objective, x: Tensor, rho: float) -> Sharpness:
    # Fewer starts and less precision than by default: this is asked many times.
    return worst_direction_sharpness(objective, x, rho, restarts=2, rtol=1e-3, progress=False)


def _average(objective: Objective, x: Tensor, rho: float) -> Sharpness:
    return average_direction_sharpness(objective, x, rho, progress=False)


_NOTIONS: Mapping[str, Callable[[Objective, Tensor, float], Sharpness]] = {
    "worst_direction": _worst,
    "ascent_direction": ascent_direction_sharpness,
    "average_direction": _average,
}
