"""SAM that leans towards the Hessian's top eigenvector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from samlib._validation import require_count, require_number, require_seed
from samlib.optim.by_loss import ByLoss
from samlib.optim.grad_scaler import enabled, scaled
from samlib.optim.gradients import gradient_of, with_gradient
from samlib.optim.order import wrapped
from samlib.optim.replicas import PerturbWith, is_replicated
from samlib.optim.shards import is_spread
from samlib.optim.vectors import flatten, normal
from samlib.optim.wrapper import BaseOptimizer, ParameterGroups, Radius


class EigenSAM(ByLoss):
    """SAM that leans towards the Hessian's top eigenvector (Luo et al., 2024).

    With u = g/‖g‖, v the top eigenvector of the Hessian at w and v_⊥ = v − ⟨u, v⟩u, a step
    perturbs along d = u + α sign⟨g, v⟩ v_⊥ by ε = ρ d/‖d‖, and the base optimizer steps from w
    with the gradient at w + ε. Every k-th step p power iterations, from
    the v before, improve v by Hessian-vector products over one graph of the gradient; they find
    the eigenvalue that is largest in absolute value.

    Parameters
    ----------
    params, base_optimizer, rho, model, perturb_with, same_masks
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
        If α, k, p or the seed is out of range, ``perturb_with`` does not fit the model, or
        parameters are sharded.

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

    _keeps_vector = True
    _graph: list[tuple[Tensor, Tensor]]  # parameters with gradients that can be differentiated
    _improved: Tensor | None

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: BaseOptimizer,
        *,
        rho: float,
        alpha: float,
        every: int = 100,
        power_steps: int = 5,
        seed: int = 0,
        model: nn.Module | None = None,
        perturb_with: PerturbWith = "averaged",
        same_masks: bool = False,
    ) -> None:
        self.alpha = require_number("alpha", alpha)
        self.every = require_count("every", every, minimum=1)
        self.power_steps = require_count("power_steps", power_steps, minimum=1)
        self.seed = require_seed("seed", seed)
        if perturb_with == "averaged" and is_replicated(model):
            raise ValueError(
                'EigenSAM with DistributedDataParallel needs perturb_with="local": a gradient that '
                "is to be differentiated again cannot be averaged"
            )
        super().__init__(
            params,
            base_optimizer,
            rho=rho,
            model=model,
            perturb_with=perturb_with,
            same_masks=same_masks,
        )
        self._require_plain()

    @property
    def refreshes(self) -> bool:
        """Whether the coming step improves the eigenvector, and needs the gradient's graph."""
        return self._memory.steps % self.every == 0

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
        if (own := wrapped(self)) is not self:
            own.first_step(scaler)
            return
        enabled(scaler)  # before anything is touched
        if self.refreshes and not self._calls.ascended:
            reached = with_gradient(self._parameters())
            self._graph = [(p, gradient_of(p)) for p in reached]
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
        if self._calls.ascended or not self.refreshes:
            return super()._evaluate(closure, scaler)
        self._require_plain()
        loss = self._loss(closure)
        parameters = [p for p in self._parameters() if p.requires_grad]
        gradients = torch.autograd.grad(
            scaled(loss, scaler), parameters, create_graph=True, allow_unused=True
        )
        pairs = zip(parameters, gradients, strict=True)
        self._graph = [(p, gradient) for p, gradient in pairs if gradient is not None]
        for p, gradient in self._graph:
            p.grad = gradient.detach().clone()
        return loss.detach()

    def _perturbation(self, gradient: Tensor, rho: Radius) -> Tensor:
        v = self._top_eigenvector() if self.refreshes else self._memory.recall(self._active)
        u = self._space.unit_(gradient)
        side = self._space.dot(u, v).sign()
        direction = u + self.alpha * side * self._space.rejection(v, u)
        return self._space.unit_(direction).mul_(rho)

    def _top_eigenvector(self) -> Tensor:
        """Improve v by power iteration on the Hessian; a scaled loss does not change it."""
        generator = torch.Generator(self._active[0].device).manual_seed(self.seed)
        first = self._memory.empty
        v = normal(self._active, generator) if first else self._memory.recall(self._active)
        for _ in range(self.power_steps):
            v = self._space.unit_(self._hessian_vector_product(v))
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

    def _require_plain(self) -> None:
        if any(is_spread(p) for p in self._parameters()):
            raise ValueError(
                "EigenSAM needs whole parameters, got some that are sharded: fully_shard gathers "
                "the weights where no gradient of a gradient can follow; use SAM, or "
                'DistributedDataParallel with perturb_with="local"'
            )

    def _remember(self) -> None:
        if self._improved is not None:
            self._memory.keep(self._improved, self._active)
        super()._remember()

    def _forget(self) -> None:
        self._graph, self._improved = [], None
        super()._forget()

    def _settings(self) -> dict[str, Any]:
        mine = {"alpha": self.alpha, "every": self.every, "power_steps": self.power_steps}
        return {**mine, **super()._settings()}
