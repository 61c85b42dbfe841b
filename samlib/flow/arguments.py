"""What the flows ask of their arguments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samlib._validation import require_count, require_numbers, shown
from samlib.flow.retraction import WHOLE_SPECTRUM_DIM
from samlib.objective import Objective


def require_followable(name: str, x: Tensor) -> None:
    """Raise if the flow from x cannot be followed: in half precision, or if x is not finite."""
    if torch.finfo(x.dtype).bits < 32:
        raise TypeError(
            f"{name} must have dtype float32 or float64, got {x.dtype}, which has too few digits "
            f"for Newton's method on Γ; try {name}.float()"
        )
    if not bool(x.isfinite().all()):
        wrong = x[~x.isfinite()][0].item()
        raise ValueError(f"{name} must be finite, got {wrong} in it")


def require_rank(rank: int | None, objective: Objective) -> int | None:
    """Return the rank if it is possible; raise if not, or if it is missing where it is needed."""
    if rank is not None:
        rank = require_count("rank", rank, minimum=1)
        if rank > objective.dim:
            raise ValueError(f"rank must be at most dim = {objective.dim}, got {shown(rank)}")
    elif objective.dim > WHOLE_SPECTRUM_DIM:
        raise ValueError(
            f"with more than {WHOLE_SPECTRUM_DIM} parameters, here {objective.dim}, rank is "
            "required: the number of non-zero eigenvalues on Γ, such as the number of fitted data "
            "points"
        )
    return rank


def require_times(times: Sequence[float] | Tensor) -> NDArray[np.float64]:
    """Return the times as they are integrated to, increasing and not negative, or raise."""
    instants = require_numbers("times", times)
    if not (bool((instants.diff() > 0).all()) and float(instants[0]) >= 0):
        raise ValueError(f"times must be finite, not negative and increasing, got {shown(times)}")
    return instants.numpy()
