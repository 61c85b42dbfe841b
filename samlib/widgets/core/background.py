"""Work in the background: one thing at a time, the latest, and it can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable

Work = Callable[[threading.Event], None]


class Stopped(Exception):  # noqa: N818 - not an error: somebody wished so
    """The work was told to stop."""


class Background:
    """Does the latest work that it was given, in a thread that lives as long as there is some.

    Work is a function of an event; it ends soon after the event is set, and deals with its own
    errors. New work stops the old.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next: tuple[Work, threading.Event] | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether there is work left."""
        return self._thread is not None

    def submit(self, work: Work) -> None:
        """Stop what is being done and do this; nothing after ``close``."""
        with self._changed:
            if self._closed:
                return
            self._stopped.set()
            self._stopped = threading.Event()
            self._next = work, self._stopped
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="samlib", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Let the work end at its next look at the event."""
        with self._changed:
            self._stopped.set()
            self._next = None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no work is left; False if that takes longer than ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def close(self) -> None:
        """Stop for good, and wait for the end of the thread."""
        with self._changed:
            self._closed = True
        self.stop()
        if threading.current_thread() is not self._thread:
            self.wait()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._next is None:
                    self._thread = None
                    self._changed.notify_all()
                    return
                (work, stopped), self._next = self._next, None
            try:
                work(stopped)
            except BaseException:
                with self._changed:
                    self._thread = None
                    self._changed.notify_all()
                raise
