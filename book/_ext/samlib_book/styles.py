"""The styles of the theme and its extensions, without the rules that no page can use.

A rule is for elements of certain classes. Where no page and no script names one of them, there are
no such elements. That is most of a theme: it knows the parts of every site.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import tinycss2

OWN = ("book.css", "figures.css", "embed.css", "samlib-widgets.css")
NAME = re.compile(r"[a-z_][\w-]*")
RULES_INSIDE = ("media", "supports", "layer")

# Bootstrap puts the names of these together only when it uses them.
PUT_TOGETHER = "bs-"


def names_in(texts: Iterable[str]) -> set[str]:
    """Return all words of pages and scripts that may be the name of an element or a class."""
    return {name for text in texts for name in NAME.findall(text.lower())}


def without_unused(style: str, names: set[str]) -> str:
    """Return a style sheet without the rules that need a name which is not among these."""
    rules = tinycss2.parse_stylesheet(style, skip_comments=True, skip_whitespace=True)
    return "\n".join(filter(None, (shortened(rule, names) for rule in rules)))


def shortened(rule: Any, names: set[str]) -> str:
    """Return what is left of a rule: of its selectors, or of the rules inside it."""
    if rule.type == "qualified-rule":
        kept = [part for part in selectors(rule.prelude) if is_usable(part, names)]
        prelude = ",".join(tinycss2.serialize(part).strip() for part in kept)
        return f"{prelude}{{{tinycss2.serialize(rule.content).strip()}}}" if kept else ""
    if rule.type == "at-rule" and rule.at_keyword in RULES_INSIDE and rule.content is not None:
        inside = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
        left = "\n".join(filter(None, (shortened(each, names) for each in inside)))
        prelude = tinycss2.serialize(rule.prelude).strip()
        return f"@{rule.at_keyword} {prelude}{{{left}}}" if left else ""
    return str(rule.serialize())


def selectors(prelude: list[Any]) -> Iterable[list[Any]]:
    """Return the selectors that a rule lists, each with its tokens."""
    part: list[Any] = []
    for token in prelude:
        if token == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def is_usable(selector: list[Any], names: set[str]) -> bool:
    """Say whether all elements, classes and ids that a selector names are among the names.

    What stands in brackets, as in ``:not(…)`` and ``[…]``, does not count.
    """
    needed = [
        token.value.lower()
        for before, token in pairwise([None, *selector])
        if token.type == "hash" or (token.type == "ident" and before != ":")
    ]
    return all(
        name in names or name.startswith(PUT_TOGETHER) or not NAME.fullmatch(name)
        for name in needed
    )


def shorten(static: Path, pages: Iterable[str]) -> None:
    """Shorten the style sheets in a site's folder of static files, but for the book's own."""
    scripts = (path.read_text(encoding="utf8") for path in static.rglob("*.js"))
    names = names_in([*pages, *scripts])
    for path in static.rglob("*.css"):
        if path.name not in OWN:
            style = path.read_text(encoding="utf8")
            path.write_text(without_unused(style, names), encoding="utf8")
