"""The pages that show one figure inside other pages: of another site, or in a folder."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from tests.browser import DRAWN
from tests.sharing import copied

from .conftest import QuietHandler, Visit, pages_with_figures, serve, watch
from .inspection import AXE
from .test_weight import ZippedFiles, bytes_transferred

Part = Callable[[str], ModuleType]

SOURCE = "chapters/figures.html"
PLACES = re.compile(r'data-samlib-widget="(\w+)" id="([^"]+)"(?: [^>]*)? data-embed="([^"]+)"')
CLIPBOARD = ["clipboard-read", "clipboard-write"]


def kinds(book: Path) -> dict[str, str]:
    """The page of each kind of figure."""
    found = PLACES.findall((book / SOURCE).read_text("utf8"))
    return {kind: place.removeprefix("../") for kind, _, place in found}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Another site: its folder, and its address."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for address in serve(functools.partial(QuietHandler, directory=str(folder))):
        yield folder, address


def framing(code: str, more: str = "") -> str:
    """A page of somebody else's with this code in it."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Elsewhere</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">{more}'
        f'</head><body style="margin: 0"><p>Look:</p>{code}</body></html>'
    )


def snippet(page: Page) -> str:
    """The code that the first figure of a page gives."""
    return copied(page, "embed")


def alive(page: Page) -> FrameLocator:
    """The figure inside a page, when it is drawn."""
    frame = page.frame_locator("iframe")
    expect(frame.locator(".samlib-readout")).not_to_be_empty()
    page.frames[1].evaluate(DRAWN)
    return frame


# What of the figure does not fit: a bar to scroll by, something cut off, a picture too small.
FIT = """() => {
  const body = document.querySelector(".samlib-body");
  const area = document.querySelector(".samlib-area").getBoundingClientRect();
  const root = document.documentElement, footer = document.querySelector("footer");
  return {
    across: root.scrollWidth - innerWidth, down: root.scrollHeight - innerHeight,
    cut: body.scrollHeight - body.clientHeight,
    footer: Math.max(footer.getBoundingClientRect().bottom - innerHeight, 0),
    small: area.width < 300 || area.height < 150,
  };
}"""
FITS = {"across": 0, "down": 0, "cut": 0, "footer": 0, "small": False}


def test_every_kind_of_figure_has_a_page(book: Path) -> None:
    html = (book / SOURCE).read_text("utf8")
    every = set(re.findall(r'data-samlib-widget="(\w+)"', html))
    assert set(kinds(book)) == every
    assert len(every) >= 8
    names = {path.name for path in (book / "figures").iterdir()}
    assert {f"figures/{name}" for name in names} == set(kinds(book).values())


def test_a_page_of_one_figure_lets_in_no_stranger(book: Path) -> None:
    whole = (book / SOURCE).read_text("utf8")
    policy = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')
    digests = re.compile(r" 'sha256-[^']*'")
    (usual,) = policy.findall(whole)
    for page in kinds(book).values():
        html = (book / page).read_text("utf8")
        (own,) = policy.findall(html)
        # It has no script inside it, and otherwise the same.
        assert own == digests.sub("", usual)
        assert "http://" not in html
        assert "https://" not in html
        for name in re.findall(r'(?:src|href)="([^"#]+)', html):
            assert (book / "figures" / name).is_file(), name


@pytest.mark.parametrize("width", [360, 800, 1200])
def test_a_figure_works_inside_another_site_and_nothing_scrolls(
    book: Path, site: str, browser: Browser, elsewhere: tuple[Path, str], width: int
) -> None:
    folder, address = elsewhere
    page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    complaints = watch(page, site)
    style = 'style="width:100%;aspect-ratio:4/3;min-height:640px;max-height:720px;border:0"'
    for kind, place in kinds(book).items():
        code = f'<iframe src="{site}/{place}" title="A figure" {style}></iframe>'
        (folder / "index.html").write_text(framing(code), "utf8")
        page.goto(address)
        figure = alive(page)
        assert page.frames[1].evaluate(FIT) == FITS, kind
        assert figure.locator(".samlib-area").first.is_visible()
        if kind == "Explore":  # which has no slider but those that were measured
            continue
        before = figure.locator(".samlib-readout").inner_text()
        moves = figure.locator("input[type=range][data-control]:visible")
        if moves.count():
            moves.last.press("PageDown")
        else:  # its one control is a choice
            figure.locator("input[type=radio]:not(:checked)").first.press(" ")
        page.frames[1].evaluate(DRAWN)
        assert figure.locator(".samlib-readout").inner_text() != before, kind
        assert page.frames[1].evaluate(FIT) == FITS, kind
    page.close()
    assert [each for each in complaints if f"asks for {address}/" not in each] == []


