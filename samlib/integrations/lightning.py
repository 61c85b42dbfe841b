"""Lightning: both passes of a step in its loop, and a log of the losses at the weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from samlib._validation import require_callable, require_count
from samlib.optim import SharpnessAware
from samlib.optim.same_masks import RandomState, random_state, set_random_state
from samlib.training import SAMEffect
from samlib.training.states import modes_kept

try:
    from lightning.pytorch import Callback
except ImportError:  # then there is no trainer to call it back
    Callback = object  # type: ignore[misc,assignment]


class LogsUnperturbed:
    """A mixin for a LightningModule that is trained with an optimizer of :mod:`samlib.optim`.

    Such an optimizer runs ``training_step`` at the weights w and again at perturbed weights w + ε.
    Lightning would log both and show their mean, which is larger than the loss of the network.
    With this mixin, what ``log`` and ``log_dict`` are given at perturbed weights is dropped.

    Examples
    --------
    >>> from samlib.integrations.lightning import LogsUnperturbed
    >>> import lightning.pytorch as lightning  # doctest: +SKIP
    >>> class Classifier(LogsUnperturbed, lightning.LightningModule):  # doctest: +SKIP
    ...     ...
    """

    trainer: Any

    def log(self, name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        """Log as a LightningModule does, unless the weights are perturbed."""
        if not any(_is_perturbed(optimizer) for optimizer in self.trainer.optimizers):
            super().log(name, value, *args, **kwargs)  # type: ignore[misc]


class _MicroBatch(NamedTuple):
    batch: Any
    number: int
    draws: RandomState  # at its first pass; empty if the others draw anew


class BothPasses(LogsUnperturbed):
    """A mixin for a LightningModule: all that an optimizer of :mod:`samlib.optim` needs there.

    In automatic optimization, every pass of a step goes over all micro-batches of
    ``accumulate_grad_batches``, 16-bit mixed precision unscales each pass, ``gradient_clip_val``
    applies to the gradient that the base optimizer steps with, and what is logged and returned is
    the loss at the unperturbed weights. In manual optimization, see :meth:`manual_step`.

    Raises
    ------
    RuntimeError
        In training, if ``on_train_batch_start`` is overridden without a call of ``super()``'s.
    TypeError
        In automatic optimization, if the optimizer's closure is not one that calls ``backward``.

    Examples
    --------
    >>> from samlib.integrations.lightning import BothPasses
    >>> import lightning.pytorch as lightning  # doctest: +SKIP
    >>> class Net(BothPasses, lightning.LightningModule):  # doctest: +SKIP
    ...     ...
    """

    training_step: Callable[..., Any]
    optimizers: Callable[[], Any]
    _micro_batches: tuple[_MicroBatch, ...] = ()  # since the last step

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> Any:
        """Keep the micro-batch up to the end of the step."""
        most = self.trainer.accumulate_grad_batches
        draws: RandomState = {}
        for optimizer in self.trainer.optimizers:
            if getattr(optimizer, "same_masks", False):
                draws = random_state(_devices_of(optimizer))
        new = _MicroBatch(batch, batch_idx, draws)
        self._micro_batches = (*self._micro_batches, new)[-most:]
        return super().on_train_batch_start(batch, batch_idx)  # type: ignore[misc]

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """Step as a LightningModule does, with a closure over all micro-batches."""
        step = super().optimizer_step  # type: ignore[misc]
        own = getattr(optimizer, "optimizer", optimizer)
        if not isinstance(own, SharpnessAware):
            step(epoch, batch_idx, optimizer, optimizer_closure)
            return
        if own.takes_loss or own.takes_batch:
            raise TypeError(
                f"{type(own).__name__} needs manual optimization, because Lightning's own closure "
                "calls backward() on a whole batch: set automatic_optimization = False and call "
                "self.manual_step(closure)"
            )
        closure = _AllMicroBatches(self, own, self._earlier(batch_idx), optimizer_closure)
        self._micro_batches, scaler = (), self._scaler()
        try:
            ready = closure if scaler is None else _run_scaled(own, closure, scaler)
            step(epoch, batch_idx, optimizer, ready)
        except BaseException:
            own.restore()
            raise

    def clip_gradients(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """Clip as a LightningModule does, but only what the base optimizer steps with."""
        own = getattr(optimizer, "optimizer", optimizer)
        if isinstance(own, SharpnessAware):
            if own.ascents and not own.perturbed:
                return
            # In mixed precision Lightning refuses what copes with a GradScaler itself, as we do: it
            # cannot know that the gradient is unscaled already.
            optimizer = SimpleNamespace(param_groups=own.param_groups)
        super().clip_gradients(optimizer, *args, **kwargs)  # type: ignore[misc]

    def manual_step(
        self, closure: Callable[..., Any], *batch: Tensor, optimizer: Any = None
    ) -> Any:
        """One step in manual optimization, for every optimizer of the family and every precision.

        Parameters
        ----------
        closure
            What the optimizer's ``step`` takes: it computes the loss, calls
            ``self.manual_backward`` on it and returns it; for EigenSAM and DiametricalRisk it only
            returns it.
        batch
            For MSAM, what its ``step`` takes after the closure.
        optimizer
            The one of ``self.optimizers()`` to step with; not needed if there is but one.

        Returns
        -------
        Any
            The loss at the weights before the step.
        """
        require_callable("closure", closure, "it computes the loss and returns it")
        chosen = self.optimizers() if optimizer is None else optimizer
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        scaler = self._scaler()
        loss = getattr(chosen, "optimizer", chosen).step(closure, *batch, scaler=scaler)
        if scaler is not None:
            scaler.update()
        progress.increment_completed()
        return loss

    def _scaler(self) -> Any:
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return scaler if scaler is not None and scaler.is_enabled() else None

    def _earlier(self, batch_idx: int) -> tuple[_MicroBatch, ...]:
        """The micro-batches before the last one of a step."""
        count = batch_idx % self.trainer.accumulate_grad_batches
        earlier = self._micro_batches[-count - 1 : -1]
        if [each.number for each in earlier] != list(range(batch_idx - count, batch_idx)):
            raise RuntimeError(
                f"{count} earlier micro-batches are needed for this step, got {len(earlier)}: if "
                "you override on_train_batch_start, call super().on_train_batch_start(batch, "
                "batch_idx) in it"
            )
        return earlier


class _AllMicroBatches:
    """The closure of a step: Lightning has run it for all micro-batches but the last at w.

    The first call ends that pass; the others run all of them anew.
    """

    def __init__(
        self,
        module: BothPasses,
        optimizer: SharpnessAware,
        earlier: tuple[_MicroBatch, ...],
        last: Callable[[], Any],
    ) -> None:
        self._module, self._optimizer, self._earlier, self._last = module, optimizer, earlier, last
        self._gradients = []
        if earlier:  # the step would refuse them: only here it is known how to get them again
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            self._gradients = [(p, p.grad) for p in parameters]
            for p in parameters:
                p.grad = None
        self._first = True

    def __call__(self) -> Any:
        """Add up the gradients of all micro-batches at the present weights."""
        if self._first:
            self._first = False
            for p, gradient in self._gradients:
                p.grad = gradient
            self._gradients = []
            return self._last()
        draws = random_state(_devices_of(self._optimizer)) if self._optimizer.same_masks else {}
        for each in self._earlier:
            set_random_state(each.draws)
            self._run(each)
        set_random_state(draws)
        # not called, which would replace the result that Lightning reports
        return getattr(self._last, "closure", self._last)()

    def _run(self, micro_batch: _MicroBatch) -> None:
        trainer = self._module.trainer
        indexed = len(inspect.signature(self._module.training_step).parameters) > 1
        arguments = (micro_batch.batch, micro_batch.number) if indexed else (micro_batch.batch,)
        with getattr(trainer.strategy, "block_backward_sync", nullcontext)():
            output = trainer.strategy.training_step(*arguments)
            loss = output["loss"] if isinstance(output, Mapping) else output
            if loss is not None:
                trainer.strategy.backward(loss / trainer.accumulate_grad_batches, self._optimizer)


def _run_scaled(
    optimizer: SharpnessAware, closure: Callable[[], Any], scaler: Any
) -> Callable[[], Any]:
    """Run all passes, and return the closure that is left for Lightning's GradScaler to call."""
    closure = optimizer.with_same_masks(closure) if optimizer.same_masks else closure
    loss = closure()
    if loss is None:  # training_step skipped the batch
        return lambda: None
    for _ in range(optimizer.ascents):
        optimizer.first_step(scaler)
        closure()

    def unscaled() -> Any:  # so that the gradient may be clipped
        scaler.unscale_(optimizer)
        return loss

    return unscaled


