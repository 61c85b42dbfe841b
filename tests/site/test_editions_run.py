"""The plain notebooks run as the chapters do, and put out what they hold.

Their code is the chapters' own (see test_editions), which are run in each test of everything. So a
server of continuous integration (CI=true) runs two of them, one for readers and one for classes;
`make test-all` runs all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

IN_CI = {("", "02_three_notions"), ("class", "05_alignment")}
SANITIZE = ROOT / "tests/chapters/sanitize.cfg"
ALONE = ROOT / "tests/chapters/alone"
CASES = [
    (kind, path.stem)
    for kind in ("", "class")
    for path in sorted((ROOT / "chapters").glob("*.ipynb"))
    if not os.environ.get("CI") or (kind, path.stem) in IN_CI
]


def test_the_two_that_stand_for_all_are_there() -> None:
    assert set(CASES) >= IN_CI


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
