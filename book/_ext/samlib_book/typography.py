"""Typography that neither Markdown nor a style sheet can ask for."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

CLOSING = re.compile(r"[,.;:!?)\]’”-]+")


class KeepPunctuation(SphinxPostTransform):
    """Keep a formula on the same line as the punctuation that follows it.

    MathJax sets a formula as a box, and browsers may break the line after any box.
    """

    default_priority = 900

    def run(self, **kwargs: Any) -> None:
        """Wrap each such pair in an inline element that does not break."""
        for formula in list(self.document.findall(nodes.math)):
            follower = formula.next_node(descend=False, siblings=True)
            match = CLOSING.match(follower) if isinstance(follower, nodes.Text) else None
            if match is None or formula.parent is None:
                continue
            # by place, because two texts that read the same are equal for docutils
            parent = formula.parent
            place = next(i for i, child in enumerate(parent) if child is formula)
            parent[place + 1] = nodes.Text(follower[match.end() :])
            parent[place] = pair = nodes.inline("", "", classes=["nobreak"])
            pair += [formula, nodes.Text(match.group())]
