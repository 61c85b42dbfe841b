"""The random numbers of the figures: the same on a page and in Python."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mulberry32(seed: int, count: int, skipped: int = 0) -> NDArray[np.uint32]:
    """``count`` outputs of the generator mulberry32 after ``skipped`` ones, as a page has them.

    Each is a hash of a counter, which starts at the seed and grows by 0x6D2B79F5; all arithmetic
    is modulo 2³².

    Examples
    --------
    >>> mulberry32(1, 2).tolist()
    [2693262067, 11749833]
    """
    number = np.uint32(skipped) + np.arange(1, count + 1, dtype=np.uint32)
    state = np.uint32(seed) + number * np.uint32(0x6D2B79F5)
    z = (state ^ (state >> np.uint32(15))) * (state | np.uint32(1))
    z ^= z + (z ^ (z >> np.uint32(7))) * (z | np.uint32(61))
    result: NDArray[np.uint32] = z ^ (z >> np.uint32(14))
    return result
