"""How long a chapter takes: the role ``{reading-time}`chapters/05_alignment` ``.

Counted are the words of the main line, at the pace of a text that one thinks about, and some time
for each figure. What is folded, the exercises and the code are left to whoever wants them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from docutils import nodes
from docutils.nodes import Node, system_message
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

WORDS_A_MINUTE = 150
MINUTES_A_FIGURE = 3
ROUNDED_TO = 5

BESIDE = re.compile(
    r"^(`{3,}|:{3,})\{(?:dropdown|exercise|solution)[^\n]*\n.*?^\1\s*$", re.M | re.S
)
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.S)
REST = re.compile(r"(?m)^## Exercises$")


def minutes(notebook: Path) -> int:
    """Return the minutes that reading a notebook's main line takes, rounded."""
    cells = json.loads(notebook.read_text(encoding="utf8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    main_line = REST.split("\n\n".join(texts))[0]
    # a formula takes about as long as two words
    words = len(FORMULA.sub(" a formula ", BESIDE.sub("", main_line)).split())
    figures = sum("data-samlib-widget" in json.dumps(cell.get("outputs", "")) for cell in cells)
    time = words / WORDS_A_MINUTE + figures * MINUTES_A_FIGURE
    return max(1, round(time / ROUNDED_TO)) * ROUNDED_TO


class ReadingTime(SphinxRole):
    """The role; its text is the chapter's document."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        """Return "25 min" for the chapter that is named."""
        path = Path(self.env.doc2path(self.text))
        if path.suffix != ".ipynb" or not path.is_file():
            message = self.inliner.reporter.error(f"there is no chapter {self.text!r}")
            return [], [message]
        self.env.note_dependency(str(path))
        text = f"{minutes(path)} min"
        return [nodes.inline(text, text, classes=["reading-time"])], []


def setup(app: Sphinx) -> None:
    """Register the role."""
    app.add_role("reading-time", ReadingTime())
