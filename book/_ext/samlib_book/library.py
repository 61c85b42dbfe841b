"""The library reference: docstrings, whose mathematics reStructuredText takes for markup."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

# |x| would be a substitution, and a name that ends in an underscore a link.
MARKUP = re.compile(r"\||_(?!\w)")


def escape(app: Sphinx, what: str, name: str, owner: Any, options: Any, lines: list[str]) -> None:
    """Escape such characters in a docstring's text, and leave its examples and code alone."""
    in_example = False
    for index, line in enumerate(lines):
        in_example = line.lstrip().startswith((">>>", "...")) or (in_example and line.strip() != "")
        if not in_example and "`" not in line:
            lines[index] = MARKUP.sub(r"\\\g<0>", line)


def setup(app: Sphinx) -> None:
    """Register the escape, before napoleon reads the sections."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("autodoc-process-docstring", escape, priority=400)
