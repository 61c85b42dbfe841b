"""Figures of runs over time, of which one step is shown."""

from __future__ import annotations

from typing import Any

import traitlets

from samlib.widgets.core.figure import Figure
from samlib.widgets.core.traits import InvalidTraitError, Whole


class FigureOverTime(Figure):
    """A figure of runs of so many steps, of which one is shown.

    The step shown stays inside the run; where it is the last one, it stays the last one.
    """

    steps: Any = Whole(1, 200_000).tag(sync=True)
    frame: Any = Whole(0, 200_000).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        if "steps" in traits and not self._preset_by:  # the last step, unless told otherwise
            traits = {**traits, "frame": traits.get("frame", traits["steps"])}
        super().__init__(**traits)

    @traitlets.validate("frame")
    def _frame_fits(self, proposal: Any) -> int:
        frame: int = proposal["value"]
        if frame > self.steps:
            raise InvalidTraitError(f"frame must be from 0 to steps = {self.steps}, got {frame}")
        return frame

    @traitlets.observe("steps")
    def _keep_frame_inside(self, change: Any) -> None:
        if self._following and "frame" not in (self._together or ()):
            last = self.frame == change["old"]
            self.frame = change["new"] if last else min(self.frame, change["new"])
