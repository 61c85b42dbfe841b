"""Convolutions and normalization by running statistics, by layers with cheap second derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from samlib.objective.bilinear import Bilinear, Convolution, Scaling, applied
from samlib.objective.points import is_transformed


class BilinearLayers(TorchFunctionMode):
    """Within it convolutions and batch norm in eval mode are differentiated as they best are.

    Batch norm of what a convolution gave is a convolution with scaled weights, and is
    differentiated as one. Values stay what they are to the bit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made_by: Any = WeakTensorKeyDictionary()  # results of convolutions ↦ _Made
        self._passed_over: Any = WeakTensorKeyDictionary()  # those of them ↦ True

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.is_grad_enabled():
            if func in _CONVOLUTIONS:
                return self._convolution(func, args, kwargs)
            if func is F.batch_norm:
                return self._batch_norm(*args, **kwargs)
        if func is torch.autograd.grad:
            self._require_on_the_way(*args, **kwargs)
        if func is Tensor.register_hook:  # what changes the slope of a result has to see it
            self._made_by.clear()
        return func(*args, **kwargs)

    def _convolution(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        def value() -> Tensor:
            result: Tensor = func(*args, **kwargs)
            return result

        names = _CONVOLUTIONS[func]
        options = _DEFAULTS | dict(zip(names, args, strict=False)) | kwargs
        x, weight, bias = (options.pop(name, None) for name in ("input", "weight", "bias"))
        if not _are_plain(x, weight, *_given(bias)) or x.dim() != weight.dim():
            return value()
        layer = _convolution(weight.shape[2:], transposed=names is _TRANSPOSED, **options)
        if layer is None:
            return value()
        result = applied(layer, x, weight, bias, value)
        # Else scaling is as cheap as it is: the weights are many, or have no derivatives.
        if not layer.transposed and weight.requires_grad and result.numel() >= weight.numel():
            made = layer, x, weight, bias
            self._made_by[result] = _Made(*made, _versions(result, x, weight, *_given(bias)))
        return result

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        def value() -> Tensor:
            return F.batch_norm(
                input, running_mean, running_var, weight, bias, training, momentum, eps
            )

        if training or running_mean is None or running_var is None or input.dim() < 2:
            return value()
        if not _are_plain(input, running_mean, running_var, *_given(weight), *_given(bias)):
            return value()
        mean, variance = running_mean.detach(), running_var.detach()
        made = self._made_by.get(input)
        if made is None or made.versions != _versions(input, *_given(*made[1:4])):
            return applied(Scaling(mean, variance, eps), input, weight, bias, value)
        self._passed_over[input] = True
        scale = (variance + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        shift = (-mean if made.bias is None else made.bias - mean) * scale
        shift = shift if bias is None else shift + bias
        scaled = made.weight * scale.reshape(-1, *[1] * (made.weight.dim() - 1))
        return applied(made.layer, made.x, scaled, shift, value)

    def _require_on_the_way(self, outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> None:
        """Refuse slopes in what derivatives pass over."""
        given = inputs if isinstance(inputs, Sequence) else [inputs]
        if any(isinstance(part, Tensor) and part in self._passed_over for part in given):
            raise NotImplementedError(
                "the loss takes a derivative in what a convolution gave to a batch norm, and there "
                "the two are differentiated as one; take it in what the batch norm gives"
            )


class _Made(NamedTuple):
    layer: Bilinear
    x: Tensor
    weight: Tensor
    bias: Tensor | None
    versions: tuple[int, ...]


def _given(*tensors: Tensor | None) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor is not None]


def _versions(*tensors: Tensor) -> tuple[int, ...]:
    """How often each was written into."""
    return tuple(0 if t.is_inference() else t._version for t in tensors)


def _are_plain(*tensors: Any) -> bool:
    """Whether these are ordinary tensors on the CPU, of one dtype, float32 or float64."""
    return (
        all(type(t) in (Tensor, nn.Parameter) and not is_transformed(t) for t in tensors)
        and {t.dtype for t in tensors} in ({torch.float32}, {torch.float64})
        and all(t.device.type == "cpu" and t.layout == torch.strided for t in tensors)
        and all(t.numel() for t in tensors)  # of none torch's batch norm has no derivative
        and not torch._C._is_any_autocast_enabled()
    )


def _convolution(
    kernel: Sequence[int],
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    transposed: bool,
    output_padding: Any = 0,
) -> Convolution | None:
    """The convolution with these options; None where torch pads more on one side."""
    dims = len(kernel)
    dilation = _each(dilation, dims)
    if padding == "same":
        both = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(n % 2 for n in both):
            return None
        padding = [n // 2 for n in both]
    return Convolution(
        stride=_each(stride, dims),
        padding=_each(0 if padding == "valid" else padding, dims),
        dilation=dilation,
        transposed=transposed,
        output_padding=_each(output_padding, dims),
        groups=groups,
    )


def _each(option: Any, dims: int) -> list[int]:
    """An option of a convolution for each of its dimensions."""
    values = list(option) if isinstance(option, Sequence) else [option]
    return values * dims if len(values) == 1 else values


_DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
_FORWARDS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = (*_FORWARDS[:5], "output_padding", "groups", "dilation")
_CONVOLUTIONS: dict[Any, tuple[str, ...]] = {
    **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d), _FORWARDS),
    **dict.fromkeys((F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d), _TRANSPOSED),
}
