"""The notebooks that a reader works in: new ones come, and nothing of the reader's own is lost."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "book/_tools/working_copies.py"
refresh = runpy.run_path(str(TOOL))["refresh"]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A folder with two notebooks of the book."""
    folder = tmp_path / "book"
    (folder / "class").mkdir(parents=True)
    (folder / "a.ipynb").write_text("first a")
    (folder / "class/b.ipynb").write_text("first b")
    return folder


def contents(folder: Path) -> dict[str, str]:
    paths = sorted(folder.rglob("*.ipynb"))
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def test_all_of_them_come_and_come_anew(book: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    assert refresh(book, own) == []
    assert contents(own) == {"a.ipynb": "first a", "class/b.ipynb": "first b"}
    (book / "a.ipynb").write_text("second a")
    assert refresh(book, own) == []
    assert contents(own) == {"a.ipynb": "second a", "class/b.ipynb": "first b"}


def test_what_the_reader_changed_stays_and_the_newer_one_is_beside_it(
    book: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    refresh(book, own)
    (own / "a.ipynb").write_text("my a")
    assert refresh(book, own) == []  # nothing is newer
    assert contents(own)["a.ipynb"] == "my a"
    (book / "a.ipynb").write_text("second a")
    assert refresh(book, own) == [own / "a.ipynb"]
    beside = {"a.ipynb": "my a", "a (of the book).ipynb": "second a"}
    assert contents(own) == {**beside, "class/b.ipynb": "first b"}
    assert refresh(book, own) == []
    (book / "a.ipynb").write_text("third a")
    refresh(book, own)
    assert contents(own)["a.ipynb"] == "my a"
    assert contents(own)["a (of the book).ipynb"] == "third a"
    (own / "a (of the book).ipynb").write_text("my other a")
    (book / "a.ipynb").write_text("fourth a")
    refresh(book, own)
    mine = [contents(own)[name] for name in ("a.ipynb", "a (of the book).ipynb")]
    assert mine == ["my a", "my other a"]
    assert "fourth a" in contents(own).values()


def test_what_was_there_before_the_first_time_stays(book: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.ipynb").write_text("my a")
    assert refresh(book, own) == [own / "a.ipynb"]
    assert contents(own)["a.ipynb"] == "my a"


def test_one_that_was_thrown_away_comes_again(book: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    refresh(book, own)
    os.remove(own / "a.ipynb")
    refresh(book, own)
    assert contents(own)["a.ipynb"] == "first a"


def test_the_command_says_what_stays(book: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    refresh(book, own)
    (own / "a.ipynb").write_text("my a")
    (book / "a.ipynb").write_text("second a")
    done = subprocess.run(
        [sys.executable, str(TOOL), str(book), str(own)], capture_output=True, text=True, check=True
    )
    assert (
        done.stdout == f"{own / 'a.ipynb'} is yours and stays; the book's newer one is beside it\n"
    )
    usage = subprocess.run([sys.executable, str(TOOL)], capture_output=True, text=True, check=False)
    assert usage.returncode == 1
    assert "usage: working_copies.py FROM TO" in usage.stderr
