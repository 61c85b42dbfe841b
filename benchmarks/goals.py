"""What each benchmark is to reach, beside what it reached: `python benchmarks/goals.py`.

A benchmark stores its goals with its other results. This prints them all, with the peer that each
is measured against and the day on which that was; `make bench` ends with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Goal:
    """A number that was measured, and the one that it is to keep to.

    Attributes
    ----------
    what
        What was measured, with its unit: "CNN, top 1: times as fast".
    reached, limit
        The number, and what it is to be at least, or at most.
    at_least
        Whether more is better.
    against
        The peer, or whatever else the number is a ratio to; empty if nothing.
    """

    what: str
    reached: float
    limit: float
    at_least: bool = False
    against: str = ""

    @property
    def met(self) -> bool:
        """Whether the number keeps to its limit."""
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        numbers = f"{self.reached:10.4g}{f'{sign} {self.limit:g}':>12}"
        return f"{self.what:62}{numbers}  {'yes' if self.met else 'NO ':4} {self.against}"


def stored(goals: Iterable[Goal]) -> list[dict[str, object]]:
    """Return goals as a file of results holds them."""
    return [{**asdict(goal), "met": goal.met} for goal in goals]


def show(goals: Iterable[Goal]) -> None:
    """Print goals as a table."""
    print(f"\n{'goal':62}{'reached':>10}{'limit':>12}  met  against")
    for goal in goals:
        print(goal, flush=True)


def main() -> None:
    """Print the goals in all files of results."""
    for path in sorted(RESULTS.glob("*.json")):
        results = json.loads(path.read_text(encoding="utf8"))
        rows = [{k: v for k, v in row.items() if k != "met"} for row in results.get("goals", [])]
        if rows:
            print(f"\n{path.stem}, {results['provenance']['date'][:10]}", end="")
            show(Goal(**row) for row in rows)


if __name__ == "__main__":
    main()
