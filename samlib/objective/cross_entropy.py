"""Cross-entropy of many classes, whose second derivative is known: it costs no graph.

Torch differentiates log-softmax like any other function and keeps some arrays of the size of the
logits for it. Here the derivatives are those of :mod:`samlib.objective.softmax_kernels`, and where
the logits come from a linear layer, those of the layer as well, so that not even the logits are
kept (for first derivatives: Wijmans et al., 2025).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.func import vjp, vmap

from samlib.objective.softmax_kernels import (
    LayerKernel,
    LogitsKernel,
    Theta,
    chosen,
    given,
    log_sums_of,
    logits_of,
    means_of,
    placed,
)


def cross_entropies(labels: Tensor, logits: Tensor, theta: Theta | None = None) -> Tensor:
    """log Σ_c exp z_c − z_y of each row z of the logits, y its label: [rows].

    In float32 if the logits are narrower. Derivatives of any order are exact, also under the
    transforms of torch.func; those up to the second need no further array of the size of the
    logits but the results.

    Parameters
    ----------
    labels
        [rows], each the number of a column.
    logits
        [rows, classes].
    theta
        h [rows, features], W [classes, features] and b [classes] or None, of which the logits were
        made by ``F.linear``: these have the derivatives then. None: the logits have them.

    Examples
    --------
    >>> import torch
    >>> cross_entropies(torch.tensor([0, 1]), torch.zeros(2, 2))
    tensor([0.6931, 0.6931])
    """
    theta, logits = (logits,) if theta is None else theta, logits.detach()
    log_sums = log_sums_of(logits)
    means = None
    if len(theta) > 1 and given(theta[0]).requires_grad and torch.is_grad_enabled():
        means = means_of(logits, log_sums, given(theta[1]).detach())
    (losses,) = _applied(_Losses, None, logits, labels, log_sums, means, *theta)
    return losses


def gauss_newton_product(
    labels: Tensor, g: Tensor, theta: Theta, moving: Sequence[bool]
) -> Callable[[Sequence[Tensor]], tuple[Tensor, ...]]:
    """The map u ↦ JᵀMJu, J the Jacobian of the logits z = W h + b in those parts that move.

    M is the second derivative of Σ_n g_n ℓ_n in the logits, theta is (h, W, b), and the u have the
    shapes of those of them that move.
    """
    theta = tuple(None if part is None else part.detach() for part in theta)
    logits = logits_of(theta)
    log_sums = log_sums_of(logits)
    means = means_of(logits, log_sums, given(theta[1])) if moving[0] else None
    kernel = LayerKernel(theta, labels, log_sums, means, moving)
    return lambda u: kernel.second(g, placed(u, moving), residuals=False)[1:]


class _Known(Function):
    """A function with a kernel of its own, and a formula for whatever the kernel cannot do.

    The arguments are (which of theta are wanted, z or None, y, log Σ exp z, Wᵀp or None, *rest).
    What stands before the rest is fixed or follows from it: it is the rest that has derivatives.
    """

    @classmethod
    def formula(cls, wants: Any, labels: Tensor, *rest: Any) -> tuple[Tensor, ...]:
        """The same as ``forward``, in differentiable operations."""
        raise NotImplementedError

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.wants, ctx.logits, *saved = inputs
        ctx.version = 0 if ctx.logits is None else ctx.logits._version
        ctx.save_for_backward(*saved)
        ctx.save_for_forward(*saved)

    @classmethod
    def backward(cls, ctx: Any, *slopes: Any) -> Any:
        along, moving, primals = cls._moving(ctx, ctx.needs_input_grad[_BEFORE:])
        parts = vjp(along, *primals)[1](slopes)
        return (*_NOTHING, *placed(parts, moving))

    @classmethod
    def jvp(cls, ctx: Any, *tangents: Any) -> Any:
        along, _, primals = cls._moving(ctx, [t is not None for t in tangents[_BEFORE:]])
        results, pull = vjp(along, *primals)[:2]
        # The derivative of the linear map w ↦ Jᵀw, transposed, is J: also where torch.func.jvp
        # cannot be nested.
        transposed = vjp(pull, tuple(map(torch.zeros_like, results)))[1]
        return transposed(tuple(t for t in tangents[_BEFORE:] if t is not None))[0]

    @classmethod
    def vmap(cls, info: Any, in_dims: Any, *args: Any) -> Any:
        def formula(wants: Any, logits: Any, labels: Any, sums: Any, means: Any, *rest: Any) -> Any:
            return cls.formula(wants, labels, *rest)

        results = vmap(formula, in_dims)(*args)
        return results, tuple(0 for _ in results)

    @classmethod
    def _moving(cls, ctx: Any, moving: Sequence[bool]) -> Any:
        """The formula in those of the rest that move; which these are; and they themselves."""
        labels, _, _, *rest = ctx.saved_tensors

        def along(*values: Tensor) -> tuple[Tensor, ...]:
            return cls.formula(ctx.wants, labels, *_changed(rest, moving, values))

        return along, moving, chosen(rest, moving)


class _Losses(_Known):
    """rest = theta ↦ (ℓ,)."""

    @classmethod
    def formula(cls, wants: Any, labels: Tensor, *rest: Any) -> tuple[Tensor, ...]:
        z = logits_of(rest)
        return (z.logsumexp(-1) - z.gather(1, labels[:, None]).squeeze(1),)

    @staticmethod
    def forward(
        wants: Any, logits: Tensor, labels: Tensor, log_sums: Tensor, means: Any, *theta: Any
    ) -> tuple[Tensor, ...]:
        return (log_sums - logits.gather(1, labels[:, None]).squeeze(1),)

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        labels, log_sums, means, *theta = ctx.saved_tensors
        logits, ctx.logits = ctx.logits, None  # only once: a graph may live long
        if logits is not None and logits._version != ctx.version:
            logits = None
        wants = ctx.needs_input_grad[_BEFORE:]
        parts = _applied(_Slopes, wants, logits, labels, log_sums, means, slopes[0], *theta)
        return (*_NOTHING, *placed(parts, wants))


class _Slopes(_Known):
    """rest = (g, *theta) ↦ the gradient of Σ_n g_n ℓ_n in those of theta that are wanted."""

    @classmethod
    def formula(cls, wants: Any, labels: Tensor, *rest: Any) -> tuple[Tensor, ...]:
        g, *theta = rest

        def losses(*values: Tensor) -> Tensor:
            return _Losses.formula(None, labels, *_changed(theta, wants, values))[0]

        return tuple(vjp(losses, *chosen(theta, wants))[1](g))

    @staticmethod
    def forward(
        wants: Any,
        logits: Any,
        labels: Tensor,
        log_sums: Tensor,
        means: Any,
        g: Tensor,
        *theta: Any,
    ) -> tuple[Tensor, ...]:
        if len(theta) == 1:
            return LogitsKernel(theta, labels, log_sums).first(g)
        return LayerKernel(theta, labels, log_sums, means, wants, logits).first(g)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        wants, _, *saved = inputs
        _Known.setup_context(ctx, (wants, None, *saved), output)

    @staticmethod
    def backward(ctx: Any, *tangents: Any) -> Any:
        labels, log_sums, means, g, *theta = ctx.saved_tensors
        along, *parts = _applied(
            _Curvatures, ctx.wants, None, labels, log_sums, means, g, *tangents, *theta
        )
        return (*_NOTHING, along, *placed(parts, ctx.wants))


class _Curvatures(_Known):
    """rest = (g, *u, *theta) ↦ ⟨∇ℓ_n, u⟩ and the second derivative of Σ_n g_n ℓ_n times u."""

    @classmethod
    def formula(cls, wants: Any, labels: Tensor, *rest: Any) -> tuple[Tensor, ...]:
        g, tangents, theta = _taken_apart(wants, rest)

        def slopes(g: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
            return _Slopes.formula(wants, labels, g, *_changed(theta, wants, values))

        return tuple(vjp(slopes, g, *chosen(theta, wants))[1](tangents))

    @staticmethod
    def forward(
        wants: Any, logits: Any, labels: Tensor, log_sums: Tensor, means: Any, *rest: Any
    ) -> tuple[Tensor, ...]:
        g, tangents, theta = _taken_apart(wants, rest)
        if len(theta) == 1:
            return LogitsKernel(theta, labels, log_sums).second(g, tangents)
        kernel = LayerKernel(theta, labels, log_sums, means, wants)
        return kernel.second(g, placed(tangents, wants))


_BEFORE = 5  # arguments without derivatives
_NOTHING = (None,) * _BEFORE


def _applied(function: Any, *args: Any) -> tuple[Tensor, ...]:
    results: tuple[Tensor, ...] = function.apply(*args)
    return results


def _taken_apart(wants: Sequence[bool], rest: Any) -> tuple[Tensor, tuple[Tensor, ...], Theta]:
    ends = 1 + sum(wants)
    return rest[0], tuple(rest[1:ends]), tuple(rest[ends:])


def _changed(parts: Sequence[Any], wants: Sequence[bool], values: Sequence[Any]) -> list[Any]:
    """The parts, with the values in place of those that are wanted."""
    left = iter(values)
    return [next(left) if wanted else p for p, wanted in zip(parts, wants, strict=True)]
