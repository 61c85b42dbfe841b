"""What is kept between builds may be broken by a full disk or a killed build. It is then made anew.

Sphinx does so for the environment, but stops at a page whose stored tree it cannot read. A page
without a stored tree it reads again.
"""

from __future__ import annotations

import pickle
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def is_whole(path: Path) -> bool:
    """Say whether a file holds a page's tree."""
    try:
        with path.open("rb") as file:
            return isinstance(pickle.load(file), nodes.document)
    except Exception:  # unpickling raises whatever the bytes lead to
        return False


def remove_broken_trees(app: Sphinx) -> None:
    """Remove each stored tree that cannot be read."""
    for path in sorted(Path(app.doctreedir).rglob("*.doctree")):
        if not is_whole(path):
            logger.info("the stored tree %s cannot be read: its page is read again", path.name)
            path.unlink()


def setup(app: Sphinx) -> None:
    """Register the check, before Sphinx asks which pages are out of date."""
    app.connect("builder-inited", remove_broken_trees, priority=100)
