"""Every page: quiet, local, accessible, narrow enough, with links that lead somewhere."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from .conftest import LANDING, Visit
from .inspection import Inspection


class Document(HTMLParser):
    """The ids, the links and the files named by one page's HTML."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.assets: list[str] = []
        self.feed(path.read_text("utf8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what one tag names."""
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in ("link", "script", "img", "source", "iframe", "video", "audio"):
            self.assets += [values[name] for name in ("href", "src") if name in values]


@functools.cache
def document_at(path: Path) -> Document:
    """Return what the page at a path names."""
    return Document(path)


def test_a_page_is_quiet_and_stays_on_this_machine(inspection: Inspection) -> None:
    assert inspection.heading
    assert list(inspection.complaints) == []


def test_axe_finds_nothing(inspection: Inspection) -> None:
    assert inspection.violations == []


def test_nothing_sticks_out_at_360_pixels(inspection: Inspection) -> None:
    assert inspection.width <= 360
    assert inspection.sticking_out == []


def test_images_say_what_they_show(inspection: Inspection) -> None:
    assert [alt for alt in inspection.images if not alt] == []


def is_figure(name: str, ids: Iterable[str]) -> bool:
    """Whether a page has the figure that a link sets: a kind, or a kind and which of them."""
    kind, _, number = name.partition("-")
    figures = [each for each in ids if re.fullmatch(rf"{kind}-[0-9a-f]+", each)]
    return number in ("", *(str(i + 1) for i in range(len(figures)))) and bool(figures)


def test_links_and_files_of_a_page_are_there(book: Path, page_path: str) -> None:
    here = book / page_path
    document = document_at(here)
    missing = []
    for link in document.links + document.assets:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            assert link not in document.assets or parts.scheme == "data", f"{link} is elsewhere"
            continue
        target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
        if not target.is_file():
            missing.append(link)
        elif parts.fragment and target.suffix == ".html":
            anchor, *state = unquote(parts.fragment).split(":")
            ids = document_at(target).ids
            if anchor not in ids and not (state and is_figure(anchor, ids)):
                missing.append(link)
    assert missing == []


def test_every_icon_is_drawn(book: Path, page_path: str) -> None:
    """An icon of the theme's that the book's style does not know would be a black square."""
    style = (book / "_static/book.css").read_text("utf8")
    known = set(re.findall(r"\.fa-([a-z-]+) \{ --icon:", style))
    html = (book / page_path).read_text("utf8")
    used = set(re.findall(r"\bfa-([a-z-]+)", html)) - {"solid", "lg"}
    assert used - known == set()


def test_ids_are_unique(book: Path, page_path: str) -> None:
    ids = document_at(book / page_path).ids
    assert sorted({name for name in ids if ids.count(name) > 1}) == []


def test_the_front_door_leads_to_the_landing_page(visit: Visit, site: str) -> None:
    page = visit("")
    page.wait_for_url(f"{site}/{LANDING}")
    assert "sharpness" in page.locator("h1").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_dark_when_the_system_is(visit: Visit, theme: str) -> None:
    page = visit(LANDING, color_scheme=theme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(part) for part in paper[4:-1].split(","))
    assert (red + green + blue > 3 * 128) == (theme == "light")
    assert page.locator("html").get_attribute("data-theme") == theme


def test_the_theme_button_changes_the_page_and_is_remembered(visit: Visit, site: str) -> None:
    page = visit(LANDING, color_scheme="light")
    button = page.locator("button.theme-switch-button").first
    for _ in range(3):
        if page.locator("html").get_attribute("data-mode") == "dark":
            break
        button.click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.goto(f"{site}/book/notation.html")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_prose_and_headings_use_the_book_s_own_letters(visit: Visit) -> None:
    page = visit(LANDING)
    loaded = page.evaluate(
        "[...document.fonts].filter((font) => font.status === 'loaded').map((font) => font.family)"
    )
    assert {"Book Serif", "Book Sans"} <= {family.strip('"') for family in loaded}
    assert page.evaluate(
        "getComputedStyle(document.querySelector('main p')).fontFamily"
    ).startswith('"Book Serif"')


def test_formulas_are_set_and_read_aloud(visit: Visit) -> None:
    page = visit("book/notation.html")
    assert page.locator("mjx-container").count() > 30
    assert page.locator("mjx-container mjx-assistive-mml").count() > 30


def test_no_formula_holds_a_macro_that_is_unknown(inspection: Inspection) -> None:
    assert inspection.formulas_unset == []


@pytest.mark.parametrize(
    ("words", "title", "anchor"),
    [
        ("hutchinson", "Glossary", "term-Hutchinson-estimator"),
        ("eigengap", "Glossary", "term-eigengap"),
        ("Theorem 4.8", "Theorem 5.1", "thm-quadratic"),
        ("Lemma 5.5", "Lemma 9.1", "lem-one-sam-alignment"),
        ("claim two-cycle", "Claim edge-two-cycle", "claim-edge-two-cycle"),
        ("top_eigenpairs", "samlib.top_eigenpairs", "samlib.top_eigenpairs"),
    ],
)
def test_search_finds_words_terms_theorems_and_claims(
    visit: Visit, book: Path, words: str, title: str, anchor: str
) -> None:
    page = visit(f"search.html?q={words}")
    found = page.locator("#search-results li a", has_text=title).first
    found.wait_for()
    target = found.get_attribute("href") or ""
    assert target.endswith(f"#{anchor}")
    assert anchor in document_at(book / target.split("#")[0]).ids
