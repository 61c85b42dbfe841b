"""One picture first, wide, with the text: the figures' place on the pages."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import DRAWN

from .conftest import BOOK, LANDING, Visit, pages_with_figures

FIGURE = "[data-samlib-widget].samlib-live"
TEXT = "main section > p"


def box_of(place: Locator) -> dict[str, float]:
    box = place.bounding_box()
    assert box is not None
    return dict(box)


def opened(visit: Visit, path: str, width: int, height: int) -> Page:
    page = visit(path, viewport={"width": width, "height": height})
    expect(page.locator(FIGURE).first.locator(".samlib-readout")).not_to_be_empty()
    page.evaluate(DRAWN)
    return page


# ── The landing page ─────────────────────────────────────────────────────────────────────────────


def test_the_landing_page_shows_the_picture_with_its_control(visit: Visit) -> None:
    page = opened(visit, LANDING, 1280, 800)
    figure = page.locator(FIGURE).first
    picture = box_of(figure.locator(".samlib-picture:visible .samlib-area"))
    assert picture["height"] > 300
    for part in (".samlib-picture:visible", "[data-control='play']", "[data-control='rho']"):
        box = box_of(figure.locator(part).first)
        assert box["y"] > 0
        assert box["y"] + box["height"] <= 800


def test_on_a_phone_the_landing_page_shows_the_picture(visit: Visit) -> None:
    page = opened(visit, LANDING, 400, 800)
    box = box_of(page.locator(FIGURE).first.locator(".samlib-picture:visible .samlib-area"))
    assert box["height"] >= 240
    assert box["y"] + box["height"] <= 800


# ── Wide ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [LANDING, "chapters/05_alignment.html"])
def test_a_figure_is_wider_than_the_text_in_a_wide_window(visit: Visit, path: str) -> None:
    page = opened(visit, path, 1440, 900)
    text, figure = box_of(page.locator(TEXT).first), box_of(page.locator(FIGURE).first)
    assert text["width"] <= 600
    assert 1000 < figure["width"] <= 1100
    assert abs(figure["x"] + 13 - text["x"]) < 2  # what is in its frame begins where the text does
    assert figure["x"] + figure["width"] < 1440
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440


def test_a_figure_keeps_to_the_column_in_a_narrower_window(visit: Visit) -> None:
    page = opened(visit, "chapters/05_alignment.html", 1000, 800)
    column, figure = box_of(page.locator("main .cell").first), box_of(page.locator(FIGURE).first)
    assert figure["x"] == pytest.approx(column["x"], abs=1)
    assert figure["width"] == pytest.approx(column["width"], abs=1)


def test_the_contents_step_aside_while_a_figure_passes(visit: Visit) -> None:
    page = opened(visit, "chapters/05_alignment.html", 1440, 900)
    contents = page.locator(".bd-sidebar-secondary")
    expect(contents).to_be_visible()
    page.locator(FIGURE).first.evaluate("(e) => e.scrollIntoView({ block: 'center' })")
    expect(contents).not_to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    expect(contents).to_be_visible()


# ── With the text ────────────────────────────────────────────────────────────────────────────────


def test_every_page_with_a_figure_has_a_sentence_that_sets_it() -> None:
    for path in pages_with_figures():
        text = (BOOK / path).read_text("utf8")
        kinds = {kind.lower() for kind in re.findall(r'data-samlib-widget="(\w+)"', text)}
        names = "|".join([*kinds, "first-look"])
        assert re.search(rf'<a [^>]*href="#({names})(-\d)?:', text), path


@pytest.mark.parametrize("path", pages_with_figures() or [LANDING])
def test_what_a_sentence_sets_there_is(visit: Visit, path: str) -> None:
    page = visit(path)
    links = page.locator("main a[href*=':']").evaluate_all(
        "(all) => all.map((a) => a.getAttribute('href')).filter((href) => /^#[\\w-]+:/.test(href))"
    )
    for href in dict.fromkeys(links):
        page.evaluate("(href) => { location.hash = ''; location.hash = href; }", href)
        page.evaluate(DRAWN)
        assert page.locator(".samlib-note:not(:empty)").all_inner_texts() == [], href
