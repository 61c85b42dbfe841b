"""The house rules: short files and functions, no circle of imports, private names kept private."""

from __future__ import annotations

import ast
import functools
import io
import json
import subprocess
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import grimp
import pytest

from tests.widgets import nodejs

ROOT = Path(__file__).parents[2]
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 400, 40
NOT_WRITTEN_HERE = ("samlib/widgets/static/",)
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def files(*endings: str) -> list[str]:
    """The files with these endings that are written here and kept in git."""
    if not (ROOT / ".git").exists():
        pytest.skip("git does not say which files are kept")
    command = ["git", "ls-files", *(f"*.{ending}" for ending in endings)]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    kept = [name for name in listed.stdout.split("\n") if (ROOT / name).is_file()]
    return [name for name in kept if not name.startswith(NOT_WRITTEN_HERE)]


# ─────────────────────────────────────────────────────────────────────────────────── lengths


def lines_of_code(source: str, tree: ast.AST) -> set[int]:
    """The numbers of the lines that are neither empty, comments, nor docstrings."""
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            code -= lines_of(node.body[:1])
    return code


def lines_of(statements: list[ast.stmt]) -> set[int]:
    return set(range(statements[0].lineno, (statements[-1].end_lineno or 0) + 1))


def python_functions(source: str) -> Iterator[tuple[str, int]]:
    """Each function with the length of its body, in lines of code."""
    tree = ast.parse(source)
    code = lines_of_code(source, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, len(code & lines_of(node.body))


@functools.cache
def javascript() -> dict[str, Any]:
    """What javascript.js finds in all files: functions with their lengths, and imports."""
    found: dict[str, Any] = json.loads(nodejs.run("tests/make/javascript.js", *files("js")))
    return found


def test_files_are_short() -> None:
    lengths = {
        name: len((ROOT / name).read_text("utf8").splitlines()) for name in files("py", "js", "css")
    }
    assert len(lengths) > 300
    assert not {n: length for n, length in lengths.items() if length > MOST_LINES_OF_A_FILE}


def test_functions_of_python_are_short() -> None:
    lengths = [
        (name, function, length)
        for name in files("py")
        for function, length in python_functions((ROOT / name).read_text("utf8"))
    ]
    assert len(lengths) > 2000
    assert not [each for each in lengths if each[2] > MOST_LINES_OF_A_FUNCTION]


def test_functions_of_javascript_are_short() -> None:
    functions = javascript()["functions"]
    assert len(functions) > 1000
    assert not [each for each in functions if each["length"] > MOST_LINES_OF_A_FUNCTION]


# ─────────────────────────────────────────────────────────────────────────────────── imports


def circle(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle of imports, or nothing where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_circle_of_imports_in_python() -> None:
    # Imports inside functions and those for types alone count, too.
    graph = grimp.build_graph("samlib", cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(imports) > 100
    assert not circle(imports), " → ".join(circle(imports))


def test_no_circle_of_imports_in_javascript() -> None:
    imports = javascript()["imports"]
    assert len(imports) > 100
    assert not circle(imports), " → ".join(circle(imports))


def private_names(source: str, ours: set[str]) -> Iterator[str]:
    """The private names that a file takes from modules of the project (``ours``)."""
    tree, modules = ast.parse(source), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for each in node.names:
                whole = f"{node.module}.{each.name}"
                if whole in ours:
                    modules.add(each.asname or each.name)
                elif each.name.startswith("_") and (node.level or node.module in ours):
                    yield whole
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            if private and node.value.id in modules:
                yield f"{node.value.id}.{node.attr}"


def test_private_names_stay_in_their_modules() -> None:
    names = files("py")
    modules = {name.removesuffix(".py").removesuffix("/__init__") for name in names}
    ours = {module.replace("/", ".") for module in modules}
    taken = {name: list(private_names((ROOT / name).read_text("utf8"), ours)) for name in names}
    assert not {name: found for name, found in taken.items() if found}
