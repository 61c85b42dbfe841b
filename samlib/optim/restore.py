"""What a step changes for a while, and puts back exactly: weights and running statistics."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from samlib.optim.shards import parts
from samlib.optim.vectors import Kind, kind


class SavedWeights:
    """A copy of parameters that can be put back bit for bit.

    The buffers stay for the next step, which is faster than allocating them anew.
    """

    def __init__(self) -> None:
        self._kind: Kind = []
        self._buffers: list[Tensor] = []
        self._parameters: list[Tensor] = []
        self.away = False  # whether the parameters have been moved since

    def save(self, parameters: list[Tensor]) -> None:
        """Copy the parameters, unless a copy is already held."""
        if self._parameters:
            return
        here = parts(parameters)
        if self._kind != (new := kind(here)):
            self._buffers = [torch.empty_like(p) for p in here]
            self._kind = new
        torch._foreach_copy_(self._buffers, here)
        self._parameters = parameters  # last: an interrupted copy is never put back

    def restore(self) -> None:
        """Put the copy back, if one is held."""
        if self._parameters:
            torch._foreach_copy_(parts(self._parameters), self._buffers)
        self.away = False

    def saved(self, parameters: list[Tensor]) -> list[Tensor]:
        """Give the copies of those parameters (of this process's parts), which must be held."""
        copies = dict(zip(self._parameters, self._buffers, strict=True))
        return [copies[p] for p in parameters]

    def forget(self) -> None:
        """Let go of the parameters, keeping the memory."""
        self._parameters = []
        self.away = False


class RunningModules:
    """Keeps what modules hold beside their parameters in step with weights that move for a while.

    Between :meth:`hold` and :meth:`release`, every module with a buffer ``running_mean`` that is
    about to run, or that is inside of one about to run, has its buffers copied; ``release`` puts
    them back: running statistics do not follow perturbed weights. And a module whose weights
    fully_shard gathers is made to gather them anew: it may still hold those of before. With a
    model given, all this happens at once and no hook is needed.
    """

    def __init__(self, model: nn.Module | None) -> None:
        self._model = model
        self._hook: Any = None
        self._seen: set[nn.Module] = set()
        self._gathering: list[Any] = []  # modules of torch.distributed.fsdp.FSDPModule
        self._buffers: list[Tensor] = []
        self._copies: list[Tensor] = []

    def hold(self) -> None:
        """Start, unless started."""
        if self._seen or self._hook is not None:
            return
        if self._model is None:
            self._hook = register_module_forward_pre_hook(_watch(weakref.ref(self)))
        else:
            self._look_at(self._model.modules())

    def gather_again(self) -> None:
        """Drop what fully_shard has gathered, since the weights have moved."""
        for module in self._gathering:
            module.reshard()

    def interrupt(self) -> None:
        """Let fully_shard give up a pass that raised: until then it would not gather again."""
        for module in self._gathering:
            if hasattr(module, "reset_iter_state"):
                with suppress(RuntimeError):  # it wants the outermost module only
                    module.reset_iter_state()
            else:
                module.set_reshard_after_forward(True, recurse=False)

    def release(self) -> None:
        """Stop, and put the statistics back."""
        self.gather_again()
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        if self._copies:
            with torch.no_grad():
                torch._foreach_copy_(self._buffers, self._copies)
        self._seen, self._gathering, self._buffers, self._copies = set(), [], [], []

    def __del__(self) -> None:
        if self._hook is not None:  # a two-step that was given up
            self._hook.remove()

    def _about_to_run(self, module: nn.Module) -> None:
        if module not in self._seen:
            self._look_at(module.modules())

    def _look_at(self, modules: Iterable[nn.Module]) -> None:
        for module in modules:
            if module in self._seen:
                continue
            self._seen.add(module)
            if hasattr(type(module), "reshard"):
                self._gathering.append(module)
                self._gathering[-1].reshard()
            if module._buffers.get("running_mean") is not None:
                buffers = [b for b in module._buffers.values() if b is not None]
                self._copies += [b.clone() for b in buffers]
                self._buffers += buffers


def _watch(watching: weakref.ref[RunningModules]) -> Callable[[nn.Module, Any], None]:
    """Make a hook for all modules that does not keep what it serves alive."""

    def hook(module: nn.Module, arguments: Any) -> None:
        if (alive := watching()) is not None:
            alive._about_to_run(module)

    return hook
