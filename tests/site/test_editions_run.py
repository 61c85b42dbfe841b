"""The plain notebooks run as the chapters do, and put out what they hold.

Their code is the chapters' own (see test_editions), which are run in each test of everything, and
those for classes leave some of it out. So of these one is run, and all are searched for names that
only a solution gave. A server of continuous integration (CI=true) runs one for readers, too;
`make test-all` elsewhere runs all of those.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

READER, FOR_CLASS = ("", "02_three_notions"), ("class", "05_alignment")
SANITIZE = ROOT / "tests/chapters/sanitize.cfg"
ALONE = ROOT / "tests/chapters/alone"
ALL = [("", path.stem) for path in sorted((ROOT / "chapters").glob("*.ipynb"))]
CASES = [*([READER] if os.environ.get("CI") else ALL), FOR_CLASS]


def test_without_solutions_no_name_is_missing(book: Path) -> None:
    folder = book / "notebooks/class"
    assert len(list(folder.glob("*.ipynb"))) == len(ALL)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select=F821"]
    command += ["--no-respect-gitignore", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "No Python files" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda text: text or "reader")
def test_a_plain_notebook_runs_and_puts_out_what_it_holds(
    book: Path, tmp_path: Path, kind: str, name: str
) -> None:
    """Far from the book's files, and without a network."""
    shutil.copy(book / "notebooks" / kind / f"{name}.ipynb", tmp_path)
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", f"{name}.ipynb"]
    command += [f"--nbval-sanitize-with={SANITIZE}", f"--rootdir={tmp_path}"]
    command += ["--nbval-cell-timeout=240", "--timeout=300"]
    alone = os.environ | {"PYTHONPATH": os.pathsep.join([str(ALONE), str(ROOT)])}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, check=False, env=alone, timeout=850
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
