"""A symmetric matrix that is known by its products with vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from samlib._validation import (
    require_callable,
    require_count,
    require_device,
    require_dtype,
    require_instance,
    require_number,
    require_tensor,
    shown,
)
from samlib.linalg.dense import at_least_single
from samlib.linalg.shards import Shards

Product = Callable[[Tensor], Tensor]

# What draws vectors [n, dim] ↦ for each summand of a mean: the vectors that it was given, what the
# summand makes of them, and the summand's weight.
ByBatch = Callable[[Callable[[], Tensor]], Iterator[tuple[Tensor, Tensor, float | Tensor]]]


@dataclass(frozen=True, eq=False, repr=False)
class Operator:
    """A symmetric linear map on Rᴰ, such as the Hessian of a loss at a point.

    Operators can be added, multiplied by numbers, and restricted to some of the coordinates.

    Attributes
    ----------
    dim
        D.
    device, dtype
        Of the vectors that it takes and gives.
    matvec
        v [dim] ↦ Hv [dim].
    matmat
        V [dim, n] ↦ HV [dim, n], of several vectors at once, which may be faster than one after
        another; this is done, if not given.
    by_batch
        The products of single summands with vectors of their own, where H is a weighted mean of
        several: from what draws vectors [n, dim] or one [dim], the vectors, their images and the
        weight of each summand in turn.
    rounding
        The unit of rounding in the arithmetic behind ``matvec``, relative: that of ``dtype``, if
        not given. It is larger where a network computes in a lower precision than its parameters.
    nearby
        Makes the same operator with its data moved by one unit of rounding. How far the products
        of the two differ shows how far rounding reaches.
    shards
        How vectors lie over processes: each has all of them, if not given.

    Examples
    --------
    >>> import torch
    >>> from samlib import Operator
    >>> diagonal = torch.tensor([3.0, 1.0, 2.0])
    >>> operator = Operator(3, torch.device("cpu"), torch.float32, lambda v: diagonal * v)
    >>> (0.5 * operator) @ torch.ones(3)
    tensor([1.5000, 0.5000, 1.0000])
    >>> operator.restricted(torch.tensor([True, False, True])).to_dense()
    tensor([[3., 0.],
            [0., 2.]])
    """

    dim: int
    device: torch.device
    dtype: torch.dtype
    matvec: Product
    matmat: Product | None = field(default=None, kw_only=True)
    by_batch: ByBatch | None = field(default=None, kw_only=True)
    rounding: float | None = field(default=None, kw_only=True)
    nearby: Callable[[], Operator] | None = field(default=None, kw_only=True)
    shards: Shards = field(default=None, kw_only=True)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        require_count("dim", self.dim, minimum=1)
        object.__setattr__(self, "device", require_device("device", self.device))
        require_dtype("dtype", self.dtype)
        require_callable("matvec", self.matvec, "v [dim] ↦ Hv [dim]")
        if self.matmat is not None:
            require_callable("matmat", self.matmat, "V [dim, n] ↦ HV [dim, n]")
        if self.by_batch is not None:
            require_callable("by_batch", self.by_batch, "what draws a vector ↦ an iterator")
        if self.rounding is None:
            object.__setattr__(self, "rounding", torch.finfo(self.dtype).eps)
        require_number("rounding", self.unit, positive=True)
        if self.shards is None:
            object.__setattr__(self, "shards", Shards(self.dim))
        require_instance("shards", self.shards, Shards, "a samlib.linalg.Shards or None")
        if self.nearby is not None:
            require_callable("nearby", self.nearby, "() ↦ an operator")

    @property
    def unit(self) -> float:
        """The unit of rounding."""
        assert self.rounding is not None
        return self.rounding

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Hv for v [dim], or HV for V [dim, n]."""
        length = self.shards.length
        if require_tensor("vector", vector).shape[:1] != (length,) or vector.dim() > 2:
            raise ValueError(
                f"vector must have shape [{length}] or [{length}, n], got {tuple(vector.shape)}"
            )
        if vector.dtype != self.dtype or vector.device != self.device:
            raise ValueError(
                f"vector must have dtype {self.dtype} and be on {self.device}, "
                f"got {vector.dtype} on {vector.device}"
            )
        if vector.dim() == 1:
            return self.matvec(vector)
        if self.matmat is not None:
            return self.matmat(vector)
        return torch.stack([self.matvec(column) for column in vector.unbind(-1)]).T

    def __add__(self, other: Operator) -> Operator:
        """H + K, of two operators for the same vectors."""
        require_instance("other", other, Operator, "a samlib.Operator")
        mine, its = (self.dim, self.device, self.dtype), (other.dim, other.device, other.dtype)
        if mine != its:
            raise ValueError(f"both must have the same dim, device and dtype, got {mine} and {its}")
        if self.shards.group is not other.shards.group:
            raise ValueError("both must have their vectors spread over the same processes")
        return self._instead(
            lambda v: self @ v + other @ v,
            together=self.matmat is not None or other.matmat is not None,
            rounding=max(self.unit, other.unit),
            nearby=_both(self, other),
        )

    def __mul__(self, factor: float) -> Operator:
        """The multiple of H by a number."""
        number = float(factor)
        nearby = self.nearby
        return self._instead(
            lambda v: number * (self @ v),
            together=self.matmat is not None,
            nearby=None if nearby is None else lambda: nearby() * number,
        )

    __rmul__ = __mul__

    def restricted(self, kept: Tensor) -> Operator:
        """PHPᵀ, the rows and columns of some coordinates alone: one layer, say.

        Parameters
        ----------
        kept
            The coordinates: booleans [dim], at least one of them True.

        Raises
        ------
        ValueError
            If ``kept`` is not that.
        """
        self._require_whole_vectors("restricted()")
        if not isinstance(kept, Tensor) or kept.dtype != torch.bool or kept.shape != (self.dim,):
            raise ValueError(
                f"kept must be booleans of shape [{self.dim}], not all False, got {shown(kept)}"
            )
        index = kept.nonzero()[:, 0].to(self.device)
        if not len(index):
            raise ValueError(
                f"kept must be booleans of shape [{self.dim}], not all False, got {shown(kept)}"
            )

        def product(vector: Tensor) -> Tensor:
            zeros = vector.new_zeros(self.dim, *vector.shape[1:])
            image: Tensor = (self @ zeros.index_copy(0, index, vector))[index]
            return image

        nearby = self.nearby
        return self._instead(
            product,
            together=self.matmat is not None,
            dim=len(index),
            shards=Shards(len(index)),
            nearby=None if nearby is None else lambda: nearby().restricted(kept),
        )

    def _instead(self, product: Product, *, together: bool, **changes: Any) -> Operator:
        """The operator of another product, of a vector or of several."""
        matmat = product if together else None
        return replace(self, matvec=product, matmat=matmat, by_batch=None, **changes)

    def to_dense(self) -> Tensor:
        """The matrix, [dim, dim], made symmetric; for small dim."""
        self._require_whole_vectors("to_dense()")
        matrix = self @ torch.eye(self.dim, dtype=self.dtype, device=self.device)
        return (matrix + matrix.T) / 2

    def _require_whole_vectors(self, method: str) -> None:
        if self.shards.group is not None:
            raise ValueError(
                f"{method} needs whole vectors, and those of this operator are spread over "
                "processes; make the objective with shard_vectors=False"
            )

    def __repr__(self) -> str:
        return f"Operator(dim={self.dim}, dtype={self.dtype}, device={self.device})"


