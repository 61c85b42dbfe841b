"""The claims page: every statement that a chapter checked, with what was predicted and measured.

`samlib.claims.check` leaves a record of each claim in its notebook's outputs. The records are
collected from the notebooks each time the book is built. A claim that does not hold, a record that
cannot be read, and an identifier used twice each stop the build.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from samlib.claims import MIME_TYPE, Claim

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


class Claims(SphinxDirective):
    """A table of all claims, one section of rows for each chapter."""

    def run(self) -> list[nodes.Node]:
        """Return the table, or a sentence that says there is nothing to list yet."""
        pages: set[str] = getattr(self.env, "samlib_claims_pages", set())
        self.env.samlib_claims_pages = pages | {self.env.docname}  # type: ignore[attr-defined]
        records: list[Record] = getattr(self.env, "samlib_claims", [])
        if not records:
            return [nodes.paragraph("", "No chapter of the book makes a claim yet.")]
        chapters = len({record.document for record in records})
        counted = f"{count(len(records), 'claim')} in {count(chapters, 'chapter')}."
        return [nodes.paragraph("", counted, classes=["claims-count"]), self.table(records)]

    def table(self, records: list[Record]) -> nodes.table:
        """Lay the records out under their headings."""
        headings = ("Statement", "Predicted", "Measured", "Tolerance", "Where")
        table = nodes.table(classes=["claims", "colwidths-given"])
        group = nodes.tgroup(cols=len(headings))
        group += [nodes.colspec(colwidth=width) for width in (40, 19, 19, 14, 8)]
        head = nodes.row()
        head += [nodes.entry("", nodes.paragraph("", heading)) for heading in headings]
        body = nodes.tbody()
        body += [self.row(record) for record in records]
        group += [nodes.thead("", head), body]
        table += group
        return table

    def row(self, record: Record) -> nodes.row:
        """Lay one record out."""
        statement = nodes.entry("", nodes.paragraph("", record.claim.statement))
        statement += nodes.paragraph("", record.claim.source, classes=["claim-source"])
        link = nodes.reference("", "see it", internal=True, refuri=self.link(record))
        link["reftitle"] = f"{record.claim.identifier} in its chapter"
        row = nodes.row("", statement)
        for value in (record.claim.predicted, record.claim.measured, record.claim.tolerance):
            row += nodes.entry("", nodes.paragraph("", value))
        row += nodes.entry("", nodes.paragraph("", "", link))
        return row

    def link(self, record: Record) -> str:
        """Return the address of the claim's place, seen from this page."""
        builder = self.env.app.builder
        page = builder.get_relative_uri(self.env.docname, record.document)
        return f"{page}#{record.anchor}"


def forget_page(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget a page that is about to be read again or is gone."""
    getattr(env, "samlib_claims_pages", set()).discard(docname)


def setup(app: Sphinx) -> None:
    """Register the directive and the collector."""
    app.add_directive("claims", Claims)
    # Jupyter's own display of an output is enough for a page; myst_nb warns of what it cannot show.
    app.config.suppress_warnings.append("mystnb.unknown_mime_type")
    app.connect("env-get-outdated", collect)
    app.connect("env-purge-doc", forget_page)
