"""Hugging Face: a Trainer that runs both passes of a step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from samlib._validation import shown
from samlib.integrations.micro_batches import MicroBatches
from samlib.optim import SharpnessAware


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
