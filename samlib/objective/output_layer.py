"""Cross-entropy of many logits, whoever calls for it, and the linear layer that they come from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from samlib.objective.cross_entropy import cross_entropies, gauss_newton_product
from samlib.objective.softmax_kernels import Theta, chosen, given
from samlib.objective.standing_in import StandIn

MANY = 1 << 20
MANY_CLASSES = 512
"""Fewer logits, or classes, are left to torch, whose kernels have the smaller overhead."""


class OutputLayer:
    """The linear layer whose logits a loss is the cross-entropy of: Σ_n weights_n ℓ_n.

    Parameters
    ----------
    labels, weights
        y and the weights of the rows, [rows].
    theta
        h [rows, features], W [classes, features] and b [classes] or None: z = W h + b.
    """

    def __init__(self, labels: Tensor, weights: Tensor, theta: Theta) -> None:
        self._labels, self._weights, self._theta = labels, weights, theta
        self._moving = [part is not None and part.requires_grad for part in theta]

    def flat(self) -> Tensor:
        """Those of h, W and b that depend on the network's parameters, in one vector."""
        return _flat(chosen(self._theta, self._moving))

    def gauss_newton(self) -> Callable[[Tensor], Tensor]:
        """The product with JᵀMJ, J the Jacobian of the logits in the parts of ``flat``."""
        product = gauss_newton_product(self._labels, self._weights, self._theta, self._moving)
        parts = chosen(self._theta, self._moving)

        def of_flat(u: Tensor) -> Tensor:
            pieces = torch.split(u, [part.numel() for part in parts])
            return _flat(product([p.view_as(part) for p, part in zip(pieces, parts, strict=True)]))

        return of_flat


