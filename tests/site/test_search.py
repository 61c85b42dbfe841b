"""The index that the search works with stays whole from one build to the next."""

from __future__ import annotations

from .small_book import Book
from .test_claims import CLAIM, chapter


def test_a_change_on_one_page_keeps_the_terms_of_the_others_in_the_index(small_book: Book) -> None:
    small_book.write("index.md", "# Book\n\n```{toctree}\nchapter\nclaims\nglossary\n```\n")
    small_book.write("chapter.ipynb", chapter(CLAIM))
    glossary = "# Glossary\n\n```{glossary}\neigengap\n  λ₁ − λ₂.\n```\n"
    small_book.write("glossary.md", glossary)
    small_book.build()
    index = small_book.output / "searchindex.js"
    entries = '"indexentries": {"eigengap": '
    assert entries in index.read_text("utf8")
    before = index.read_text("utf8")
    small_book.write("chapter.ipynb", chapter(CLAIM).replace("# ", "# Another ", 1))
    small_book.build()
    assert entries in index.read_text("utf8")
    assert index.read_text("utf8") != before