def empty_vector(operator: Operator) -> Tensor:
    """A vector to compute in, of any numbers: single precision at least."""
    empty = torch.empty(operator.shards.length, dtype=operator.dtype, device=operator.device)
    return at_least_single(empty)


# Rounding accumulates over the operations of a product.
_UNITS = 20.0

# Beside the rounding of the data there is that of what is computed on the way.
_MEASURED = 2.0


def rounding_error(
    operator: Operator, vector: Tensor, image: Tensor, *, scale: float = 0.0
) -> Tensor:
    """About how far rounding may have moved ``image``, the product with a unit vector: [].

    Measured, where the operator can be moved by one unit of rounding. A few units otherwise, of
    the image or of the largest |eigenvalue| seen, ``scale``: it is what is rounded in a product.
    """
    if operator.nearby is None:
        units: Tensor = _UNITS * operator.unit * operator.shards.norm(image).clamp(min=scale)
        return units
    moved = operator.nearby().matvec(vector.to(operator.dtype))
    norm = operator.shards.norm
    measured = _MEASURED * norm(moved.to(image.dtype) - image)
    rounded: Tensor = measured + operator.unit * norm(image)
    return rounded


def _both(one: Operator, other: Operator) -> Callable[[], Operator] | None:
    if one.nearby is None and other.nearby is None:
        return None
    first, second = one.nearby or (lambda: one), other.nearby or (lambda: other)
    return lambda: first() + second()
