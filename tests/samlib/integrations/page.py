"""The recipes on the page "In your training loop", as code to be run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "book" / "library" / "training_loop.md"

_HEADING = re.compile(r"^##+ (.+)$", re.MULTILINE)
_BLOCK = re.compile(
    r"(?:^:::\{tab-item\} (?P<tab>[^\n]+)\n(?::[^\n]+\n)*)?"
    r"^```(?:python|\{code-block\} python)\n(?P<options>(?::[^\n]+\n)*)(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Recipe:
    """A block of code, with the lines that the page shows as changed."""

    section: str
    tab: str
    code: str
    changed: frozenset[int]

    def run(self, names: dict[str, Any], *, rho: float | None = None) -> dict[str, Any]:
        """Run it with these names, perhaps with another ρ; return all names."""
        code = self.code
        if rho is not None:
            assert "rho=0.05" in code
            code = code.replace("rho=0.05", f"rho={rho}")
        scope = dict(names)
        exec(compile(code, f"{PAGE.name}: {self.section}, {self.tab}", "exec"), scope)
        return scope


def recipes() -> list[Recipe]:
    """All blocks of code of the page, in order."""
    text = PAGE.read_text("utf8")
    headings = [(found.start(), found[1]) for found in _HEADING.finditer(text)]
    found = []
    for block in _BLOCK.finditer(text):
        section = [title for start, title in headings if start < block.start()][-1]
        lines = re.search(r":emphasize-lines: (.+)", block["options"])
        found.append(
            Recipe(section, block["tab"] or "", block["code"], _lines(lines[1] if lines else ""))
        )
    return found


def recipe(section: str, tab: str = "After") -> Recipe:
    """The block of that section and tab."""
    (one,) = [each for each in recipes() if (each.section, each.tab) == (section, tab)]
    return one


def _lines(numbers: str) -> frozenset[int]:
    lines: set[int] = set()
    for part in filter(None, numbers.split(",")):
        first, _, last = part.partition("-")
        lines |= set(range(int(first), int(last or first) + 1))
    return frozenset(lines)
