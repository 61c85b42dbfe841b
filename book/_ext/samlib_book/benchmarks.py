"""What was measured by benchmarks/: how costs grow, as pictures, and what is asked of them.

    ```{growth} rows
    Time and memory against the number of rows.
    ```

draws a sweep of benchmarks/results/growth.json, with the text as its caption, and

    ```{goals}
    ```

lists the goals of all results, beside what was reached. Both are made from the files when the book
is built, and made again when those change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import matplotlib as mpl
from docutils import nodes
from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from samlib.plotting.style import COLOURS, NEUTRAL, STYLE

from .claims import make_table

RESULTS = "benchmarks/results"
PICTURES = "book/_build/growth"
UNITS = {"seconds": "CPU seconds", "MiB": "MiB"}
DRAWN = {
    "λ₁": {"color": COLOURS["eigenvector"], "marker": "o"},
    "product": {"color": NEUTRAL, "linestyle": "--", "marker": "s"},
    "gradient": {"color": COLOURS["gradient_descent"], "linestyle": ":", "marker": "^"},
    "the search": {"color": COLOURS["eigenvector"], "marker": "o"},
    "whole": {"color": COLOURS["eigenvector"], "marker": "o"},
    "spread": {"color": NEUTRAL, "linestyle": "--", "marker": "s"},
}
LABELS = {
    "product": "a product",
    "gradient": "a gradient",
    "whole": "whole vectors",
    "spread": "spread vectors",
}
SMALL = {"font.size": 10.5, "figure.figsize": (6.4, 2.9)}

Rows = list[dict[str, float]]


class ResultsDirective(SphinxDirective):
    """A part of a page that is made from results."""

    def read(self, path: Path) -> Any:
        """Return what a file holds, and make the page again when it changes."""
        self.env.note_dependency(str(path))
        if not path.is_file():
            raise self.error(f"there is no {path.name} in {RESULTS}")
        return json.loads(path.read_text(encoding="utf8"))

    @property
    def folder(self) -> Path:
        """Where the results are."""
        return Path(self.env.srcdir, RESULTS)


def lines(rows: Rows, unit: str) -> list[str]:
    """Return the names of what has numbers of a unit."""
    return [name.removesuffix(f" {unit}") for name in rows[0] if name.endswith(f" {unit}")]


def draw(rows: Rows, along: str) -> Figure:
    """Time and memory against the number that grows, and what growing in proportion would be."""
    with mpl.rc_context({**STYLE, **SMALL}):
        figure = Figure()
        x = [row[along] for row in rows]
        for axes, (unit, label) in zip(figure.subplots(1, 2), UNITS.items(), strict=True):
            for name in lines(rows, unit):
                y = [row[f"{name} {unit}"] for row in rows]
                axes.loglog(x, y, label=LABELS.get(name, name), markersize=4, **DRAWN[name])
            first = lines(rows, unit)[0]
            falling = -1 if rows[-1][f"{first} {unit}"] < rows[0][f"{first} {unit}"] else 1
            # through the last point of the first line
            ends = [rows[-1][f"{first} {unit}"] * (n / x[-1]) ** falling for n in (x[0], x[-1])]
            axes.loglog([x[0], x[-1]], ends, color="#BBBBBB", linewidth=1, zorder=0,
                        label="∝ 1/n" if falling < 0 else "∝ n")  # fmt: skip
            axes.set_xlabel(along)
            axes.set_title(label)
            axes.minorticks_off()
        axes.legend(fontsize=9, loc="best")
        return figure


def description(rows: Rows, along: str) -> str:
    """Say in words what the picture shows."""
    first, last = rows[0], rows[-1]
    parts = [
        f"{LABELS.get(name, name)} takes {first[f'{name} {unit}']:.3g} to "
        f"{last[f'{name} {unit}']:.3g} {UNITS[unit]}"
        for unit in UNITS
        for name in lines(rows, unit)
    ]
    return f"From {first[along]:,} to {last[along]:,} {along}, " + "; ".join(parts) + "."


class Growth(ResultsDirective):
    """The picture of a sweep."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the picture with its caption."""
        (along,) = self.arguments
        sweeps = self.read(self.folder / "growth.json")["sweeps"]
        if along not in sweeps:
            raise self.error(f"no sweep is called {along}: there are {', '.join(sweeps)}")
        rows = sweeps[along]["rows"]
        place = f"{PICTURES}/{along}.png"
        path = Path(self.env.srcdir, place)
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(rows, along).savefig(path)
        figure = nodes.figure(classes=["growth"])
        figure += nodes.image(uri=f"/{place}", alt=description(rows, along))
        caption = nodes.caption()
        parsed, messages = self.state.inline_text(" ".join(self.content), self.lineno)
        caption += parsed
        figure += caption
        return [figure, *messages]


class Goals(ResultsDirective):
    """The table of all goals."""

    columns: ClassVar = {"Measured": 46, "Reached": 14, "Asked": 12, "Against": 28}

    def run(self) -> list[nodes.Node]:
        """Return the table, a goal in each row."""
        rows = [
            self.row(goal)
            for path in sorted(self.folder.glob("*.json"))
            for goal in self.read(path).get("goals", [])
        ]
        return [make_table("goals", self.columns, rows)]

    def row(self, goal: dict[str, Any]) -> nodes.row:
        """Return what was measured, what was reached and asked, and the peer."""
        sign = "≥" if goal["at_least"] else "≤"
        reached = f"{goal['reached']:.3g}" + ("" if goal["met"] else ", missed")
        row = nodes.row(classes=["met" if goal["met"] else "missed"])
        for text in (goal["what"], reached, f"{sign} {goal['limit']:g}", goal["against"]):
            row += nodes.entry("", nodes.paragraph("", text))
        return row


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("growth", Growth)
    app.add_directive("goals", Goals)
