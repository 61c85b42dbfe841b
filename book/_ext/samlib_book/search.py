"""Theorems and claims in the search, each with its own address.

Sphinx's search knows the objects of each domain by name, beside the words of each page. This domain
offers it what the book numbers: "Theorem 5.1: A quadratic, Theorem 4.8 of the paper".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains import Domain, ObjType
from sphinx.environment import BuildEnvironment

KINDS = (
    "theorem", "lemma", "corollary", "definition", "assumption", "example", "proposition", "remark",
)  # fmt: skip


class BookDomain(Domain):
    """The book's statements, collected from its pages, and its claims, from the notebooks."""

    name = "book"
    label = "the book"
    object_types: ClassVar = {kind: ObjType(kind) for kind in (*KINDS, "claim")}
    initial_data: ClassVar = {"statements": {}}

    def note(self, docname: str, label: str, kind: str, title: str) -> None:
        """Remember a statement."""
        self.data["statements"][label] = (docname, kind, title)

    def clear_doc(self, docname: str) -> None:
        """Forget the statements of a page that is read again or gone."""
        kept = self.data["statements"].items()
        self.data["statements"] = {name: found for name, found in kept if found[0] != docname}

    def merge_domaindata(self, docnames: Set[str], otherdata: dict[str, Any]) -> None:
        """Take over what another process has read."""
        for label, found in otherdata["statements"].items():
            if found[0] in docnames:
                self.data["statements"][label] = found

    def resolve_any_xref(self, *_: Any) -> list[tuple[str, nodes.reference]]:
        """Resolve nothing: links to statements are those of the proofs' own domain."""
        return []

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """Return each statement and claim: its name, how it is shown, kind, page, anchor, rank.

        The name must not be the anchor: Sphinx would leave the anchor out and put the shown name
        in its place.
        """
        for label, (docname, kind, title) in self.data["statements"].items():
            numbers = self.env.toc_fignumbers.get(docname, {}).get(kind, {}).get(label, ())
            number = " " + ".".join(map(str, numbers)) if numbers else ""
            shown = f"{kind.capitalize()}{number}: {title}"
            yield f"book.{label}", shown, kind, docname, label, 0
        for record in getattr(self.env, "samlib_claims", ()):
            claim = record.claim
            shown = f"Claim {claim.identifier}: {claim.statement}"
            yield f"book.{record.anchor}", shown, "claim", record.document, record.anchor, 1


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Note the statements of a page."""
    domain = app.env.get_domain(BookDomain.name)
    assert isinstance(domain, BookDomain)
    for label, kind, title in statements_in(doctree):
        domain.note(app.env.docname, label, kind, title)


def statements_in(doctree: nodes.document) -> Iterable[tuple[str, str, str]]:
    """Return label, kind and title of each statement of a page, formulas without their dollars."""
    for node in doctree.findall(nodes.Element):
        if node.get("realtype") in KINDS and node.get("label"):
            title = str(node.get("title", "")).strip()
            if title.startswith("(") and title.endswith(")"):
                title = title[1:-1]
            yield node["label"], node["realtype"], title.replace("$", "")


def note_changes(app: Sphinx, env: BuildEnvironment, changed: list[str]) -> None:
    """Remember whether this build reads any page, and so writes the index anew."""
    env.samlib_reads = bool(changed)  # type: ignore[attr-defined]


def pages_with_terms(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Return the pages that define terms or objects, to be written with whatever has changed.

    The new index would hold the terms of the pages written with it, and forget those of the others.
    """
    if not getattr(env, "samlib_reads", False):
        return []
    return [page for page, entries in env.domaindata["index"]["entries"].items() if entries]


def setup(app: Sphinx) -> None:
    """Register the domain, and keep the index of the search whole."""
    app.add_domain(BookDomain)
    app.connect("doctree-read", collect)
    app.connect("env-before-read-docs", note_changes)
    app.connect("env-updated", pages_with_terms)
