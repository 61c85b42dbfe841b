"""The claims page: every statement that a chapter checked, with what was predicted and measured.

    ```{claims}
    ```

lists the claims of each chapter. What the paper states, where the book states it, and which claims
check it, is listed by

    ```{statements}
    Theorem 4.8: thm-quadratic
    ```

where a line gives the paper's name and the label of the theorem in the book. A claim belongs to a
statement that its source names. A statement that no claim checks is an error.

`samlib.claims.check` leaves a record of each claim in its notebook's outputs. The records are
collected from the notebooks each time the book is built. A claim that does not hold, a record that
cannot be read, and an identifier used twice each stop the build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from samlib.claims import MIME_TYPE, Claim

# "Theorems 4.5 and 5.4", "Corollary 4.7", "Figure 1"
NAMED = re.compile(
    r"\b(Theorem|Lemma|Corollar(?:y|ies)|Definition|Example|Assumption|Table|Figure)s?"
    r" (\d+(?:\.\d+)?(?:(?:, | and )\d+(?:\.\d+)?)*)"
)

KINDS = {field.name: bool if field.name == "holds" else str for field in fields(Claim)}


@dataclass(frozen=True)
class Record:
    """One claim and where it was made.

    `document` is the chapter's name in Sphinx (``chapters/05_alignment``) and `cell` the position,
    from 0, of the notebook cell that made the claim.
    """

    document: str
    cell: int
    claim: Claim

    @property
    def anchor(self) -> str:
        """The HTML id that the claim has in its chapter, where `samlib.claims` displays it."""
        return f"claim-{self.claim.identifier}"


def read_claims(notebook: Path, document: str) -> list[Record]:
    """Return the claims recorded in a notebook's outputs, in reading order.

    Raises
    ------
    ExtensionError
        If a record lacks a field or has one of the wrong kind.
    """
    records = []
    cells = json.loads(notebook.read_text(encoding="utf8"))["cells"]
    for index, cell in enumerate(cells):
        for output in cell.get("outputs", ()):
            data = output.get("data", {}).get(MIME_TYPE)
            if data is None:
                continue
            if isinstance(data, str | list):  # some front ends store JSON as text
                data = json.loads("".join(data))
            wrong = [name for name, kind in KINDS.items() if not isinstance(data.get(name), kind)]
            if wrong:
                raise ExtensionError(
                    f"{document}, cell {index}: a claim's record has no usable {', '.join(wrong)}"
                )
            claim = Claim(**{name: data[name] for name in KINDS})
            records.append(Record(document, index, claim))
    return records


def check(records: Iterable[Record]) -> None:
    """Raise ExtensionError if a claim does not hold or two share an identifier."""
    seen: dict[str, Record] = {}
    problems = []
    for record in records:
        claim = record.claim
        place = f"{record.document}, cell {record.cell}, {claim.identifier!r}"
        if not claim.holds:
            problems.append(f"{place} does not hold: {claim!r}")
        if claim.identifier in seen:
            problems.append(f"{place} is already the name of a claim in {seen[claim.identifier]}")
        seen[claim.identifier] = record
    if problems:
        raise ExtensionError("claims: " + "; ".join(problems))


def collect(app: Sphinx, env: BuildEnvironment, *_changes: set[str]) -> list[str]:
    """Read all notebooks' claims; return the pages to rebuild because the claims changed."""
    found = []
    for document in sorted(env.found_docs):
        path = Path(env.doc2path(document))
        if path.suffix == ".ipynb":
            found += read_claims(path, document)
    check(found)
    if found == getattr(env, "samlib_claims", None):
        return []
    env.samlib_claims = found  # type: ignore[attr-defined]
    return sorted(getattr(env, "samlib_claims_pages", set()))


