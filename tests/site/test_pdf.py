"""The book on paper: two short pages of it, printed and joined as the whole book is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser
from pypdf import PdfReader

from .conftest import ROOT

pytestmark = pytest.mark.xdist_group("pdf")  # printed once for all

PAGES = ("book/index.html", "book/errata.html", "book/bibliography.html")


@pytest.fixture(scope="module")
def pdf() -> ModuleType:
    """Return the script that `make pdf` runs, as a module."""
    spec = importlib.util.spec_from_file_location("pdf", ROOT / "book/_pdf/pdf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pdf"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def printed(
    pdf: Any, book: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> PdfReader:
    """Return a book of a few pages on paper."""
    page, prints = pdf.open_page(browser), []
    for path in PAGES:
        before = sum(len(one.sheets.pages) for one in prints)
        sheets = pdf.print_page(page, path, before)
        prints.append(pdf.Print(path, pdf.title_of(path), sheets, before + 1))
    contents = pdf.print_contents(page, prints)
    page.close()
    path = tmp_path_factory.mktemp("pdf") / "book.pdf"
    with path.open("wb") as file:
        pdf.join(contents, prints).write(file)
    return PdfReader(path)


def test_the_whole_book_is_printed_in_its_order(pdf: Any, book: Path) -> None:
    order = pdf.reading_order()
    assert order[0] == "book/index.html"
    chapters = [path for path in order if path.startswith("chapters/")]
    assert chapters == sorted(chapters)
    assert len(chapters) == len(list((ROOT / "chapters").glob("*.ipynb")))


def test_it_has_a_title_contents_and_an_outline(printed: PdfReader) -> None:
    assert printed.metadata is not None
    assert printed.metadata.title == "How SAM minimizes sharpness"
    assert "How SAM" in printed.pages[0].extract_text()
    contents = printed.pages[1].extract_text()
    titles = [entry.title for entry in printed.outline]
    assert titles == ["How does SAM minimize sharpness?", "Errata", "Bibliography"]
    assert all(title in contents for title in titles)


def test_every_page_has_its_title_and_pages_are_numbered_through(printed: PdfReader) -> None:
    texts = [sheet.extract_text() for sheet in printed.pages[2:]]
    for number, text in enumerate(texts, 1):
        assert str(number) in text.split(), f"page {number} does not bear its number"
    starts = [printed.get_destination_page_number(entry) for entry in printed.outline]
    for entry, start in zip(printed.outline, starts, strict=True):
        words = entry.title.split()
        assert all(word in printed.pages[start].extract_text() for word in words)


def test_figures_stand_still_and_formulas_are_set(printed: PdfReader) -> None:
    texts = "".join(sheet.extract_text() for sheet in printed.pages)
    assert "ηρλ₁/(2 − ηλ₁)" in texts, "the sentence under the still"
    assert "\\rho" not in texts
    assert "Reset" not in texts, "the live figure's buttons"
    assert any(sheet.images for sheet in printed.pages)


def links_on(sheet: Any) -> list[Any]:
    return [reference.get_object() for reference in sheet.get("/Annots", ())]


def test_links_between_pages_lead_inside_the_file(printed: PdfReader) -> None:
    outside = []
    for sheet in printed.pages:
        for link in links_on(sheet):
            address = link["/A"].get_object().get("/URI", "") if "/A" in link else ""
            outside += [address] if str(address).startswith("file:") else []
    assert outside == []


def test_the_contents_lead_to_each_page(printed: PdfReader) -> None:
    targets = [link["/Dest"][0].get_object() for link in links_on(printed.pages[1])]
    starts = [printed.get_destination_page_number(entry) for entry in printed.outline]
    assert [printed.get_page_number(target) for target in targets] == starts
