"""Accelerate: both passes of a step, over the micro-batches that it accumulates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from samlib._validation import require_callable, require_instance
from samlib.integrations.micro_batches import MicroBatches
from samlib.optim import SharpnessAware


class BothPasses:
    """Backward passes at the weights and at perturbed weights, in the place of one.

    What ``accelerator.prepare`` returns for an optimizer of :mod:`samlib.optim` hides its
    ``first_step``, and ``accumulate`` leaves gradients at the unperturbed weights. Call
    :meth:`backward` instead of ``accelerator.backward``; everything else of the loop stays:
    clipping, ``optimizer.step()``, schedulers, ``accumulate``, mixed precision. (For
    ``perturb_with="local"`` prepare the model first, and make the optimizer with it as ``model=``.)

    Parameters
    ----------
    accelerator
        The :class:`accelerate.Accelerator`.
    model, optimizer
        As ``accelerator.prepare`` returned them.

    Notes
    -----
    It keeps the micro-batches since the last step. Make a new one for a loop that starts over.

    Raises
    ------
    TypeError
        If the prepared optimizer is none of :mod:`samlib.optim`, or cannot step in two.

    Examples
    --------
    >>> passes = BothPasses(accelerator, model, optimizer)  # doctest: +SKIP
    >>> loss_of = lambda x, y: loss_fn(model(x), y)  # doctest: +SKIP
    >>> for x, y in loader:  # doctest: +SKIP
    ...     with accelerator.accumulate(model):
    ...         loss = passes.backward(loss_of, x, y)
    ...         optimizer.step()
    ...         optimizer.zero_grad()
    """

    def __init__(self, accelerator: Any, model: Any, optimizer: Any) -> None:
        own = getattr(optimizer, "optimizer", optimizer)
        require_instance("optimizer", own, SharpnessAware, "one of samlib.optim, prepared")
        if not own.in_two_steps:
            raise TypeError(
                f"optimizer must be able to step in two, got {type(own).__name__}: call "
                "optimizer.optimizer.step(closure, ...) instead, without accumulate()"
            )
        self._accelerator, self._model, self._optimizer = accelerator, model, own
        self._prepared = optimizer
        self._micro_batches = MicroBatches()

    def backward(self, loss_of: Callable[..., Any], *batch: Any) -> Any:
        """Evaluate the loss of a micro-batch and its gradient, in every pass of the step.

        Parameters
        ----------
        loss_of
            Takes the micro-batch and returns its loss. It is called at once and, if this is the
            last micro-batch before a step, again at perturbed weights, for each of them.
        batch
            What ``loss_of`` takes, such as inputs and targets.

        Returns
        -------
        Any
            The loss at the unperturbed weights, detached.
        """
        require_callable("loss_of", loss_of, "it takes the batch and returns the loss")
        return self._micro_batches.run(
            self._optimizer,
            partial(self._evaluate, loss_of),
            *batch,
            last=self._accelerator.sync_gradients,
            scaler=getattr(self._prepared, "scaler", None),
            without_sync=partial(self._accelerator.no_sync, self._model),
        )

    def _evaluate(self, loss_of: Callable[..., Any], *batch: Any) -> Any:
        loss = loss_of(*batch)
        twice = getattr(self._optimizer, "refreshes", False) and not self._optimizer.perturbed
        self._accelerator.backward(loss, **({"create_graph": True} if twice else {}))
        return loss.detach()
