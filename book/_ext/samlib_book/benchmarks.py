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
    """Return the names of what has numbers of a unit, in the order in which they are drawn."""
    return [name for name in DRAWN if f"{name} {unit}" in rows[0]]


def draw(rows: Rows, along: str) -> Figure:
    """Time and memory against the number that grows, and what growing in proportion would be."""
    with mpl.rc_context({**STYLE, **SMALL}):
        figure = Figure()
        x = [row[along] for row in rows]
        for axes, (unit, label) in zip(figure.subplots(1, 2), UNITS.items(), strict=True):
            for name in lines(rows, unit):
                y = [row[f"{name} {unit}"] for row in rows]
                axes.loglog(x, y, label=LABELS.get(name, name), markersize=4, **DRAWN[name])
            main = [row[f"{lines(rows, unit)[0]} {unit}"] for row in rows]
            ends, label_of_line = in_proportion(x, main)
            grey = {"color": "#BBBBBB", "linewidth": 1, "zorder": 0}
            axes.loglog([x[0], x[-1]], ends, label=label_of_line, **grey)
            axes.set_xlabel(along)
            axes.set_title(label)
            axes.minorticks_off()
        figure.axes[0].legend(fontsize=9, loc="best")
        return figure


def in_proportion(x: list[float], y: list[float]) -> tuple[list[float], str]:
    """Return the ends of the line that y would be in proportion, and what that is.

    It goes through the last point where y grows, and through the first where y falls.
    """
    if y[-1] < y[0]:
        return [y[0], y[0] * x[0] / x[-1]], "∝ 1/n"
    return [y[-1] * x[0] / x[-1], y[-1]], "∝ n"


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


def written(number: float) -> str:
    """Write a number with three digits, or all that stand before the point.

    >>> written(1445.2), written(0.0991)
    ('1,445', '0.0991')
    """
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


class Goals(ResultsDirective):
    """The table of all goals."""

    columns: ClassVar = {"Measured": 46, "Reached": 14, "Asked": 12, "Against": 28}

    def run(self) -> list[nodes.Node]:
        """Return the table, a goal in each row."""
        self.env.note_dependency(str(self.folder))  # a file that is new
        rows = [
            self.row(goal)
            for path in sorted(self.folder.glob("*.json"))
            for goal in self.read(path).get("goals", [])
        ]
        return [make_table("goals", self.columns, rows)]

    def row(self, goal: dict[str, Any]) -> nodes.row:
        """Return what was measured, what was reached and asked, and the peer."""
        sign = "≥" if goal["at_least"] else "≤"
        reached = written(goal["reached"]) + ("" if goal["met"] else ", missed")
        row = nodes.row(classes=["met" if goal["met"] else "missed"])
        for text in (goal["what"], reached, f"{sign} {goal['limit']:g}", goal["against"]):
            row += nodes.entry("", nodes.paragraph("", text))
        return row


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("growth", Growth)
    app.add_directive("goals", Goals)
