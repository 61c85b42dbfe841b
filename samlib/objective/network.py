"""A network with its loss, as a function of the network's trainable parameters, flattened."""

from __future__ import annotations

import contextlib
import fnmatch
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import disable_saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.conv import _ConvNd
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.overrides import TorchFunctionMode

from samlib._validation import require_instance

LossFunction = Callable[[Any, Any], Tensor]


class Network:
    """(x, inputs, targets) ↦ loss_fn(model(inputs), targets) with x as the model's parameters.

    No copy of the model is evaluated, whose patched methods and hooks would lead back to the
    original, but the model itself. For the length of one evaluation its trainable parameters are
    parts of x, also for a loss that reads them; its buffers are copies, because a module may
    write to them; and every submodule is in eval mode. Afterwards each has all its attributes
    back, whatever the evaluation set, and whether or not it succeeded.

    Parameters
    ----------
    model
        The module. What spreads it over devices (DataParallel, DistributedDataParallel) or
        compiles it is taken off: an evaluation is one process's, and has second derivatives.
    loss_fn
        Maps (outputs, targets) to a scalar.

    Raises
    ------
    ValueError
        If no parameter of the model is trainable.
    """

    def __init__(self, model: nn.Module, loss_fn: LossFunction) -> None:
        self._given, self.module = model, _unwrapped(model)
        self.loss_fn = loss_fn
        self.parameters = {n: p for n, p in self.module.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise ValueError("model has no parameter with requires_grad=True")
        self._shapes = [p.shape for p in self.parameters.values()]
        self._sizes = [p.numel() for p in self.parameters.values()]
        self.dim = sum(self._sizes)
        self._normalizes_weights = any(map(_has_weight_norm, self.module.modules()))

    @property
    def convolves(self) -> bool:
        """Whether a layer is a convolution."""
        return any(isinstance(module, _ConvNd) for module in self.module.modules())

    def flatten(self) -> Tensor:
        """A copy of the trainable parameters as they are now: [dim]."""
        return torch.cat([p.detach().reshape(-1) for p in self.parameters.values()])

    def unflatten(self, x: Tensor) -> dict[str, Tensor]:
        """The parts of x [dim], by the names and in the shapes of the trainable parameters."""
        parts = zip(self.parameters, torch.split(x, self._sizes), self._shapes, strict=True)
        return {name: part.reshape(shape) for name, part, shape in parts}

    def load(self, x: Tensor) -> None:
        """Write x [dim] into the trainable parameters."""
        with torch.no_grad():
            for name, part in self.unflatten(x).items():
                self.parameters[name].copy_(part)

    def where(self, patterns: Sequence[str]) -> Tensor:
        """Which entries of x belong to the parameters with these names or shell patterns: [dim].

        Raises
        ------
        ValueError
            If no trainable parameter is called so.
        """
        names = list(self.parameters)
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
                raise ValueError(
                    f"names must be of trainable parameters of the model, {', '.join(names)}, or "
                    f"patterns of them; got {pattern!r}"
                )
        chosen = [any(fnmatch.fnmatchcase(name, p) for p in patterns) for name in names]
        return torch.tensor(chosen).repeat_interleave(torch.tensor(self._sizes))

    def loss(self, x: Tensor, inputs: Any, targets: Any) -> Tensor:
        """The loss of one batch at x [dim]."""
        return self.loss_at(self.unflatten(x), inputs, targets)

    def number(self, x: Tensor, inputs: Any, targets: Any) -> float:
        """The loss of one batch at x [dim] as a number, for which the host waits."""
        with torch.no_grad():
            return float(self.loss(x, inputs, targets))

    def loss_at(self, parts: Mapping[str, Tensor], inputs: Any, targets: Any) -> Tensor:
        """The loss of one batch with these tensors in place of the parameters."""
        return self.evaluate(parts, inputs, lambda outputs: self.loss_of(outputs, targets))

    def evaluate(
        self, parts: Mapping[str, Tensor], inputs: Any, then: Callable[[Any], Tensor]
    ) -> Tensor:
        """What ``then`` makes of the outputs, with these tensors in place of the parameters.

        The model has them for ``then``, too.
        """
        formulas = _PlainWeightNorm() if self._normalizes_weights else contextlib.nullcontext()
        by_identity = {id(p): parts[name] for name, p in self.parameters.items()}
        with (
            _EVALUATION,
            _uncompiled(),
            formulas,
            sdpa_kernel(SDPBackend.MATH),  # fused attention has no second derivative
            disable_saved_tensors_hooks(_NO_CHECKPOINTS),
            _borrowed(self._given, by_identity),
        ):
            return then(self.module(inputs))

    def loss_of(self, outputs: Any, targets: Any) -> Tensor:
        """The loss of outputs that the model gave for one batch."""
        loss = self.loss_fn(outputs, targets)
        if not isinstance(loss, Tensor) or loss.dim() != 0:
            got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"loss_fn must return a scalar tensor (shape []), got {got}")
        return loss


