"""The chapters keep their promises: short cells, stored outputs, and numbers that are checked."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from samlib.claims import MIME_TYPE

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
SANITIZE = Path(__file__).with_name("sanitize.cfg")


def read(path: Path) -> Any:
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


def first_claim_of(chapter: Path) -> Any:
    """The chapter up to its first claim, without figures, so that it runs in a few seconds."""
    notebook = read(chapter)
    kept = []
    for cell in code_cells(notebook):
        if "samlib.widgets" in cell.source or "plt.show()" in cell.source:
            continue
        kept.append(cell)
        if outputs_of(cell, MIME_TYPE):
            break
    notebook.cells = kept
    return notebook


def run_nbval(notebook: Any, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "chapter.ipynb"
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", str(path)]
    command += [f"--nbval-sanitize-with={SANITIZE}", f"--rootdir={folder}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


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


def test_nbval_accepts_a_chapter_as_it_is_stored(tmp_path: Path) -> None:
    result = run_nbval(first_claim_of(CHAPTERS[0]), tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("alter", [alter_claim_data, alter_claim_html, alter_claim_text])
def test_nbval_refuses_a_chapter_with_one_number_altered(
    alter: Callable[[Any], None], tmp_path: Path
) -> None:
    notebook = first_claim_of(CHAPTERS[0])
    alter(notebook.cells[-1].outputs[0].data)
    result = run_nbval(notebook, tmp_path)
    assert result.returncode == 1, result.stdout
    assert "1 failed" in result.stdout, result.stdout
