"""Lengths and directions of vectors, however small or large."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from samlib._validation import require_tensor
from samlib.linalg.shards import Shards

# The bits of a number's exponent: they alone, as a number again, are a power of two.
_EXPONENT = {
    torch.float16: (torch.int16, 0x7C00),
    torch.bfloat16: (torch.int16, 0x7F80),
    torch.float32: (torch.int32, 0x7F80_0000),
    torch.float64: (torch.int64, 0x7FF0_0000_0000_0000),
}


def power_of_two(vector: Tensor) -> Tensor:
    """The power of two 2ᵏ ≤ max |vᵢ| < 2ᵏ⁺¹ of vectors [..., D], as [..., 1].

    It is no smaller than the smallest normal number. Dividing by it is exact for every entry whose
    quotient is a normal number, and in the quotient no square that matters under- or overflows.
    """
    if not vector.shape[-1]:
        return vector.new_ones(*vector.shape[:-1], 1)
    integer, bits = _EXPONENT[vector.dtype]
    info = torch.finfo(vector.dtype)
    entries = vector.detach()  # two passes, but no copy for the absolute values
    most, least = entries.amax(dim=-1, keepdim=True), entries.amin(dim=-1, keepdim=True)
    largest = torch.maximum(most, -least)
    return (largest.clamp(info.smallest_normal, info.max).view(integer) & bits).view(vector.dtype)


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


def part_of_unit_direction(gradient: Tensor, shards: Shards) -> Tensor:
    """What this process holds of ∇L/‖∇L‖, from what it holds of ∇L."""
    if shards.group is None:
        return unit_direction(gradient)
    scaled = gradient / shards.largest(power_of_two(gradient))
    length = shards.norm(scaled).unsqueeze(-1)
    return torch.where(length == 0, 1 / math.sqrt(shards.dim), scaled / length)
