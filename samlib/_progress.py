"""Progress bars that keep quiet about anything short."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from tqdm.auto import tqdm

# A bar for work that is over before the reader has looked is noise.
_SECONDS_BEFORE_SHOWN = 2.0


class ProgressBar:
    """A tqdm bar that comes into being after two seconds, or never if not ``enabled``.

    Use it as a context manager and call ``update()`` as the work is done. (tqdm can delay a bar
    itself, but in a notebook it makes the widget all the same: milliseconds for each call of a
    function that is called often, and widgets that pile up in the kernel.)
    """

    def __init__(self, total: int | None, description: str, enabled: bool) -> None:
        self.n = 0
        self._total, self._description, self._enabled = total, description, enabled
        self._bar: Any = None
        self._begin = time.monotonic()

    def update(self, count: int = 1) -> None:
        """Say that so much more is done."""
        self.n += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._enabled and time.monotonic() - self._begin >= _SECONDS_BEFORE_SHOWN:
            self._bar = tqdm(
                total=self._total,
                desc=self._description,
                initial=self.n,
                leave=False,
                dynamic_ncols=True,
            )

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
