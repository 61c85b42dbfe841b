"""How the chapters are run: without a network, without progress bars, and noted once they pass."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.chapters import unchanged

ALONE = Path(__file__).parents[1] / "tests/chapters/alone"


@dataclass
class Run:
    """A chapter that is run: its digest when it was read, and how many of its cells are to pass."""

    digest: str
    cells_to_pass: int


runs: dict[Path, Run] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[Any]
) -> None:
    """Take the digests of the chapters that are compared, output by output, in this process."""
    for item in items:
        if (
            item.path.suffix == ".ipynb"
            and config.option.nbval
            and item.path not in runs
        ):
            cells = sum(
                cell.cell_type == "code" for cell in item.parent.nb.cells
            )
            runs[item.path] = Run(unchanged.digest(item.path), cells)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[object]:
    """Have the kernels import the module in that folder as they start; it sees to both."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(ALONE), prepend=os.pathsep)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Note a chapter once all of its cells have passed."""
    report = yield
    run = runs.get(item.path)
    if run and report.passed and report.when == "teardown":
        run.cells_to_pass -= 1
        if run.cells_to_pass == 0:
            unchanged.keep(item.path, run.digest)
    elif run and not report.passed:
        del runs[item.path]
    return report
