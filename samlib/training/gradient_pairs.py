"""What the two gradients of SAM's steps have in common, averaged without waiting for the device."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from samlib._precision import wide_dtype
from samlib.linalg import norm

# torch cuts to the length given, or less by a part in a thousand if that is about 1e-3.
_CUT = 0.998


class Means(NamedTuple):
    """Means over ``pairs`` pairs of a gradient g at w and a gradient g_p at w + ε."""

    pairs: int
    difference: float  # ‖g_p − g‖/‖g‖
    ratio: float  # ‖g_p‖/‖g‖
    cosine: float  # of the angle between g and g_p
    reach: float  # ⟨ε, g⟩/‖g‖², which is ρ/‖g‖ for SAM
    length: float  # ‖ε‖
    curvature: float  # ⟨g_p − g, ε⟩/‖ε‖², NaN where no ε was other than zero
    by_gradients: float  # (‖g‖ + ‖g_p‖)/‖ε‖: how far a unit of rounding in them moves it
    by_weights: float  # ‖g_p − g‖/‖ε‖²: how far a change of w by a unit of length moves it


def compare(first: Tensor, perturbation: Tensor, last: Tensor) -> Tensor:
    """Whether g ≠ 0 and ε ≠ 0, and the numbers of :class:`Means` in their order: [10].

    All are 0 where g is. Each vector is divided by its length first, so that no square under- or
    overflows; a gradient that is not finite gives NaN.
    """
    (u, here), (v, there) = _direction(first), _direction(last)
    (e, length), (d, changed) = _direction(perturbation), _direction(last - first)
    moves = ~(length == 0)
    numbers = torch.cat(
        [
            torch.ones_like(here),
            moves.to(u),
            changed / here,
            there / here,
            (u @ v).clamp(-1.0, 1.0).reshape(1),
            (u @ e) * length / here,
            length,
            quotient((e @ d) * changed, length),
            quotient(here + there, length),
            quotient(quotient(changed, length), length),
        ]
    )
    return torch.where(here == 0, 0.0, numbers)


def quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient on the device, 0 where the denominator is."""
    return torch.where(denominator == 0, 0.0, numerator / denominator)


def _direction(vector: Tensor) -> tuple[Tensor, Tensor]:
    """v/‖v‖, zero for zero, and ‖v‖."""
    length = norm(vector)
    return vector / (length + (length == 0)), length


class PairMeans:
    """Adds pairs up, on their device.

    Parameters
    ----------
    clipping
        The length that longer gradients are cut to. A pair with one of that length is left out,
        since it is not known how long the gradient was.
    """

    def __init__(self, clipping: float | None = None) -> None:
        self._clipping = clipping
        self._sums: Tensor | None = None

    def add(self, first: Tensor, perturbation: Tensor, last: Tensor) -> None:
        """Count a pair; it is left out where g is exactly zero."""
        numbers = compare(first, perturbation, last)
        clipped = torch.zeros_like(numbers[:1])
        if self._clipping is not None:
            longest = torch.maximum(norm(first), norm(last))
            clipped = (longest >= _CUT * self._clipping).to(numbers)
        numbers = torch.cat([clipped, torch.where(clipped > 0, 0.0, numbers)])
        numbers = numbers.to(wide_dtype(numbers.device))
        self._sums = numbers if self._sums is None else self._sums + numbers

    def take(self) -> tuple[Means | None, int]:
        """Give the means, None if there was no pair, and how many were left out as clipped.

        It waits for the device, and begins anew.
        """
        sums, self._sums = self._sums, None
        if sums is None:
            return None, 0
        clipped, pairs, moved, *numbers = sums.tolist()
        if not pairs:
            return None, int(clipped)
        means = [number / pairs for number in numbers[:5]]
        of_epsilon = [number / moved if moved else math.nan for number in numbers[5:]]
        return Means(int(pairs), *means, *of_epsilon), int(clipped)
