"""The library reference: docstrings, whose mathematics reStructuredText takes for markup."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

# |x| would be a substitution, and a name that ends in an underscore a link.
MARKUP = re.compile(r"\||_(?!\w)")


def escape(app: Sphinx, what: str, name: str, owner: Any, options: Any, lines: list[str]) -> None:
    """Escape such characters in a docstring's text, and leave its examples and code alone."""
    in_example, code_in = False, None  # code_in: how far the text that announces code is set in
    for index, line in enumerate(lines):
        text = line.lstrip()
        set_in = len(line) - len(text)
        in_example = text.startswith((">>>", "...")) or (in_example and text != "")
        if code_in is not None and text and set_in <= code_in:
            code_in = None
        if not in_example and code_in is None and "`" not in line:
            lines[index] = MARKUP.sub(r"\\\g<0>", line)
        if text.endswith("::"):
            code_in = set_in


def setup(app: Sphinx) -> None:
    """Register the escape, before napoleon reads the sections."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("autodoc-process-docstring", escape, priority=400)
