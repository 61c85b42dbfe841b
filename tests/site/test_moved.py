"""Addresses of pages and places that moved: where they lead, and that none leads nowhere."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from playwright.sync_api import expect

from .conftest import Visit
from .test_places import PLACES, ROOT, anchors, name_of

Part = Callable[[str], ModuleType]

PAGES = {"a/1.html": '<h1 id="ch-one"></h1>', "a/3.html": '<h1 id="ch-two"></h1><p id="thm-x">'}


def test_a_place_is_found_by_its_name(part: Part) -> None:
    places = ["a/1.html#ch-one", "a/1.html#thm-x", "a/2.html#ch-two", "a/2.html#thm-x"]
    moved, gone = part("moved").new_addresses([*places[:3], "a/3.html#thm-x"], PAGES)
    assert moved == {"a/1.html": {"thm-x": "a/3.html"}, "a/2.html": {"ch-two": "a/3.html"}}
    assert gone == {"a/2.html": "a/3.html"}


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("a/1.html#thm-y", "a/1.html#thm-y was cited, and no page has it any more"),
        ("a/2.html#thm-x", "the chapter of a/2.html is on no page any more"),
    ],
)
def test_a_place_that_is_nowhere_stops_the_build(part: Part, place: str, said: str) -> None:
    with pytest.raises(LookupError, match=said):
        part("moved").new_addresses([place], PAGES)


def test_a_page_sends_readers_on_by_one_script_only(part: Part) -> None:
    moved = part("moved")
    first, second = (moved.script("a/1.html", {"thm-x": page}) for page in ("a/3.html", "b/4.html"))
    html = moved.with_script(moved.with_script("<head>\n</head>", first), second)
    assert html.count("data-moved") == 1
    assert '"../b/4.html"' in html


def test_what_was_cited_at_an_old_address_is_found(visit: Visit, site: str) -> None:
    here = anchors()
    now = {name_of(place): place for place in here}
    first = {place.split("#")[0]: place for place in PLACES if place not in here}
    for old, place in first.items():  # of each page that is gone or has lost a place
        page = visit(place)
        expect(page).to_have_url(f"{site}/{now[name_of(place)]}")
        expect(page.locator(f"[id='{name_of(place)}']")).to_be_attached()
        if not (ROOT / old).with_suffix(".ipynb").exists():
            page.goto(f"{site}/{old}")
            expect(page.locator("h1").first).to_be_visible()
            assert "#" not in page.url


def test_without_scripts_a_page_that_is_gone_leads_on(visit: Visit, site: str) -> None:
    gone = next(p for p in PLACES if not (ROOT / p.split("#")[0]).with_suffix(".ipynb").exists())
    page = visit(gone.split("#")[0], java_script_enabled=False)
    expect(page.locator("h1").first).to_be_visible()