def test_the_code_that_is_copied_shows_the_state_elsewhere(
    visit: Visit, browser: Browser, elsewhere: tuple[Path, str]
) -> None:
    page = visit("book/index.html", permissions=CLIPBOARD)
    figure = page.locator("[data-samlib-widget].samlib-live").first
    figure.locator("[data-field='rho']").fill("0.123")
    figure.locator("[data-field='rho']").press("Enter")
    code = snippet(page)
    sentence = figure.locator(".samlib-readout").inner_text()
    assert "aspect-ratio" in code
    folder, address = elsewhere
    (folder / "index.html").write_text(framing(code), "utf8")
    other = browser.new_page(viewport={"width": 800, "height": 900})
    other.goto(address)
    there = alive(other)
    expect(there.locator("[data-field='rho']")).to_have_value("0.123")
    expect(there.locator(".samlib-readout")).to_have_text(sentence)
    assert other.frames[1].evaluate(FIT) == FITS
    other.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_as_dark_as_the_system_or_as_the_address_says(
    site: str, browser: Browser, elsewhere: tuple[Path, str], theme: Any
) -> None:
    folder, address = elsewhere
    other: Any = "light" if theme == "dark" else "dark"
    for query, system in (("", theme), (f"?theme={theme}", other)):
        code = f'<iframe src="{site}/figures/alignment.html{query}" title="A figure"></iframe>'
        (folder / "index.html").write_text(framing(code), "utf8")
        page = browser.new_page(color_scheme=system)
        page.goto(address)
        body = alive(page).locator(".samlib-body")
        colour = "(body) => getComputedStyle(body).backgroundColor"
        grounds = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}
        assert body.evaluate(colour) == grounds[theme]
        page.emulate_media(color_scheme=other if system == theme else theme)
        page.frames[1].evaluate(DRAWN)
        assert body.evaluate(colour) == grounds[theme if query else other]
        page.close()


def test_it_works_from_a_folder(book: Path, browser: Browser, tmp_path: Path) -> None:
    for kind, place in kinds(book).items():
        address = (book / place).as_uri()
        code = f'<iframe src="{address}" title="A figure" width="800" height="640"></iframe>'
        path = tmp_path / f"{kind}.html"
        path.write_text(framing(code), "utf8")
        page = browser.new_page(viewport={"width": 820, "height": 900})
        complaints = watch(page, "file://")
        page.goto(path.as_uri())
        assert alive(page).locator("canvas").first.is_visible()
        page.close()
        assert complaints == []


def test_all_of_a_figure_is_a_button_away(visit: Visit) -> None:
    page = visit("figures/alignment.html", viewport={"width": 360, "height": 640})
    expect(page.locator(".samlib-readout")).not_to_be_empty()
    start = page.locator("[data-field='start-1']")
    expect(start).to_be_hidden()
    page.get_by_role("button", name="All pictures and controls").click()
    expect(start).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="All pictures and controls").click()
    expect(start).to_be_hidden()
    assert page.evaluate(FIT) == FITS


@pytest.mark.parametrize(("theme", "width"), [("light", 800), ("dark", 360)])
def test_axe_finds_nothing(site: str, book: Path, browser: Browser, theme: Any, width: int) -> None:
    page = browser.new_page(color_scheme=theme, viewport={"width": width, "height": 640})
    for kind, place in kinds(book).items():
        page.goto(f"{site}/{place}")
        expect(page.locator(".samlib-readout")).not_to_be_empty()
        page.evaluate(DRAWN)
        page.evaluate(AXE.read_text("utf8"))
        found = page.evaluate(
            """async () => (await axe.run()).violations
              .map((v) => v.id + ": " + v.nodes.map((n) => n.html).join(" "))"""
        )
        assert found == [], kind
    page.close()


def test_it_is_light(book: Path, browser: Browser) -> None:
    """Only the figures' script and style, what was measured, and no theme."""
    for site in serve(functools.partial(ZippedFiles, directory=str(book))):
        for place in kinds(book).values():
            context = browser.new_context()
            assert bytes_transferred(context.new_page(), f"{site}/{place}") < 200_000, place
            context.close()


def test_without_scripts_there_is_the_still(visit: Visit) -> None:
    page = visit("figures/alignment.html", java_script_enabled=False)
    assert page.locator("figure img").is_visible()
    assert page.locator("figcaption").is_visible()


def test_only_what_a_link_can_carry_is_told_of_a_page(part: Part) -> None:
    embedded = part("embedded")
    state = '{"_figure": "Explore", "_config": {}, "_point": %d, "rho": %s}'
    placeholder = (
        '<div class="samlib-figure" data-samlib-widget="Explore" id="explore-1">'
        '<script type="application/json">%s</script>\n<figure><img></figure></div>'
    )
    html = placeholder % (state % (1, "0.1"))
    (one,) = embedded.firsts(html).values()
    shown = {"Explore": embedded.given(one)}
    told = embedded.with_addresses(html, "chapters/a.html", shown)
    assert ' data-embed="../figures/explore.html">' in told
    assert embedded.with_addresses(told, "chapters/a.html", shown) == told
    other_rho = placeholder % (state % (1, "0.2"))
    assert "data-embed" in embedded.with_addresses(other_rho, "a.html", shown)
    other_network = placeholder % (state % (2, "0.1"))
    assert embedded.with_addresses(other_network, "a.html", shown) == other_network


def test_every_figure_of_the_book_is_told_of_its_page(book: Path) -> None:
    for page in pages_with_figures():
        html = (book / page).read_text("utf8")
        for kind in re.findall(r'data-samlib-widget="(\w+)"', html):
            assert kind in {found[0] for found in PLACES.findall(html)} or kind == "Explore"
