"""Gradients accumulated over micro-batches by another library's loop, in every pass of a step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from samlib.optim import SharpnessAware


class MicroBatches:
    """Runs the first pass of a step as the micro-batches come, and the others over all of them."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], Any]] = []

    def run(
        self,
        optimizer: SharpnessAware,
        evaluate: Callable[..., Any],
        *batch: Any,
        last: bool,
        scaler: Any,
        without_sync: Callable[[], AbstractContextManager[Any]],
    ) -> Any:
        """Evaluate a micro-batch; with the last one of a step, go through all passes but the end.

        Parameters
        ----------
        optimizer
            What remains to be called then is its ``step()``, or that of a wrapper around it.
        evaluate
            Takes the micro-batch, and adds its gradient to ``.grad``.
        batch
            What ``evaluate`` takes. It is kept up to the end of the step.
        last
            Whether the step comes after this micro-batch.
        scaler
            The :class:`torch.amp.GradScaler` in use, or None.
        without_sync
            Makes a context in which replicas do not exchange gradients.

        Returns
        -------
        Any
            What ``evaluate`` returned at the unperturbed weights.
        """
        call: Callable[[], Any] = partial(evaluate, *batch)
        call = optimizer.with_same_masks(call) if optimizer.same_masks else call
        with without_sync() if optimizer.perturb_with == "local" else nullcontext():
            result = call()
        self._calls.append(call)  # only now: what failed has left no gradient to be matched
        if last:
            calls, self._calls = self._calls, []
            for _ in range(optimizer.ascents):
                optimizer.first_step(scaler)
                try:
                    _add_up(calls, without_sync)
                except BaseException:
                    optimizer.restore()
                    raise
        return result


def _add_up(
    calls: list[Callable[[], Any]], without_sync: Callable[[], AbstractContextManager[Any]]
) -> None:
    for call in calls[:-1]:
        with without_sync():
            call()
    calls[-1]()
