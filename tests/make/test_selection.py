"""How the tests are run: what is left out, what never is, and what may be interrupted."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.chapters import unchanged

ROOT = Path(__file__).parents[2]
HARNESS = ("conftest.py", "chapters/conftest.py", "tests/__init__.py", "tests/chapters")
FILES = {
    "requirements.txt": "torch",
    "samlib/rules.py": "RATE = 0.1",
    "samlib/widgets/data/sweep.json": "[1]",
    "samlib/widgets/src/index.js": "export {};",
}


def write_notebook(path: Path, **cells: str) -> None:
    """Write a notebook that was run: the sources of its cells, and what each put out."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    for count, (source, text) in enumerate(cells.items(), 1):
        cell = nbformat.v4.new_code_cell(source, id=f"cell-{count}", execution_count=count)
        result = {"data": {"text/plain": text}, "execution_count": count}
        cell.outputs = [nbformat.v4.new_output("execute_result", **result)] if text else []
        notebook.cells.append(cell)
    nbformat.write(notebook, path)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with two chapters, of which one keeps its promise."""
    for name in HARNESS:
        copy = functools.partial(shutil.copytree, ignore=shutil.ignore_patterns("__pycache__"))
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (copy if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf8")
    write_notebook(tmp_path / "chapters/good.ipynb", **{"x = 1": "", "x + 1": "2"})
    write_notebook(tmp_path / "chapters/bad.ipynb", **{"x = 1": "", "x + 2": "2"})
    return tmp_path


def run(checkout: Path, *arguments: str, **options: Any) -> str:
    """Run pytest in a folder and return what it says."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False,
        timeout=200, **options,
    )  # fmt: skip
    return done.stdout + done.stderr


def stamped(checkout: Path) -> list[str]:
    """Return the chapters that are noted to have passed."""
    return sorted(path.stem for path in (checkout / unchanged.STAMPS).glob("*"))


@pytest.mark.slow
def test_a_chapter_that_passed_is_left_out_and_one_that_failed_is_not(checkout: Path) -> None:
    sides = ("-n2", "--dist=loadgroup", "--no-loadscope-reorder")
    assert "1 failed, 3 passed" in run(checkout, "--quick", "--nbval", *sides, "chapters")
    assert stamped(checkout) == ["good"]
    again = run(checkout, "--quick", "--nbval", *sides, "chapters")
    assert "1 failed, 1 passed" in again
    assert "chapters that passed as they are: good. `make test-all` runs everything." in again
    everything = run(checkout, "--nbval", "chapters")
    assert "1 failed, 3 passed" in everything
    assert "passed as they are" not in everything


@pytest.mark.slow
def test_a_part_of_a_chapter_is_not_the_chapter(checkout: Path) -> None:
    assert "1 passed" in run(checkout, "--nbval", "chapters/good.ipynb::Cell 0")
    assert "2 passed" in run(checkout, "--nbval-lax", "chapters/good.ipynb")
    assert stamped(checkout) == []


def append(name: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """Return a change of a file."""

    def change(checkout: Path, _: pytest.MonkeyPatch) -> None:
        with (checkout / name).open("a", encoding="utf8") as file:
            file.write(" ")

    return change


CHANGES: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    **{
        name: append(name)
        for name in (
            "chapters/good.ipynb",
            "samlib/rules.py",
            "samlib/widgets/data/sweep.json",
            "requirements.txt",
            "chapters/conftest.py",
            "tests/chapters/sanitize.cfg",
            "tests/chapters/alone/sitecustomize.py",
        )
    },
    "a new module": lambda checkout, _: (checkout / "samlib/new.py").touch(),
    "a module that is gone": lambda checkout, _: (checkout / "samlib/rules.py").unlink(),
    "a module with another name": lambda checkout, _: shutil.move(
        checkout / "samlib/rules.py", checkout / "samlib/laws.py"
    ),
    "another Python": lambda _, patch: patch.setattr(sys, "version", "3.99"),
    "a setting": lambda _, patch: patch.setenv("SAMLIB_CIFAR10", "/data"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_chapter_depends_on_makes_it_run_again(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    chapter = checkout / "chapters/good.ipynb"
    assert not unchanged.passed_as_it_is(chapter, checkout)
    unchanged.keep(chapter, unchanged.digest(chapter, checkout), checkout)
    assert unchanged.passed_as_it_is(chapter, checkout)
    CHANGES[name](checkout, monkeypatch)
    assert not unchanged.passed_as_it_is(chapter, checkout)


@pytest.mark.parametrize("name", ["samlib/widgets/src/index.js", "chapters/bad.ipynb"])
def test_what_no_cell_of_a_chapter_reads_does_not(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    chapter = checkout / "chapters/good.ipynb"
    unchanged.keep(chapter, unchanged.digest(chapter, checkout), checkout)
    append(name)(checkout, monkeypatch)
    assert unchanged.passed_as_it_is(chapter, checkout)


TESTS = """
import pytest, signal, subprocess, sys

@pytest.mark.slow
def test_slow(): pass

def test_interrupt():
    code = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)"
    child = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, timeout=30)
    assert b"KeyboardInterrupt" in child.stderr
"""


def test_what_tests_start_is_interrupted_also_in_a_background_job(checkout: Path) -> None:
    (checkout / "test_here.py").write_text(TESTS, "utf8")
    (checkout / "pytest.ini").write_text("[pytest]\nmarkers = slow\n", "utf8")

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    said = run(checkout, "-p", "no:nbval", "--quick", "test_here.py", preexec_fn=ignore)
    assert "1 passed, 1 deselected" in said, said
    assert "2 passed" in run(checkout, "-p", "no:nbval", "test_here.py", preexec_fn=ignore)
