"""What all sharpness-aware optimizers share: gradient, perturb, gradient, put back, base step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from samlib._validation import (
    require_callable,
    require_instance,
    require_name,
    require_number,
    shown,
)
from samlib.optim._restore import RunningStatistics, SavedWeights
from samlib.optim._scaling import Passes, unscale
from samlib.optim._vectors import Gathered, flatten

ParameterGroups = Iterable[Tensor] | Iterable[dict[str, Any]]
Radius = float | Tensor
PerturbWith = Literal["averaged", "local"]


class SharpnessAware(Optimizer):
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
        An instance of :class:`torch.optim.Optimizer`. Both share parameter groups and state, so
        learning-rate schedulers may be attached to either.
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
    """

    # A torch.amp.GradScaler then calls step() in any case and leaves it to us what to do about an
    # infinity. It would otherwise skip the call, and the weights would stay perturbed.
    _step_supports_amp_scaling = True
    _combines: ClassVar[bool] = False

    grad_scale: Tensor | None  # only while a GradScaler is calling step()
    found_inf: Tensor
    _active: list[Tensor]  # the parameters with a gradient in the first pass
    _first: Tensor | None  # their gradient, if _combines
    _ascended: int
    _finite: bool
    _scaled: bool

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: Optimizer,
        rho: float,
        *,
        model: nn.Module | None = None,
        perturb_with: PerturbWith = "averaged",
    ) -> None:
        _require_base(base_optimizer)
        if model is not None:
            require_instance("model", model, nn.Module, "a torch.nn.Module or None")
        super().__init__(_require_params(params), {"rho": require_number("rho", rho)})
        _require_same_parameters(self.param_groups, base_optimizer.param_groups)
        self.model = model
        self.perturb_with = self._require_perturb_with(perturb_with)
        radii = [require_number("rho of a parameter group", g["rho"]) for g in self.param_groups]
        # Only now, when nothing can fail any more.
        for base, radius in zip(base_optimizer.param_groups, radii, strict=True):
            base["rho"] = radius
        self.defaults = {**base_optimizer.defaults, **self.defaults}
        self.base_optimizer = base_optimizer
        self._steps = 0
        self._vectors: dict[Tensor, Tensor] = {}
        self._start()

    def _start(self) -> None:
        """Make what a single step needs; nothing of it outlives the step."""
        self._weights = SavedWeights()
        self._gathered = Gathered()
        self._statistics = RunningStatistics(self.model)
        self._passes = Passes()
        self._share_with_base()
        self._forget()

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
        self._steps += 1

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
            If there is neither a closure nor a perturbation to come back from, or no gradient.
        RuntimeError
            If the calls are out of order, or gradients would be used while they are scaled.

        Notes
        -----
        If anything raises, the weights are exactly those before the step. ``.grad`` holds the
        gradient that the base optimizer stepped with.
        """
        self._require_order(closure)
        loss = None
        with torch.no_grad(), self._restored_if_it_fails():
            if closure is None:
                self._end_two_step()
            else:
                loss = self._both_gradients(closure, _enabled(scaler))
            self._descend()
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
            If no parameter has a gradient.
        """
        if self._ascended >= self.ascents:
            raise RuntimeError(
                f"first_step() {self._after()}: {self.ascents} a step; next comes a backward "
                "pass and second_step(), or restore()"
            )
        with torch.no_grad(), self._restored_if_it_fails():
            self._scaled = _enabled(scaler) is not None
            self._finite = self._unscale(_enabled(scaler)) and self._finite
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
        if self._ascended < self.ascents:
            raise RuntimeError(
                f"second_step() {self._after()}: it needs {self.ascents}, each after a backward "
                "pass"
            )
        self.step()

    def restore(self) -> None:
        """Put weights and running statistics back as they were before the step, and end it."""
        with torch.no_grad():
            self._weights.restore()
        self._forget()

    def _both_gradients(self, closure: Callable[[], Any], scaler: Any) -> Any:
        """Run the passes; leave the last gradient in .grad and the weights perturbed."""
        self._clear()
        with torch.enable_grad(), self._first_pass():
            loss = self._evaluate(closure, scaler)
        self._finite = self._unscale(scaler)
        while self._finite and self._ascended < self.ascents:
            self._ascend()
            with torch.enable_grad():
                self._evaluate(closure, scaler)
            self._finite = self._unscale(scaler)
        return loss

    def _ascend(self) -> None:
        """Move to w + ε and clear the gradients."""
        if self._finite:
            self._move(self._gradient())
        self._clear()
        self._ascended += 1

    def _gradient(self) -> Tensor:
        """The gradient [D] of the pass that just ran; the first decides who is in it."""
        if not self._active:
            self._active = self._with_gradient()
            self._weights.save(self._all())
            self._statistics.hold()
        return self._gathered.gather([_gradient(p) for p in self._active])

    def _move(self, gradient: Tensor) -> None:
        if self._combines and self._first is None:
            self._first = gradient.clone()
        perturbation = self._perturbation(gradient, self._radius())
        if self._ascended:
            self._weights.restore()
        torch._foreach_add_(self._active, self._gathered.pieces(perturbation, self._active))

    def _descend(self) -> None:
        """Return to w and step, or only return where a gradient was infinite."""
        if not self._finite:
            self._weights.restore()
            return
        touched = self._with_gradient()
        self._weights.save(self._all())
        if self._combines:
            self._combine_gradients(touched)
        self._weights.restore()
        self.base_optimizer.step()
        self._remember()

    def _combine_gradients(self, touched: list[Tensor]) -> None:
        """Replace the last gradient by the update's; one missing in either pass counts as zero."""
        known = set(self._active)
        self._active = self._active + [p for p in touched if p not in known]
        last = self._gathered.gather([_gradient(p) for p in self._active])
        first = last.new_zeros(last.shape) if self._first is None else self._first
        first = torch.cat([first, first.new_zeros(last.numel() - first.numel())])
        update = self._combine(first, last)
        pieces = self._gathered.pieces(update, self._active)
        for p, gradient in zip(self._active, pieces, strict=True):
            p.grad = gradient.clone()

    # --------------------------------------------------------------------- order and exceptions

    @contextmanager
    def _restored_if_it_fails(self) -> Iterator[None]:
        self._share_with_base()
        try:
            yield
        except BaseException:
            self._drop_scale()
            self.restore()
            raise

    def _forget(self) -> None:
        """End the step: running statistics return, everything of this step is let go of."""
        self._statistics.release()
        self._weights.forget()
        self._passes.start_over()
        self._active, self._first, self._ascended = [], None, 0
        self._finite, self._scaled = True, False

    def _require_order(self, closure: Callable[..., Any] | None) -> None:
        try:
            self._require_order_of_calls(closure)
        except BaseException:
            self._drop_scale()
            raise

    def _require_order_of_calls(self, closure: Callable[..., Any] | None) -> None:
        name, by_scaler = type(self).__name__, "grad_scale" in self.__dict__
        if closure is not None:
            require_callable("closure", closure, "it computes the loss and returns it")
            if self._ascended:
                raise RuntimeError(
                    f"step(closure) {self._after()}: the weights are perturbed; end that step "
                    "with second_step() or restore()"
                )
            if by_scaler:
                raise RuntimeError(
                    "scaler.step(optimizer, closure) cannot unscale two gradients; call "
                    "optimizer.step(closure, scaler=scaler), then scaler.update()"
                )
        elif self._ascended < self.ascents:
            if self._ascended:
                raise RuntimeError(f"second_step() {self._after()} of {self.ascents}")
            raise ValueError(
                f"{name}.step needs a closure, because it evaluates the gradient at two points: "
                "optimizer.step(closure), where closure() computes the loss, calls backward() and "
                "returns the loss; or call first_step(), run a second backward pass, and call "
                "second_step()"
            )
        elif self._ascended and self._scaled != by_scaler:
            raise RuntimeError(
                "gradients scaled by a GradScaler need it in both passes: "
                "optimizer.first_step(scaler), then scaler.step(optimizer)"
            )

    def _after(self) -> str:
        return f"after {self._ascended} call{'s' * (self._ascended != 1)} of first_step()"

    # ------------------------------------------------------------------------------- gradients

    def _all(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _with_gradient(self) -> list[Tensor]:
        found = [p for p in self._all() if p.grad is not None]
        if not found:
            raise ValueError(
                "no parameter has a gradient: each pass must call backward() on the loss"
            )
        return found

    def _clear(self) -> None:
        for p in self._all():
            p.grad = None

    def _radius(self) -> Radius:
        """ρ as a number, or as a vector with one entry a parameter where groups differ."""
        radii = {group["rho"] for group in self.param_groups}
        if len(radii) == 1:
            return float(radii.pop())
        of = {p: group["rho"] for group in self.param_groups for p in group["params"]}
        return flatten([torch.full_like(p, of[p]) for p in self._active])

    def _first_pass(self) -> AbstractContextManager[Any]:
        """Where replicas perturb each with their own gradient, the first is not averaged."""
        if self.perturb_with == "averaged":
            return nullcontext()
        context: AbstractContextManager[Any] = self.model.no_sync()  # type: ignore[union-attr,operator]
        return context

    # ------------------------------------------------------------------------- mixed precision

    def _unscale(self, scaler: Any) -> bool:
        """Unscale the gradients of the pass that just ran; return whether they are finite."""
        if scaler is None:
            return True
        if self.perturb_with == "local":
            raise ValueError(
                'a GradScaler needs perturb_with="averaged": replicas that perturb with their own '
                "gradient would not agree on which steps to skip; bfloat16 needs no scaler"
            )
        self._with_gradient()
        self._passes.require_scaled(scaler, self)
        return self._passes.unscale(scaler, self.param_groups)

    def _end_two_step(self) -> None:
        """Unscale the last gradients where a GradScaler called step(): it left what it found."""
        if "grad_scale" not in self.__dict__:
            return
        self._finite = self._finite and not bool(self.found_inf)
        if self._finite and self.grad_scale is not None:
            unscale([_gradient(p) for p in self._with_gradient()], self.grad_scale)

    def _drop_scale(self) -> None:
        # A GradScaler takes these away itself, unless step() raises.
        self.__dict__.pop("grad_scale", None)
        self.__dict__.pop("found_inf", None)

    # ----------------------------------------------------------------------- groups and states

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, perhaps with a ``rho`` of its own, to both optimizers."""
        if "base_optimizer" not in self.__dict__:  # while torch sets up this optimizer's groups
            super().add_param_group(param_group)
            return
        self._require_unperturbed("add_param_group()")
        require_instance("param_group", param_group, dict, "a dict with the key 'params'")
        if "params" not in param_group:
            raise ValueError(
                f"param_group must be a dict with the key 'params', got {shown(param_group)}"
            )
        rho = require_number("rho", param_group.get("rho", self.defaults["rho"]))
        self.base_optimizer.add_param_group({**param_group, "rho": rho})

    def state_dict(self) -> dict[str, Any]:
        """The base optimizer's state with ρ in its groups, and what is this optimizer's own."""
        self._require_unperturbed("state_dict()")
        places = {p: place for place, p in enumerate(self._all())}
        vectors = {places[p]: piece for p, piece in self._vectors.items()}
        own = {"steps": self._steps, "vectors": vectors}
        return {**self.base_optimizer.state_dict(), "sharpness_aware": own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned; a state saved by the base optimizer will do."""
        self._require_unperturbed("load_state_dict()")
        require_instance("state_dict", state_dict, dict, "what state_dict() returned")
        own = state_dict.get("sharpness_aware", {"steps": 0, "vectors": {}})
        _require_own_state(own, len(self._all()))
        if missing := {"state", "param_groups"} - set(state_dict):
            raise ValueError(
                f"state_dict must be what state_dict() returned, got {shown(state_dict)} "
                f"without {' and '.join(sorted(missing))}"
            )
        self.base_optimizer.load_state_dict(
            {key: value for key, value in state_dict.items() if key != "sharpness_aware"}
        )
        self._share_with_base()
        parameters = self._all()
        self._steps = own["steps"]
        self._vectors = {
            parameters[place]: piece.detach().to(parameters[place], copy=True)
            for place, piece in own["vectors"].items()
        }

    def __getstate__(self) -> dict[str, Any]:
        self._require_unperturbed("copying")
        keep = self.__dict__.keys() - {"_weights", "_gathered", "_statistics", "_passes"}
        return {
            key: self.__dict__[key]
            for key in keep
            if key not in ("state", "param_groups", "step") and not key.startswith("_optimizer")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._start()

    def __repr__(self) -> str:
        rho = " | ".join(dict.fromkeys(f"{group['rho']:g}" for group in self.param_groups))
        settings = "".join(f", {name}={value!r}" for name, value in self._settings().items())
        base = "\n  ".join(repr(self.base_optimizer).splitlines())
        return f"{type(self).__name__}(\n  rho={rho}{settings}\n  {base}\n)"

    def _settings(self) -> dict[str, Any]:
        """What distinguishes this optimizer from another of its class, beside ρ, for repr."""
        return {} if self.perturb_with == "averaged" else {"perturb_with": self.perturb_with}

    def _share_with_base(self) -> None:
        # Loading a state gives the base optimizer new groups, perhaps saved without ρ.
        self.param_groups = self.base_optimizer.param_groups
        self.state = self.base_optimizer.state
        for group in self.param_groups:
            group.setdefault("rho", self.defaults["rho"])

    def _recall(self) -> Tensor:
        """The vector kept from earlier steps, for the active parameters; zero where new."""
        return flatten([self._vectors.get(p, torch.zeros_like(p)) for p in self._active])

    def _keep(self, vector: Tensor) -> None:
        """Keep a vector for later steps, and for the state."""
        pieces = self._gathered.pieces(vector, self._active)
        self._vectors.update((p, q.clone()) for p, q in zip(self._active, pieces, strict=True))

    def _require_unperturbed(self, what: str) -> None:
        if self._ascended:
            raise RuntimeError(
                f"{what} {self._after()}: the weights are perturbed; call second_step() or "
                "restore() before"
            )

    def _require_perturb_with(self, perturb_with: PerturbWith) -> PerturbWith:
        require_name("perturb_with", perturb_with, ("averaged", "local"))
        if perturb_with == "local" and not hasattr(self.model, "no_sync"):
            raise ValueError(
                "perturb_with='local' needs model=, the DistributedDataParallel module, got "
                f"{type(self.model).__name__}"
            )
        return perturb_with


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _enabled(scaler: Any) -> Any:
    """Return the scaler, or None where it does nothing."""
    if scaler is not None and not hasattr(scaler, "is_enabled"):
        raise TypeError(f"scaler must be a torch.amp.GradScaler, got {shown(scaler)}")
    return scaler if scaler is not None and scaler.is_enabled() else None


def _require_base(base_optimizer: Any) -> None:
    if not isinstance(base_optimizer, Optimizer):
        raise TypeError(
            "base_optimizer must be an instance such as torch.optim.SGD(params, lr=0.1), "
            f"got {shown(base_optimizer)}"
        )
    closure = inspect.signature(base_optimizer.step).parameters.get("closure")
    needs_closure = closure is not None and closure.default is inspect.Parameter.empty
    if needs_closure or isinstance(base_optimizer, SharpnessAware):
        raise TypeError(
            f"base_optimizer must be able to step without a closure, got {shown(base_optimizer)}"
        )


def _require_params(params: ParameterGroups) -> list[Any]:
    allowed = "params must be a non-empty iterable of parameters, or of dicts with them"
    if isinstance(params, (Tensor, str, dict)) or not isinstance(params, Iterable):
        raise TypeError(f"{allowed}, got {shown(params)}")
    given = list(params)
    for entry in given:
        if not isinstance(entry, (Tensor, dict, tuple)):  # torch knows parameters with names, too
            raise TypeError(f"{allowed}, got {shown(entry)} in it")
    if not given:
        raise ValueError(f"{allowed}, got {shown(given)}")
    return given


def _require_own_state(own: Any, parameters: int) -> None:
    """Refuse what load_state_dict would stumble over half way."""
    fits = (
        isinstance(own, dict)
        and isinstance(own.get("steps"), int)
        and isinstance(own.get("vectors"), dict)
        and all(place in range(parameters) for place in own["vectors"])
    )
    if not fits:
        raise ValueError(
            "state_dict['sharpness_aware'] must be what state_dict() returned for as many "
            f"parameters, got {shown(own)}"
        )


def _require_same_parameters(own: list[dict[str, Any]], base: list[dict[str, Any]]) -> None:
    own_ids, base_ids = ([[id(p) for p in g["params"]] for g in groups] for groups in (own, base))
    if own_ids != base_ids:
        raise ValueError(
            "params must be the same parameters, in the same groups, as base_optimizer's; got "
            f"{sum(map(len, own_ids))} in {len(own_ids)} groups against "
            f"{sum(map(len, base_ids))} in {len(base_ids)}"
        )
