"""Notebooks that leave the book: what one downloads, and what runs elsewhere.

Such a copy begins with a cell that installs what it needs where that is missing.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from sphinx.application import Sphinx

from .addresses import repository

SETUP_ID = "set-up"

WITH_ADDRESS = '''# What this notebook needs, if it is not there yet (on Colab, for example).
import importlib.util

if not all(map(importlib.util.find_spec, ("samlib", "myst_nb"))):
    %pip install --quiet "samlib[notebooks] @ git+{repository}"'''

WITHOUT_ADDRESS = """# What this notebook needs is in the folder that the book is built in.
import importlib.util

if not all(map(importlib.util.find_spec, ("samlib", "myst_nb"))):
    raise ImportError("run 'pip install .[notebooks]' in the book's folder, then this again")"""


def with_set_up(text: str, repository: str | None) -> str:
    """Return a notebook that begins with a cell that sets up what it needs.

    Parameters
    ----------
    text
        The notebook, as it stands in its file.
    repository
        The web address of the repository that `samlib` is installed from; None where it is unknown:
        then the cell says what to do.
    """
    notebook = nbformat.reads(text, as_version=4)
    if notebook.cells and notebook.cells[0].get("id") != SETUP_ID:
        source = WITH_ADDRESS.format(repository=repository) if repository else WITHOUT_ADDRESS
        notebook.cells.insert(0, nbformat.v4.new_code_cell(source, id=SETUP_ID))
    return nbformat.writes(notebook)


def complete_copies(app: Sphinx, problem: Exception | None) -> None:
    """Put the cell in front of each notebook that the site offers for download."""
    if problem is None and app.builder.name == "html":
        for path in Path(app.outdir, "_sources").rglob("*.ipynb"):
            text = path.read_text(encoding="utf8")
            path.write_text(with_set_up(text, repository()), encoding="utf8")


def setup(app: Sphinx) -> None:
    """Register what happens after a build."""
    app.connect("build-finished", complete_copies)
