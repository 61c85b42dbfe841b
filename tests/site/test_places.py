"""The site works wherever it lies: in a folder, below an address, unpacked from its zip."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import BOOK, QuietHandler, serve, watch

PAGES = ("book/index.html", "chapters/07_limiting_flow.html", "search.html?q=eigengap")
ROOT = Path(__file__).parents[2]
PLACES = (ROOT / "book/places.txt").read_text("utf8").split()


def shows_all(page: Page, address: str) -> None:
    """Open a page and wait until its formulas are set and its figures live."""
    page.goto(address)
    expect(page.locator("h1").first).to_be_visible()
    for figure in page.locator("[data-samlib-widget]").all():
        figure.scroll_into_view_if_needed()
        expect(figure).to_have_class(re.compile("samlib-live"))
    if "chapters/" in address:
        expect(page.locator("mjx-container").first).to_be_attached()


@pytest.fixture(scope="module")
def sub_path(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Return the address of a host and of the site, which lies in a folder of that host."""
    top = tmp_path_factory.mktemp("host")
    (top / "a/book").parent.mkdir()
    (top / "a/book").symlink_to(book)
    for host in serve(functools.partial(QuietHandler, directory=str(top))):
        yield host, f"{host}/a/book"


@pytest.mark.parametrize("path", PAGES)
def test_it_works_under_a_sub_path(browser: Browser, sub_path: tuple[str, str], path: str) -> None:
    host, site = sub_path
    page = browser.new_page()
    complaints = watch(page, site)
    shows_all(page, f"{site}/{path}")
    page.close()
    assert complaints == [], f"asked for something outside {site.removeprefix(host)}"


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES[:2])
def test_its_zip_works_without_a_server(browser: Browser, tmp_path: Path, path: str) -> None:
    packed = shutil.make_archive(str(tmp_path / "book"), "zip", BOOK)
    shutil.unpack_archive(packed, tmp_path / "unpacked here")
    page = browser.new_page()
    complaints = watch(page, "file:")
    shows_all(page, (tmp_path / "unpacked here" / path).as_uri())
    page.close()
    assert complaints == []


def name_of(place: str) -> str:
    """Return what stands behind the # of an address."""
    return place.split("#")[1]


def anchors() -> set[str]:
    """Return the places that one can cite: statements, figures, tables, exercises and claims."""
    kinds = r"claim|thm|lem|cor|def|asm|exa|prp|rem|ex|fig|tbl|eq|equation-eq|ch"
    return {
        f"{page.relative_to(BOOK).as_posix()}#{name}"
        for page in (BOOK / "chapters").glob("*.html")
        for name in re.findall(rf'\bid="((?:{kinds})-[\w.-]+)"', page.read_text("utf8"))
    }


def test_each_place_that_can_be_cited_is_listed(book: Path) -> None:
    """One that is new is added to the list by hand; none is taken out."""
    listed = [name_of(place) for place in PLACES]
    assert sorted(PLACES) == PLACES
    assert len(set(listed)) == len(listed)
    new = {place for place in anchors() if name_of(place) not in listed}
    assert new == set(), "add to book/places.txt"
