"""The library reference: nothing that samlib offers is missing."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import samlib

MODULES = (
    samlib,
    samlib.claims,
    samlib.landscapes,
    samlib.optim,
    samlib.plotting,
    samlib.problems,
    samlib.rules,
    samlib.training,
    samlib.widgets,
)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html)).strip()


def test_prose_with_a_colon_is_not_torn_into_a_type_and_the_rest(book: Path) -> None:
    """Sphinx reads "the loss: at x" at the head of a property or a return value as "type: text"."""
    for path in (book / "book/library").glob("*.html"):
        types = re.findall(
            r"<dt[^>]*>Type<.*?<dd[^>]*>(.*?)</dd>", path.read_text("utf8"), re.DOTALL
        )
        assert [
            t for t in map(text_of, types) if re.search(r"\b(the|not|what|how)\b", t, re.I)
        ] == []


def test_code_of_the_reference_can_be_copied(book: Path) -> None:
    for path in (book / "book/library").glob("*.html"):
        for code in re.findall(r"<pre>(.*?)</pre>", path.read_text("utf8"), re.DOTALL):
            assert "\\_" not in text_of(code)
            assert "\\|" not in text_of(code)


def test_the_reference_has_a_place_for_every_public_name(book: Path) -> None:
    page = "".join(path.read_text("utf8") for path in (book / "book/library").glob("*.html"))
    for module in MODULES:
        public = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__ and name[0] != "_"
        ]
        for name in public:
            if not inspect.ismodule(getattr(module, name)):
                assert f'id="{module.__name__}.{name}"' in page, name
