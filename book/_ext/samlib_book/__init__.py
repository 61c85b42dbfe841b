"""The book's own Sphinx extension: figures, guesses, the claims page, the site as a whole."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from . import (
    addresses,
    benchmarks,
    caches,
    claims,
    embedded,
    figures,
    finishing,
    formulas,
    guess,
    library,
    moved,
    notebooks,
    pages,
    pictures,
    reading_time,
    search,
    typography,
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension's parts with Sphinx."""
    caches.setup(app)
    figures.setup(app)
    formulas.setup(app)
    claims.setup(app)
    benchmarks.setup(app)
    guess.setup(app)
    library.setup(app)
    pages.setup(app)
    addresses.setup(app)
    notebooks.setup(app)
    pictures.setup(app)
    reading_time.setup(app)
    search.setup(app)
    moved.setup(app)
    embedded.setup(app)
    finishing.setup(app)
    app.add_post_transform(typography.KeepPunctuation)
    return {
        "version": "1",
        # Another number when what is kept between builds changes its form: they then start over.
        "env_version": 3,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
