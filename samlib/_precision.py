"""What floating-point arithmetic allows: wide dtypes, and scaling that rounds nothing."""

from __future__ import annotations

import torch
from torch import Tensor


def wide_dtype(device: torch.device) -> torch.dtype:
    """float64, or float32 on a device that has no float64 (Apple's MPS)."""
    return torch.float32 if device.type == "mps" else torch.float64


def power_of_two(vector: Tensor) -> Tensor:
    """Give the power of two 2ᵏ ≤ max |vᵢ| < 2ᵏ⁺¹ of vectors [..., D] as [..., 1].

    Dividing by it is exact, and no square of the quotient that matters under- or overflows. Where
    a vector is zero or not finite, it is 1.
    """
    if not vector.shape[-1]:
        return vector.new_ones(*vector.shape[:-1], 1)
    largest = vector.detach().abs().amax(dim=-1, keepdim=True)
    power = largest / (2 * torch.frexp(largest).mantissa)
    return torch.where((largest > 0) & largest.isfinite(), power, 1.0)


def norm(vector: Tensor) -> Tensor:
    """Give the Euclidean norm of vectors [..., D] as [..., 1], however small or large they are."""
    power = power_of_two(vector)
    return power * torch.linalg.vector_norm(vector / power, dim=-1, keepdim=True)
