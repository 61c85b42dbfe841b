"""The reader's edition says what the page says, in Markdown that every front end shows."""

from __future__ import annotations

import copy
import functools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt

from .conftest import BOOK, ROOT

CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
OFFERED = sorted(BOOK.rglob("*.ipynb")) or [BOOK / "notebooks/none.ipynb"]
FORMULA = re.compile(r"\$\$.+?\$\$|(?<!\\)\$[^$]+\$", re.S)
FENCE = re.compile(r"^```.*?^```", re.S | re.M)
RAW = {
    "a role": r"\{[a-z:-]+\}`",
    "a colon fence": r":::",
    "a directive": r"`{3,}\{|~{3,}\{",
    "an option of a directive": r"^:[a-z-]+:",
    "a label": r"^\s*\([\w:-]+\)=",
    "a substitution": r"\{\{|\}\}",
    "attributes": r"\]\{[.#]",
    "a reference that was not resolved": r"\{number\}|\{name\}|%s|\?\?",
    "what Sphinx alone understands": r"system_message|pending_xref|\[#",
}
# What an edition says and its page does not.
OWN = re.compile(
    r"^\*(?:Chapter|A page).*?\*$|^You guessed \d.*?$|^The solution is the code below\.$",
    re.M,
)


@functools.cache
def read(path: Path) -> Any:
    """A notebook, read once for all tests: none may change it."""
    return nbformat.read(path, as_version=4)


def edition(chapter: Path, kind: str = "") -> Any:
    return read(BOOK / "notebooks" / kind / chapter.name)


