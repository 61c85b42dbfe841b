"""What it costs: growth as pictures, and goals as a table, both as they were measured."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .conftest import BOOK, ROOT
from .small_book import Book

RESULTS = ROOT / "benchmarks/results"
PAGE = "book/library/cost.html"


def sweeps() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / "growth.json").read_text("utf8"))["sweeps"]
    return content


def plain(html: str) -> str:
    text = unescape(re.sub(r"<[^>]+>", "", html)).replace("’", "'")
    return re.sub(r"\s+", " ", text).strip()


@pytest.mark.parametrize("along", sorted(sweeps()))
def test_growth_is_shown_over_two_decades_almost(along: str) -> None:
    """64 processes are as many as one machine takes."""
    numbers = [row[along] for row in sweeps()[along]["rows"]]
    assert numbers == sorted(numbers)
    assert numbers[-1] / numbers[0] >= (64 if along == "processes" else 100)


@pytest.mark.parametrize("along", sorted(sweeps()))
def test_a_picture_of_growth_says_in_words_what_it_shows(book: Path, along: str) -> None:
    html = (book / PAGE).read_text("utf8")
    rows = sweeps()[along]["rows"]
    (words,) = [
        unescape(alt)
        for alt in re.findall(r'<img[^>]*alt="([^"]*)"', html)
        if f"{rows[-1][along]:,} {along}," in unescape(alt)
    ]
    costs = [name for name in rows[0] if name.endswith((" seconds", " MiB"))]
    assert len(costs) >= 2
    for name in costs:
        assert f"{rows[0][name]:.3g} to {rows[-1][name]:.3g}" in words
    source = re.findall(rf'src="([^"]*/{along}[^"]*\.png)"', html)
    with Image.open(BOOK / "book/library" / source[0]) as image:
        assert image.width > 600


def test_every_goal_is_in_the_table_and_what_was_missed_is_said(book: Path) -> None:
    html = (book / PAGE).read_text("utf8")
    table = re.search(r'<table class="[^"]*\bgoals\b.*?</table>', html, re.DOTALL)
    assert table is not None
    cells = [
        [plain(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table[0], re.DOTALL)
    ]
    found = {(row[0], row[3]): row for row in cells if len(row) == 4}
    goals = [
        goal
        for path in RESULTS.glob("*.json")
        for goal in json.loads(path.read_text("utf8")).get("goals", [])
    ]
    assert len(goals) == len(found) > 20
    for goal in goals:
        reached = found[goal["what"], goal["against"]][1]
        met = goal["reached"] >= goal["limit"] if goal["at_least"] else (
            goal["reached"] <= goal["limit"]
        )  # fmt: skip
        assert met == goal["met"]
        assert reached.endswith(", missed") != met
        number = float(reached.removesuffix(", missed").replace(",", ""))
        assert number == pytest.approx(goal["reached"], rel=6e-3, abs=1e-15)


def test_an_unknown_sweep_is_answered_with_those_that_there_are(small_book: Book) -> None:
    small_book.write("chapter.md", "# A chapter\n\n```{growth} height\nHigher.\n```\n")
    with pytest.raises(AssertionError, match=r"there is no growth\.json in benchmarks/results"):
        small_book.build()
    results = small_book.folder / "benchmarks/results"
    results.mkdir(parents=True)
    rows = [{"width": n, "λ₁ seconds": n / 7, "λ₁ MiB": 3.0} for n in (1, 10)]
    content = {"sweeps": {"width": {"rows": rows}}}
    (results / "growth.json").write_text(json.dumps(content), "utf8")
    with pytest.raises(AssertionError, match="no sweep is called height: there are width"):
        small_book.build()
    small_book.write("chapter.md", "# A chapter\n\n```{growth} width\nWider.\n```\n")
    small_book.build()
    html = (small_book.output / "chapter.html").read_text("utf8")
    assert "From 1 to 10 width, λ₁ takes 0.143 to 1.43 CPU seconds" in html
