"""Optimizers that take the loss itself, to differentiate it twice or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from samlib._validation import require_count, require_number, require_seed
from samlib.optim._base import ParameterGroups, PerturbWith, Radius, SharpnessAware, _enabled
from samlib.optim._vectors import flatten, rejection, unit_


class _ByLoss(SharpnessAware):
    """A closure here returns the loss and does not call backward()."""

    def _loss(self, closure: Callable[[], Any]) -> Tensor:
        self._clear()
        loss = closure()
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise TypeError(f"the closure must return the loss as a tensor, got {loss!r}")
        if any(p.grad is not None for p in self._all()):
            raise ValueError(
                f"the closure of {type(self).__name__} must not call backward(): it returns the "
                "loss, which is differentiated here"
            )
        return loss

    def _evaluate(self, closure: Callable[[], Any], scaler: Any) -> Any:
        loss = self._loss(closure)
        torch.autograd.backward(_scaled(loss, scaler))
        return loss.detach()


class EigenSAM(_ByLoss):
    """SAM that leans towards the Hessian's top eigenvector (Luo et al., 2024).

    With u = g/‖g‖, v the top eigenvector of the Hessian at w and v_⊥ = v − ⟨u, v⟩u, a step
    perturbs along d = u + α sign⟨g, v⟩ v_⊥ by ε = ρ d/‖d‖, and the base optimizer steps from w
    with the gradient at w + ε. Every k-th step p power iterations, from
    the v before, improve v by Hessian-vector products over one graph of the gradient; they find
    the eigenvalue that is largest in absolute value.

    Parameters
    ----------
    params, base_optimizer, rho, model, perturb_with
        As for :class:`SAM`. DistributedDataParallel cannot average a gradient that is to be
        differentiated, so replicas need ``perturb_with="local"``; each has a v of its own.
    alpha
        α ≥ 0; 0 is SAM.
    every, power_steps
        k ≥ 1 and p ≥ 1.
    seed
        Of the first v.

    Raises
    ------
    ValueError
        If α, k, p or the seed is out of range, or ``perturb_with`` does not fit the model.

    Notes
    -----
    The closure does not call ``backward``. In two-step use call
    ``loss.backward(create_graph=optimizer.refreshes)`` before ``first_step()``, and plain
    ``loss.backward()`` before ``second_step()``. Models that torch compiles, and fused attention,
    have no second derivative.

    Examples
    --------
    >>> import torch, samlib
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> base = torch.optim.SGD([w], lr=0.01)
    >>> optimizer = samlib.optim.EigenSAM([w], base, rho=0.1, alpha=0.2)
    >>> loss = optimizer.step(lambda: (w**4).sum())
    """

    _graph: list[tuple[Tensor, Tensor]]  # parameters with gradients that can be differentiated
    _improved: Tensor | None

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: Optimizer,
        rho: float,
        alpha: float,
        every: int = 100,
        power_steps: int = 5,
        seed: int = 0,
        *,
        model: nn.Module | None = None,
        perturb_with: PerturbWith = "averaged",
    ) -> None:
        self.alpha = require_number("alpha", alpha)
        self.every = require_count("every", every, minimum=1)
        self.power_steps = require_count("power_steps", power_steps, minimum=1)
        self.seed = require_seed("seed", seed)
        if perturb_with == "averaged" and hasattr(model, "no_sync"):
            raise ValueError(
                'EigenSAM with DistributedDataParallel needs perturb_with="local": a gradient that '
                "is to be differentiated again cannot be averaged"
            )
        super().__init__(params, base_optimizer, rho, model=model, perturb_with=perturb_with)

    @property
    def refreshes(self) -> bool:
        """Whether the coming step improves the eigenvector, and needs the gradient's graph."""
        return self._steps % self.every == 0

    def first_step(self, scaler: Any = None) -> None:
        """Perturb with the gradients of your ``backward(create_graph=optimizer.refreshes)``.

        Parameters
        ----------
        scaler
            As for :meth:`SAM.first_step`.

        Raises
        ------
        RuntimeError
            If the weights are perturbed already.
        ValueError
            If no parameter has a gradient, or one that the step must differentiate has no graph.
        """
        _enabled(scaler)  # before anything is touched
        if self.refreshes and not self._ascended:
            self._graph = [(p, p.grad) for p in self._with_gradient() if p.grad is not None]
            if not any(gradient.requires_grad for _, gradient in self._graph):
                self._graph = []
                raise ValueError(
                    "this step improves the eigenvector: call "
                    "loss.backward(create_graph=optimizer.refreshes) before first_step()"
                )
            for p, gradient in self._graph:
                p.grad = gradient.detach().clone()
        super().first_step(scaler)

    def _evaluate(self, closure: Callable[[], Any], scaler: Any) -> Any:
        if self._ascended or not self.refreshes:
            return super()._evaluate(closure, scaler)
        loss = self._loss(closure)
        parameters = [p for p in self._all() if p.requires_grad]
        gradients = torch.autograd.grad(
            _scaled(loss, scaler), parameters, create_graph=True, allow_unused=True
        )
        pairs = zip(parameters, gradients, strict=True)
        self._graph = [(p, gradient) for p, gradient in pairs if gradient is not None]
        for p, gradient in self._graph:
            p.grad = gradient.detach().clone()
        return loss.detach()

    def _perturbation(self, gradient: Tensor, rho: Radius) -> Tensor:
        v = self._top_eigenvector() if self.refreshes else self._recall()
        u = unit_(gradient)
        return unit_(u + self.alpha * (u @ v).sign() * rejection(v, u)).mul_(rho)

    def _top_eigenvector(self) -> Tensor:
        """Improve v by power iteration on the Hessian; a scaled loss does not change it."""
        generator = torch.Generator(self._active[0].device).manual_seed(self.seed)
        v = self._recall() if self._vectors else _normal(self._active, generator)
        for _ in range(self.power_steps):
            v = unit_(self._hessian_vector_product(v))
        self._graph, self._improved = [], v
        return v

    def _hessian_vector_product(self, v: Tensor) -> Tensor:
        pieces = self._gathered.pieces(v, self._active)
        curved = [(g, q) for (_, g), q in zip(self._graph, pieces, strict=True) if g.requires_grad]
        if not curved:  # a linear loss
            return torch.zeros_like(v)
        outputs, vectors = zip(*curved, strict=True)
        products = torch.autograd.grad(
            outputs, self._active, vectors, retain_graph=True, materialize_grads=True
        )
        return flatten(products)

    def _remember(self) -> None:
        if self._improved is not None:
            self._keep(self._improved)
        super()._remember()

    def _forget(self) -> None:
        self._graph, self._improved = [], None
        super()._forget()

    def _settings(self) -> dict[str, Any]:
        mine = {"alpha": self.alpha, "every": self.every, "power_steps": self.power_steps}
        return {**mine, **super()._settings()}


