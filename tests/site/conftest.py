"""The built book, served on loopback, and a reader who watches what its pages do."""

from __future__ import annotations

import functools
import importlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

from .inspection import SETTLED, Inspection, inspect
from .small_book import EXTENSIONS, small_book

__all__ = ["small_book"]  # a fixture of the tests here

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book/_build/html"
LANDING = "book/index.html"

# Each page is inspected in these themes and widths of the window.
LOOKS = (("light", 1400), ("dark", 400))

Visit = Callable[..., Page]


def built_pages() -> list[str]:
    """Return all pages of the built book that are read: none that leads on or holds one figure."""
    pages = (
        path
        for path in BOOK.rglob("*.html")
        if 'http-equiv="refresh"' not in path.read_text("utf8")
    )
    others = ("_static", "_sources", "figures")  # the theme leaves its templates in _static
    found = (path.relative_to(BOOK) for path in pages)
    return sorted(path.as_posix() for path in found if path.parts[0] not in others)


def pages_with_figures(kind: str = "") -> list[str]:
    """Return the pages that hold an interactive figure, or one of a kind."""
    mark = f'data-samlib-widget="{kind}'
    return [page for page in built_pages() if mark in (BOOK / page).read_text("utf8")]


def pages_with_guesses() -> list[str]:
    """Return the pages that ask the reader for a guess."""
    return [page for page in built_pages() if 'class="guess ' in (BOOK / page).read_text("utf8")]


def first_of(pages: Callable[[], list[str]]) -> list[Any]:
    """Return pages of a kind; all but the first are slow to open, and what they hold is alike."""
    return [
        pytest.param(page, marks=[pytest.mark.slow] if index else [])
        for index, page in enumerate(pages())
    ]


def places_of_figures() -> list[tuple[str, str]]:
    """Return where each kind of figure stands first in the book: its page and its id.

    But for the one that needs a kernel.
    """
    found: dict[str, tuple[str, str]] = {}
    for page in pages_with_figures():
        text = (BOOK / page).read_text("utf8")
        for kind, name in re.findall(r'data-samlib-widget="(\w+)" id="([\w-]+)"', text):
            if kind != "Explore":
                found.setdefault(kind, (page, name))
    return list(found.values())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `page_path` once for every page, and so on for the other kinds.

    One that asks for `placed` is run once for every kind of figure, one that asks for `opened` for
    every page with the first kind, one that asks for `inspection` for every page in every look.
    If the book is not built, one case remains, which fails and says so.
    """
    if "inspection" in metafunc.fixturenames:
        looks = [(page, *look) for page in built_pages() or [LANDING] for look in LOOKS]
        share(metafunc, "inspection", looks, lambda look: f"{look[0]}-{look[1]}")
    if "opened" in metafunc.fixturenames:
        share(metafunc, "opened", pages_with_figures("Alignment") or [LANDING], str)
    if "placed" in metafunc.fixturenames:
        share(metafunc, "placed", places_of_figures() or [(LANDING, "")], "-".join)
    kinds = {
        "page_path": built_pages,
        "figure_page": pages_with_figures,
        "alignment_page": functools.partial(pages_with_figures, "Alignment"),
        "guess_page": functools.partial(first_of, pages_with_guesses),
    }
    for name, pages in kinds.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, pages() or [LANDING])


def share(
    metafunc: pytest.Metafunc, fixture: str, values: list[Any], name: Callable[[Any], str]
) -> None:
    """Run a test for each value of a fixture; those with the same one run in one process."""
    group = pytest.mark.xdist_group
    parameters = [
        pytest.param(value, id=name(value), marks=group(f"{fixture}-{name(value)}"))
        for value in values
    ]
    metafunc.parametrize(fixture, parameters, indirect=True, scope="session")


@pytest.fixture(scope="session")
def book() -> Path:
    """Return the folder of the built book."""
    if not (BOOK / LANDING).is_file():
        pytest.fail(f"the book is not built ({BOOK / LANDING} is missing): run `make book` first")
    return BOOK


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files and keep silent about it."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def serve(handler: Callable[..., SimpleHTTPRequestHandler]) -> Iterator[str]:
    """Serve files on this machine, and give the address as long as it is asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def site(book: Path) -> Iterator[str]:
    """Return the address of the built book on this machine."""
    yield from serve(functools.partial(QuietHandler, directory=str(book)))


def watch(page: Page, site: str) -> list[str]:
    """Return a list that will hold what is wrong with the pages that `page` opens.

    A page may not log an error or a warning, throw, miss a file, or ask for anything that is not on
    this machine (where the browser's flags end the search for it).
    """
    complaints: list[str] = []

    def guard(request: Request) -> None:
        if not request.url.startswith((f"{site}/", "data:", "blob:", "file:")):
            complaints.append(f"{page.url} asks for {request.url}")

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{page.url} logs {message.type}: {message.text}")

    def note_missing(response: Response) -> None:
        if response.status >= 400:
            complaints.append(f"{page.url} misses {response.url}")

    page.context.on("request", guard)
    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(f"{page.url} throws {error}"))
    page.on("response", note_missing)
    return complaints


@contextmanager
def visiting(browser: Browser, site: str) -> Iterator[Visit]:
    """Give a function that opens a page of the book.

    Keyword arguments are those of Playwright's new_context. In the end the test fails if there is
    anything to complain about (see `watch`).
    """
    visits: list[tuple[Page, list[str]]] = []

    def open_page(path: str, **options: Any) -> Page:
        page = browser.new_context(**{"reduced_motion": "reduce"} | options).new_page()
        visits.append((page, watch(page, site)))
        page.goto(path if "://" in path else f"{site}/{path}")
        if page.url.rstrip("/") == site:  # the front door
            page.wait_for_url(f"{site}/{LANDING}")
        if options.get("java_script_enabled", True):
            page.evaluate(SETTLED)
        return page

    yield open_page
    for page, _ in visits:
        page.context.close()
    assert [complaint for _, complaints in visits for complaint in complaints] == []


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Visit]:
    """Return a function that opens a page of the book for one test (see `visiting`)."""
    with visiting(browser, site) as open_page:
        yield open_page


@pytest.fixture(scope="session")
def opened(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[Page]:
    """Return a page of the book that several tests share, one after the other."""
    with visiting(browser, site) as open_page:
        yield open_page(request.param, permissions=["clipboard-read", "clipboard-write"])


@pytest.fixture(scope="session")
def inspection(request: pytest.FixtureRequest, browser: Browser, site: str) -> Inspection:
    """Return what one visit shows of a page in one theme at one width."""
    path, theme, width = request.param
    context = browser.new_context(
        color_scheme=theme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    page = context.new_page()
    complaints = watch(page, site)
    found = inspect(page, f"{site}/{path}")
    context.close()
    return found._replace(theme=theme, complaints=complaints)


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function that imports a module of the book's extension, in an unpublished book."""
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    for name in ("BOOK_URL", "BOOK_REPOSITORY", "BOOK_REVISION"):
        monkeypatch.delenv(name, raising=False)
    return lambda name: importlib.import_module(f"samlib_book.{name}")
