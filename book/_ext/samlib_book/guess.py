"""A question that the reader answers before the text does.

    ```{guess}
    :label: guess-end
    :answer: 2

    Where does gradient descent end on a bowl?

    1. On the wall.
    2. At the bottom.

    ---
    The gradient is zero there, and nowhere else.
    ```

What stands before the numbered list is the question, the list holds the choices, and what follows
the rule is the answer, folded away. The page's script turns the choices into buttons and remembers
which one was pressed; without it, the list and the folded answer are there to be read.
"""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLD = '<details class="guess-answer"><summary>I have made my guess</summary>'


class Guess(SphinxDirective):
    """Lay out a question, its choices and its folded answer."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "label": directives.unchanged_required,
        "answer": directives.positive_int,
    }

    def run(self) -> list[nodes.Node]:
        """Return the question; one without choices, a rule or a valid answer is an error."""
        if missing := {"label", "answer"} - self.options.keys():
            raise self.error(f"a guess needs the option {' and '.join(sorted(missing))}")
        parsed = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        lists = [i for i, node in enumerate(parsed) if isinstance(node, nodes.enumerated_list)]
        rules = [i for i, node in enumerate(parsed) if isinstance(node, nodes.transition)]
        if not lists or not rules or rules[0] != lists[0] + 1:
            raise self.error("a guess needs a numbered list of choices with a rule (---) below it")
        choices, answer = parsed[lists[0]], self.options["answer"]
        if answer > len(choices):
            raise self.error(f"answer must be one of the {len(choices)} choices, got {answer}")
        choices["classes"].append("guess-choices")
        choices[answer - 1]["classes"].append("guess-right")
        guess = nodes.container(classes=["guess"], ids=[self.options["label"]])
        guess += parsed[: rules[0]]
        guess += nodes.raw("", FOLD, format="html")
        guess += parsed[rules[0] + 1 :]
        guess += nodes.raw("", "</details>", format="html")
        return [guess]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("guess", Guess)
