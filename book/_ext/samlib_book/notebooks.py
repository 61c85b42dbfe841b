"""Notebooks that leave the book: what one downloads, and what runs elsewhere.

Each is an `edition` of a chapter that every front end shows as it is meant. Before its first cell
of code stands one that installs what it needs where that is missing. On the site the editions
stand in the folder ``notebooks``, and without the solutions, for classes, in ``notebooks/class``.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from . import plain
from .addresses import NOTEBOOKS, address_from, repository, revision
from .edition import cells, parts
from .references import links, works

SETUP_ID, WORKS_ID = "set-up", "works"
WITHOUT_SOLUTIONS = "class"

WITH_ADDRESS = '''# What this notebook needs, if it is not there yet (on Colab, for example).
import importlib.util

if not all(map(importlib.util.find_spec, ("samlib", "myst_nb"))):
    %pip install --quiet "samlib[notebooks] @ git+{repository}"'''

WITHOUT_ADDRESS = """# What this notebook needs is in the folder that the book is built in.
import importlib.util

if not all(map(importlib.util.find_spec, ("samlib", "myst_nb"))):
    raise ImportError("run 'pip install .[notebooks]' in the book's folder, then this again")"""


def set_up_cell(repository: str | None, revision: str | None = None) -> Any:
    """Return the cell that sets up what a notebook needs.

    Parameters
    ----------
    repository
        The web address of the repository that `samlib` is installed from; None where it is unknown:
        then the cell says what to do.
    revision
        The commit or tag that the book was built from; None for the newest.
    """
    source = WITHOUT_ADDRESS
    if repository:
        place = f"{repository}@{revision}" if revision else repository
        source = WITH_ADDRESS.format(repository=place)
    return nbformat.v4.new_code_cell(source, id=SETUP_ID)


def with_set_up(made: list[Any], set_up: Any) -> list[Any]:
    """Return cells with the one that sets up what they need before the first cell of code."""
    first = next((i for i, cell in enumerate(made) if cell.cell_type == "code"), len(made))
    return [*made[:first], set_up, *made[first:]]


def with_origin(made: list[Any], origin: str) -> list[Any]:
    """Return cells whose first says below the title which book they are from."""
    title, _, rest = made[0].source.partition("\n")
    first = {**made[0], "source": f"{title}\n\n*{origin}*\n{rest}".rstrip()}
    return [nbformat.from_dict(first), *made[1:]]


def origin(env: BuildEnvironment, docname: str, page: str, site: str | None) -> str:
    """Return the sentence that says where a notebook is from, and how its figures come alive."""
    book = env.config.html_title or env.config.project
    number = env.toc_secnumbers.get(docname, {}).get("", ())
    part = f"Chapter {'.'.join(map(str, number))}" if number else "A page"
    online = f" ([online]({site}/{page}))" if site else ""
    return f"{part} of the book “{book}”{online}. Run the cells, and the figures come alive."


def editions(app: Sphinx, tree: nodes.document, docname: str) -> dict[str, Any]:
    """Return the notebooks that are made of a page, by their places among all of them."""
    env, address = app.env, app.builder.get_target_uri(docname)
    path = Path(env.doc2path(docname))
    siblings = {PurePosixPath(name).name for name in env.found_docs if is_notebook(env, name)}
    site, numbers = address_from("BOOK_URL"), env.toc_fignumbers.get(docname, {})
    link, follow = links(tree, address, site, siblings)

    def number(kind: str, name: str) -> str:
        return ".".join(map(str, numbers.get(kind, {}).get(name, ())))

    source = nbformat.read(path, as_version=4)
    found = list(parts(tree, plain.Page(link, follow, number)))
    made = {}
    for folder, solutions in (("", True), (WITHOUT_SOLUTIONS, False)):
        content = cells(source.cells, found, solutions=solutions)
        content = with_origin(content, origin(env, docname, address, site))
        content = with_set_up(content, set_up_cell(repository(), revision()))
        if cited := works(tree):
            content.append(nbformat.v4.new_markdown_cell(cited, id=WORKS_ID))
        made[str(PurePosixPath(folder, path.name))] = nbformat.v4.new_notebook(
            cells=content, metadata=source.metadata
        )
    return made


def is_notebook(env: BuildEnvironment, docname: str) -> bool:
    """Return whether a page is made of a notebook."""
    return str(env.doc2path(docname)).endswith(".ipynb")


def write_editions(app: Sphinx, tree: nodes.document, docname: str) -> None:
    """Write the editions of a page that is about to be written itself."""
    if app.builder.name == "html" and is_notebook(app.env, docname):
        for place, notebook in editions(app, tree, docname).items():
            path = Path(app.outdir, NOTEBOOKS, place)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(nbformat.writes(notebook) + "\n", encoding="utf8")


def remove_others(app: Sphinx, problem: Exception | None) -> None:
    """Remove from the site the notebooks as the book has them, and those of earlier builds."""
    if problem is None and app.builder.name == "html":
        for path in Path(app.outdir, "_sources").rglob("*.ipynb"):
            path.unlink()
        names = {Path(app.env.doc2path(name)).name for name in app.env.found_docs}
        for path in Path(app.outdir, NOTEBOOKS).rglob("*.ipynb"):
            if path.name not in names:
                path.unlink()


def setup(app: Sphinx) -> None:
    """Register the passes: over a page when nothing changes it any more, and after a build."""
    app.connect("doctree-resolved", write_editions, priority=900)
    app.connect("build-finished", remove_others)