class DiametricalRisk(_ByLoss):
    """Minimize the worst loss in a ball, found by sampling (Norton & Royset, 2021).

    The diametrical risk is max_{‖v‖≤ρ} L(w + v). A step takes the maximum over a finite set: n
    directions uniform on the sphere of radius ρ and, from the second step on, the worst direction
    of the step before. The base optimizer steps from w with the gradient at the worst of them, a
    gradient of the maximum there. The maximum over samples is a lower bound of the risk.

    Parameters
    ----------
    params, base_optimizer, rho, model
        As for :class:`SAM`; ρ is the paper's γ. Each replica takes its own worst direction.
    directions
        n ≥ 1. A step takes n + 2 or n + 3 evaluations of the loss, one of them with a gradient.
    seed
        Of the directions.

    Raises
    ------
    ValueError
        If n or the seed is out of range.

    Notes
    -----
    The closure returns the loss and does not call ``backward``; it is also called without
    gradients. There is no two-step use.

    Examples
    --------
    >>> import torch, samlib
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> base = torch.optim.SGD([w], lr=0.01)
    >>> optimizer = samlib.optim.DiametricalRisk([w], base, rho=0.1, directions=4)
    >>> loss = optimizer.step(lambda: (w**4).sum())
    """

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: Optimizer,
        rho: float,
        directions: int = 20,
        seed: int = 0,
        *,
        model: nn.Module | None = None,
    ) -> None:
        self.directions = require_count("directions", directions, minimum=1)
        self.seed = require_seed("seed", seed, bits=32)  # the other half of 64 is the step
        super().__init__(params, base_optimizer, rho, model=model)

    def first_step(self, scaler: Any = None) -> NoReturn:
        """Not for a search over losses: raises RuntimeError."""
        raise RuntimeError(
            "DiametricalRisk evaluates the loss at many points: use step(closure), with a closure "
            "that returns the loss"
        )

    def _both_gradients(self, closure: Callable[[], Any], scaler: Any) -> Any:
        loss = self._loss(closure).detach()
        self._active = [p for p in self._all() if p.requires_grad]
        self._weights.save(self._all())
        self._statistics.hold()
        self._place(self._search(closure))
        self._ascended += 1
        with torch.enable_grad():
            self._evaluate(closure, scaler)
        self._finite = self._unscale(scaler)
        return loss

    def _search(self, closure: Callable[[], Any]) -> Tensor:
        """Find the unit direction with the largest loss, without waiting for the device."""
        generator = torch.Generator(self._active[0].device)
        generator.manual_seed((self.seed << 32) + self._steps)  # nothing else to be saved
        worst = self._recall() if self._vectors else unit_(_normal(self._active, generator))
        largest = self._place(worst, closure)
        for _ in range(self.directions - (not self._vectors)):
            direction = unit_(_normal(self._active, generator))
            loss = self._place(direction, closure)
            worse = loss > largest
            worst, largest = torch.where(worse, direction, worst), torch.where(worse, loss, largest)
        self._worst = worst
        return worst

    def _place(self, direction: Tensor, closure: Callable[[], Any] | None = None) -> Any:
        """Move to w + ρ v, and evaluate the loss there."""
        self._weights.restore()
        perturbation = direction * self._radius()
        torch._foreach_add_(self._active, self._gathered.pieces(perturbation, self._active))
        return None if closure is None else self._loss(closure)

    def _remember(self) -> None:
        self._keep(self._worst)
        super()._remember()

    def _settings(self) -> dict[str, Any]:
        return {"directions": self.directions, "seed": self.seed, **super()._settings()}


def _scaled(loss: Tensor, scaler: Any) -> Tensor:
    scaled: Tensor = loss if scaler is None else scaler.scale(loss)
    return scaled


def _normal(like: list[Tensor], generator: torch.Generator) -> Tensor:
    """Draw a normal vector [D] on the device of the first tensor."""
    device = generator.device
    return flatten(
        [torch.randn(p.shape, generator=generator, dtype=p.dtype, device=device) for p in like]
    )