def _flat(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


_LAYERS: Any = WeakTensorKeyDictionary()  # losses ↦ OutputLayer, as long as the losses live


def output_layer_of(loss: Tensor) -> OutputLayer | None:
    """The layer whose cross-entropy a loss is, if it is nothing else and was made so here."""
    layer: OutputLayer | None = _LAYERS.get(loss)
    return layer


class ManyLogits(TorchFunctionMode):
    """Within it ``F.cross_entropy`` of many logits is :func:`cross_entropies`, whoever calls it.

    Only for labels that are classes, without smoothing; the rest is torch's own. Where the logits,
    or rows of them, are what a linear layer gave, their derivatives are taken from its inputs and
    weights, so that nothing of their size is kept.

    Examples
    --------
    >>> import torch
    >>> logits, labels = torch.zeros(2, MANY), torch.tensor([0, 1])
    >>> with ManyLogits():
    ...     torch.nn.functional.cross_entropy(logits, labels)
    tensor(13.8629)
    """

    def __init__(self) -> None:
        super().__init__()
        self._made_by: Any = WeakTensorKeyDictionary()  # logits ↦ _Made

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.cross_entropy:
            return self._cross_entropy(*args, **(kwargs or {}))
        result = func(*args, **(kwargs or {}))
        if func is F.linear:
            self._see_layer(result, *args, **(kwargs or {}))
        elif func in _ROWS_OF and isinstance(result, Tensor):
            self._see_rows(func, result, *args)
        elif func is Tensor.register_hook:  # what changes the slope of logits has to see it
            self._made_by.clear()
        return result

    def made_of(self, logits: Any) -> Theta | None:
        """The (h, W, b) that made these logits, if nothing was written into any since."""
        made = self._made_by.get(logits) if isinstance(logits, Tensor) else None
        if made is None or made.versions != _versions(logits, *made.theta):
            return None
        theta: Theta = made.theta
        return theta

    def _see_layer(
        self, logits: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None = None
    ) -> None:
        theta = (input, weight, bias)
        if isinstance(weight, StandIn):  # whose numbers are elsewhere
            return
        alike = all(part is None or part.dtype == logits.dtype for part in theta)
        exact = logits.dtype in (torch.float32, torch.float64)
        # Logits that are fewer than what they are made of are better kept.
        if logits.numel() >= MANY and len(weight) > weight.shape[1] and alike and exact:
            self._made_by[logits] = _Made(theta, _versions(logits, *theta))

    def _see_rows(self, func: Any, result: Tensor, logits: Any, *args: Any) -> None:
        theta = self.made_of(logits)
        if theta is None or result is logits:
            return
        inputs = _same_rows(func, result, logits, args, given(theta[0]))
        if inputs is not None:
            theta = (inputs, *theta[1:])
            self._made_by[result] = _Made(theta, _versions(result, *theta))

    def _cross_entropy(self, *args: Any, **kwargs: Any) -> Tensor:
        call = _SIGNATURE.bind(*args, **kwargs)
        call.apply_defaults()
        if not _is_known(**call.arguments):
            return F.cross_entropy(*args, **kwargs)
        logits, target, weight = (call.arguments[n] for n in ("input", "target", "weight"))
        theta = self.made_of(logits) if logits.dim() == 2 else None
        kept = (target != call.arguments["ignore_index"]).flatten()
        labels = torch.where(kept, target.flatten(), 0)
        losses = cross_entropies(labels, logits.movedim(1, -1).flatten(0, -2), theta)
        weights = kept.to(losses) if weight is None else kept * weight.to(losses)[labels]
        losses = torch.where(kept, weights * losses, 0)
        if call.arguments["reduction"] == "none":
            return losses.to(logits).reshape(target.shape)
        total = (
            weights.sum() if call.arguments["reduction"] == "mean" else torch.ones_like(losses[0])
        )
        loss = (losses.sum() / total).to(logits)
        if theta is not None:
            _LAYERS[loss] = OutputLayer(labels, weights / total, theta)
        return loss


class _Made(NamedTuple):
    theta: Theta
    versions: tuple[int, ...]


def _versions(*tensors: Tensor | None) -> tuple[int, ...]:
    """How often each was written into; where that is not counted, nothing is differentiated."""
    return tuple(0 if t is None or t.is_inference() else t._version for t in tensors)


_SIGNATURE = inspect.signature(F.cross_entropy)


def _is_known(
    *,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    label_smoothing: float,
    size_average: bool | None,
    reduce: bool | None,
    **_: Any,
) -> bool:
    """Whether this cross-entropy is one that is worth a formula, and can have it."""
    if type(input) is not Tensor or type(target) is not Tensor or input.dim() < 2:
        return False
    many = input.numel() >= MANY and input.shape[1] >= MANY_CLASSES
    fits = target.dtype == torch.int64 and target.shape == input.shape[:1] + input.shape[2:]
    plain = label_smoothing == 0 and size_average is None and reduce is None
    weighed = weight is None or (type(weight) is Tensor and not weight.requires_grad)
    # Autocast would make a loss in float32 of narrow logits.
    narrow = input.dtype in (torch.float16, torch.bfloat16)
    exact = input.is_floating_point() and not (narrow and torch._C._is_any_autocast_enabled())
    reduces = reduction in ("mean", "sum", "none")
    return many and fits and plain and weighed and exact and reduces


_RESHAPES = (
    *(Tensor.view, Tensor.reshape, Tensor.flatten, torch.reshape, torch.flatten),
    *(Tensor.contiguous, Tensor.float, Tensor.double, Tensor.to),
)
_ROWS_OF = frozenset((*_RESHAPES, Tensor.__getitem__))


def _same_rows(
    func: Any, result: Tensor, logits: Tensor, args: Any, inputs: Tensor
) -> Tensor | None:
    """The inputs of a linear layer that would have given the result, if these gave the logits."""
    alike = result.dtype == logits.dtype and result.device == logits.device
    if not alike or result.dim() == 0 or result.shape[-1] != logits.shape[-1]:
        return None
    if func is Tensor.__getitem__:
        return inputs[args[0]] if _keeps_last(args[0], logits.dim()) else None
    return inputs.reshape(*result.shape[:-1], inputs.shape[-1])


def _keeps_last(index: Any, dims: int) -> bool:
    """Whether an index takes all of the last of so many dimensions, as it was."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(p, bool) or not isinstance(p, _INDICES) for p in parts):
        return False
    last = parts[-1] if parts else Ellipsis
    reaches_last = any(p is Ellipsis for p in parts) and last is not Ellipsis
    if reaches_last or sum(map(_taken, parts)) >= dims:
        return isinstance(last, slice) and last == slice(None)
    return True


_INDICES = (int, slice, Tensor, type(None), type(Ellipsis))


def _taken(part: Any) -> int:
    """How many dimensions a part of an index is for."""
    if isinstance(part, Tensor) and part.dtype in (torch.bool, torch.uint8):
        return part.dim()
    return int(part is not None and part is not Ellipsis)
