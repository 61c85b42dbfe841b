"""What an evaluation does with a module for its length: lend it tensors, keep it differentiable."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.autograd.graph import disable_saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.overrides import TorchFunctionMode

from samlib.objective.bilinear_layers import BilinearLayers
from samlib.objective.output_layer import ManyLogits
from samlib.objective.points import is_transformed
from samlib.objective.sharded import without_gathering

# One evaluation at a time: it borrows the module. Torch's own threads still share its work.
_EVALUATION = threading.RLock()

_NO_HOOKS = (
    "the model saves memory by hooks on saved tensors, which do not see the x of an objective; "
    "switch them off"
)


@contextlib.contextmanager
def evaluation(
    model: nn.Module, parts: Mapping[int, Tensor], constants: set[int], *, many_classes: bool
) -> Iterator[None]:
    """Evaluate a module with other tensors in place of its parameters, twice differentiable.

    Parameters
    ----------
    model
        The module.
    parts
        What stands in place of a parameter, by its identity.
    constants
        Trainable parameters that are constants now, by their identity.
    many_classes
        Whether a cross-entropy of many logits may come, that is worth watching for.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_EVALUATION)
        modules = list(model.modules())
        for context in _instead(modules, on_gpu=next(iter(parts.values())).is_cuda):
            stack.enter_context(context)
        if many_classes:
            stack.enter_context(ManyLogits())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # the fused one has no second derivative
        stack.enter_context(disable_saved_tensors_hooks(_NO_HOOKS))
        stack.enter_context(_borrowed(modules, parts, constants))
        yield


@contextlib.contextmanager
def _borrowed(
    modules: Sequence[nn.Module], parts: Mapping[int, Tensor], constants: set[int]
) -> Iterator[None]:
    """Put the module into eval mode and parts in place of its parameters; then give it back.

    Each submodule gets dictionaries of tensors of its own for the time, in which one parameter is
    the same part wherever it stands. The mode is set and ``eval()`` not called, which some layers
    take as the time to rewrite their weights.
    """
    lent: list[tuple[dict[str, Any], dict[str, Any]]] = []
    copies: dict[int, Tensor] = {}

    def instead(parameter: Tensor | None) -> Tensor | None:
        if parameter is not None and id(parameter) in constants:
            return parameter.detach()
        return parts.get(id(parameter), parameter)

    try:
        for module in modules:
            attributes, parameters, buffers = vars(module), module._parameters, module._buffers
            lent.append((attributes, attributes.copy()))
            attributes["training"] = False
            for name in ("_forward_pre_hooks", "_forward_hooks"):
                attributes[name] = without_gathering(attributes[name])
            attributes["_parameters"] = {n: instead(p) for n, p in parameters.items()}
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


# ------------------------------------------------- what is evaluated in another, equal way

_BILINEAR = (_ConvNd, _BatchNorm)
_ATTENTIVE = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)


def _instead(
    modules: Sequence[nn.Module], *, on_gpu: bool
) -> Iterator[contextlib.AbstractContextManager[Any]]:
    """What these modules need for derivatives of any order."""
    yield _uncompiled()
    yield _without_checkpoints()
    if any(isinstance(module, _ATTENTIVE) for module in modules):
        yield _slow_path_of_attention()
    if any(map(_has_weight_norm, modules)):
        yield _PlainWeightNorm()
    if torch.is_grad_enabled() and any(isinstance(module, _BILINEAR) for module in modules):
        yield BilinearLayers()
    if any(module._forward_hooks for module in modules):
        yield _NoRequiringGrad()
    if on_gpu and any(isinstance(module, nn.RNNBase) for module in modules):
        yield torch.backends.cudnn.flags(enabled=False)  # has no second derivative


class _PlainWeightNorm(TorchFunctionMode):
    """Weight norm by its formula: torch's fused kernel has a wrong second derivative."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return (_weight_norm if func is torch._weight_norm else func)(*args, **(kwargs or {}))


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))


def _has_weight_norm(module: nn.Module) -> bool:
    hooks = module._forward_pre_hooks
    if hooks and any(isinstance(hook, WeightNorm) for hook in hooks.values()):
        return True
    return isinstance(module, _WeightNorm)


class _NoRequiringGrad(TorchFunctionMode):
    """Without requires_grad_() on what a transform of torch.func follows anyway, and refuses it.

    Hooks of checkpointed models ask for gradients of embeddings in this way.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.requires_grad_ and is_transformed(args[0]):
            return args[0]
        return func(*args, **(kwargs or {}))


def _uncompiled() -> contextlib.AbstractContextManager[Any]:
    """Run what torch.compile made as it was written: compiled code has no second derivative."""
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
        stance: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return stance
    return contextlib.nullcontext()


class _Through:
    """Stands for torch's checkpoints that run the forward again: runs it once."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: Any, *args: Any) -> Any:
        return function(*args)


def _once(*args: Any, **kwargs: Any) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _without_checkpoints() -> Iterator[None]:
    """Keep what gradient checkpointing would compute again, when the module is given back."""
    replaced = {"CheckpointFunction": _Through, "_checkpoint_without_reentrant_generator": _once}
    place = vars(torch.utils.checkpoint)
    before = {name: place[name] for name in replaced if name in place}
    try:
        place.update({name: replaced[name] for name in before})
        yield
    finally:
        place.update(before)


@contextlib.contextmanager
def _slow_path_of_attention() -> Iterator[None]:
    """Evaluate a TransformerEncoder as it is differentiated: its fast path fills padding with 0."""
    mha = getattr(torch.backends, "mha", None)
    if mha is None:  # an older torch, in which it cannot be switched off
        yield
        return
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)
