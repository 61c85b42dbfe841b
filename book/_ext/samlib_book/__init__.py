"""The book's own Sphinx extension: figures on Markdown pages, the claims page, the front door."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from . import claims, figures, pages


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension's three parts with Sphinx."""
    figures.setup(app)
    claims.setup(app)
    pages.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
