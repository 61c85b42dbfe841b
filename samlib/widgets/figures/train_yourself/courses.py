"""The courses of the states that have a name, computed once.

``python -m samlib.widgets.figures.train_yourself.courses`` writes them, in about a minute. A run
of gradient descent at its edge of stability amplifies rounding, so that another machine has other
digits; what is stored is the same everywhere.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samlib.widgets.figures.train_yourself.model import Course, Misread, Settings, course_of
from samlib.widgets.figures.train_yourself.presets import PRESETS

PATH = Path(__file__).parent / "data" / "courses.json"
STEPS, LOOKS, DIGITS = 1_500, 100, 4

# What a course does not depend on.
_IDLE = ("panels", "precision")


def essence(settings: Settings) -> Mapping[str, Any]:
    """What a course depends on."""
    return {name: value for name, value in settings.items() if name not in _IDLE}


@functools.cache
def stored() -> Mapping[str, Course]:
    """The courses that are stored, by the name of the state."""
    return {
        name: Course(
            tuple(each["steps"]),
            tuple(map(tuple, each["top"])),
            tuple(tuple(math.nan if v is None else v for v in edge) for edge in each["edge"]),
            tuple(each["wrong"]),
            tuple(tuple(Misread(*digit) for digit in run) for run in each["misread"]),
            each["test_rows"],
        )
        for name, each in json.loads(PATH.read_text("utf8")).items()
    }


@functools.lru_cache(maxsize=32)
def _computed(settings: tuple[tuple[str, Any], ...]) -> Course:
    return course_of(dict(settings))


def course_for(settings: Settings) -> Course:
    """The stored course of a state, or else a shorter one, computed now."""
    wanted = essence(settings)
    for name, preset in PRESETS.items():
        if essence(preset) == wanted:
            return stored()[name]
    return _computed(tuple(wanted.items()))


def rounded(course: Course) -> dict[str, Any]:
    """A course as JSON, in so many significant digits; what is no number is null."""

    def short(run: tuple[float, ...]) -> list[float | None]:
        return [float(f"{v:.{DIGITS}g}") if math.isfinite(v) else None for v in run]

    both = {name: [short(run) for run in getattr(course, name)] for name in ("top", "edge")}
    return {**course._asdict(), **both}


def main() -> None:
    """Compute and write them."""
    courses = {name: rounded(course_of(preset, STEPS, LOOKS)) for name, preset in PRESETS.items()}
    PATH.write_text(json.dumps(courses, separators=(",", ":")) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
