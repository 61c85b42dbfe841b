"""The Makefile: what is interrupted loses nothing, what runs at once does not collide."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
LOCKED = ROOT / "book/_tools/locked.py"
PATIENCE = 120  # seconds
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def write_notebook(path: Path, source: str) -> None:
    """Write a notebook of one cell that was never run."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [nbformat.v4.new_code_cell(source, id="cell")]
    nbformat.write(notebook, path)


def outputs(path: Path) -> list[Any]:
    """Return the outputs of a notebook's only cell."""
    (cell,) = nbformat.read(path, as_version=4).cells
    return list(cell.outputs)


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """Return a folder with the Makefile, the environment that runs this, and room for chapters."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "book/_tools", tmp_path / "book/_tools")
    (tmp_path / "chapters").mkdir()
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    return tmp_path


def execute(workplace: Path, *chapters: str) -> subprocess.Popen[str]:
    """Start `make execute` on some chapters, taking what is installed as it is."""
    command = ["make", "execute", "--old-file=.venv/stamp-book", f"CHAPTERS={' '.join(chapters)}"]
    return subprocess.Popen(
        command, cwd=workplace, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_keeps_what_was_finished_and_leaves_the_rest_alone(
    workplace: Path, how: signal.Signals
) -> None:
    first, second = workplace / "chapters/a.ipynb", workplace / "chapters/b.ipynb"
    write_notebook(first, "1 + 1")
    write_notebook(second, "open('started', 'w').close(); import time; time.sleep(600)")
    before = second.read_bytes()
    run = execute(workplace, "chapters/a.ipynb", "chapters/b.ipynb")
    started, deadline = workplace / "chapters/started", time.monotonic() + PATIENCE
    while not started.exists():
        assert run.poll() is None, run.communicate(timeout=PATIENCE)[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(run.pid, how)
    run.communicate(timeout=PATIENCE)
    assert outputs(first)[0].data["text/plain"] == "2"
    assert second.read_bytes() == before


def test_two_runs_at_once_do_not_disturb_each_other(workplace: Path) -> None:
    for name in "ab":
        write_notebook(workplace / f"chapters/{name}.ipynb", f"'{name}' * 3")
    runs = [execute(workplace, f"chapters/{name}.ipynb") for name in "ab"]
    for run in runs:
        said = run.communicate(timeout=PATIENCE)[0]
        assert run.returncode == 0, said
    for name in "ab":
        (output,) = outputs(workplace / f"chapters/{name}.ipynb")
        assert output.data["text/plain"] == repr(name * 3)
    assert list((workplace / "book/_build/execute").iterdir()) == []


def test_of_two_builds_at_once_the_second_waits(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import sys, time; f = open(sys.argv[1], 'a'); f.write('in '); f.flush(); "
        "time.sleep(0.5); f.write('out '); f.flush()"
    )
    command = [sys.executable, LOCKED, tmp_path / "build/lock", sys.executable, "-c", code, log]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [run.communicate(timeout=PATIENCE)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert log.read_text("utf8") == "in out " * 3
    assert sum("another build is at work" in text for text in said) == 2


def test_the_lock_passes_on_how_its_command_ended(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    for code in (0, 3):
        command = [sys.executable, LOCKED, lock, sys.executable, "-c", f"raise SystemExit({code})"]
        assert subprocess.run(command, check=False, timeout=PATIENCE).returncode == code
    command = [sys.executable, LOCKED]
    without = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert without.returncode != 0
    assert "usage" in without.stderr


def test_notebooks_are_those_of_the_site_and_no_others(workplace: Path) -> None:
    site, made = workplace / "book/_build/html/notebooks", workplace / "book/_build/notebooks"
    for folder in (site, site / "class"):
        folder.mkdir(parents=True)
        write_notebook(folder / "a.ipynb", "1")
    made.mkdir()
    write_notebook(made / "of_a_chapter_that_is_gone.ipynb", "1")
    for _ in range(2):
        command = ["make", "--old-file=book", "notebooks"]
        subprocess.run(command, cwd=workplace, check=True, timeout=PATIENCE, capture_output=True)
        found = {path.relative_to(made).as_posix() for path in made.rglob("*.ipynb")}
        assert found == {"a.ipynb", "class/a.ipynb"}


# A Python that says it is of another version, and makes an environment that is a folder.
OTHER_PYTHON = """#!/bin/sh
case "$1" in
  -c) exec {real} -c "import sys; sys.version_info = {version}; $2" ;;
  --version) echo "Python {name}" ;;
  -m) mkdir -p "$3/bin" && : >"$3/bin/python" ;;
esac
"""


def set_up_with(workplace: Path, **pythons: tuple[int, int]) -> subprocess.CompletedProcess[str]:
    """Let make look for a Python where there are only these, by the names of their commands."""
    (workplace / ".venv").unlink()
    folder = workplace / "bin"
    folder.mkdir()
    for command, version in pythons.items():
        path = folder / command.replace("_", ".")
        name = ".".join(map(str, version))
        path.write_text(OTHER_PYTHON.format(real=sys.executable, version=version, name=name))
        path.chmod(0o755)
    for command in ("bash", "sh", "mkdir"):
        found = shutil.which(command)
        assert found is not None
        (folder / command).symlink_to(found)
    make = shutil.which("make")
    assert make is not None
    return subprocess.run(
        [make, ".venv/bin/python"], cwd=workplace, env={"PATH": str(folder)}, text=True,
        capture_output=True, check=False, timeout=PATIENCE,
    )  # fmt: skip


def test_beside_a_python_that_is_too_new_an_older_one_is_found(workplace: Path) -> None:
    done = set_up_with(workplace, python3=(3, 15), python3_12=(3, 12), python3_13=(3, 13))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Python 3.13 makes .venv/\n"


@pytest.mark.parametrize("version", [(3, 11), (3, 14)])
def test_the_machines_own_python_is_taken_where_it_fits(
    workplace: Path, version: tuple[int, int]
) -> None:
    done = set_up_with(workplace, python3=version, python3_12=(3, 12))
    assert done.stdout == f"Python 3.{version[1]} makes .venv/\n", done.stderr


@pytest.mark.parametrize("version", [(3, 10), (3, 15)])
def test_where_none_fits_a_sentence_says_which_would(
    workplace: Path, version: tuple[int, int]
) -> None:
    done = set_up_with(workplace, python3=version)
    assert done.returncode == 2
    assert "Python 3.11 to 3.14 with its venv module is needed, and none" in done.stderr
    assert not (workplace / ".venv").exists()
