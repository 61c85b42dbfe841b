"""One perturbation from the gradient, then the gradient there: SAM and its nearest relatives."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from samlib._validation import require_number
from samlib.optim.base import SharpnessAware
from samlib.optim.replicas import PerturbWith
from samlib.optim.vectors import flatten
from samlib.optim.wrapper import BaseOptimizer, ParameterGroups, Radius


class SAM(SharpnessAware):
    """Sharpness-aware minimization around any torch optimizer (Foret et al., 2021).

    A step evaluates the gradient g of the loss at the weights w, a second gradient at
    w + ρ g/‖g‖, puts w back exactly, and lets the base optimizer step with the second gradient.
    The norm is taken over all parameters together. At g = 0 the direction is (1, …, 1)/√D, as in
    :class:`samlib.rules.SAM`; around plain SGD the two give the same iterates.

    Parameters
    ----------
    params
        The parameters, or the parameter groups, that the base optimizer was made with. A group
        given as a dict may carry its own ``rho``.
    base_optimizer
        An instance of :class:`torch.optim.Optimizer`, or a list of them, such as Muon for matrices
        and AdamW for the rest: the norm is over the parameters of all. Learning-rate schedulers may
        be attached to each or to this optimizer: they share their parameter groups.
    rho
        ρ ≥ 0, the radius of the perturbation.
    model, perturb_with, same_masks
        For compiled models, DistributedDataParallel and dropout: see :mod:`samlib.optim`.

    Notes
    -----
    Beyond the base optimizer a step takes memory for one copy of the weights that have a gradient,
    in float32 at least: first for g, then for w. It is kept for the next step.

    Raises
    ------
    TypeError
        If ``base_optimizer`` is not an instance of an optimizer, or needs a closure itself.
    ValueError
        If ρ is negative or not finite, or params and the base optimizer's parameters differ.

    Examples
    --------
    >>> import torch, samlib
    >>> model = torch.nn.Linear(2, 1)
    >>> inputs, targets = torch.randn(8, 2), torch.randn(8, 1)
    >>> base = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> optimizer = samlib.optim.SAM(model.parameters(), base, rho=0.05)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = torch.nn.functional.mse_loss(model(inputs), targets)
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure)  # the loss at the weights before the step
    """

    has_edge = True

    def _perturbation(self, gradient: Tensor, rho: Radius) -> Tensor:
        return self._space.unit_(gradient).mul_(rho)


class UnnormalizedSAM(SharpnessAware):
    """SAM without the normalization: perturb by ρ g (Andriushchenko & Flammarion, 2022).

    A step evaluates the gradient g at w, then the gradient at w + ρ g, and lets the base
    optimizer step from w with the latter.

    Parameters
    ----------
    params, base_optimizer, rho, model, perturb_with, same_masks
        As for :class:`SAM`; here ρ multiplies the gradient itself.

    Examples
    --------
    >>> import torch, samlib
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> base = torch.optim.SGD([w], lr=0.5)
    >>> optimizer = samlib.optim.UnnormalizedSAM([w], base, rho=0.1)
    >>> def closure():
    ...     loss = (w**2).sum() / 2
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> w.tolist()  # 1 − 0.5 · 1.1
    [0.449...]
    """

    has_edge = True  # with ρ itself in place of ρ/‖g‖

    def _perturbation(self, gradient: Tensor, rho: Radius) -> Tensor:
        return gradient.mul_(rho)


class ASAM(SharpnessAware):
    """Adaptive SAM: a perturbation as large as the weights themselves (Kwon et al., 2021).

    With T = diag(|w| + η), their element-wise operator, a step perturbs by ε = ρ T²g/‖Tg‖ and lets
    the base optimizer step from w with the gradient at w + ε. T applies to every parameter, as in
    the paper; in the authors' code it leaves all but those named ``weight`` as they are. At Tg = 0,
    ε = ρ T(1, …, 1)/√D.

    Parameters
    ----------
    params, base_optimizer, rho, model, perturb_with, same_masks
        As for :class:`SAM`. A good ρ is about ten times that of SAM.
    eta
        η ≥ 0, which lets weights at zero be perturbed too.

    Raises
    ------
    ValueError
        If η is negative or not finite.

    Examples
    --------
    >>> import torch, samlib
    >>> w = torch.nn.Parameter(torch.tensor([2.0, 0.0]))
    >>> base = torch.optim.SGD([w], lr=0.5)
    >>> samlib.optim.ASAM([w], base, rho=0.5, eta=0.01).eta
    0.01
    """

    def __init__(
        self,
        params: ParameterGroups,
        base_optimizer: BaseOptimizer,
        *,
        rho: float,
        eta: float = 0.01,
        model: nn.Module | None = None,
        perturb_with: PerturbWith = "averaged",
        same_masks: bool = False,
    ) -> None:
        self.eta = require_number("eta", eta)
        super().__init__(
            params,
            base_optimizer,
            rho=rho,
            model=model,
            perturb_with=perturb_with,
            same_masks=same_masks,
        )

    def _perturbation(self, gradient: Tensor, rho: Radius) -> Tensor:
        scale = flatten(self._active).abs_().add_(self.eta)
        scaled = self._space.scale_(gradient).mul_(scale)
        return self._space.unit_(scaled).mul_(scale).mul_(rho)

    def _settings(self) -> dict[str, Any]:
        return {"eta": self.eta, **super()._settings()}
