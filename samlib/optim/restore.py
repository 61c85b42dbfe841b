"""What a step changes for a while, and puts back exactly: weights and running statistics."""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from samlib.optim.shards import parts
from samlib.optim.vectors import Gathered, flatten


class SavedWeights:
    """Copies of parameters that can be put back bit for bit.

    A step needs memory for one vector at a time: for its gradient, which becomes the perturbation,
    and from then on for the weights to come back to.

    Parameters
    ----------
    memory
        That memory, which stays for the next step.
    """

    def __init__(self, memory: Gathered) -> None:
        self._memory = memory
        self._lent = False  # whether a vector is in the memory
        self._held: list[tuple[list[Tensor], Tensor]] = []
        self.away = False  # whether the parameters have been moved since

    def gather(self, tensors: list[Tensor]) -> Tensor:
        """Give tensors as a vector [D], in the memory as long as no copy is held."""
        if self._held:
            return flatten(tensors)
        self._lent = True
        return self._memory.gather(tensors)

    def save(self, parameters: list[Tensor]) -> None:
        """Copy those of the parameters that are not held yet, beside a vector in the memory."""
        if self._held and same(parameters, self._held[0][0]):
            return
        known = {p for held, _ in self._held for p in held}
        if new := [p for p in parameters if p not in known] if known else parameters:
            beside = self._lent or self._held
            self._held.append((new, flatten(new) if beside else self._memory.gather(new)))

    def move(self) -> None:
        """Move the first copy into the memory, whose vector nobody needs any more."""
        if self._lent:
            parameters, copy = self._held[0]
            self._held[0] = parameters, self._memory.take(copy, parameters)
            self._lent = False

    def saved(self) -> list[Tensor]:
        """Give the pieces of the first copy."""
        parameters, copy = self._held[0]
        return self._memory.pieces(copy, parameters)

    def restore(self) -> None:
        """Put the copies back, if any are held."""
        for parameters, copy in self._held:
            torch._foreach_copy_(parts(parameters), self._memory.pieces(copy, parameters))
        self.away = False

    def forget(self) -> None:
        """Let go of the parameters."""
        self._held = []
        self._lent, self.away = False, False


def same(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Whether these are the very same tensors, in the same order."""
    return len(tensors) == len(others) and all(map(operator.is_, tensors, others))


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
            self._hook = register_module_forward_pre_hook(_watch(self))
        else:
            self._look_at(self._model)

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

    def _look_at(self, root: nn.Module) -> None:
        """Look at the module and all within, which run without being seen where it is compiled."""
        within: list[nn.Module | None] = [root]
        while within:
            if (module := within.pop()) is None or module in self._seen:
                continue
            self._seen.add(module)
            within += reversed(module._modules.values())
            if hasattr(type(module), "reshard"):
                self._gathering.append(module)
                self._gathering[-1].reshard()
            if module._buffers.get("running_mean") is not None:
                buffers = [b for b in module._buffers.values() if b is not None]
                self._copies += [b.clone() for b in buffers]
                self._buffers += buffers


def _watch(running: RunningModules) -> Callable[[nn.Module, Any], None]:
    """Make a hook for all modules that does not keep what it serves alive."""
    seen, watching = running._seen, weakref.ref(running)

    def hook(module: nn.Module, arguments: Any) -> None:
        if module not in seen and (alive := watching()) is not None:
            alive._look_at(module)

    return hook
