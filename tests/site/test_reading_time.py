"""The minutes that the landing page gives each chapter."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from .conftest import LANDING, ROOT
from .small_book import Book

CHAPTERS = sorted((ROOT / "chapters").glob("[01]*.ipynb"))


def notebook(folder: Path, text: str, figures: int = 0) -> Path:
    """Write a notebook with one text and some figures."""
    figure = {"data": {"text/html": "<div data-samlib-widget='Alignment'>"}}
    cells = [{"cell_type": "markdown", "source": text}]
    cells += [{"cell_type": "code", "source": "", "outputs": [figure]}] * figures
    path = folder / "chapter.ipynb"
    path.write_text(json.dumps({"cells": cells}), "utf8")
    return path


@pytest.mark.parametrize(
    ("text", "figures", "expected"),
    [
        ("word " * 1500, 0, 10),
        ("word " * 1500, 5, 25),
        ("word", 0, 5),
        ("word " * 1500 + "\n\n````{dropdown} Proof\n" + "word " * 1500 + "\n````\n", 0, 10),
        ("word " * 1500 + "\n\n## Exercises\n\n" + "word " * 1500, 0, 10),
        ("$a b c d e f$ " * 750, 0, 10),
    ],
)
def test_the_main_line_is_counted(
    part: Callable[[str], ModuleType], tmp_path: Path, text: str, figures: int, expected: int
) -> None:
    assert part("reading_time").minutes(notebook(tmp_path, text, figures)) == expected


def test_the_landing_page_gives_each_chapter_its_time(book: Path) -> None:
    times = re.findall(r'class="reading-time">(\d+) min<', (book / LANDING).read_text("utf8"))
    assert len(times) == len(CHAPTERS)
    assert all(10 <= int(time) <= 90 for time in times)


def test_a_chapter_that_is_not_there_is_an_error(small_book: Book) -> None:
    small_book.write("index.md", "# Book\n\n{reading-time}`nowhere`\n\n```{toctree}\nclaims\n```\n")
    with pytest.raises(AssertionError, match="there is no chapter 'nowhere'"):
        small_book.build()
