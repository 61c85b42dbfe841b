"""SAM as a torch optimizer, around any base optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from samlib._validation import require_non_negative

ParameterGroups = Iterable[Tensor] | Iterable[dict[str, Any]]


class SAM(Optimizer):
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
        An instance of :class:`torch.optim.Optimizer`. Learning-rate schedulers may be attached
        to it or to this optimizer: both share their parameter groups.
    rho
        ρ ≥ 0, the radius of the perturbation.

    Raises
    ------
    TypeError
        If ``base_optimizer`` is not an instance of an optimizer.
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

    def __init__(self, params: ParameterGroups, base_optimizer: Optimizer, rho: float) -> None:
        if not isinstance(base_optimizer, Optimizer):
            raise TypeError(
                "base_optimizer must be an instance such as torch.optim.SGD(params, lr=0.1), "
                f"got {base_optimizer!r}"
            )
        require_non_negative("rho", rho)
        super().__init__(params, {"rho": float(rho)})
        _require_same_parameters(self.param_groups, base_optimizer.param_groups)
        for own, base in zip(self.param_groups, base_optimizer.param_groups, strict=True):
            base["rho"] = require_non_negative("rho of a parameter group", own["rho"])
        self.base_optimizer = base_optimizer
        self._share_with_base()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One SAM step.

        Parameters
        ----------
        closure
            Clears the gradients, computes the loss, calls ``backward`` and returns the loss. It
            is called twice.

        Returns
        -------
        The loss of the first call, at the weights before the step.

        Raises
        ------
        ValueError
            If there is no closure: SAM needs the gradient at two points.

        Notes
        -----
        If anything raises, the weights are exactly those before the step.
        """
        if closure is None:
            raise ValueError(
                "SAM.step needs a closure, because it evaluates the gradient at two points: "
                "optimizer.step(closure), where closure() clears the gradients, computes the "
                "loss, calls backward() and returns the loss"
            )
        self._share_with_base()
        with torch.enable_grad():
            loss = closure()
        parameters = [p for group in self.param_groups for p in group["params"]]
        before = [p.detach().clone() for p in parameters]
        try:
            self._perturb()
            with torch.enable_grad():
                closure()
            _restore(parameters, before)
            self.base_optimizer.step()
        except BaseException:
            _restore(parameters, before)
            raise
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, perhaps with a ``rho`` of its own, to both optimizers."""
        if not hasattr(self, "base_optimizer"):  # while torch sets up this optimizer's groups
            super().add_param_group(param_group)
            return
        rho = require_non_negative("rho", param_group.get("rho", self.defaults["rho"]))
        self.base_optimizer.add_param_group({**param_group, "rho": rho})

    def state_dict(self) -> dict[str, Any]:
        """The base optimizer's state, momentum included, with ρ in its parameter groups."""
        return self.base_optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.base_optimizer.load_state_dict(state_dict)
        self._share_with_base()

    @torch.no_grad()
    def _perturb(self) -> None:
        """Add ρ g/‖g‖ to the parameters that have a gradient."""
        chosen = [
            (p, p.grad, group["rho"])
            for group in self.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        if not chosen:
            raise ValueError("no parameter has a gradient: the closure must call backward()")
        gradients = [gradient for _, gradient, _ in chosen]
        device = gradients[0].device
        norms = torch._foreach_norm(gradients)
        norm = torch.stack([part.to(device) for part in norms]).norm()
        # u = g/‖g‖ + 0, or 0/1 + 1/√D, without waiting for the device to know which.
        zero = norm == 0
        divisor = torch.where(zero, 1.0, norm)
        shift = zero.to(norm) / math.sqrt(sum(g.numel() for g in gradients))
        for p, gradient, rho in chosen:
            direction = (gradient / divisor.to(p.device)).add_(shift.to(p.device))
            p.add_(direction, alpha=rho)

    def _share_with_base(self) -> None:
        # Loading a state gives the base optimizer new groups, perhaps saved without ρ.
        self.param_groups = self.base_optimizer.param_groups
        self.state = self.base_optimizer.state
        for group in self.param_groups:
            group.setdefault("rho", self.defaults["rho"])


@torch.no_grad()
def _restore(parameters: list[Tensor], values: list[Tensor]) -> None:
    torch._foreach_copy_(parameters, values)


def _require_same_parameters(own: list[dict[str, Any]], base: list[dict[str, Any]]) -> None:
    own_ids, base_ids = ([[id(p) for p in g["params"]] for g in groups] for groups in (own, base))
    if own_ids != base_ids:
        raise ValueError(
            "params must be the same parameters, in the same groups, as base_optimizer's; got "
            f"{sum(map(len, own_ids))} in {len(own_ids)} groups against "
            f"{sum(map(len, base_ids))} in {len(base_ids)}"
        )
