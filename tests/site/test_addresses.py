"""Where the book is published: its links, previews and buttons follow, and bad addresses do not."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from sphinx.errors import ConfigError

from .small_book import Book
from .test_claims import CLAIM, chapter

Part = Callable[[str], ModuleType]
SITE, REPOSITORY = "https://example.org/sam", "https://github.com/owner/name"


def test_an_unpublished_book_names_no_address(
    small_book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BOOK_URL", "BOOK_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    small_book.write("chapter.ipynb", chapter(CLAIM))
    page = small_book.build()
    assert 'rel="canonical"' not in page
    assert not (small_book.output / "sitemap.xml").exists()


def test_a_published_book_has_canonical_links_previews_and_a_sitemap(
    small_book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOK_URL", SITE + "/")
    small_book.settings["extensions"] = ["myst_nb", "sphinxext.opengraph", "samlib_book"]
    small_book.settings["ogp_image"] = "_static/card.png"
    small_book.write("chapter.ipynb", chapter(CLAIM))
    page = small_book.build()
    assert f'<link rel="canonical" href="{SITE}/claims.html"' in page
    assert f'content="{SITE}/_static/card.png"' in page
    places = ET.parse(small_book.output / "sitemap.xml").getroot().iter()
    found = {place.text for place in places if place.tag.endswith("loc")}
    assert {f"{SITE}/{name}.html" for name in ("index", "chapter", "claims")} <= found
    assert f"{SITE}/search.html" not in found


@pytest.mark.parametrize("value", ["example.org", "ftp://example.org", "https://", "https://a/?b"])
def test_an_address_that_is_none_is_refused(
    part: Part, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("BOOK_URL", value)
    with pytest.raises(ConfigError, match="BOOK_URL must be a web address"):
        part("addresses").address_from("BOOK_URL")


@pytest.mark.parametrize("value", ["https://example.org/owner/name", "https://github.com/owner"])
def test_a_repository_that_is_elsewhere_is_refused(
    part: Part, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("BOOK_REPOSITORY", value)
    with pytest.raises(ConfigError, match=r"BOOK_REPOSITORY must be https://github\.com"):
        part("addresses").repository()


def test_the_revision_is_a_commit_or_a_tag(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    assert part("addresses").revision() is None
    for value in ("v0.1.0", "0a99d23f"):
        monkeypatch.setenv("BOOK_REVISION", value)
        assert part("addresses").revision() == value
    monkeypatch.setenv("BOOK_REVISION", '"; import os')
    with pytest.raises(ConfigError, match="BOOK_REVISION must be a commit or a tag"):
        part("addresses").revision()


def buttons_of(part: Part, source: str) -> list[dict[str, Any]]:
    """Return the buttons above a page with a source."""
    context = {"sourcename": source, "pathto": lambda target, _: target}
    part("addresses").add_buttons(None, "page", "page.html", context, object())
    return list(context["header_buttons"])


def test_a_chapter_can_be_run_elsewhere_where_its_repository_is_known(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [b["icon"] for b in buttons_of(part, "chapters/01.ipynb")] == ["fas fa-download"]
    assert buttons_of(part, "book/notation.md") == []
    monkeypatch.setenv("BOOK_REPOSITORY", REPOSITORY + ".git")
    run, download, source = buttons_of(part, "chapters/01.ipynb")
    links = [button["url"] for button in run["buttons"]]
    assert links[0].endswith("/github/owner/name/blob/notebooks/chapters/01.ipynb")
    assert links[1].endswith("/gh/owner/name/notebooks?urlpath=lab/tree/chapters/01.ipynb")
    assert download["url"] == "notebooks/01.ipynb"
    assert source["url"] == f"{REPOSITORY}/blob/main/chapters/01.ipynb"
