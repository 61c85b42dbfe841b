"""Normalization by formula: differentiated forwards and then backwards, torch's own is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode


class PlainNormalization(TorchFunctionMode):
    """Layer, instance and batch normalization from means and variances.

    The forward derivative that torch has for them takes mean and variance for constants when it is
    differentiated itself (seen in torch 2.13), so that second derivatives are wrong.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        formula = _FORMULAS.get(func)
        result = None if formula is None else formula(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if result is None else result


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    normal = _normalized(input, tuple(range(-len(normalized_shape), 0)), eps)
    return _affine(normal, weight, bias)


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    if not use_input_stats or running_mean is not None:
        return None
    normal = _normalized(input, tuple(range(2, input.dim())), eps)
    return _affine(normal, *(_by_channel(p, input) for p in (weight, bias)))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    if not training or running_mean is not None:
        return None
    normal = _normalized(input, (0, *range(2, input.dim())), eps)
    return _affine(normal, *(_by_channel(p, input) for p in (weight, bias)))


def _normalized(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))  # as torch does
    centred = wide - wide.mean(dims, keepdim=True)
    return (centred * (centred.square().mean(dims, keepdim=True) + eps).rsqrt()).to(x.dtype)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _by_channel(parameter: Tensor | None, x: Tensor) -> Tensor | None:
    return None if parameter is None else parameter.reshape(-1, *[1] * (x.dim() - 2))


_FORMULAS: dict[Any, Callable[..., Tensor | None]] = {
    F.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    F.instance_norm: _instance_norm,
    F.batch_norm: _batch_norm,
}