def one_tensor(outputs: Any) -> Tensor:
    """Return the outputs of a model if they are one tensor, otherwise raise ``TypeError``."""
    require_instance("model", outputs, Tensor, "a network with one tensor of outputs")
    assert isinstance(outputs, Tensor)
    return outputs


# A checkpoint runs the forward again in the backward pass, when the module is given back.
_NO_CHECKPOINTS = (
    "the model saves memory by gradient checkpointing or other hooks on saved tensors, which do "
    "not see the x of an objective; switch them off, as with model.gradient_checkpointing_disable()"
)

# One evaluation at a time: it borrows the module. Torch's own threads still share its work.
_EVALUATION = threading.RLock()


def _unwrapped(model: nn.Module) -> nn.Module:
    while True:
        if isinstance(model, (nn.DataParallel, DistributedDataParallel)):
            model = model.module
        elif isinstance(original := getattr(model, "_orig_mod", None), nn.Module):
            model = original  # torch.compile(original)
        else:
            return model


@contextlib.contextmanager
def _borrowed(model: nn.Module, parts: Mapping[int, Tensor]) -> Iterator[None]:
    """Put the module into eval mode and parts in place of its parameters; then give it back.

    Each submodule gets dictionaries of tensors of its own for the time, in which one parameter is
    the same part wherever it stands. The mode is set and ``eval()`` not called, which some layers
    take as the time to rewrite their weights.
    """
    lent: list[tuple[dict[str, Any], dict[str, Any]]] = []
    copies: dict[int, Tensor] = {}
    try:
        for module in model.modules():
            attributes, parameters, buffers = vars(module), module._parameters, module._buffers
            lent.append((attributes, attributes.copy()))
            attributes["training"] = False
            attributes["_parameters"] = {n: parts.get(id(p), p) for n, p in parameters.items()}
            for buffer in buffers.values():
                if buffer is not None and id(buffer) not in copies:
                    copies[id(buffer)] = buffer.clone()
            attributes["_buffers"] = {n: copies.get(id(b)) for n, b in buffers.items()}
        yield
    finally:
        for attributes, before in lent:
            for name in attributes.keys() - before.keys():
                del attributes[name]
            attributes.update(before)


class _PlainWeightNorm(TorchFunctionMode):
    """Weight norm by its formula: torch's fused kernel has a wrong second derivative."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return (_weight_norm if func is torch._weight_norm else func)(*args, **(kwargs or {}))


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))


def _has_weight_norm(module: nn.Module) -> bool:
    hooks = module._forward_pre_hooks.values()
    return isinstance(module, _WeightNorm) or any(isinstance(hook, WeightNorm) for hook in hooks)


def _uncompiled() -> contextlib.AbstractContextManager[Any]:
    """Run what torch.compile made as it was written: compiled code has no second derivative."""
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
        stance: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return stance
    return contextlib.nullcontext()
