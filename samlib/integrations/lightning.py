"""Lightning: a log that holds the losses of the network, and not those of perturbed weights."""

from __future__ import annotations

from typing import Any

from samlib.optim import SharpnessAware


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
