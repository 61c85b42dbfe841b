"""Every example in a docstring of samlib, in the README and in the book's pages runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import samlib

ROOT = Path(__file__).parents[2]
NAMES = ["samlib", *(m.name for m in pkgutil.walk_packages(samlib.__path__, "samlib."))]
PUBLIC = [name for name in NAMES if not name.rsplit(".", 1)[-1].startswith("_")]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_examples_of_the_module_run(name: str) -> None:
    if name == "samlib.dynamics.compiled":
        pytest.importorskip("numba")
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def python_of(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf8"), re.DOTALL | re.MULTILINE)


BOOK = sorted([*ROOT.glob("book/*.md"), *ROOT.glob("book/library/*.md")])
PAGES = [page for page in (ROOT / "README.md", *BOOK) if python_of(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_the_page_runs_from_top_to_bottom(page: Path) -> None:
    if "transformers" in page.read_text("utf8"):
        pytest.importorskip("transformers")
    names: dict[str, object] = {}
    for block in python_of(page):
        exec(block, names)


@pytest.mark.parametrize("page", BOOK, ids=lambda page: page.name)
def test_code_on_the_pages_is_narrow(page: Path) -> None:
    blocks = re.findall(
        r"^```.*python\n(.*?)^```", page.read_text("utf8"), re.DOTALL | re.MULTILINE
    )
    assert [line for block in blocks for line in block.splitlines() if len(line) > 62] == []


def test_the_pages_with_python_are_found() -> None:
    names = {page.name for page in PAGES}
    assert names >= {"README.md", "how_to_use.md", "sharpness.md", "training.md"}


def test_there_are_examples_for_the_public_names() -> None:
    finder = doctest.DocTestFinder()
    examples = {
        test.name
        for name in PUBLIC
        for test in finder.find(importlib.import_module(name))
        if test.examples
    }
    for public in (
        "samlib.objective.objective.Objective",
        "samlib.dynamics.simulation.simulate",
        "samlib.curvature.eigenpairs.top_eigenpairs",
        "samlib.curvature.alignment.alignment",
        "samlib.curvature.smallest_nonzero.smallest_nonzero_eigenvalue",
        "samlib.curvature.trace.trace",
        "samlib.curvature.gauss_newton.gauss_newton",
        "samlib.curvature.fisher.fisher",
        "samlib.curvature.spectral_density.spectral_density",
        "samlib.sharpness.worst_direction.worst_direction_sharpness",
        "samlib.sharpness.notions.ascent_direction_sharpness",
        "samlib.sharpness.notions.average_direction_sharpness",
        "samlib.sharpness.stochastic.stochastic_sharpness",
        "samlib.sharpness.regularizers.limiting_regularizers",
        "samlib.flow.projection.project_to_minimizers",
        "samlib.flow.limiting.limiting_flow",
        "samlib.flow.corrections.flow_corrections",
        "samlib.training.loop.fit",
        "samlib.training.monitors.SharpnessMonitor",
        "samlib.landscapes.tanh_network.TanhNetwork",
        *(f"samlib.optim.{name}" for name in samlib.optim.__all__ if name != "SharpnessAware"),
        "samlib.claims.check",
        "samlib.widgets.figures.explore.explore.explore",
        "samlib.dynamics.rules.SAM",
        "samlib.landscapes.four_dimensional.FourDimensional",
    ):
        assert public in examples
