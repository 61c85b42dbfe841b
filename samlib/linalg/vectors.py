"""Lengths and directions of vectors, however small or large."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from samlib._validation import require_tensor


def power_of_two(vector: Tensor) -> Tensor:
    """The power of two 2ᵏ ≤ max |vᵢ| < 2ᵏ⁺¹ of vectors [..., D], as [..., 1].

    Dividing by it is exact, and no square that matters under- or overflows in the quotient. Where
    a vector is zero or not finite, it is 1.
    """
    if not vector.shape[-1]:
        return vector.new_ones(*vector.shape[:-1], 1)
    largest = vector.detach().abs().amax(dim=-1, keepdim=True)
    power: Tensor = largest / (2 * torch.frexp(largest).mantissa)
    return torch.nan_to_num(power, nan=1.0)  # 0/0, ∞/∞


def norm(vector: Tensor) -> Tensor:
    """‖v‖ of vectors [..., D], as [..., 1]."""
    power = power_of_two(vector)
    length: Tensor = torch.linalg.vector_norm(vector / power, dim=-1, keepdim=True)
    return power * length


def unit_direction(gradient: Tensor) -> Tensor:
    """u = ∇L/‖∇L‖ along the last dimension; (1, …, 1)/√D where the gradient is exactly zero.

    SAM's direction is undefined at a stationary point, and the paper takes an arbitrary unit
    vector there (Appendix B). Ours is fixed, so that results do not depend on chance.
    """
    if require_tensor("gradient", gradient).dim() == 0 or gradient.shape[-1] == 0:
        raise ValueError(
            f"gradient must have shape [..., dim], dim ≥ 1, got {tuple(gradient.shape)}"
        )
    scaled = gradient / power_of_two(gradient)
    length = scaled.norm(dim=-1, keepdim=True)
    fallback = 1 / math.sqrt(gradient.shape[-1])
    return torch.where(length == 0, fallback, scaled / length)
