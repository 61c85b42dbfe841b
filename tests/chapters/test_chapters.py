"""The chapters keep their promises: short cells, stored outputs, and numbers that are checked."""

from __future__ import annotations

import copy
import functools
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from samlib.claims import MIME_TYPE

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
SANITIZE = Path(__file__).with_name("sanitize.cfg")
ALONE = Path(__file__).with_name("alone")


@functools.cache
def read(path: Path) -> Any:
    """A notebook, read once for all tests: none may change it."""
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(cell: Any, mime_type: str) -> list[Any]:
    return [o.data[mime_type] for o in cell.outputs if mime_type in o.get("data", {})]


def test_there_are_chapters() -> None:
    assert CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
class TestChapter:
    def test_code_cells_are_short(self, chapter: Path) -> None:
        lengths = [len(cell.source.splitlines()) for cell in code_cells(read(chapter))]
        assert statistics.median(lengths) <= 8
        assert max(lengths) <= 30

    def test_every_code_cell_was_run_without_error(self, chapter: Path) -> None:
        for cell in code_cells(read(chapter)):
            assert cell.execution_count is not None, cell.source
            assert not [o for o in cell.outputs if o.output_type == "error"], cell.source

    def test_cells_were_run_in_order(self, chapter: Path) -> None:
        counts = [cell.execution_count for cell in code_cells(read(chapter))]
        assert counts == list(range(1, len(counts) + 1))

    def test_what_the_page_folds_is_folded_in_a_notebook(self, chapter: Path) -> None:
        for cell in code_cells(read(chapter)):
            on_the_page = {"hide-input", "hide-cell"} & set(cell.metadata.get("tags", ()))
            folded = cell.metadata.get("jupyter", {}).get("source_hidden", False)
            assert folded == bool(on_the_page), cell.source

    def test_every_plot_has_an_alternative_text(self, chapter: Path) -> None:
        for cell in code_cells(read(chapter)):
            if outputs_of(cell, "image/png"):
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                assert len(alt) > 40, cell.source

    def test_every_claim_holds_and_has_its_own_name(self, chapter: Path) -> None:
        claims = [c for cell in code_cells(read(chapter)) for c in outputs_of(cell, MIME_TYPE)]
        assert claims
        assert all(claim["holds"] for claim in claims)
        identifiers = [claim["identifier"] for claim in claims]
        assert len(set(identifiers)) == len(identifiers)


def prose(notebook: Any) -> str:
    """The text of a chapter."""
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def without_markup(text: str) -> str:
    """The words that one reads as prose: no formulas, code, roles, options or names of theorems."""
    for pattern in (
        r"\$\$.*?\$\$|\$[^$]*\$",  # formulas
        r"\{[\w:]+\}`[^`]*`|`[^`]*`",  # roles and code
        r"(?m)^:\w+:.*$|^`{3,}.*$",  # options and fences
        r"<[^>]*>",  # where links lead
        r"(?i)\b(theorem|corollary|corollaries|lemma|definition|assumption|example|setting|section|eq\.)s?"
        r" \d+(\.\d+)?((, | and | to )\d+\.\d+)*",
    ):
        text = re.sub(pattern, "", text, flags=re.DOTALL)
    return text


def solutions_with_code(notebook: Any) -> list[str]:
    """The labels of the exercises whose solution holds a code cell that was run."""
    found, current = [], None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if current and cell.execution_count:
                found.append(current)
                current = None
            continue
        for mark in re.finditer(r"\{solution-(start|end)\}\s*([\w-]*)", cell.source):
            current = mark[2] if mark[1] == "start" else None
    return found


NUMBERED = [path for path in CHAPTERS if path.name[0].isdigit()]


@pytest.mark.parametrize("chapter", NUMBERED, ids=lambda path: path.stem)
class TestAnatomy:
    def test_it_asks_lets_guess_and_lets_play(self, chapter: Path) -> None:
        notebook = read(chapter)
        text = prose(notebook)
        assert "**The question.**" in text
        assert "```{guess}" in text
        html = [o for c in code_cells(notebook) for o in outputs_of(c, "text/html")]
        assert any("data-samlib-widget" in "".join(part) for part in html)

    def test_it_says_where_it_breaks_and_where_it_comes_from(self, chapter: Path) -> None:
        headings = re.findall(r"(?m)^## (.+)$", prose(read(chapter)))
        assert "Where it breaks" in headings
        assert headings[-2:] == ["Exercises", "Sources"]

    def test_it_has_four_exercises_with_solutions_that_run(self, chapter: Path) -> None:
        notebook = read(chapter)
        asked = re.findall(r"\{exercise\}[^\n]*\n:label: ([\w-]+)", prose(notebook))
        assert len(asked) >= 4
        assert solutions_with_code(notebook) == asked

    def test_measured_numbers_are_not_typed(self, chapter: Path) -> None:
        """A decimal in prose is pasted from a cell that was run, or else belongs to a formula."""
        assert (
            re.findall(r"[^\n]{0,40}\d\.\d[^\n]{0,20}", without_markup(prose(read(chapter)))) == []
        )


