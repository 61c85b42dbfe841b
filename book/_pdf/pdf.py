"""Print the built book into one PDF: `make pdf`.

Each page is printed by Chromium as it stands on the site, figures as their stills and solutions
open, with page numbers that run through the whole; then the prints are joined, with a table of
contents, an outline, and links that lead from chapter to chapter inside the file.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, Page, Route, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, TextStringObject

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tests.browser import FLAGS, find_browser  # noqa: E402

SITE = (ROOT / "book/_build/html").resolve()
FIRST = "book/index.html"
TITLE = "How SAM minimizes sharpness"
NEXT = re.compile(r'<link rel="next"[^>]*href="([^"]+)"')
HEADING = re.compile(r"<h1>(.*?)<a", re.DOTALL)

# The page as it is printed: letters and room for paper, numbers that go on from the page before.
PAPER = """
@page {{ size: A4; margin: 22mm 20mm 20mm;
  @bottom-center {{ content: counter(page); font: 9pt "Book Sans"; color: #59616b; }} }}
html {{ counter-reset: page {pages_before}; }}
"""

CONTENTS = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="_static/book.css">
<style>
  @page {{ size: A4; margin: 22mm 20mm 20mm; }}
  body {{ font: 11pt/1.5 "Book Serif"; color: #23272c; background: #fff; }}
  h1 {{ font: 600 38pt/1.1 "Book Serif"; margin: 60mm 0 8mm; width: 130mm; }}
  p {{ font: 13pt/1.5 "Book Sans"; color: #59616b; width: 120mm; }}
  ol {{ break-before: page; list-style: none; padding: 0; font: 11pt/2 "Book Sans"; }}
  li {{ display: flex; justify-content: space-between; border-bottom: 1px solid #e2ddd2; }}
  li a {{ color: inherit; text-decoration: none; }}
</style>
<h1>{title}</h1>
<p>An interactive textbook on sharpness-aware minimization. On paper its figures stand still; on a
screen every one of them can be played with.</p>
<ol>{entries}</ol></html>
"""

# Resolves when all that is on the page has come: letters, and pictures far below.
READY = """async () => {
  document.querySelectorAll("img").forEach((image) => { image.loading = "eager"; });
  document.querySelectorAll("details:not(.hide)").forEach((fold) => { fold.open = true; });
  document.querySelectorAll("button.toggle-button-hidden").forEach((button) => button.click());
  await document.fonts.ready;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => null)));
}"""


class Print(NamedTuple):
    """A page of the site on paper: its path, its title, its sheets, and the number of the first."""

    path: str
    title: str
    sheets: PdfReader
    number: int


def reading_order() -> list[str]:
    """Return the site's pages in the order of the book."""
    path, order = FIRST, [FIRST]
    while found := NEXT.search((SITE / path).read_text(encoding="utf8")):
        path = (SITE / path).parent.joinpath(found[1]).resolve().relative_to(SITE).as_posix()
        order.append(path)
    return order


def title_of(path: str) -> str:
    """Return a page's heading as plain text."""
    found = HEADING.search((SITE / path).read_text(encoding="utf8"))
    return re.sub(r"<[^>]+>", "", found[1]).strip() if found else path


def open_page(browser: Browser) -> Page:
    """Return a page that shows figures as their stills: it is refused the script of the figures."""
    page = browser.new_page(color_scheme="light", reduced_motion="reduce")

    def refuse(route: Route) -> None:
        route.fulfill(body="", content_type="text/javascript")

    page.route("**/samlib-widgets.js*", refuse)
    page.emulate_media(media="print")
    return page


def print_page(page: Page, path: str, pages_before: int) -> PdfReader:
    """Print a page of the site."""
    page.goto((SITE / path).as_uri())
    page.evaluate(READY)
    page.add_style_tag(content=PAPER.format(pages_before=pages_before))
    return PdfReader(
        io.BytesIO(page.pdf(prefer_css_page_size=True, print_background=True, tagged=True))
    )


def print_contents(page: Page, prints: list[Print]) -> PdfReader:
    """Print the title and the table of contents."""
    entries = "".join(
        f'<li><a href="{(SITE / p.path).as_uri()}">{p.title}</a> {p.number}</li>' for p in prints
    )
    html = CONTENTS.format(title=TITLE, entries=entries)
    # as if it stood in the site, for its styles and links; two prints may run side by side
    address = (SITE / "contents-of-the-pdf.html").as_uri()
    page.route(address, lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(address)
    page.evaluate(READY)
    return PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True, tagged=True)))


def destinations(sheets: PdfReader) -> dict[str, int]:
    """Return, by the name of a place on a page, the sheet that holds it."""
    return {
        name: number
        for name, place in sheets.named_destinations.items()
        if (number := sheets.get_destination_page_number(place)) is not None
    }


def join(contents: PdfReader, prints: list[Print]) -> PdfWriter:
    """Join the prints into one file with an outline and links inside it."""
    book = PdfWriter()
    book.add_metadata({"/Title": TITLE, "/Author": "the samlib authors"})
    for sheet in contents.pages:
        book.add_page(sheet)
    starts, places = {}, {}
    for part in prints:
        starts[part.path] = len(book.pages)
        places[part.path] = destinations(part.sheets)
        for sheet in part.sheets.pages:
            book.add_page(sheet)
        book.add_outline_item(title=part.title, page_number=starts[part.path])
    for sheet in book.pages:
        for annotation in sheet.get("/Annots", ArrayObject()):
            lead_inside(book, annotation.get_object(), starts, places)
    return book


def lead_inside(
    book: PdfWriter,
    annotation: DictionaryObject,
    starts: dict[str, int],
    places: dict[str, dict[str, int]],
) -> None:
    """Have a link to a page of the site lead to its place in the file."""
    action = annotation.get("/A")
    address = action.get_object().get("/URI") if action is not None else None
    parts = urlsplit(str(address or ""))
    if parts.scheme != "file":
        return
    path = Path(unquote(parts.path))
    name = path.relative_to(SITE).as_posix() if path.is_relative_to(SITE) else ""
    if name not in starts:  # a file of the site that is no page of the book
        action.get_object()[NameObject("/URI")] = TextStringObject("")
        return
    sheet = starts[name] + places[name].get(unquote(parts.fragment), 0)
    target = book.pages[sheet].indirect_reference
    del annotation["/A"]
    annotation[NameObject("/Dest")] = ArrayObject(
        [target, NameObject("/XYZ"), NumberObject(0), NumberObject(842), NumberObject(0)]
    )


def main() -> None:
    """Write the PDF to the path given, or beside the site."""
    out = (
        Path(sys.argv[1]) if len(sys.argv) > 1 else SITE.parent / "how-sam-minimizes-sharpness.pdf"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(FLAGS))
        page = open_page(browser)
        prints: list[Print] = []
        for path in reading_order():
            before = sum(len(p.sheets.pages) for p in prints)
            prints.append(Print(path, title_of(path), print_page(page, path, before), before + 1))
            print(f"{path}: {len(prints[-1].sheets.pages)} pages")
        book = join(print_contents(page, prints), prints)
    with out.open("wb") as file:
        book.write(file)
    print(f"The book is in {out}")


if __name__ == "__main__":
    main()
