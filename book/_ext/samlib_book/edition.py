"""The reader's edition: each chapter as a notebook that needs no extension.

The chapters hold MyST Markdown, which most front ends for notebooks show raw. When a chapter's
page is finished, one pass over its nodes writes the same cells in plain Markdown (`plain`), with
the code and the outputs that the chapter has. An edition for classes leaves the solutions out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

import nbformat
from docutils import nodes
from sphinx.errors import ExtensionError

from . import plain

LINES_OF_A_CELL = 10_000  # in which myst_nb counts the lines of a notebook
FOLDS = {  # what a page folds, by tag: what front ends call it
    "hide-input": ("source_hidden",),
    "hide-output": ("outputs_hidden",),
    "hide-cell": ("source_hidden", "outputs_hidden"),
}
WIDGET = "application/vnd.jupyter.widget-view+json"
STILL = re.compile(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]*)"')
SAID = re.compile(r"<figcaption>(.*?)</figcaption>", re.S)
YOURS = "# {exercise}: your code"


@dataclass(frozen=True)
class Part:
    """A piece of a chapter in reading order.

    ``cell`` is the position of its cell in the source and ``text`` its Markdown, None for a cell of
    code. ``solution`` is the name of the solution that it belongs to, and ``exercise`` says whether
    it ends an exercise.
    """

    cell: int
    text: str | None = None
    solution: str = ""
    exercise: str = ""


def cell_of(node: nodes.Element, before: int) -> int:
    """Return the position of the cell that a node was written in; ``before`` where nothing says."""
    for each in node.findall(nodes.Element):
        line = each.line or 0
        if line > LINES_OF_A_CELL:
            return line // LINES_OF_A_CELL - 1
    return before


def parts(node: nodes.Element, page: plain.Page, depth: int = 1, before: int = 0) -> Iterator[Part]:
    """Yield what a section or a solution holds, as it stands in the chapter."""
    for child in node.children:
        if not isinstance(child, nodes.Element):
            continue
        before = cell_of(child, before)
        if child.get("nb_element") == "cell_code":
            before = child["cell_index"]
            yield Part(before)
            yield from captions(child, page, before)
        elif isinstance(child, nodes.section):
            yield from parts(child, page, depth + 1, before)
        elif isinstance(child, nodes.title):
            title = plain.inline(child.children, page)
            yield Part(before, f"{'#' * (depth - 1)} {title}")
        elif "solution" in child["classes"]:
            yield from solution(child, page, before)
        elif text := plain.block(child, page):
            exercise = "exercise" in child["classes"]
            name = plain.heading(child, "exercise", page) if exercise else ""
            yield Part(before, text, exercise=name)


def captions(cell: nodes.Element, page: plain.Page, index: int) -> Iterator[Part]:
    """Yield the captions of the pictures that a cell of code puts out."""
    for figure in cell.findall(nodes.figure):
        caption = figure.next_node(nodes.caption)
        if caption is not None:
            number = page.number("figure", figure["ids"][0]) if figure["ids"] else ""
            text = plain.inline(caption.children, page)
            yield Part(index, f"**{f'Fig. {number}'.strip()}.** {text}")


def solution(node: nodes.Element, page: plain.Page, before: int) -> Iterator[Part]:
    """Yield what belongs to a solution, marked by its name."""
    title, content = node.children
    assert isinstance(title, nodes.Element)
    assert isinstance(content, nodes.Element)
    name = plain.in_html(title.children)
    inside = list(parts(content, page, 4, before))
    if inside and inside[0].text is None:
        inside.insert(0, Part(inside[0].cell, "The solution is the code below."))
    for part in inside:
        yield replace(part, solution=name)


# ------------------------------------------------------------------------------------------ cells
def cells(source: Sequence[Any], found: Sequence[Part], *, solutions: bool) -> list[Any]:
    """Return the cells of an edition; each has the id of the cell that it is made of.

    Raises
    ------
    ExtensionError
        If a cell of code of the source is not in the page, in its order.
    """
    code = [i for i, cell in enumerate(source) if cell.cell_type == "code" and cell.source.strip()]
    if [part.cell for part in found if part.text is None] != code:
        raise ExtensionError("the page of a notebook does not hold all of its cells of code")
    result: list[Any] = []
    begun: set[str] = set()
    for run in runs([part for part in found if solutions or not part.solution]):
        cell, name = source[run[0].cell], run[0].solution
        if run[0].text is None:
            result.append(code_cell(cell, folded=bool(name)))
        else:
            text = "\n\n".join(part.text or "" for part in run)
            if name:
                text = plain.fold(f"{name}, continued" if name in begun else name, text)
                begun.add(name)
            result.append(nbformat.v4.new_markdown_cell(text, id=cell["id"]))
        if not solutions and run[-1].exercise:
            yours = YOURS.format(exercise=run[-1].exercise)
            result.append(nbformat.v4.new_code_cell(yours, id=cell["id"]))
    return with_own_ids(result)


def runs(found: Sequence[Part]) -> list[list[Part]]:
    """Return the parts, grouped by what becomes one cell."""
    result: list[list[Part]] = []
    for part in found:
        last = result[-1][-1] if result else None
        if (
            last is not None
            and last.text is not None
            and part.text is not None
            and not last.exercise
            and (last.cell, last.solution) == (part.cell, part.solution)
        ):
            result[-1].append(part)
        else:
            result.append([part])
    return result


def with_own_ids(made: list[Any]) -> list[Any]:
    """Return cells of which no two have one id: those of text that share a source are counted."""
    taken = {cell["id"] for cell in made if cell.cell_type == "code" and cell.outputs}
    for cell in made:
        name, number = cell["id"], 1
        while cell["id"] in taken and not (cell.cell_type == "code" and cell.outputs):
            number += 1
            cell["id"] = f"{name}-{number}"
        taken.add(cell["id"])
    return made


def code_cell(cell: Any, *, folded: bool) -> Any:
    """Return a cell of code, folded as on the page, with outputs that every front end shows."""
    tags = cell.metadata.get("tags", [])
    folds = {fold for tag in tags for fold in FOLDS.get(tag, ())}
    if folded:
        folds |= {"source_hidden", "outputs_hidden"}
    metadata: dict[str, Any] = {"tags": list(tags)} if tags else {}
    if folds:
        metadata["jupyter"] = dict.fromkeys(sorted(folds), True)
    if "source_hidden" in folds:
        metadata["cellView"] = "form"  # what Colab calls it
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
    outputs = [with_alt(each, alt) for output in cell.outputs for each in shown(output)]
    if any(WIDGET in output.get("data", {}) for output in cell.outputs):
        metadata["tags"] = sorted(
            {*tags, "nbval-ignore-output"}
        )  # a still is stored, a widget comes
    count = cell.execution_count
    made = nbformat.v4.new_code_cell(cell.source, id=cell["id"], execution_count=count)
    made.metadata, made.outputs = nbformat.from_dict(metadata), outputs
    return made


def with_alt(output: Any, alt: str | None) -> Any:
    """Return an output whose picture says what it shows."""
    if alt and "image/png" in output.get("data", {}):
        output = {**output, "metadata": {**output["metadata"], "image/png": {"alt": alt}}}
    return nbformat.from_dict(output)


def shown(output: Any) -> list[Any]:
    """Return an output; of a figure, its still and the sentence that says what it shows."""
    html = output.get("data", {}).get("text/html", "")
    if WIDGET not in output.get("data", {}) or not (still := STILL.search(html)):
        return [output]
    data = {"image/png": still[1], "text/plain": output["data"]["text/plain"]}
    picture = {**output, "data": data, "metadata": {"image/png": {"alt": unescape(still[2])}}}
    caption = SAID.search(html)
    sentence = caption[1] if caption else still[2]
    words = unescape(re.sub(r"<[^>]+>", "", sentence))
    said = {"text/html": f"<p><em>{sentence}</em></p>", "text/plain": words}
    return [picture, {"output_type": "display_data", "data": said, "metadata": {}}]
