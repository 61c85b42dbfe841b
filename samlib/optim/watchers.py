"""Those who watch the two gradients of every step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from samlib._validation import require_callable
from samlib.optim.replicas import PerturbWith
from samlib.optim.wrapper import Wrapper

GradientHook = Callable[[Tensor, Tensor, Tensor], object]


class Watchers:
    """Hooks that are shown g, ε and g_p of a step, and what is kept for them meanwhile.

    Where nobody watches, nothing is kept and nothing is copied.
    """

    def __init__(self) -> None:
        self._hooks: OrderedDict[int, tuple[GradientHook, Callable[[], bool] | None]]
        self._hooks = OrderedDict()
        self._watching: list[GradientHook] = []
        self._perturbation: Tensor | None = None

    def __bool__(self) -> bool:
        """Whether anybody watches this step."""
        return bool(self._watching)

    def add(self, hook: GradientHook, when: Callable[[], bool] | None) -> RemovableHandle:
        """Show steps to the hook too, until the handle is removed."""
        handle = RemovableHandle(self._hooks)
        self._hooks[handle.id] = hook, when
        return handle

    def begin(self) -> None:
        """Ask who watches this step."""
        hooks = list(self._hooks.values())
        self._watching = [hook for hook, when in hooks if when is None or when()]

    def keep(self, perturbation: Tensor) -> None:
        """Copy ε [D], whose memory is used again before the step ends; the last one counts."""
        if self:
            self._perturbation = perturbation.clone()

    def show(self, first: Tensor, last: Tensor) -> None:
        """Show g and g_p [D] with ε, which is zero for parameters that only g_p reaches."""
        if self._perturbation is None:  # a step without a perturbation
            return
        rest = last.numel() - self._perturbation.numel()
        perturbation = torch.cat([self._perturbation, last.new_zeros(rest)])
        for hook in self._watching:
            hook(first, perturbation, last)

    def forget(self) -> None:
        """Let go of the step."""
        self._watching, self._perturbation = [], None


class Watched(Wrapper):
    """An optimizer with two gradients a step, which others may look at."""

    two_gradients: ClassVar[bool] = True  # the first is that of the loss at the weights
    has_edge: ClassVar[bool] = False  # whether ηλ(1 + ρλ/‖g‖) says if its steps are stable

    perturb_with: PerturbWith

    def _start(self) -> None:
        super()._start()
        self._watchers = Watchers()

    def register_gradient_hook(
        self, hook: GradientHook, *, when: Callable[[], bool] | None = None
    ) -> RemovableHandle:
        """Show the two gradients of every coming step to ``hook(g, ε, g_p)``.

        Parameters
        ----------
        hook
            Takes three vectors [D] over the parameters that have a gradient: g, the gradient at
            the weights w; the perturbation ε; and g_p, the gradient at w + ε. It is called before
            the base optimizer steps; with :class:`MSAM`, for each micro-batch; not for a step
            that is skipped or perturbs nothing. Copy what you keep: the memory is used again.
        when
            Asked before each perturbation from w whether to show the step. One that is not shown
            costs nothing.

        Returns
        -------
        torch.utils.hooks.RemovableHandle
            Its ``remove()`` ends it. A copy or a pickle of the optimizer has no hooks.

        Raises
        ------
        TypeError
            If the hook or ``when`` cannot be called.
        ValueError
            If the optimizer has no two gradients of one loss, at w and at w + ε, that are whole.

        Examples
        --------
        >>> import torch, samlib
        >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> optimizer = samlib.optim.SAM([w], torch.optim.SGD([w], lr=0.1), rho=0.5)
        >>> def show(first, perturbation, last):
        ...     print(first, perturbation, last)
        >>> handle = optimizer.register_gradient_hook(show)
        >>> def closure():
        ...     loss = (w**2).sum() / 2
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)
        tensor([3., 4.]) tensor([0.3000, 0.4000]) tensor([3.3000, 4.4000])
        >>> handle.remove()
        """
        require_callable("hook", hook, "it takes g, ε and g_p, vectors [D]")
        if when is not None:
            require_callable("when", when, "() ↦ whether to show the step")
        self._require_two_gradients()
        return self._watchers.add(hook, when)

    def _require_two_gradients(self) -> None:
        name = type(self).__name__
        if not self.two_gradients:
            raise ValueError(
                f"{name} evaluates no gradient at the weights, only at the worst point"
            )
        if self.perturb_with == "local":
            raise ValueError(
                f"{name} with perturb_with='local' has a first gradient of one replica's rows and "
                "a second one averaged over all: they differ without any perturbation"
            )
        if any(hasattr(p, "device_mesh") for p in self._parameters()):
            raise ValueError(
                f"{name} has parameters sharded over processes: no process sees a whole gradient"
            )
