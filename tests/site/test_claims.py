"""Claims on their page: all are listed, changes are followed, and false ones are refused."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import Any

import pytest
from sphinx.errors import ExtensionError

from .conftest import ROOT
from .small_book import Book

MIME = "application/vnd.samlib.claim+json"
CLAIM = {
    "identifier": "limit-norm",
    "statement": "The iterates settle at distance ηρλ₁/(2 − ηλ₁).",
    "source": "Theorem 4.8",
    "predicted": "0.0095238",
    "measured": "0.0095239",
    "tolerance": "relative 0.0001",
    "holds": True,
}


def chapter(*claims: dict[str, Any]) -> str:
    """Return a notebook whose cells each made one claim."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# A chapter"}
    ]
    for index, claim in enumerate(claims):
        data = {"text/html": f'<p id="claim-{claim.get("identifier")}">claimed</p>', MIME: claim}
        output = {
            "output_type": "execute_result",
            "execution_count": 1,
            "metadata": {},
            "data": data,
        }
        cells.append(
            {
                "cell_type": "code",
                "id": f"cell-{index}",
                "metadata": {},
                "source": "claims.check()",
                "execution_count": 1,
                "outputs": [output],
            }
        )
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps(
        {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    )


def rows(page: str) -> list[list[str]]:
    """Return the texts of the cells of a page's table body."""
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    strip = re.compile(r"<[^>]+>")
    return [
        [strip.sub(" ", cell).strip() for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?>(.*?)</tr>", body, re.DOTALL)
    ]


def test_a_claim_that_holds_is_listed_with_a_link_to_its_place(small_book: Book) -> None:
    small_book.write("chapter.ipynb", chapter(CLAIM))
    page = small_book.build()
    ((statement, predicted, measured, tolerance, where),) = rows(page)
    assert statement.split("\n")[0].strip() == CLAIM["statement"]
    assert CLAIM["source"] in statement
    assert [predicted, measured, tolerance] == ["0.0095238", "0.0095239", "relative 0.0001"]
    assert where == CLAIM["identifier"]
    assert 'href="chapter.html#claim-limit-norm"' in page
    assert 'id="claim-limit-norm"' in (small_book.output / "chapter.html").read_text("utf8")
    assert "1 claim on 1 page" in page


def test_claims_come_in_reading_order(small_book: Book) -> None:
    claims = [CLAIM | {"identifier": name} for name in ("z", "a", "m")]
    small_book.write("chapter.ipynb", chapter(*claims))
    page = small_book.build()
    assert re.findall(r"#claim-(\w)\"", page) == ["z", "a", "m"]
    assert "3 claims on 1 page" in page


def test_the_page_follows_a_chapter_that_changes(small_book: Book) -> None:
    small_book.write("chapter.ipynb", chapter(CLAIM))
    small_book.build()
    small_book.write("chapter.ipynb", chapter(CLAIM | {"measured": "0.0095237"}))
    assert rows(small_book.build())[0][2] == "0.0095237"


def test_a_false_claim_fails_the_build(small_book: Book) -> None:
    small_book.write("chapter.ipynb", chapter(CLAIM))
    small_book.build()
    wrong = CLAIM | {"measured": "0.02", "holds": False}
    small_book.write("chapter.ipynb", chapter(wrong))
    with pytest.raises(ExtensionError, match=r"'limit-norm' does not hold.*measured 0\.02"):
        small_book.build()


def test_a_false_claim_fails_the_first_build_too(small_book: Book) -> None:
    small_book.write("chapter.ipynb", chapter(CLAIM | {"holds": False}))
    with pytest.raises(ExtensionError, match="does not hold"):
        small_book.build()
    assert not (small_book.output / "claims.html").exists()


def test_an_identifier_used_twice_fails_the_build(small_book: Book) -> None:
    small_book.write("chapter.ipynb", chapter(CLAIM, CLAIM))
    with pytest.raises(ExtensionError, match="limit-norm"):
        small_book.build()


@pytest.mark.parametrize("field", sorted(CLAIM))
def test_a_record_without_one_of_its_fields_fails_the_build(small_book: Book, field: str) -> None:
    broken = {name: value for name, value in CLAIM.items() if name != field}
    small_book.write("chapter.ipynb", chapter(broken))
    with pytest.raises(ExtensionError, match=rf"no usable {field}"):
        small_book.build()


def test_a_book_without_claims_says_so(small_book: Book) -> None:
    small_book.write("chapter.ipynb", chapter())
    assert "makes a claim yet" in small_book.build()


def test_the_built_page_lists_every_claim_of_every_chapter(book: Path) -> None:
    expected = []
    for notebook in sorted((ROOT / "chapters").glob("*.ipynb")):
        for cell in json.loads(notebook.read_text("utf8"))["cells"]:
            for output in cell.get("outputs", []):
                if MIME in output.get("data", {}):
                    expected.append(output["data"][MIME]["identifier"])
    page = (book / "book/claims.html").read_text("utf8")
    page = page[page.index('id="all-claims"') :]
    assert re.findall(r'href="[^"]*#claim-([a-z0-9.-]+)"', page) == expected


def test_claims_stand_under_the_title_of_their_chapter(small_book: Book) -> None:
    small_book.write("index.md", "# Book\n\n```{toctree}\nchapter\nlater\nclaims\n```\n")
    small_book.write("chapter.ipynb", chapter(CLAIM))
    later = chapter(CLAIM | {"identifier": "later"}).replace("# A chapter", "# Another one")
    small_book.write("later.ipynb", later)
    page = small_book.build()
    assert "2 claims on 2 pages" in page
    first, second = re.findall(r"<section id=\"claims-\w+\">\s*<h2>(.*?)</h2>", page)
    assert "A chapter" in first
    assert 'href="chapter.html"' in first
    assert "Another one" in second
    assert 'href="later.html"' in second
    assert page.index(second) < page.index("later.html#claim-later")


def test_the_example_of_the_names_in_a_source_runs(small_book: Book) -> None:
    from samlib_book import claims

    outcome = doctest.testmod(claims)
    assert (outcome.failed, outcome.attempted) == (0, 2)


THEOREM = """# A page

```{prf:theorem} Of somebody
:label: thm-here
It holds.
```
"""


def write_statements(book: Book, lines: str) -> None:
    """Give the small book a theorem, and a page that lists statements."""
    book.settings = {"extensions": ["myst_nb", "sphinx_proof", "samlib_book"], "numfig": True}
    book.write("index.md", "# Book\n\n```{toctree}\nchapter\nclaims\ntheorem\n```\n")
    book.write("theorem.md", THEOREM)
    book.write("claims.md", f"# Claims\n\n```{{statements}}\n{lines}\n```\n")


def test_a_statement_of_the_paper_is_listed_with_its_place_and_claims(small_book: Book) -> None:
    claims = [
        CLAIM,
        CLAIM | {"identifier": "both", "source": "Theorems 4.5 and 4.8, locally"},
        CLAIM | {"identifier": "other", "source": "Theorem 4.81"},
    ]
    small_book.write("chapter.ipynb", chapter(*claims))
    write_statements(small_book, "Theorem 4.8: thm-here")
    page = small_book.build()
    ((name, place, checked_by),) = rows(page)
    assert name == "Theorem 4.8"
    assert place == "Theorem 1"
    assert 'href="theorem.html#thm-here"' in page
    assert re.split(r"[\s,]+", checked_by) == ["limit-norm", "both"]


def test_a_statement_that_no_claim_checks_is_an_error(small_book: Book) -> None:
    small_book.write("chapter.ipynb", chapter(CLAIM))
    write_statements(small_book, "Theorem 4.5: thm-here")
    with pytest.raises(AssertionError, match=r"no claim of the book names 'Theorem 4\.5'"):
        small_book.build()