def count(number: int, noun: str) -> str:
    """Return the number with its noun, in the singular where there is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def statements_in(source: str) -> set[str]:
    """Return the paper's statements that a claim's source names, and so puts to the test.

    What is measured outside a statement's assumptions is no test of it.

    >>> sorted(statements_in("Corollary 4.7; Theorems 4.5 and 5.4"))
    ['Corollary 4.7', 'Theorem 4.5', 'Theorem 5.4']
    >>> statements_in("measured; outside Theorem 4.8 where ηλ₁ ≥ 1")
    set()
    """
    if re.search(r"\boutside\b", source):
        return set()
    return {
        f"{'Corollary' if kind == 'Corollaries' else kind} {number}"
        for kind, numbers in NAMED.findall(source)
        for number in re.findall(r"\d+(?:\.\d+)?", numbers)
    }


def make_table(kind: str, columns: Mapping[str, int], rows: list[nodes.row]) -> nodes.table:
    """Lay rows out under the headings, which are given with their widths in per cent."""
    table = nodes.table(classes=[kind, "colwidths-given"])
    group = nodes.tgroup(cols=len(columns))
    group += [nodes.colspec(colwidth=width) for width in columns.values()]
    head = nodes.row()
    head += [nodes.entry("", nodes.paragraph("", heading)) for heading in columns]
    body = nodes.tbody()
    body += rows
    group += [nodes.thead("", head), body]
    table += group
    return table


class ClaimsDirective(SphinxDirective):
    """A part of a page that is made from the claims, and made again when they change."""

    def records(self) -> list[Record]:
        """Return all claims of the book, and remember that this page shows them."""
        pages: set[str] = getattr(self.env, "samlib_claims_pages", set())
        self.env.samlib_claims_pages = pages | {self.env.docname}  # type: ignore[attr-defined]
        found: list[Record] = getattr(self.env, "samlib_claims", [])
        return found

    def link(self, record: Record, text: str) -> nodes.reference:
        """Return a link to the place where a claim was made."""
        page = self.env.app.builder.get_relative_uri(self.env.docname, record.document)
        link = nodes.reference("", text, internal=True, refuri=f"{page}#{record.anchor}")
        link["reftitle"] = f"{record.claim.identifier} in its chapter"
        return link


class Claims(ClaimsDirective):
    """A table of all claims of each chapter, under the chapter's title."""

    columns: ClassVar = {
        "Statement": 38,
        "Predicted": 18,
        "Measured": 18,
        "Tolerance": 12,
        "Name and place": 14,
    }

    def run(self) -> list[nodes.Node]:
        """Return the tables, or a sentence that says there is nothing to list yet."""
        records = self.records()
        if not records:
            return [nodes.paragraph("", "No chapter of the book makes a claim yet.")]
        chapters = [(name, list(group)) for name, group in groupby(records, lambda r: r.document)]
        counted = f"{count(len(records), 'claim')} on {count(len(chapters), 'page')}."
        result: list[nodes.Node] = [nodes.paragraph("", counted, classes=["claims-count"])]
        for document, group in chapters:
            rows = [self.row(record) for record in group]
            name = nodes.make_id(f"claims-{document.split('/')[-1]}")
            section = nodes.section("", nodes.title("", "", self.title(document)), ids=[name])
            section += make_table("claims", self.columns, rows)
            result.append(section)
        return result

    def title(self, document: str) -> nodes.Node:
        """Return a link to a chapter, which Sphinx gives the chapter's title."""
        title = addnodes.pending_xref(
            "", refdomain="std", reftype="doc", reftarget=f"/{document}", refexplicit=False
        )
        title["refdoc"] = self.env.docname
        title += nodes.inline("", document)
        return title

    def row(self, record: Record) -> nodes.row:
        """Lay one record out."""
        statement = nodes.entry("", nodes.paragraph("", record.claim.statement))
        statement += nodes.paragraph("", record.claim.source, classes=["claim-source"])
        row = nodes.row("", statement)
        for value in (record.claim.predicted, record.claim.measured, record.claim.tolerance):
            row += nodes.entry("", nodes.paragraph("", value))
        row += nodes.entry("", nodes.paragraph("", "", self.link(record, record.claim.identifier)))
        return row


class Statements(ClaimsDirective):
    """A table of the paper's statements, their places in the book, and the claims about each."""

    has_content = True
    columns: ClassVar = {"In the paper": 20, "In this book": 25, "Checked by": 55}

    def run(self) -> list[nodes.Node]:
        """Return the table; a statement without a claim is an error of the page."""
        places = yaml.safe_load("\n".join(self.content)) or {}
        if not isinstance(places, dict):
            raise self.error("the lines must have the form 'Theorem 4.8: thm-quadratic'")
        records = self.records()
        rows = []
        for name, place in places.items():
            checked_by = [r for r in records if name in statements_in(r.claim.source)]
            if not checked_by:
                raise self.error(f"no claim of the book names {name!r} as its source")
            rows.append(self.row(str(name), str(place), checked_by))
        return [make_table("statements", self.columns, rows)]

    def row(self, name: str, place: str, checked_by: list[Record]) -> nodes.row:
        """Lay one statement out."""
        role = "prf:ref" if place.split("-")[0] not in ("fig", "tbl") else "numref"
        reference, _ = self.state.inline_text(f"{{{role}}}`{place}`", self.lineno)
        links = nodes.paragraph()
        for number, record in enumerate(checked_by):
            if number:
                links += nodes.Text(", ")
            links += self.link(record, record.claim.identifier)
        cells = (nodes.paragraph("", name), nodes.paragraph("", "", *reference), links)
        return nodes.row("", *(nodes.entry("", cell) for cell in cells))


def forget_page(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget a page that is about to be read again or is gone."""
    getattr(env, "samlib_claims_pages", set()).discard(docname)


def setup(app: Sphinx) -> None:
    """Register the directive and the collector."""
    app.add_directive("claims", Claims)
    app.add_directive("statements", Statements)
    # Jupyter's own display of an output is enough for a page; myst_nb warns of what it cannot show.
    # (A new list: Sphinx's own is shared by all builds of a process.)
    app.config.suppress_warnings = [*app.config.suppress_warnings, "mystnb.unknown_mime_type"]
    app.connect("env-get-outdated", collect)
    app.connect("env-purge-doc", forget_page)
