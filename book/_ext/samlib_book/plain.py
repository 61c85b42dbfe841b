"""From a finished page to plain Markdown, which every front end for notebooks shows.

What a page's nodes say is written in the Markdown that all front ends have in common: GitHub's,
with ``$…$`` for formulas and ``<details>`` for what is folded away. A node that has no translation
here is an error, so that nothing of a page gets lost unseen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

from docutils import nodes
from sphinx.errors import ExtensionError

LINK = re.compile(r'<a\s+href="(?P<address>[^"]*)">')
NEEDS_THE_SITE = re.compile(r"<script|data-samlib|<svg")
SPECIAL = re.compile(r"([\\`*\[\]<>$|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
LIKE_A_BLOCK = re.compile(r"^(\d+)?([.)#+=-])(?=\s|[#+=-]|$)")
FOLD = '<details style="margin: 0.5em 0">'  # a paragraph below it would touch it otherwise
GUESSED = "I have made my guess"


@dataclass(frozen=True)
class Page:
    """What the translation of a page has to be told.

    Attributes
    ----------
    link
        From a reference to its address; None if there is no place to go to: then its text stands
        alone.
    follow
        The same for an address that the page itself has.
    number
        From a kind ("table", "theorem", …) and an id to the number on the page, "2.1", or "".
    """

    link: Callable[[nodes.Element], str | None]
    follow: Callable[[str], str | None]
    number: Callable[[str, str], str]


# ------------------------------------------------------------------------------------- in a line
def inline(children: Iterable[nodes.Node], page: Page) -> str:
    """Return what stands in a line; a link that was written in HTML becomes one of Markdown."""
    result, before, address = "", "", None
    for node in children:
        if isinstance(node, nodes.raw):
            html = node.astext()
            if opening := LINK.fullmatch(html):
                result, before, address = "", result, page.follow(opening["address"])
            elif html == "</a>":
                result = before + (linked(result, address) if address else result)
            elif not NEEDS_THE_SITE.search(html):
                result += html
        else:
            result += in_line(node, page)
    return result


def in_line(node: nodes.Node, page: Page) -> str:
    """Return one node of a line."""
    if isinstance(node, nodes.Text):
        return SPECIAL.sub(r"\\\1", str(node).replace("\n", " "))
    if isinstance(node, nodes.math):
        return f"${formula(node)}$"
    if isinstance(node, nodes.literal):
        return code(node.astext())
    if not isinstance(node, nodes.Element) or isinstance(node, nodes.target):
        return ""
    if "bibtex-citation" in node["classes"]:
        return inline(in_round_brackets(node), page)
    text = inline(node.children, page)
    if isinstance(node, nodes.emphasis):
        return f"*{text}*"
    if isinstance(node, nodes.strong):
        return f"**{text}**"
    if isinstance(node, nodes.reference):
        place = page.link(node)
        return linked(text, place) if place else text
    if isinstance(node, nodes.inline):
        return text
    raise unknown(node)


def linked(text: str, address: str) -> str:
    """Return a link; spaces around its text stay outside of it."""
    inside = text.strip()
    at = text.index(inside)
    return f"{text[:at]}[{inside}]({address}){text[at + len(inside) :]}"


def in_round_brackets(citation: nodes.Element) -> list[nodes.Node]:
    """Return a citation in brackets that Markdown has no use for: (2023), (Wen et al., 2023)."""
    swap = str.maketrans("[]", "()")
    return [
        nodes.Text(str(node).translate(swap)) if isinstance(node, nodes.Text) else node
        for node in citation.children
    ]


def formula(node: nodes.Node) -> str:
    """Return a formula in one line, without signs that HTML or a table would take for theirs."""
    text = " ".join(node.astext().split())
    text = re.sub(r"\s*<\s*", r" \\lt ", text)
    return re.sub(r"\\\|", r"\\Vert ", text)


def code(text: str) -> str:
    """Return code of a line between enough backticks."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, room = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{room}{text}{room}{fence}"


def in_html(children: Iterable[nodes.Node]) -> str:
    """Return a line for the summary of a fold, where front ends take no Markdown."""
    tags = {"emphasis": "em", "strong": "strong", "literal": "code"}
    result = ""
    for node in children:
        if isinstance(node, nodes.math):
            result += f"${formula(node)}$"
        elif isinstance(node, nodes.Text):
            result += escape(str(node).replace("\n", " "), quote=False)
        elif isinstance(node, nodes.Element) and not isinstance(node, nodes.raw):
            text, tag = in_html(node.children), tags.get(node.tagname)
            result += f"<{tag}>{text}</{tag}>" if tag else text
    return result


# -------------------------------------------------------------------------------------- in blocks
def blocks(children: Iterable[nodes.Node], page: Page) -> str:
    """Return what stands one below the other, with an empty line between."""
    return "\n\n".join(text for node in children if (text := block(node, page)))


def block(node: nodes.Node, page: Page) -> str:
    """Return one block."""
    if not isinstance(node, nodes.Element):
        raise unknown(node)
    for kind, write in BLOCKS.items():
        if isinstance(node, kind):
            return write(node, page)
    if node.tagname == "dropdown_main":
        title, body = node.children
        return fold(in_html(title.children), blocks(body.children, page))  # type: ignore[attr-defined]
    if "proof" in node["classes"]:
        return statement(node, page)
    if "exercise" in node["classes"]:
        return framed(heading(node, "exercise", page), node.children[1:], page)
    raise unknown(node)


def unknown(node: nodes.Node) -> ExtensionError:
    """Return the error that a node of the page cannot be translated."""
    return ExtensionError(f"no plain Markdown is known for {node.tagname}: {node.astext()[:80]!r}")


