"""Progress bars that keep quiet about anything short, and where nobody looks."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any

from tqdm.auto import tqdm

# A bar for work that is over before the reader has looked is noise.
SECONDS_BEFORE_SHOWN = 2.0

# In a file or a pipe a bar is a thousand lines. Whoever wants them there sets this to 1.
_ANYWHERE = "SAMLIB_PROGRESS"


def _is_watched() -> bool:
    """Return whether a bar would be drawn on a terminal or in a notebook, or is wanted anywhere."""
    ipython = sys.modules.get("IPython")  # a notebook's kernel has imported it
    shell = ipython.get_ipython() if ipython is not None else None
    in_notebook = shell is not None and "IPKernelApp" in shell.config
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    return in_notebook or on_terminal or os.environ.get(_ANYWHERE) == "1"


class ProgressBar:
    """A tqdm bar that comes into being after two seconds, or never if not ``enabled``.

    It is shown on a terminal and in a notebook. In a file or a pipe there is none, unless the
    environment variable ``SAMLIB_PROGRESS`` is 1. (tqdm's own ``TQDM_DISABLE=1`` hides all bars.)

    Use it as a context manager and call ``update()`` as the work is done. (tqdm can delay a bar
    itself, but in a notebook it makes the widget all the same: milliseconds for each call of a
    function that is called often, and widgets that pile up in the kernel.)
    """

    def __init__(self, total: int | None, description: str, enabled: bool) -> None:
        self.n = 0
        self._total, self._description = total, description
        self._enabled = enabled and _is_watched()
        self._bar: Any = None
        self._begin = time.monotonic()

    def update(self, count: int = 1) -> None:
        """Say that so much more is done."""
        self.n += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._enabled and time.monotonic() - self._begin >= SECONDS_BEFORE_SHOWN:
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
