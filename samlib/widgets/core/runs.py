"""What the figures of runs share: how much of a run is kept, and no warning when it diverges."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator

# A trajectory has this many records at most.
MOST_RECORDS = 10_000


def record_stride(steps: int) -> int:
    """Every how many steps of a run an iterate is recorded."""
    return math.ceil(steps / MOST_RECORDS)


@contextlib.contextmanager
def diverging_in_silence() -> Iterator[None]:
    """No warning of a run that diverges: it is shown as one, and the figure itself says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
