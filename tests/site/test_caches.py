"""What a killed build or a full disk left broken is made anew."""

from __future__ import annotations

import pytest

from .small_book import Book
from .test_claims import CLAIM, chapter


def body(page: str) -> str:
    """Return what a page shows; its head carries checksums of files."""
    return page[page.index("<body") :]


@pytest.mark.parametrize("content", [b"", b"\x80\x04nonsense", b"\x80\x04K\x01."])
@pytest.mark.parametrize("name", ["environment.pickle", "chapter.doctree", "claims.doctree"])
def test_a_broken_cache_is_rebuilt(small_book: Book, name: str, content: bytes) -> None:
    small_book.write("chapter.ipynb", chapter(CLAIM))
    good = body(small_book.build())
    cache = small_book.output / "doctrees" / name
    assert cache.is_file()
    cache.write_bytes(content)
    (small_book.output / "claims.html").unlink()
    assert body(small_book.build()) == good


def test_a_page_that_was_lost_is_written_again(small_book: Book) -> None:
    small_book.write("chapter.ipynb", chapter(CLAIM))
    small_book.build()
    page = small_book.output / "chapter.html"
    written = body(page.read_text("utf8"))
    page.unlink()
    small_book.build()
    assert body(page.read_text("utf8")) == written
