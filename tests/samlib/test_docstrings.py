"""Every example in a docstring of samlib runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import samlib

NAMES = ["samlib", *(m.name for m in pkgutil.walk_packages(samlib.__path__, "samlib."))]
PUBLIC = [name for name in NAMES if not name.rsplit(".", 1)[-1].startswith("_")]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_examples_of_the_module_run(name: str) -> None:
    if name == "samlib.compiled":
        pytest.importorskip("numba")
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_there_are_examples_for_the_public_names() -> None:
    finder = doctest.DocTestFinder()
    examples = {
        test.name
        for name in PUBLIC
        for test in finder.find(importlib.import_module(name))
        if test.examples
    }
    for public in (
        "samlib.objective.Objective",
        "samlib.trajectory.simulate",
        "samlib.curvature.top_eigenpairs",
        "samlib.curvature.alignment",
        "samlib.optim.SAM",
        "samlib.claims.check",
        "samlib.rules.SAM",
        "samlib.landscapes.FourDimensional",
    ):
        assert public in examples