def _devices_of(optimizer: Any) -> set[torch.device]:
    devices = {p.device for group in optimizer.param_groups for p in group["params"]}
    return {torch.device("cpu"), *devices}


def _is_perturbed(optimizer: object) -> bool:
    return isinstance(optimizer, SharpnessAware) and optimizer.perturbed


class LogsEffect(Callback):
    """A callback that logs whether SAM does anything, by :class:`samlib.training.SAMEffect`.

    What it reads goes to the trainer's loggers and to ``trainer.callback_metrics``, and at the end
    ``summary()`` says it in plain sentences. It costs no evaluation of the loss.

    Parameters
    ----------
    every
        Batches between two readings; the trainer's ``log_every_n_steps`` if not given.
    options
        What else :class:`samlib.training.SAMEffect` takes: measure, k, data, loss_fn, loss, size,
        rtol, prefix, clipping (the trainer's ``gradient_clip_val`` if not given). With several
        optimizers, the number of each follows the prefix.

    Raises
    ------
    ValueError
        When the training starts: if none of its optimizers is one of :mod:`samlib.optim`, an
        option is wrong, or gradients are clipped by value, which is not noticed afterwards.

    Examples
    --------
    >>> from samlib.integrations.lightning import LogsEffect
    >>> effect = LogsEffect(every=50)
    >>> effect.summary()
    'Nothing has been read yet.'
    >>> trainer = lightning.Trainer(callbacks=[effect])  # doctest: +SKIP
    """

    def __init__(self, *, every: int | None = None, **options: Any) -> None:
        super().__init__()
        self.every = None if every is None else require_count("every", every, minimum=1)
        self._options, self._batches = options, 0
        self._effects: list[SAMEffect] = []

    def summary(self) -> str:
        """The last reading in plain sentences."""
        said = [effect.summary() for effect in self._effects]
        return "\n".join(said) or "Nothing has been read yet."

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Watch the optimizers of :mod:`samlib.optim`."""
        self._stop()
        found = [each for each in trainer.optimizers if isinstance(each, SharpnessAware)]
        if not found:
            raise ValueError("LogsEffect needs an optimizer of samlib.optim, and there is none")
        clipping = _clipping(trainer)
        prefix = self._options.get("prefix", "sam_")
        prefixes = [f"{prefix}{i}_" for i in range(len(found))] if len(found) > 1 else [prefix]
        self._effects = [
            SAMEffect(optimizer, **{"clipping": clipping, **self._options, "prefix": each})
            for optimizer, each in zip(found, prefixes, strict=True)
        ]
        self._batches = 0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        """Read, where it is due."""
        self._batches += 1
        if self._batches % (self.every or trainer.log_every_n_steps or 1) == 0:
            self._read(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Read what is left, and let the optimizers alone."""
        self._read(trainer, pl_module)
        self._stop()

    def _read(self, trainer: Any, module: Any) -> None:
        with modes_kept(module):
            module.eval()
            for effect in self._effects:
                readings = effect(trainer.global_step, module)
                numbers = {name: torch.tensor(value) for name, value in readings.items()}
                trainer.callback_metrics.update(numbers)
                for logger in trainer.loggers if readings else ():
                    logger.log_metrics(readings, step=trainer.global_step)

    def _stop(self) -> None:
        for effect in self._effects:
            effect.stop()


def _clipping(trainer: Any) -> float | None:
    """The norm that the trainer clips gradients to, None if it does not."""
    if not trainer.gradient_clip_val:
        return None
    if str(getattr(trainer.gradient_clip_algorithm, "value", "norm")) == "value":
        raise ValueError(
            "LogsEffect cannot compare gradients that gradient_clip_algorithm='value' has clipped"
        )
    return float(trainer.gradient_clip_val)
