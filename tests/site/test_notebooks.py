"""A notebook that leaves the book begins with a cell that installs what it needs."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

Part = Callable[[str], ModuleType]
REPOSITORY = "https://github.com/owner/name"
NOTEBOOK_CELL = {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "outputs": []}


def notebook(*cells: dict[str, Any]) -> str:
    """Return the text of a notebook."""
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def set_up_cell(part: Part, repository: str | None) -> str:
    """Return the source of the cell that is put in front of a notebook."""
    cell = {**NOTEBOOK_CELL, "execution_count": None}
    text = part("notebooks").with_set_up(notebook(cell), repository)
    assert part("notebooks").with_set_up(text, repository) == text
    first, second = nbformat.reads(text, as_version=4).cells
    assert second.source == "1"
    return str(first.source)


def test_a_copy_installs_what_is_missing(part: Part) -> None:
    source = set_up_cell(part, REPOSITORY)
    assert f'%pip install --quiet "samlib[notebooks] @ git+{REPOSITORY}"' in source
    # where nothing is missing, nothing is installed
    exec(re.sub(r"%pip.*", "raise AssertionError", source), {})


def test_a_copy_of_unknown_origin_says_what_is_missing(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = set_up_cell(part, None)
    exec(source, {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install .\[notebooks\]"):
        exec(source, {})


def test_every_notebook_that_the_site_offers_begins_with_its_set_up(book: Path) -> None:
    copies = list((book / "_sources").rglob("*.ipynb"))
    assert copies
    for path in copies:
        first = nbformat.read(path, as_version=4).cells[0]
        assert first["id"] == "set-up", path.name
