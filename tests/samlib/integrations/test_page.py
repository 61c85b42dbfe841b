"""The page "In your training loop": what changes is shown, lines fit, each recipe has a test."""

from __future__ import annotations

import re

import pytest
from page import PAGE, recipe, recipes

WIDEST = 62
AFTER = [each for each in recipes() if each.tab == "After"]


def test_all_blocks_are_found() -> None:
    assert len(recipes()) == len(re.findall(r"^```.*python", PAGE.read_text("utf8"), re.MULTILINE))
    assert len(AFTER) >= 12


@pytest.mark.parametrize("each", recipes(), ids=lambda each: f"{each.section}, {each.tab}")
def test_the_code_fits(each: object) -> None:
    assert max(map(len, each.code.splitlines())) <= WIDEST  # type: ignore[attr-defined]


@pytest.mark.parametrize("after", AFTER, ids=lambda each: each.section)
def test_the_lines_shown_as_changed_are_those_that_changed(after: object) -> None:
    section, code = after.section, after.code  # type: ignore[attr-defined]
    if section == "From the popular one-file SAM":
        pytest.skip("it is another loop")
    before = [line.strip() for line in recipe(section, "Before").code.splitlines()]
    new = {
        number
        for number, line in enumerate(code.splitlines(), 1)
        if line.strip() and line.strip() not in before
    }
    assert after.changed == new  # type: ignore[attr-defined]


def test_the_tests_that_the_table_names_are_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text("utf8")))
    assert len(named) >= 8
    assert named <= {
        path.stem for path in (PAGE.parents[2] / "tests" / "samlib").rglob("test_*.py")
    }


def test_every_recipe_is_run_by_a_test() -> None:
    folder = PAGE.parents[2] / "tests" / "samlib" / "integrations"
    tests = "".join(path.read_text("utf8") for path in folder.glob("test_*.py"))
    for each in recipes():
        assert f'"{each.section}"' in tests, each.section
