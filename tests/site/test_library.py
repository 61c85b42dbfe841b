"""The library reference: nothing that samlib offers is missing."""

from __future__ import annotations

import inspect
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
