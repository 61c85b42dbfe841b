"""Hugging Face: the Trainer of transformers, with optimizers of samlib."""

from __future__ import annotations

from typing import Any

from samlib.optim import SharpnessAware
from samlib.training import SAMEffect
from samlib.training.states import modes_kept

try:
    from transformers import TrainerCallback
except ImportError:  # then there is no trainer to call it back
    TrainerCallback = object  # type: ignore[misc,assignment]


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
