"""Nodes of a page as plain Markdown, and where the references of a notebook lead."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from docutils import nodes
from markdown_it import MarkdownIt
from sphinx.errors import ExtensionError

Part = Callable[[str], ModuleType]
SITE = "https://example.org/sam"
NOTEBOOKS = {"01_one", "02_two"}


@pytest.fixture
def page(part: Part) -> Any:
    """What a translation is told: addresses as they are, and one number for all."""
    return part("plain").Page(lambda node: node.get("refuri"), lambda url: url, lambda *_: "1.2")


def paragraph(*children: nodes.Node | str) -> nodes.paragraph:
    texts = [nodes.Text(child) if isinstance(child, str) else child for child in children]
    return nodes.paragraph("", "", *texts)


@pytest.mark.parametrize(
    "text",
    ["v* and w*", "a_b _c_", "f[0](x)", "<b>", "1. one", "2) two", "- three", "# four", "+ five",
     "costs $5 and $6", "a `tick`", "a|b", "\\alpha", "~~no~~", "> said", "=== is", "a & b"],
)  # fmt: skip
def test_text_stays_text(part: Part, page: Any, text: str) -> None:
    markdown = part("plain").block(paragraph(text), page)
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    unescaped = html.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert unescaped == f"<p>{text}</p>\n"
    # a dollar that is no formula's is escaped, as is a formula's neighbour in a table
    assert "$" not in markdown.replace("\\$", "")


def test_a_paragraph_is_one_line_with_the_marks_of_markdown(part: Part, page: Any) -> None:
    node = paragraph(
        "one\ntwo ",
        nodes.emphasis("", "three"),
        " ",
        nodes.strong("", "four"),
        " ",
        nodes.literal("", "a`b"),
        " ",
        nodes.math("", "a<b\n\\|c\\|"),
    )
    assert part("plain").block(node, page) == (
        r"one two *three* **four** `` a`b `` $a \lt b \Vert c\Vert $"
    )


def test_a_link_that_sets_a_figure_leads_to_the_page_or_is_text(part: Part, page: Any) -> None:
    link = [nodes.raw("", '<a href="#fig:rho=1">', format="html"), "here", nodes.raw("", "</a>")]
    plain = part("plain")
    assert plain.block(paragraph("Set it ", *link, "."), page) == "Set it [here](#fig:rho=1)."
    nowhere = plain.Page(lambda node: None, lambda url: None, lambda *_: "")
    assert plain.block(paragraph("Set it ", *link, "."), nowhere) == "Set it here."


def test_a_display_is_one_line_with_its_number(part: Part, page: Any) -> None:
    node = nodes.math_block("", "\na\n&< b\n", ids=["equation-e"])
    assert part("plain").block(node, page) == r"$$a & \lt b \tag{1.2}$$"


def test_a_stroke_in_a_formula_ends_no_cell_of_a_table(part: Part, page: Any) -> None:
    entries = [nodes.entry("", paragraph(nodes.math("", "|x|"))) for _ in range(2)]
    rows = [nodes.row("", *(entry.deepcopy() for entry in entries)) for _ in range(2)]
    table = nodes.table("", *rows)
    table.insert(0, nodes.title("", "Strokes"))
    table["ids"] = ["t"]
    lines = part("plain").block(table, page).splitlines()
    assert lines[0] == "**Table 1.2.** Strokes"
    assert lines[2:] == [
        r"| $\vert x\vert $ | $\vert x\vert $ |",
        "| --- | --- |",
        r"| $\vert x\vert $ | $\vert x\vert $ |",
    ]


def test_lists_hold_blocks_and_lists(part: Part, page: Any) -> None:
    inner = nodes.bullet_list("", nodes.list_item("", paragraph("in")))
    items = [
        nodes.list_item("", paragraph("one"), inner),
        nodes.list_item("", paragraph("two"), nodes.math_block("", "x")),
    ]
    markdown = part("plain").block(nodes.enumerated_list("", *items), page)
    assert markdown == "1. one\n\n   - in\n\n2. two\n\n   $$x$$"


def test_an_unknown_node_stops_the_build(part: Part, page: Any) -> None:
    for node in (nodes.footnote("", paragraph("a note")), paragraph(nodes.footnote_reference())):
        with pytest.raises(ExtensionError, match="no plain Markdown is known for footnote"):
            part("plain").block(node, page)


def test_html_stays_unless_it_needs_the_site(part: Part, page: Any) -> None:
    block = part("plain").block
    assert block(nodes.raw("", "<hr>", format="html"), page) == "<hr>"
    for html in ("<script>1</script>", '<div data-samlib-widget="A"></div>', "<svg></svg>"):
        assert block(nodes.raw("", html, format="html"), page) == ""


@pytest.mark.parametrize(
    ("address", "online", "alone"),
    [
        ("02_two.html#sec", f"{SITE}/chapters/02_two.html#sec", "02_two.ipynb"),
        ("../book/glossary.html#t", f"{SITE}/book/glossary.html#t", None),
        ("#alignment:rho=1", f"{SITE}/chapters/01_one.html#alignment:rho=1", None),
        ("https://example.com/a#b", "https://example.com/a#b", "https://example.com/a#b"),
    ],
)
def test_what_stands_elsewhere_is_online_or_the_next_notebook(
    part: Part, address: str, online: str, alone: str | None
) -> None:
    elsewhere = part("references").elsewhere
    assert elsewhere(address, "chapters/01_one.html", SITE, NOTEBOOKS) == online
    assert elsewhere(address, "chapters/01_one.html", None, NOTEBOOKS) == alone


def test_works_stand_under_their_first_author_and_lead_to_where_they_can_be_read(
    part: Part,
) -> None:
    entries = [
        "Zoe A. Adams and B. C. Young. Second? 2020. arXiv:2001.00001.",
        "Andreas Maurer. Third. 2004. arXiv:cs/0411099.",
        "Matthew D. Abel. First_one. 2001.",
        "Matthew D. Abel. First_one. 2001.",
    ]
    cited = [nodes.reference(refuri="bibliography.html#id1", reftitle=text) for text in entries]
    tree = SimpleNamespace(findall=lambda kind: cited)
    assert part("references").works(tree) == (
        "## References\n\n"
        "- Matthew D. Abel. First\\_one. 2001.\n"
        "- Zoe A. Adams and B. C. Young. Second? 2020. "
        "[arXiv:2001.00001](https://arxiv.org/abs/2001.00001).\n"
        "- Andreas Maurer. Third. 2004. [arXiv:cs/0411099](https://arxiv.org/abs/cs/0411099)."
    )
