"""Lightning: a log that holds the losses of the network, and not those of perturbed weights."""

from __future__ import annotations

from typing import Any

import torch

from samlib._validation import require_count
from samlib.optim import SharpnessAware
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
