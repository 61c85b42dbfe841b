"""Where the references of a plain notebook lead.

A page is built as part of a site, a notebook is read alone. What stands in the same chapter is a
section of the same notebook. What stands elsewhere is on the site, if the book knows its address
(``BOOK_URL``): a link to there works from a notebook that was downloaded by itself, too. Without
an address another chapter is the notebook beside this one, and other pages are not linked.
Works that are cited are listed at the end, too, and without an address citations lead there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from posixpath import join, normpath
from urllib.parse import quote

from docutils import nodes

BIBLIOGRAPHY = "bibliography.html"
WORKS = "References"
# Headings that front ends make the same anchor of: letters, digits and what stands between words.
PLAIN = re.compile(r"[\w ,:?'’“”–-]+")
ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})")
FIRST_AUTHOR = re.compile(r"(.+?)(?=, | and |(?<! [A-Z])\. )")


def sections_of(page: nodes.Element) -> dict[str, str]:
    """Return the heading that each id of a page stands under."""
    found = {}
    for node in page.findall(nodes.Element):
        for name in node.get("ids", ()):
            section: nodes.Element | None = node
            while section is not None and not is_section(section):
                section = section.parent
            if section is not None:
                found[name] = section.next_node(nodes.title).astext()
    return found


def is_section(node: nodes.Element) -> bool:
    """Return whether a node is a section with a heading, and not the inside of a theorem."""
    return isinstance(node, nodes.section) and isinstance(node.children[0], nodes.title)


def anchor(heading: str) -> str | None:
    """Return the address of a heading inside its notebook; None where front ends do not agree."""
    return f"#{quote(heading.replace(' ', '-'))}" if PLAIN.fullmatch(heading) else None


def within(sections: Mapping[str, str], target: str, node: nodes.Node) -> str | None:
    """Return the address of the section that holds a target, unless the reader is there already."""
    here: nodes.Node | None = node
    while here is not None and not (isinstance(here, nodes.Element) and is_section(here)):
        here = here.parent
    heading = sections.get(target)
    if heading is None or (here is not None and here.next_node(nodes.title).astext() == heading):
        return None
    return anchor(heading)


def elsewhere(address: str, page: str, site: str | None, notebooks: set[str]) -> str | None:
    """Return where an address of a page leads from its notebook.

    Parameters
    ----------
    address
        As it stands in the page: absolute, or relative to the page.
    page
        The page's own address in the site.
    site
        The site's address, without a slash at its end, or None.
    notebooks
        The names of the notebooks that stand in one folder with this one, without their endings.
    """
    if re.match(r"[a-z]+:", address):
        return address
    path, mark, fragment = address.partition("#")
    target = normpath(join(str(PurePosixPath(page).parent), path)) if path else page
    if site:
        return f"{site}/{target}{mark}{fragment}"
    name = PurePosixPath(target).stem
    return f"{name}.ipynb" if name in notebooks and target != page else None


def links(
    page: nodes.Element, address: str, site: str | None, notebooks: set[str]
) -> tuple[Callable[[nodes.Element], str | None], Callable[[str], str | None]]:
    """Return what leads from the references of a page to their addresses in its notebook.

    The first is for references that the book resolved, the second for addresses in its text.
    """
    sections = sections_of(page)

    def follow(target: str) -> str | None:
        return elsewhere(target, address, site, notebooks)

    def link(node: nodes.Element) -> tuple[str, str] | None:
        uri = node.get("refuri", "")
        if node.get("refid") or uri.startswith("#"):
            return within(sections, node.get("refid") or uri[1:], node)
        return follow(uri) or (f"#{WORKS}" if is_citation(node) else None)

    return link, follow


def is_citation(node: nodes.Element) -> bool:
    """Return whether a reference leads to the bibliography."""
    return BIBLIOGRAPHY in node.get("refuri", "") and "reftitle" in node


def works(page: nodes.Element) -> str:
    """Return the list of all that a page cites, in Markdown; empty if it cites nothing."""
    found = {node["reftitle"] for node in page.findall(nodes.reference) if is_citation(node)}
    if not found:
        return ""
    return f"## {WORKS}\n\n" + "\n".join(f"- {work(text)}" for text in sorted(found, key=surname))


def surname(text: str) -> tuple[str, str]:
    """Return what a work stands under in a list: the first author's last name, then the rest."""
    first = FIRST_AUTHOR.match(text)
    return (first[1].split()[-1] if first else "", text)


def work(text: str) -> str:
    """Return a work with a link to where it can be read, if its entry says so."""
    text = re.sub(r"([\\`*_\[\]<>$])", r"\\\1", text)
    return ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
