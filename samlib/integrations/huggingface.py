"""Hugging Face: a Trainer that runs both passes of a step, and a log of what SAM does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from samlib._validation import shown
from samlib.integrations.micro_batches import MicroBatches
from samlib.optim import SharpnessAware
from samlib.training import SAMEffect
from samlib.training.states import modes_kept

try:
    from transformers import TrainerCallback
except ImportError:  # then there is no trainer to call it back
    TrainerCallback = object  # type: ignore[misc,assignment]


class BothPasses:
    """A mixin for a ``transformers.Trainer``: sharpness-aware steps around its own optimizer.

    Gradient accumulation, clipping, mixed precision, schedulers and checkpoints are the Trainer's.
    The loss that it logs is that at the unperturbed weights; the gradient that it clips is the one
    that the base optimizer steps with.

    Parameters
    ----------
    sharpness_aware
        Makes the optimizer from parameter groups and a base optimizer, such as
        ``functools.partial(SAM, rho=0.05)``. Not needed if the Trainer is given
        ``optimizers=(SAM(...), None)``.
    args, kwargs
        As for the Trainer.

    Raises
    ------
    TypeError
        When training begins, if the optimizer is none of :mod:`samlib.optim`, or cannot step in
        two.

    Examples
    --------
    >>> from functools import partial
    >>> from samlib.integrations.huggingface import BothPasses
    >>> from samlib.optim import SAM
    >>> class SAMTrainer(BothPasses, Trainer):  # doctest: +SKIP
    ...     pass
    >>> trainer = SAMTrainer(model, args, sharpness_aware=partial(SAM, rho=0.05))  # doctest: +SKIP
    """

    optimizer: Any
    accelerator: Any

    def __init__(
        self,
        *args: Any,
        sharpness_aware: Callable[..., SharpnessAware] | None = None,
        **kwargs: Any,
    ) -> None:
        self._sharpness_aware = sharpness_aware
        self._micro_batches = MicroBatches()
        super().__init__(*args, **kwargs)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """Put the sharpness-aware optimizer around the one that the Trainer makes."""
        super().create_optimizer(*args, **kwargs)  # type: ignore[misc]
        if self._sharpness_aware is not None and not isinstance(self._own(), SharpnessAware):
            self.optimizer = self._sharpness_aware(self.optimizer.param_groups, self.optimizer)
        own = self._own()
        if not (isinstance(own, SharpnessAware) and own.in_two_steps):
            raise TypeError(
                "the Trainer's optimizer must be one of samlib.optim that can step in two, given "
                f"by sharpness_aware= or optimizers=; got {shown(own)}"
            )
        return self.optimizer

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as a Trainer does, without what an interrupted training left."""
        self._micro_batches = MicroBatches()
        return super().train(*args, **kwargs)  # type: ignore[misc]

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Any:
        """Evaluate a micro-batch, and with the last one of a step all of them once more."""
        return self._micro_batches.run(
            self._own(),
            super().training_step,  # type: ignore[misc]
            model,
            inputs,
            num_items_in_batch,
            last=self.accelerator.sync_gradients,
            scaler=getattr(self.optimizer, "scaler", None),
            without_sync=partial(self.accelerator.no_sync, model),
        )

    def _own(self) -> Any:
        """The optimizer itself, without what Accelerate puts around it."""
        return getattr(self.optimizer, "optimizer", self.optimizer)


class LogsEffect(TrainerCallback):
    """A callback that logs whether SAM does anything, by :class:`samlib.training.SAMEffect`.

    Whenever the Trainer logs its loss, what was read since the last time is added to the log: to
    ``state.log_history``, and for the callbacks after it. It costs no evaluation of the loss.

    Parameters
    ----------
    options
        What :class:`samlib.training.SAMEffect` takes: measure, k, data, loss_fn, loss, size,
        rtol, prefix, clipping (the Trainer's ``max_grad_norm`` if not given).

    Raises
    ------
    ValueError
        When the training starts: if its optimizer is none of :mod:`samlib.optim`, or an option is
        wrong.

    Notes
    -----
    The Trainer puts the callbacks that it is given behind its own. For a reporter such as
    TensorBoard's to see the numbers, put it first::

        trainer.callback_handler.callbacks.insert(0, effect)

    The Trainer clips gradients to the norm 1 if not told otherwise. Steps in which it did so are
    left out; with ``max_grad_norm=0`` in its arguments there are none.

    Examples
    --------
    >>> from samlib.integrations.huggingface import LogsEffect
    >>> effect = LogsEffect()
    >>> effect.summary()
    'Nothing has been read yet.'
    >>> trainer = transformers.Trainer(..., callbacks=[effect])  # doctest: +SKIP
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = options
        self._effect: SAMEffect | None = None

    def summary(self) -> str:
        """The last reading in plain sentences."""
        return "Nothing has been read yet." if self._effect is None else self._effect.summary()

    def on_train_begin(
        self, args: Any, state: Any, control: Any, optimizer: Any = None, **others: Any
    ) -> None:
        """Watch the optimizer."""
        self._stop()
        while not isinstance(optimizer, SharpnessAware) and hasattr(optimizer, "optimizer"):
            optimizer = optimizer.optimizer  # Accelerate puts one around it
        if not isinstance(optimizer, SharpnessAware):
            raise ValueError("LogsEffect needs an optimizer of samlib.optim, and there is none")
        self._effect = SAMEffect(
            optimizer, **{"clipping": args.max_grad_norm or None, **self._options}
        )

    def on_log(
        self,
        args: Any,
        state: Any,
        control: Any,
        logs: dict[str, float] | None = None,
        model: Any = None,
        **others: Any,
    ) -> None:
        """Add what was read to the log of a training loss."""
        if self._effect is None or logs is None or "loss" not in logs:
            return
        with modes_kept(model):
            model.eval()
            readings = self._effect(state.global_step, model)
        logs.update(readings)
        state.log_history[-1].update(readings)

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Let the optimizer alone."""
        self._stop()

    def _stop(self) -> None:
        if self._effect is not None:
            self._effect.stop()
