"""Formulas stay with their punctuation, and nothing else moves."""

from __future__ import annotations

import sys

import pytest
from docutils import nodes
from docutils.utils import new_document

from .conftest import ROOT


def test_a_formula_keeps_the_punctuation_that_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))
    for name in [name for name in sys.modules if name.split(".")[0] == "samlib_book"]:
        monkeypatch.delitem(sys.modules, name)
    from samlib_book.typography import KeepPunctuation

    parts = [nodes.emphasis("", "radius"), ".", " At ", nodes.math("", "x"), ".", " And ", "."]
    paragraph = nodes.paragraph()
    for part in parts:
        paragraph += nodes.Text(part) if isinstance(part, str) else part
    document = new_document("a page")
    document += paragraph
    before = paragraph.astext()

    KeepPunctuation(document).run()

    assert paragraph.astext() == before == "radius. At x. And ."
    (pair,) = paragraph.findall(nodes.inline)
    assert pair["classes"] == ["nobreak"]
    assert pair.astext() == "x."
