"""Directions of vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from samlib._validation import require_tensor


def unit_direction(gradient: Tensor) -> Tensor:
    """u = ∇L/‖∇L‖ along the last dimension; (1, …, 1)/√D where the gradient is exactly zero.

    SAM's direction is undefined at a stationary point, and the paper takes an arbitrary unit
    vector there (Appendix B). Ours is fixed, so that results do not depend on chance.
    """
    if require_tensor("gradient", gradient).dim() == 0 or gradient.shape[-1] == 0:
        raise ValueError(
            f"gradient must have shape [..., dim], dim ≥ 1, got {tuple(gradient.shape)}"
        )
    norm = gradient.norm(dim=-1, keepdim=True)
    fallback = 1 / math.sqrt(gradient.shape[-1])
    return torch.where(norm == 0, fallback, gradient / norm)
