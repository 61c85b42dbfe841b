"""m-sharpness: the average of SAM's gradients over micro-batches of m rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from samlib._validation import require_count
from samlib.optim.checkpoint import prepares
from samlib.optim.grad_scaler import enabled
from samlib.optim.gradients import gradient_of, with_gradient
from samlib.optim.replicas import PerturbWith
from samlib.optim.sam import SAM
from samlib.optim.wrapper import BaseOptimizer, ParameterGroups


class MSAM(SAM):
    """SAM with m-sharpness (Foret et al., 2021; Andriushchenko & Flammarion, 2022).

    A batch is cut into micro-batches of m rows. Each perturbs w by ρ g/‖g‖ with its own gradient
    g, and the base optimizer steps from w with the average of the gradients there, weighted by
    rows. With m = 1 it is 1-SAM averaged over the batch, with m the whole batch it is SAM. (Not
    to be confused with Momentum-SAM.)

    Parameters
    ----------
    params, base_optimizer, rho, model, perturb_with, same_masks
        As for :class:`SAM`.
    m
        The rows of a micro-batch; the last one of a batch may be smaller.

    Raises
    ------
    ValueError
        If m < 1.

    Examples
    --------
    >>> import torch, samlib
    >>> model = torch.nn.Linear(2, 1)
    >>> inputs, targets = torch.randn(8, 2), torch.randn(8, 1)
    >>> base = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> optimizer = samlib.optim.MSAM(model.parameters(), base, rho=0.05, m=2)
    >>> def closure(inputs, targets):
    ...     loss = torch.nn.functional.mse_loss(model(inputs), targets)
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure, inputs, targets)
    """

    takes_batch = True
    in_two_steps = False
    has_edge = False  # a micro-batch has its own ρ/‖g‖ and its own Hessian

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: BaseOptimizer,
        *,
        rho: float,
        m: int,
        model: nn.Module | None = None,
        perturb_with: PerturbWith = "averaged",
        same_masks: bool = False,
    ) -> None:
        self.m = require_count("m", m, minimum=1)
        super().__init__(
            params,
            base_optimizer,
            rho=rho,
            model=model,
            perturb_with=perturb_with,
            same_masks=same_masks,
        )

    def step(
        self, closure: Callable[..., Any] | None = None, *batch: Tensor, scaler: Any = None
    ) -> Any:
        """One step on a batch.

        Parameters
        ----------
        closure
            Takes the tensors of a micro-batch, computes their mean loss, calls ``backward`` and
            returns it. It is called twice for each micro-batch.
        batch
            Tensors with as many rows each, cut along their first dimension.
        scaler
            The :class:`torch.amp.GradScaler` that the closure scales its loss with, if any.

        Returns
        -------
        The mean loss of the batch at the weights before the step.

        Raises
        ------
        ValueError
            If there is no closure, no batch, or the tensors do not have as many rows.
        """
        if closure is None:
            if prepares(self):
                return self.base_optimizer.step()
            raise ValueError(
                "MSAM.step needs a closure and a batch, step(closure, inputs, targets); got None"
            )
        rows = _require_batch(batch)
        self._require_order(closure)
        with torch.no_grad(), self._restored_if_it_fails():
            losses, totals = [], dict[Tensor, Tensor]()
            for share, micro_batch in self._cut(batch, rows):
                call = partial(closure, *micro_batch)
                losses.append(share * torch.as_tensor(self._both_gradients(call, enabled(scaler))))
                if not self._finite:
                    break
                self._show_micro_batch()
                self._add_to(totals, share)
                self._return()
            for p, total in totals.items():
                p.grad = total
            self._descend()
        self._leftovers.end(self._parameters())
        self._forget()
        return torch.stack([loss.detach() for loss in losses]).sum()

    def first_step(self, scaler: Any = None) -> NoReturn:
        """Not for m-sharpness: raises RuntimeError."""
        raise RuntimeError(
            "MSAM evaluates two gradients for each micro-batch: use step(closure, inputs, targets)"
        )

    def _cut(self, batch: tuple[Tensor, ...], rows: int) -> Iterator[tuple[float, list[Tensor]]]:
        for start in range(0, rows, self.m):
            piece = [tensor[start : start + self.m] for tensor in batch]
            yield len(piece[0]) / rows, piece

    def _show_micro_batch(self) -> None:
        if self._watchers:
            self._watchers.show(*self._two_gradients(with_gradient(self._parameters())))
            self._watchers.forget()

    def _add_to(self, totals: dict[Tensor, Tensor], share: float) -> None:
        for p in with_gradient(self._parameters()):
            if p in totals:
                totals[p].add_(gradient_of(p), alpha=share)
            else:
                totals[p] = gradient_of(p) * share
            p.grad = None

    def _return(self) -> None:
        """Go back to w between two micro-batches; running statistics follow each once."""
        self._weights.restore()
        self._weights.forget()
        self._modules.release()
        self._active, self._first, self._calls.ascended = [], None, 0

    def _settings(self) -> dict[str, Any]:
        return {"m": self.m, **super()._settings()}


def _require_batch(batch: tuple[Any, ...]) -> int:
    sizes = {len(tensor) if isinstance(tensor, Tensor) and tensor.dim() else 0 for tensor in batch}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            "MSAM.step needs tensors with as many rows each, at least one, after the closure; got "
            f"{tuple(tuple(t.shape) if isinstance(t, Tensor) else t for t in batch)}"
        )
    return int(sizes.pop())
