"""The same random numbers in all passes of a step: dropout then has the same masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

RandomState = dict[torch.device, Tensor]


class Replayed:
    """A closure whose later calls draw what the first one drew.

    Torch's random numbers on the CPU and on the devices given count. After each call their stream
    goes on as after the first, as if there had been one pass.
    """

    def __init__(self, closure: Callable[[], Any], devices: Iterable[torch.device]) -> None:
        self._closure = closure
        self._devices = {torch.device("cpu"), *devices}
        self._start: RandomState = {}
        self._end: RandomState = {}

    def __call__(self) -> Any:
        """Call the closure with the random state of its first call."""
        if not self._start:
            self._start = random_state(self._devices)
            result = self._closure()
            self._end = random_state(self._devices)
            return result
        set_random_state(self._start)
        try:
            return self._closure()
        finally:
            set_random_state(self._end)


def random_state(devices: Iterable[torch.device]) -> RandomState:
    """Give the state of torch's generator on each device."""
    return {device: _generators_of(device)[0]() for device in devices}


def set_random_state(state: RandomState) -> None:
    """Set torch's generators to states that :func:`random_state` gave."""
    for device, each in state.items():
        _generators_of(device)[1](each)


def _generators_of(device: torch.device) -> tuple[Callable[[], Tensor], Callable[[Tensor], None]]:
    if device.type == "cpu":
        return torch.get_rng_state, torch.set_rng_state
    module = getattr(torch, device.type)  # torch.cuda, torch.xpu, torch.mps, …
    if device.type == "mps":  # there is one
        return module.get_rng_state, module.set_rng_state
    return lambda: module.get_rng_state(device), lambda state: module.set_rng_state(state, device)
