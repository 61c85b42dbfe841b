"""Layers that are linear in their input and in their weight, with cheap second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F  # noqa: N812

from samlib.objective.points import is_transformed

Slopes = tuple[Tensor | None, Tensor | None, Tensor | None]
"""The gradients in the input, the weight and the bias; None where it is not wanted."""


class Bilinear(Protocol):
    """(x, W, b) ↦ B(x, W) + b, with B linear in x, up to a constant, and in W."""

    @property
    def linear(self) -> Bilinear:
        """B without the constant."""

    def __call__(self, x: Tensor, weight: Any, bias: Tensor | None = None) -> Tensor:
        """B(x, W) + b, differentiable."""

    def slopes(self, g: Tensor, x: Tensor, weight: Any, wants: Sequence[bool]) -> Slopes:
        """The gradients of ⟨g, B(x, W) + b⟩, differentiable, in one pass."""


@dataclass(frozen=True)
class Convolution:
    """A convolution of inputs [rows, channels, ...], or a transposed one."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    transposed: bool
    output_padding: list[int]
    groups: int

    @property
    def linear(self) -> Convolution:
        """The same."""
        return self

    def __call__(self, x: Tensor, weight: Any, bias: Tensor | None = None) -> Tensor:
        """The convolution."""
        return torch.convolution(x, weight, bias, *self._options)

    def slopes(self, g: Tensor, x: Tensor, weight: Any, wants: Sequence[bool]) -> Slopes:
        """Its gradients."""
        sizes = [g.shape[1]]
        result: Slopes = torch.ops.aten.convolution_backward(
            g, x, weight, sizes, *self._options, list(wants)
        )
        return result

    @property
    def _options(self) -> tuple[Any, ...]:
        inner = self.stride, self.padding, self.dilation
        return *inner, self.transposed, self.output_padding, self.groups


@dataclass(frozen=True)
class Scaling:
    """(x − mean) / √(variance + eps) in each channel of x [rows, channels, ...], times a weight."""

    mean: Tensor
    variance: Tensor
    eps: float

    @property
    def linear(self) -> Scaling:
        """The same without the mean."""
        return replace(self, mean=torch.zeros_like(self.mean))

    def __call__(self, x: Tensor, weight: Any, bias: Tensor | None = None) -> Tensor:
        """The scaled channels."""
        return F.batch_norm(x, self.mean, self.variance, weight, bias, eps=self.eps)

    def slopes(self, g: Tensor, x: Tensor, weight: Any, wants: Sequence[bool]) -> Slopes:
        """Their gradients."""
        result: Slopes = torch.ops.aten.native_batch_norm_backward(
            g, x, weight, self.mean, self.variance, None, None, False, self.eps, list(wants)
        )
        return result


def applied(
    layer: Bilinear,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    value: Callable[[], Tensor] | None = None,
) -> Tensor:
    """``layer(x, weight, bias)``, which is ``value()`` if this is given."""
    if value is None and _is_torchs(x, weight, bias):
        return layer(x, weight, bias)
    result: Tensor = _Layer.apply(layer, value, x, weight, bias)  # type: ignore[no-untyped-call]
    return result


class _Layer(Function):
    """(x, W, b) ↦ B(x, W) + b."""

    @staticmethod
    def forward(
        ctx: Any, layer: Bilinear, value: Callable[[], Tensor] | None, x: Tensor, w: Any, b: Any
    ) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x, w)
        return layer(x, w, b) if value is None else value()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        wants = ctx.needs_input_grad[2:]
        return None, None, *_slopes(ctx.layer, wants, g, *ctx.saved_tensors)


class _Slopes(Function):
    """(g, x, W) ↦ the gradients of ⟨g, B(x, W) + b⟩ in x, W and b that are wanted."""

    @staticmethod
    def forward(
        ctx: Any, layer: Bilinear, wants: Sequence[bool], g: Tensor, x: Tensor, w: Any
    ) -> Slopes:
        ctx.set_materialize_grads(False)
        ctx.layer = layer
        ctx.save_for_backward(g, x, w)
        return layer.slopes(g, x, w, wants)

    @staticmethod
    def backward(ctx: Any, along_x: Any, along_w: Any, along_b: Any) -> Any:
        g, x, w = ctx.saved_tensors
        of_g, of_x, of_w = ctx.needs_input_grad[2:]
        dg = _change(ctx.layer, g, x, w, (along_x, along_w, along_b)) if of_g else None
        # ⟨g, B(x, W)⟩ changes by ⟨g, B(x, along W)⟩ and ⟨g, B(along x, W)⟩.
        wants = of_x and along_w is not None, of_w and along_x is not None, False
        if not any(wants):
            return None, None, dg, None, None
        at = x if along_x is None else along_x, w if along_w is None else along_w
        return None, None, dg, *_slopes(ctx.layer.linear, wants, g, *at)[:2]


def _slopes(layer: Bilinear, wants: Sequence[bool], g: Tensor, x: Tensor, w: Any) -> Slopes:
    if _is_torchs(g, x, w):
        return layer.slopes(g, x, w, wants)
    result: Slopes = _Slopes.apply(layer, wants, g, x, w)  # type: ignore[no-untyped-call]
    return result


def _change(
    layer: Bilinear, g: Tensor, x: Tensor, w: Any, along: tuple[Any, Any, Any]
) -> Tensor | None:
    """How B(x, W) + b, of the shape of g, changes along a direction; None: not at all."""
    along_x, along_w, along_b = along
    if along_w is None and along_x is None:
        return None if along_b is None else along_b.view(-1, *[1] * (g.dim() - 2)).expand_as(g)
    if along_w is None:
        return applied(layer.linear, along_x, w, along_b)
    change = applied(layer, x, along_w, along_b)
    if along_x is None:
        return change
    moved = applied(layer.linear, along_x, w, None)
    # Under vmap one of the two may be the same for all.
    return change + moved if is_transformed(moved) else change.add_(moved)


def _is_torchs(*tensors: Tensor | None) -> bool:
    """Whether further derivatives are torch's own: there are none, or a transform follows them."""
    given = (tensor for tensor in tensors if tensor is not None)
    return not torch.is_grad_enabled() or any(map(is_transformed, given))
