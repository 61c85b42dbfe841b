"""A book of a few lines, built with the book's own Sphinx extension."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

EXTENSIONS = Path(__file__).parents[2] / "book/_ext"


class Book:
    """A book of one chapter and a claims page, which can be built again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "out"
        self.settings: dict[str, Any] = {"extensions": ["myst_nb", "samlib_book"]}
        self.write("index.md", "# Book\n\n```{toctree}\nchapter\nclaims\n```\n")
        self.write("claims.md", "# Claims\n\n```{claims}\n```\n")

    def write(self, name: str, text: str) -> None:
        """Write one source file."""
        (self.folder / name).write_text(text, "utf8")

    def build(self) -> str:
        """Build the book and return the HTML of the claims page; warnings are errors."""
        warnings = io.StringIO()
        settings = self.settings | {
            "nb_execution_mode": "off",
            "exclude_patterns": ["out", "jupyter_execute"],
        }
        with docutils_namespace():
            app = Sphinx(
                self.folder,
                None,
                self.output,
                self.output / "doctrees",
                "html",
                settings,
                status=None,
                warning=warnings,
            )
            app.build()
        said = warnings.getvalue()
        assert said == "", said
        return (self.output / "claims.html").read_text("utf8")


@pytest.fixture
def small_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Book:
    """Return a book of its own for each test."""
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    for name in [name for name in sys.modules if name.split(".")[0] == "samlib_book"]:
        monkeypatch.delitem(sys.modules, name)
    # the extension copies the figures' bundle from the source directory
    static = tmp_path / "samlib/widgets/static"
    static.mkdir(parents=True)
    for name in ("samlib-widgets.js", "samlib-widgets.css"):
        (static / name).touch()
    return Book(tmp_path)