def glossary() -> list[str]:
    """The terms of the glossary."""
    text = (ROOT / "book/glossary.md").read_text("utf8")
    lines = text[text.index(":sorted:") : text.rindex("\n:::")].splitlines()[1:]
    return [line for line in lines if line and not line.startswith(" ")]


def first_use(term: str, text: str) -> str:
    """How a term occurs first in a text: "linked", "plain" or "nowhere"."""
    for pattern in (r"\$\$.*?\$\$|\$[^$]*\$", r"(?m)^#.*$|^:\w+:.*$|^`{3,}.*$|^\([\w-]+\)=$"):
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    name = re.escape(term)
    link = re.search(rf"(?i)\{{term\}}`(?:[^`]*<{name}>|{name})`", text)
    before = text[: link.start()] if link else text
    before = re.sub(r"\{[\w:]+\}`[^`]*`|`[^`]*`", " ", before)
    if re.search(rf"(?i)\b{name}(?:s|es)?\b", before):
        return "plain"
    return "linked" if link else "nowhere"


@pytest.mark.parametrize("term", sorted(set(glossary()) - {"claim"}))  # an everyday word, too
def test_a_term_is_linked_where_the_book_first_uses_it(term: str) -> None:
    uses = (first_use(term, prose(read(chapter))) for chapter in NUMBERED)
    assert next((use for use in uses if use != "nowhere"), "linked") == "linked"


def test_a_pasted_number_has_its_own_name_in_the_book() -> None:
    pasted = [
        name
        for chapter in CHAPTERS
        for cell in code_cells(read(chapter))
        for output in cell.outputs
        if (name := output.get("metadata", {}).get("scrapbook", {}).get("name"))
    ]
    assert len(set(pasted)) == len(pasted)


def up_to_a_claim() -> Any:
    """A chapter up to its first claim, without figures, so that it runs in a few seconds."""
    notebook = copy.deepcopy(read(CHAPTERS[2]))  # where the first claim comes soonest
    kept = []
    for cell in code_cells(notebook):
        if "samlib.widgets" in cell.source or "plt.show()" in cell.source:
            continue
        kept.append(cell)
        if outputs_of(cell, MIME_TYPE):
            break
    notebook.cells = kept
    return notebook


def run_nbval(notebook: Any, folder: Path) -> dict[str, list[int]]:
    """Return the numbers of the cells that passed, and of those that did not."""
    path = folder / "chapter.ipynb"
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", str(path)]
    command += [f"--nbval-sanitize-with={SANITIZE}", f"--rootdir={folder}", "-rA", "--timeout=120"]
    alone = os.environ | {"PYTHONPATH": os.pathsep.join([str(ALONE), str(ROOT)])}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, check=False, env=alone, timeout=200
    )
    found = re.findall(r"(?m)^([A-Z]+) .*::Cell (\d+)", done.stdout)
    outcomes = {kind: [int(cell) for how, cell in found if how == kind] for kind, _ in found}
    assert sum(map(len, outcomes.values())) == len(notebook.cells), done.stdout
    return outcomes


def raise_last_digit(text: str) -> str:
    """Change the last digit of the text: 0.0428571 → 0.0428572."""
    return re.sub(r"(\d)(\D*)$", lambda m: f"{(int(m[1]) + 1) % 10}{m[2]}", text)


def alter_claim_data(bundle: Any) -> None:
    bundle[MIME_TYPE]["measured"] = raise_last_digit(bundle[MIME_TYPE]["measured"])


def alter_claim_html(bundle: Any) -> None:
    measured = bundle[MIME_TYPE]["measured"]
    assert measured in bundle["text/html"]
    bundle["text/html"] = bundle["text/html"].replace(measured, raise_last_digit(measured))


def alter_claim_text(bundle: Any) -> None:
    bundle["text/plain"] = raise_last_digit(bundle["text/plain"])


def test_nbval_accepts_a_chapter_as_it_is_stored_and_refuses_one_number_altered(
    tmp_path: Path,
) -> None:
    notebook = up_to_a_claim()
    as_stored = len(notebook.cells)
    claim = notebook.cells[-1]
    # The same claim again, as it is stored and then each time with one number altered.
    for alter in (lambda bundle: None, alter_claim_data, alter_claim_html, alter_claim_text):
        cell = copy.deepcopy(claim)
        cell.id = f"again-{len(notebook.cells)}"
        (bundle,) = (o.data for o in cell.outputs if MIME_TYPE in o.get("data", {}))
        alter(bundle)
        notebook.cells.append(cell)
    assert run_nbval(notebook, tmp_path) == {
        "PASSED": list(range(as_stored + 1)),
        "FAILED": list(range(as_stored + 1, as_stored + 4)),
    }


def test_a_chapter_may_not_reach_beyond_this_machine() -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 9), timeout=1)"
    environment = os.environ | {"PYTHONPATH": str(ALONE)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "chapters run without a network" in done.stderr