def texts(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def prose(notebook: Any) -> str:
    """The text of an edition that its page has, too."""
    cells = [c for c in notebook.cells if c.cell_type == "markdown" and c["id"] != "works"]
    return OWN.sub("", "\n\n".join(cell.source for cell in cells))


@functools.cache
def rendered(chapter: Path) -> BeautifulSoup:
    """An edition's text as a front end shows it, with a sign in place of each formula."""
    markdown = MarkdownIt("commonmark").enable("table")
    text = FORMULA.sub(lambda m: "⟦D⟧" if m[0].startswith("$$") else "⟦F⟧", prose(edition(chapter)))
    return BeautifulSoup(markdown.render(text), "html.parser")


@functools.cache
def page(chapter: Path) -> BeautifulSoup:
    """A page's text, with a sign for each formula, and of cells of code the captions alone."""
    html = (BOOK / "chapters" / f"{chapter.stem}.html").read_text("utf8")
    text = BeautifulSoup(html, "html.parser").select_one("article.bd-article")
    assert text is not None
    for formula in text.select("mjx-container"):
        formula.replace_with("⟦D⟧" if formula.get("display") else "⟦F⟧")
    for cell in text.select("div.cell"):
        cell.replace_with(*cell.select("figure:not(.samlib-figure *) > figcaption"))
    for other in text.select(".headerlink, script, style, svg, button, .eqno, .section-number"):
        other.decompose()
    return text


def words(text: BeautifulSoup) -> list[str]:
    """The words and formulas of a text, without punctuation."""
    return re.findall(r"⟦\w⟧|[^\W_]+", text.get_text(" "))


@pytest.mark.parametrize("path", OFFERED, ids=lambda path: f"{path.parent.name}-{path.stem}")
class TestOffered:
    def test_it_is_a_valid_notebook(self, path: Path) -> None:
        nbformat.validate(json.loads(path.read_text("utf8")))

    def test_nothing_in_it_is_raw(self, path: Path) -> None:
        text = FORMULA.sub("", "\n\n".join(texts(read(path))))
        assert len(text) > 1000
        found = {name: re.findall(f"(?m).*(?:{mark}).*|{mark}", text) for name, mark in RAW.items()}
        assert not {name: lines for name, lines in found.items() if lines}

    def test_no_name_of_a_pasted_number_is_in_its_text(self, path: Path) -> None:
        notebook = read(path)
        names = {
            output.get("metadata", {}).get("scrapbook", {}).get("name")
            for cell in notebook.cells
            for output in cell.get("outputs", ())
        }
        said = set(re.findall(r"[\w-]+", "\n".join(texts(notebook))))
        assert not names & said - {"trace"}

    def test_its_cells_are_plain(self, path: Path) -> None:
        for cell in read(path).cells:
            assert set(cell.metadata) <= {"tags", "jupyter", "cellView"}
            kinds = {kind for output in cell.get("outputs", ()) for kind in output.get("data", {})}
            assert not any("widget" in kind for kind in kinds)

    def test_its_pictures_say_what_they_show(self, path: Path) -> None:
        outputs = [output for cell in read(path).cells for output in cell.get("outputs", ())]
        pictures = [o for o in outputs if "image/png" in o.get("data", {})]
        assert pictures
        assert all(len(picture.metadata["image/png"]["alt"]) > 40 for picture in pictures)

    def test_its_formulas_need_no_macros_of_the_book(self, path: Path) -> None:
        formulas = " ".join(FORMULA.findall("\n".join(texts(read(path)))))
        assert not re.findall(r"\\(?:R|E|norm|loss|tr)(?![A-Za-z])", formulas)
        assert formulas.count("{") == formulas.count("}")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
class TestAgainstThePage:
    def test_it_says_word_for_word_what_the_page_says(self, chapter: Path) -> None:
        text = copy.copy(rendered(chapter))
        for summary in text.select("summary"):
            if re.match(r"\d\. ", summary.get_text()):  # a list's numbers are not in a page's text
                summary.string = summary.get_text()[3:]
            if summary.get_text().endswith(", continued"):
                summary.decompose()
        assert words(text) == words(page(chapter))

    def test_it_has_what_the_page_has(self, chapter: Path) -> None:
        for kind in ("h1", "h2", "h3", "table", "tr", "td, th", "em", "pre"):
            assert len(rendered(chapter).select(kind)) == len(page(chapter).select(kind)), kind
        folds = page(chapter).select("details, .solution, .guess-choices > li")
        continued = [s for s in rendered(chapter).select("summary") if "continued" in s.get_text()]
        assert len(rendered(chapter).select("details")) == len(folds) + len(continued)

    def test_equations_have_the_page_s_numbers(self, chapter: Path) -> None:
        html = (BOOK / "chapters" / f"{chapter.stem}.html").read_text("utf8")
        numbers = re.findall(r'class="eqno">\(([\d.]+)\)', html)
        assert re.findall(r"\\tag\{([\d.]+)\}", prose(edition(chapter))) == numbers

    def test_as_many_cells_of_code_are_seen_as_on_the_page(self, chapter: Path) -> None:
        html = (BOOK / "chapters" / f"{chapter.stem}.html").read_text("utf8")
        soup = BeautifulSoup(html, "html.parser")
        cells = soup.select("div.cell")
        folded = [c for c in cells if c.select("details.hide") or c.find_parent(class_="solution")]
        code = [c for c in edition(chapter).cells if c.cell_type == "code" and c["id"] != "set-up"]
        hidden = [c for c in code if c.metadata.get("jupyter", {}).get("source_hidden")]
        assert (len(code), len(hidden)) == (len(cells), len(folded))

    def test_code_and_results_are_the_chapter_s(self, chapter: Path) -> None:
        """But for figures, whose still is stored in the place of what needs a kernel."""
        made = [c for c in edition(chapter).cells if c.cell_type == "code" and c["id"] != "set-up"]
        source = [c for c in read(chapter).cells if c.cell_type == "code"]
        assert [(c["id"], c.source) for c in made] == [(c["id"], c.source) for c in source]
        for new, old in zip(made, source, strict=True):
            assert new.execution_count == old.execution_count
            if "data-samlib-widget" in json.dumps(old.outputs):
                picture, sentence = new.outputs
                (still,) = re.findall(r"base64,([^\"\\]+)", json.dumps(old.outputs))
                assert picture.data["image/png"] == still
                assert len(sentence.data["text/plain"]) > 20
            else:
                assert [o.get("data", o.get("text")) for o in new.outputs] == [
                    o.get("data", o.get("text")) for o in old.outputs
                ]

    def test_for_classes_the_solutions_are_left_out_and_nothing_else(self, chapter: Path) -> None:
        whole, for_class = edition(chapter), edition(chapter, "class")
        asked = re.findall(r"> \*\*(Exercise [\d.]+) ", prose(whole))
        solved = re.findall(
            r"<summary>Solution to (Exercise [\d.]+) .*(?<!, continued)<", prose(whole)
        )
        assert solved == asked == re.findall(r"> \*\*(Exercise [\d.]+) ", prose(for_class))
        assert "Solution to" not in prose(for_class)
        rooms = [c.source for c in for_class.cells if c.source.endswith(": your code")]
        assert [re.match(r"# (Exercise [\d.]+)", room)[1] for room in rooms] == asked  # type: ignore[index]
        left = [c.source for c in for_class.cells if c.source not in rooms]
        without = [
            c.source
            for c in whole.cells
            if "<summary>Solution to" not in c.source
            and not c.metadata.get("jupyter", {}).get("outputs_hidden")
        ]
        assert left == without


@pytest.mark.parametrize("path", OFFERED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_link_leads_somewhere(path: Path) -> None:
    """To a heading of the same notebook, to a notebook beside it, or to an address on the web."""
    text = "\n\n".join(texts(read(path)))
    markdown = MarkdownIt("commonmark")
    soup = BeautifulSoup(markdown.render(FORMULA.sub("⟦F⟧", text)), "html.parser")
    headings = {h.get_text().replace(" ", "-") for h in soup.select("h1, h2, h3, h4")}
    links = {str(link["href"]) for link in soup.select("a")}
    assert len(links) > 3
    for link in links:
        if link.startswith("#"):
            assert unquote(link[1:]) in headings
        else:
            assert link.startswith("https://") or (path.parent / link).is_file(), link


def test_no_two_cells_of_a_notebook_have_one_name() -> None:
    for path in OFFERED:
        names = [cell["id"] for cell in read(path).cells]
        assert len(set(names)) == len(names)
