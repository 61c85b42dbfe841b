"""A notebook that leaves the book sets up what it needs and says where it is from."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

Part = Callable[[str], ModuleType]
REPOSITORY = "https://github.com/owner/name"


def test_a_copy_installs_what_is_missing(part: Part) -> None:
    source = part("notebooks").set_up_cell(REPOSITORY).source
    assert f'%pip install --quiet "samlib[notebooks] @ git+{REPOSITORY}"' in source
    # where nothing is missing, nothing is installed
    exec(re.sub(r"%pip.*", "raise AssertionError", source), {})


def test_a_copy_installs_the_revision_that_the_book_was_built_from(part: Part) -> None:
    source = part("notebooks").set_up_cell(REPOSITORY, "v0.1.0").source
    assert f"git+{REPOSITORY}@v0.1.0" in source


def test_a_copy_of_unknown_origin_says_what_is_missing(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = part("notebooks").set_up_cell(None).source
    exec(source, {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install .\[notebooks\]"):
        exec(source, {})


def test_the_site_offers_each_notebook_for_readers_and_for_classes_and_no_other(book: Path) -> None:
    names = {path.name for path in (Path(__file__).parents[2] / "chapters").glob("*.ipynb")}
    offered = {path.relative_to(book).as_posix() for path in book.rglob("*.ipynb")}
    assert offered == {f"notebooks/{kind}{name}" for name in names for kind in ("", "class/")}


def test_every_notebook_that_the_site_offers_begins_with_a_title_and_then_its_set_up(
    book: Path,
) -> None:
    for path in book.rglob("*.ipynb"):
        first, second, *_ = nbformat.read(path, as_version=4).cells
        assert re.match(r"# .+\n\n\*(Chapter \d+|A page) of the book “", first.source), path
        assert second["id"] == "set-up", path
        exec(second.source, {})


def test_the_button_above_a_chapter_downloads_its_edition(book: Path) -> None:
    for chapter in (Path(__file__).parents[2] / "chapters").glob("*.ipynb"):
        page = book / "chapters" / f"{chapter.stem}.html"
        (address,) = re.findall(r'href="([^"]+\.ipynb)"', page.read_text("utf8"))
        assert (page.parent / address).resolve() == book / "notebooks" / f"{page.stem}.ipynb"