def paragraph(node: nodes.Element, page: Page) -> str:
    """Return a paragraph in one line, which is nothing else by what it begins with."""
    return LIKE_A_BLOCK.sub(r"\1\\\2", inline(node.children, page).strip())


def display(node: nodes.Element, page: Page) -> str:
    """Return a formula on a line of its own, with its number.

    In one line, because some front ends take formulas out before they see quotes and lists.
    """
    ids = [name for name in node["ids"] if name.startswith("equation-")]
    number = page.number("displaymath", ids[0]) if ids else ""
    tag = rf" \tag{{{number}}}" if number else ""
    return f"$${formula(node)}{tag}$$"


def listed(node: nodes.Element, page: Page) -> str:
    """Return a list, with or without numbers."""
    first = node.get("start", 1) if isinstance(node, nodes.enumerated_list) else None
    items = []
    for i, item in enumerate(node.children):
        mark = "-" if first is None else f"{first + i}."
        text = blocks(item.children, page)
        items.append(f"{mark} " + text.replace("\n", "\n" + " " * (len(mark) + 1)))
    room = "\n\n" if any("\n" in item for item in items) else "\n"
    return room.join(re.sub(r"(?m)^ +$", "", item) for item in items)


def table(node: nodes.Element, page: Page) -> str:
    """Return a table below its title."""
    rows = [[in_a_table(entry, page) for entry in row.children] for row in node.findall(nodes.row)]
    rule = ["---"] * len(rows[0])
    lines = ["| " + " | ".join(cells) + " |" for cells in (rows[0], rule, *rows[1:])]
    titles = [child for child in node.children if isinstance(child, nodes.title)]
    above = ""
    if titles:
        number = page.number("table", node["ids"][0]) if node["ids"] else ""
        above = f"**{f'Table {number}'.strip()}.** {inline(titles[0].children, page)}\n\n"
    return above + "\n".join(lines)


def in_a_table(entry: nodes.Element, page: Page) -> str:
    """Return a cell, in which no stroke of a formula ends it."""
    text = "<br>".join(block(child, page) for child in entry.children)
    return re.sub(r"\$[^$]+\$", lambda found: found[0].replace("|", r"\vert "), text)


def listing(node: nodes.Element, page: Page) -> str:
    """Return code in a fence."""
    language = node.get("language", "")
    return f"```{'' if language == 'none' else language}\n{node.astext().rstrip()}\n```"


def group(node: nodes.Element, page: Page) -> str:
    """Return what a box holds, or a guess."""
    return guess(node, page) if "guess" in node["classes"] else blocks(node.children, page)


def guess(node: nodes.Element, page: Page) -> str:
    """Return a question, choices that say whether they are right, and the answer, all folded."""
    before, choices, after = [], [], []
    for child in node.children:
        if "guess-choices" in child.get("classes", ()):  # type: ignore[attr-defined]
            choices = list(child.children)
        elif not isinstance(child, nodes.raw):
            (after if choices else before).append(child)
    right = next(i for i, choice in enumerate(choices, 1) if "guess-right" in choice["classes"])
    folds = []
    for i, choice in enumerate(choices, 1):
        said = (
            f"You guessed {i}, and that is right."
            if i == right
            else f"You guessed {i}. It is {right}."
        )
        folds.append(fold(f"{i}. {in_html(choice.children)}", said))
    return "\n\n".join([blocks(before, page), *folds, fold(GUESSED, blocks(after, page))])


def statement(node: nodes.Element, page: Page) -> str:
    """Return a theorem, a definition and the like."""
    return framed(heading(node, node["countertype"], page), node.children[1:], page)


def heading(node: nodes.Element, kind: str, page: Page) -> str:
    """Return the name of a numbered block: Theorem 4.1 (Danskin)."""
    name = node.get("realtype", kind).capitalize()
    title = inline(node.children[0].children, page).strip()  # type: ignore[attr-defined]
    return " ".join(part for part in (name, page.number(kind, node["ids"][0]), title) if part)


def remark(node: nodes.Element, page: Page) -> str:
    """Return a note, a warning and the like."""
    if node.children and isinstance(node.children[0], nodes.title):
        return framed(inline(node.children[0].children, page), node.children[1:], page)
    return framed(node.tagname.capitalize(), node.children, page)


def framed(title: str, children: Iterable[nodes.Node], page: Page) -> str:
    """Return blocks as a quotation that begins with a title."""
    text = f"**{title}**\n\n{blocks(children, page)}"
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def fold(summary: str, body: str) -> str:
    """Return what is opened by a press; the empty lines make front ends see Markdown inside."""
    return f"{FOLD}\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def raw(node: nodes.Element, page: Page) -> str:
    """Return HTML as it is, or nothing of what only the site's scripts bring to life."""
    return "" if NEEDS_THE_SITE.search(node.astext()) else node.astext().strip()


def nothing(node: nodes.Element, page: Page) -> str:
    """Return nothing for what is not seen."""
    return ""


BLOCKS: dict[type[nodes.Element], Callable[[nodes.Element, Page], str]] = {
    nodes.paragraph: paragraph,
    nodes.math_block: display,
    nodes.bullet_list: listed,
    nodes.enumerated_list: listed,
    nodes.table: table,
    nodes.literal_block: listing,
    nodes.block_quote: lambda node, page: "\n".join(
        f"> {line}".rstrip() for line in blocks(node.children, page).splitlines()
    ),
    nodes.container: group,
    nodes.raw: raw,
    nodes.admonition: remark,
    nodes.note: remark,
    nodes.warning: remark,
    nodes.tip: remark,
    nodes.hint: remark,
    nodes.important: remark,
    nodes.topic: remark,
    nodes.sidebar: remark,
    nodes.target: nothing,
    nodes.comment: nothing,
    nodes.section: lambda node, page: blocks(node.children, page),
}
