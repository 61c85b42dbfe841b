"""What all sharpness-aware optimizers share: gradient, perturb, gradient, put back, base step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from samlib._validation import require_callable, require_flag, require_instance
from samlib.optim.checkpoint import prepares
from samlib.optim.grad_scaler import Passes, enabled, hang_up, is_calling, unscale_as_told
from samlib.optim.gradients import Leftovers, clear, gradients_of, replace, with_gradient
from samlib.optim.lost_perturbation import Rounding
from samlib.optim.order import Calls, wrapped
from samlib.optim.replicas import PerturbWith, first_pass, require_perturb_with
from samlib.optim.restore import RunningModules, SavedWeights, same
from samlib.optim.same_masks import Replayed
from samlib.optim.shards import parts
from samlib.optim.space import Space
from samlib.optim.vectors import Gathered, longer
from samlib.optim.watchers import Watched
from samlib.optim.wrapper import BaseOptimizer, ParameterGroups, Radius


class SharpnessAware(Watched):
    """Base of the family: a step with gradients at the weights w and at perturbed weights w + ε.

    A subclass says what ε is (:meth:`_perturbation`), how many times the weights are perturbed
    (:attr:`ascents`) and, if the update is not simply the last gradient, how the two gradients
    make one (:meth:`_combine`, with ``_combines = True``). Everything else is here.

    Parameters
    ----------
    params
        The parameters, or the parameter groups, that the base optimizer was made with. A group
        given as a dict may carry its own ``rho``.
    base_optimizer
        An instance of :class:`torch.optim.Optimizer`, or a list of them, each with parameters of
        its own. All share parameter groups and state, so learning-rate schedulers may be attached
        to any.
    rho
        ρ ≥ 0, the radius of the perturbation.
    model
        Optional: the module whose running statistics (BatchNorm) may follow the unperturbed
        weights only. Without it, the modules that run are watched, which takes some
        microseconds for each. Needed for a model compiled inside a function, and for
        ``perturb_with="local"``.
    perturb_with
        With DistributedDataParallel: ``"averaged"``, the perturbation comes from the gradient
        averaged over the replicas; ``"local"``, each replica takes that of its own rows, which
        is m-sharpness with m the rows of a replica (Foret et al., 2021). In use with a closure
        the first pass then runs in ``model.no_sync()``; in two-step use, do that yourself.
    same_masks
        Whether all passes of a step with a closure draw the same random numbers of torch, such
        as the masks of dropout. The stream goes on as after one pass. (In two steps, see
        :meth:`with_same_masks`.)
    """

    # How an optimizer of the family is to be called, for the loops around it.
    takes_loss: ClassVar[bool] = False  # its closure returns the loss and calls no backward()
    takes_batch: ClassVar[bool] = False  # step(closure, *batch): it cuts the batch itself
    in_two_steps: ClassVar[bool] = True  # first_step() and second_step() may be used

    # A torch.amp.GradScaler then calls step() in any case and leaves it to us what to do about an
    # infinity. It would otherwise skip the call, and the weights would stay perturbed.
    _step_supports_amp_scaling = True
    _combines: ClassVar[bool] = False

    _active: list[Tensor]  # the parameters with a gradient in the first pass
    _first: Tensor | None  # their gradient, if _combines or somebody watches
    _finite: bool
    _space: Space  # that of the vectors of this step

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: BaseOptimizer,
        *,
        rho: float,
        model: nn.Module | None = None,
        perturb_with: PerturbWith = "averaged",
        same_masks: bool = False,
    ) -> None:
        if model is not None:
            require_instance("model", model, nn.Module, "a torch.nn.Module or None")
        self.model = model
        self.perturb_with = require_perturb_with(perturb_with, model)
        self.same_masks = require_flag("same_masks", same_masks)
        super().__init__(params, base_optimizer, rho=rho)

    def _start(self) -> None:
        """Make what serves the steps and is no part of the optimizer's state."""
        super()._start()
        self._gathered = Gathered()
        self._weights = SavedWeights(self._gathered)
        self._modules = RunningModules(self.model)
        self._passes = Passes()
        self._leftovers = Leftovers()
        self._rounding = Rounding()
        self._calls = Calls(type(self).__name__)
        self._forget()

    @property
    def perturbed(self) -> bool:
        """Whether the weights are at w + ε now, in the midst of a step.

        What is logged then, such as the loss, is not that of the network.
        """
        return self._weights.away

    # ------------------------------------------------------------------------ to be overridden

    @property
    def ascents(self) -> int:
        """How many perturbations the coming step takes, each by a call of first_step."""
        return 1

    def _perturbation(self, gradient: Tensor, rho: Radius) -> Tensor:
        """ε [D] from the gradient [D] of the pass before, which may be overwritten.

        ρ is a number, or a vector [D] where groups differ.
        """
        raise NotImplementedError

    def _combine(self, first: Tensor, last: Tensor) -> Tensor:
        """The update's gradient [D] from the first and the last; unused unless _combines."""
        return last

    def _evaluate(self, closure: Callable[[], Any], scaler: Any) -> Any:
        """One pass: leave the gradients at the current weights in .grad, return the loss."""
        return closure()

    def _remember(self) -> None:
        """Update the state that is the optimizer's own, after a step that was not skipped."""
        self._memory.steps += 1

    def _forget(self) -> None:
        """End the step: running statistics return, everything of this step is let go of."""
        self._modules.release()
        self._weights.forget()
        self._watchers.forget()
        self._passes.start_over()
        self._calls.start_over()
        self._active, self._first, self._finite = [], None, True

    # ------------------------------------------------------------------------------- the step

    def step(self, closure: Callable[[], Any] | None = None, *, scaler: Any = None) -> Any:
        """One step: two passes with a closure, or the end of a two-step.

        Parameters
        ----------
        closure
            Computes the loss, calls ``backward`` on it and returns it. It is called once at the
            weights and once for each perturbation. It may accumulate gradients over
            micro-batches, and need not clear them.
        scaler
            The :class:`torch.amp.GradScaler` that the closure scales its loss with, if any. Do
            not give the closure to ``scaler.step``; do call ``scaler.update()`` afterwards.

        Returns
        -------
        Any
            What the closure returned first, the loss at the weights before the step; None at the
            end of a two-step.

        Raises
        ------
        ValueError
            If there is neither a closure nor a perturbation to come back from, or no gradient; or
            if the weights' dtype cannot hold the perturbation.
        RuntimeError
            If the calls are out of order, gradients would be used while they are scaled, or
            backward passes before the step left gradients that the closure does not clear.

        Notes
        -----
        If anything raises, the weights are exactly those before the step. ``.grad`` holds the
        gradient that the base optimizer stepped with.
        """
        if closure is None and not self._calls.ascended and prepares(self):
            return self.base_optimizer.step()
        self._require_order(closure)
        loss = None
        with torch.no_grad(), self._restored_if_it_fails():
            if closure is None or self._calls.ending:
                self._end_two_step(closure)
            else:
                loss = self._both_gradients(closure, enabled(scaler))
            self._descend()
        self._leftovers.end(self._parameters())
        self._forget()
        return loss

    def first_step(self, scaler: Any = None) -> None:
        """Perturb the weights with the gradients of your ``backward``, and clear the gradients.

        Call it :attr:`ascents` times, each after a backward pass, then run a last one and call
        :meth:`second_step`. Between the two, an error in your own code leaves the weights
        perturbed: :meth:`restore` puts them back.

        Parameters
        ----------
        scaler
            The :class:`torch.amp.GradScaler` that the loss was scaled with, if any. End the
            two-step with ``scaler.step(optimizer)`` then.

        Raises
        ------
        RuntimeError
            If the weights are perturbed already.
        ValueError
            If no parameter has a gradient, or the weights' dtype cannot hold the perturbation.
        """
        if (own := wrapped(self)) is not self:
            own.first_step(scaler)
            return
        self._calls.require_first_step(self.ascents, same_masks=self.same_masks)
        with torch.no_grad(), self._restored_if_it_fails():
            self._calls.scaled = enabled(scaler) is not None
            self._finite = self._unscale(enabled(scaler)) and self._finite
            self._ascend()

    def second_step(self) -> None:
        """Put the weights back and let the base optimizer step with the gradients of the last pass.

        Raises
        ------
        RuntimeError
            If the weights are not perturbed.
        ValueError
            If no parameter has a gradient.
        """
        self._calls.require_second_step(self.ascents)
        with self._calls.end():
            self.step()

    def with_same_masks(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        """Return a function that draws the same random numbers whenever it is called.

        For a step in two with ``same_masks=True``: take what it returns for both passes. The random
        numbers are torch's, on the CPU and on the devices of the parameters.
        """
        require_callable("closure", closure, "it computes the loss and returns it")
        self._calls.same_masks = True
        return Replayed(closure, {p.device for p in self._parameters()})

    def restore(self) -> None:
        """Put weights and running statistics back as they were before the step, and end it."""
        if (own := wrapped(self)) is not self:
            own.restore()
            return
        with torch.no_grad():
            self._weights.restore()
        self._modules.interrupt()
        if self._leftovers.begun:
            self._leftovers.end(self._parameters())
        self._forget()

    # -------------------------------------------------------------- perturb, gradient, return

    def _both_gradients(self, closure: Callable[[], Any], scaler: Any) -> Any:
        """Run the passes; leave the last gradient in .grad and the weights perturbed."""
        self._leftovers.begin(self._parameters())
        closure = self.with_same_masks(closure) if self.same_masks else closure
        with torch.enable_grad(), first_pass(self.perturb_with, self.model):
            loss = self._evaluate(closure, scaler)
        self._require_cleared()
        self._finite = self._unscale(scaler)
        while self._finite and self._calls.ascended < self.ascents:
            self._ascend()
            with torch.enable_grad():
                self._evaluate(closure, scaler)
            self._finite = self._unscale(scaler)
        return loss

    def _ascend(self) -> None:
        """Move to w + ε and clear the gradients."""
        gradient = self._gradient() if self._finite else None
        clear(self._parameters())  # now: what the perturbation needs may take their memory
        if gradient is not None:
            if not self._calls.ascended:
                self._watchers.begin()
            if (self._combines or self._watchers) and self._first is None:
                self._first = gradient.clone()
            perturbation = self._perturbation(gradient, self._radius(self._active))
            self._watchers.keep(perturbation)
            if self._calls.ascended:
                self._weights.restore()
            self._perturb(perturbation)
        self._calls.ascended += 1

    def _gradient(self) -> Tensor:
        """The gradient [D] of the pass that just ran; the first decides who is in it."""
        if not self._active:
            self._active = with_gradient(self._parameters())
            self._space = Space(self._active)
            self._modules.hold()
        return self._weights.gather(gradients_of(self._active))

    def _perturb(self, perturbation: Tensor) -> None:
        """Go from w to w + ε; the memory of ε may then hold w."""
        self._weights.save(self._active)
        self._weights.away = True
        torch._foreach_add_(parts(self._active), self._gathered.pieces(perturbation, self._active))
        self._modules.gather_again()
        if self._rounding.due():
            vectors = self._weights.saved(), self._active, perturbation, self._space
            self._rounding.compare(*vectors, name=type(self).__name__, rho=self._radii())
        self._weights.move()

    def _descend(self) -> None:
        """Return to w and step, or only return where a gradient was infinite."""
        if not self._finite:
            self._weights.restore()
            return
        touched = with_gradient(self._parameters())
        self._weights.save(touched)
        if self._combines or self._watchers:
            first, last = self._two_gradients(touched)
            self._watchers.show(first, last)
            if self._combines:
                update = self._gathered.pieces(self._combine(first, last), self._active)
                replace(self._active, update)
        self._weights.restore()
        self.base_optimizer.step()
        self._remember()

    def _two_gradients(self, touched: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The first gradient [D] and the last; one missing in either pass counts as zero."""
        if not same(touched, self._active):
            known = set(self._active)
            self._active = self._active + [p for p in touched if p not in known]
            self._space = Space(self._active)
        last = self._weights.gather(gradients_of(self._active))
        return longer(self._first, last), last

    # --------------------------------------------------------------------- order and exceptions

    @contextmanager
    def _restored_if_it_fails(self) -> Iterator[None]:
        self._share_with_base()
        try:
            yield
        except BaseException:
            hang_up(self)
            self.restore()
            raise

    def _require_settled(self, what: str) -> None:
        self._calls.require_unperturbed(what)

    def _require_order(self, closure: Callable[..., Any] | None) -> None:
        try:
            if closure is None or self._calls.ending:
                self._calls.require_end(self.ascents, by_scaler=is_calling(self))
            else:
                self._calls.require_closure(closure, by_scaler=is_calling(self))
        except BaseException:
            hang_up(self)
            raise

    def _require_cleared(self) -> None:
        two_steps = "or use first_step() and second_step(), each after all of them; "
        self._leftovers.require_cleared(
            "To accumulate, let the closure call backward() for every micro-batch, "
            f"{two_steps if self.in_two_steps else ''}with Lightning's accumulate_grad_batches or "
            "Accelerate's accumulate(), take samlib.integrations; to drop them, call zero_grad() "
            "before"
        )

    # ------------------------------------------------------------------------------- gradients

    def _unscale(self, scaler: Any) -> bool:
        """Unscale the gradients of the pass that just ran; return whether they are finite."""
        if scaler is None:
            return True
        if self.perturb_with == "local":
            raise ValueError(
                'a GradScaler needs perturb_with="averaged": replicas that perturb with their own '
                "gradient would not agree on which steps to skip; bfloat16 needs no scaler"
            )
        with_gradient(self._parameters())
        return self._passes.unscale(scaler, self)

    def _end_two_step(self, closure: Callable[[], Any] | None) -> None:
        """Unscale the last gradients where a GradScaler called step(): it left what it found."""
        if closure is not None:  # Lightning's, for its hooks; it evaluates nothing
            closure()
        if self._finite and is_calling(self):
            gradients = gradients_of(with_gradient(self._parameters()))
            self._finite = unscale_as_told(self, gradients)

    def _settings(self) -> dict[str, Any]:
        mine = {} if self.perturb_with == "averaged" else {"perturb_with": self.perturb_with}
        masks = {"same_masks": True} if self.same_masks else {}
        return {**mine, **masks, **super()._settings()}
