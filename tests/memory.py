"""How much memory a run takes, as torch's profiler sees it."""

from __future__ import annotations

from collections.abc import Callable

from torch.autograd.profiler import profile


def peak_bytes(run: Callable[[], object]) -> int:
    """The most bytes held at once on the CPU of what is asked for within ``run``."""
    with profile(profile_memory=True) as profiled:
        run()
    events = [each for each in profiled.kineto_results.events() if each.name() == "[memory]"]
    held = most = 0
    for each in sorted(events, key=lambda event: event.start_ns()):
        held += each.nbytes()
        most = max(most, held)
    return most
