"""The space of the weights: lengths and products of vectors that may be spread over processes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from samlib import linalg
from samlib.optim.shards import (
    Groups,
    any_spread,
    everyone,
    largest,
    mean,
    part,
    together,
    total,
)


class Space:
    """Vectors [D] with one entry for each number in some parameters.

    Of a vector each process holds the entries of its parts of the parameters. The numbers given
    here, D too, are those of the whole vector, equal in all processes; what several processes hold
    copies of is counted once. Without shards they are those of the tensors as they are.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.dim = sum(p.numel() for p in parameters)
        self._together = together(parameters) if any_spread(parameters) else []
        sizes = [part(p).numel() for p in parameters] if self._together else []
        self._spans = [_spans(sizes, places) for _, places in self._together]
        self._spread = any(groups for groups, _ in self._together)

    def power_of_two(self, vector: Tensor) -> Tensor:
        """The power of two in the largest entry, as [1]."""
        if not self._spread:
            return linalg.power_of_two(vector)
        powers = [
            largest(torch.stack([_power(vector[span]) for span in spans]).amax(0), groups)
            for spans, groups in self._with_groups()
        ]
        return torch.stack(powers).amax(0)

    def norm(self, vector: Tensor) -> Tensor:
        """‖v‖, as [1]."""
        if not self._spread:
            return linalg.norm(vector)
        norms = [
            _joined(linalg.norm(torch.cat([linalg.norm(vector[span]) for span in spans])), groups)
            for spans, groups in self._with_groups()
        ]
        return linalg.norm(torch.cat(norms))

    def dot(self, vector: Tensor, other: Tensor) -> Tensor:
        """⟨v, w⟩, of vectors whose products do not under- or overflow."""
        if not self._spread:
            return vector @ other
        sums = [
            total(torch.stack([vector[span] @ other[span] for span in spans]).sum(), groups)
            for spans, groups in self._with_groups()
        ]
        return torch.stack(sums).sum()

    def norms(self, lengths: Sequence[Tensor]) -> Tensor:
        """‖v_l‖ of each parameter, as one vector, from those of what is in this process, [1]."""
        norms = torch.cat(list(lengths))
        if self._spread:
            for groups, places in self._together:
                norms[places] = _joined(norms[places], groups)
        return norms

    def scale_pieces_(self, pieces: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Divide each parameter's piece, as in :meth:`scale_`; return the powers and norms left."""
        extremes = [_extremes(piece) for piece in pieces]
        powers = linalg.power_of_two(torch.stack(extremes))[:, 0]
        for groups, places in self._together:
            powers[places] = largest(powers[places], groups)
        torch._foreach_div_(pieces, list(powers))
        norms = torch.stack(torch._foreach_norm(pieces))
        for groups, places in self._together:
            norms[places] = total(norms[places].square_(), groups).sqrt_()
        return powers, norms

    def any(self, value: Tensor) -> Tensor:
        """Whether a value that says something of the parts in this process holds in any."""
        number = value.float()
        for groups, _ in self._together:
            number = largest(number, groups)
        return number > 0

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a number over the processes that share the weights, as of gradients."""
        return mean(value, everyone(self.parameters))

    # ------------------------------------------------------------------------------ directions

    def scale_(self, vector: Tensor) -> Tensor:
        """Divide v in place by the power of two in its largest entry: exact, safe to square."""
        return vector.div_(self.power_of_two(vector))

    def unit_(self, vector: Tensor) -> Tensor:
        """v/‖v‖ in place, and (1, …, 1)/√D at zero, without waiting to know which."""
        if (known := self._known_length(vector)) is not None:
            return vector.div_(known)
        scaled = self.scale_(vector)
        if self._spread:
            length = self.dot(scaled, scaled).sqrt()
        else:
            length = torch.linalg.vector_norm(scaled)
        zero = length == 0
        return vector.div_(length + zero).add_(zero, alpha=1 / math.sqrt(self.dim))

    def _known_length(self, vector: Tensor) -> float | None:
        """‖v‖ where it can be read at once and no square in it that matters under- or overflows.

        It is then the same to the bit as by way of :meth:`scale_`, which takes three passes more.
        """
        if self._spread or vector.device.type != "cpu":
            return None
        length: float = torch.linalg.vector_norm(vector).item()
        info = torch.finfo(vector.dtype)
        least = math.sqrt(vector.numel() * info.smallest_normal / info.eps)
        return length if least < length < math.inf else None

    def rejection(self, vector: Tensor, onto: Tensor) -> Tensor:
        """The part of ``vector`` orthogonal to ``onto``; all of it where ``onto`` is zero."""
        onto = onto / self.power_of_two(onto)
        share = quotient(self.dot(vector, onto), self.dot(onto, onto))
        return torch.sub(vector, onto.mul_(share), out=onto)

    def _with_groups(self) -> Iterable[tuple[list[slice], Groups]]:
        return zip(self._spans, (groups for groups, _ in self._together), strict=True)


def quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotients of numbers on the device, and 0 where the denominator is 0."""
    zero = denominator == 0
    return torch.where(zero, 0.0, numerator / (denominator + zero))


def _extremes(entries: Tensor) -> Tensor:
    """The smallest and the largest of some entries; zeros if there are none."""
    return torch.stack(torch.aminmax(entries)) if entries.numel() else entries.new_zeros(2)


def _power(entries: Tensor) -> Tensor:
    """The power of two of some entries, as small as can be if there are none."""
    if entries.numel():
        return linalg.power_of_two(entries)
    return entries.new_full((1,), torch.finfo(entries.dtype).smallest_normal)


def _joined(norms: Tensor, groups: Groups) -> Tensor:
    """The norms of whole vectors from those of their parts in each process, number by number."""
    if not groups:
        return norms
    powers = largest(linalg.power_of_two(norms[:, None])[:, 0], groups)
    return powers * total((norms / powers).square_(), groups).sqrt_()


def _spans(sizes: Sequence[int], places: Iterable[int]) -> list[slice]:
    """Where in a vector the pieces at some places lie, those side by side in one."""
    spans: list[slice] = []
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    for place in places:
        if spans and spans[-1].stop == ends[place]:
            spans[-1] = slice(spans[-1].start, ends[place + 1])
        else:
            spans.append(slice(ends[place], ends[place + 1]))
    return spans
