"""What the floating-point arithmetic of a device allows."""

from __future__ import annotations

import torch


def wide_dtype(device: torch.device) -> torch.dtype:
    """float64, or float32 on a device that has no float64 (Apple's MPS)."""
    return torch.float32 if device.type == "mps" else torch.float64
