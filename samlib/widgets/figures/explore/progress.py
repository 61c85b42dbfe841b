"""How far a measurement is, as the page shows it."""

from __future__ import annotations

from typing import Any

from samlib.widgets.figures.explore.model import Network
from samlib.widgets.figures.explore.watch import Watch


class Progress:
    """How far a measurement at so many radii is, in words and as a part of the whole."""

    def __init__(self, radii: int, with_point: bool) -> None:
        self._radii, self._parts = radii, radii + with_point
        self._part = 0
        self._of = ""
        self._stages = Network.POINT_STAGES if with_point else Network.RADIUS_STAGES

    def begin(self, rho: float | None) -> None:
        """The point is measured (None), or a radius begins."""
        self._stages = Network.RADIUS_STAGES
        if rho is None:
            self._part += 1
        else:
            number = self._part - (self._parts - self._radii) + 1
            many = f" ({number} of {self._radii})" if self._radii > 1 else ""
            self._of = f"ρ = {rho:g}{many}: "

    def end(self) -> None:
        """A radius is done."""
        self._part += 1

    def say(self, watch: Watch) -> dict[str, Any]:
        """The trait ``_progress``."""
        stage = self._stages.index(watch.name) + min(watch.done / watch.most, 1.0)
        text = f"{self._of}{watch.name.lower() if self._of else watch.name}"
        if watch.done:
            text += f", {watch.done} evaluation{'' if watch.done == 1 else 's'}"
        return running(text, (self._part + stage / len(self._stages)) / self._parts)


def running(text: str, part: float) -> dict[str, Any]:
    """The trait ``_progress`` while something is measured."""
    return {"running": True, "text": text, "part": round(part, 4)}


def idle() -> dict[str, Any]:
    """The trait ``_progress`` while nothing is."""
    return {"running": False, "text": "", "part": 0.0}
