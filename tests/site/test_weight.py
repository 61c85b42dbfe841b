"""Pages are light: what comes over the line for the first one and for the next."""

from __future__ import annotations

import base64
import functools
import gzip
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from .conftest import BOOK, LANDING, QuietHandler, built_pages, serve
from .inspection import SETTLED

Part = Callable[[str], ModuleType]
MOST_FIRST, MOST_NEXT = 700_000, 120_000
NEXT = re.compile(r'<link rel="next"[^>]*href="([^"]+)"')


@functools.lru_cache(maxsize=256)
def zipped(content: bytes) -> bytes:
    """Return a text as it comes over the line; a host does not zip it anew for each reader."""
    return gzip.compress(content, 6)


class ZippedFiles(QuietHandler):
    """Serve files as hosts of static pages do: texts zipped, everything kept by the browser."""

    protocol_version = "HTTP/1.1"
    # Or a body waits for the browser to confirm its head, 40 ms, as on no real host.
    disable_nagle_algorithm = True
    texts = (".html", ".js", ".css", ".svg", ".json", ".ipynb")

    def do_GET(self) -> None:  # noqa: N802
        """Answer with a file."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Cache-Control", "max-age=600")
        if path.suffix in self.texts:
            content = zipped(content)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(scope="module")
def zipped_site(book: Path) -> Iterator[str]:
    """Return the address of the book on a host that zips its texts."""
    yield from serve(partial(ZippedFiles, directory=str(book)))


def bytes_transferred(page: Page, address: str) -> int:
    """Open a page and return how many bytes came over the line until it was quiet."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(address, wait_until="networkidle")
    page.evaluate(SETTLED)
    session.detach()
    return round(sum(sizes))


def reading_order() -> list[str]:
    """Return the book's pages, each with the one that its reader opens next behind it."""
    page, order = LANDING, [LANDING]
    while found := NEXT.search((BOOK / page).read_text("utf8")):
        place = (BOOK / page).parent.joinpath(found[1]).resolve()
        page = place.relative_to(BOOK.resolve()).as_posix()
        order.append(page)
    return order


@pytest.mark.slow  # opens every page with nothing in the cache
def test_a_first_page_is_light(browser: Browser, zipped_site: str, page_path: str) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    size = bytes_transferred(context.new_page(), f"{zipped_site}/{page_path}")
    context.close()
    assert 50_000 < size <= MOST_FIRST


@pytest.mark.slow  # reads the whole book
def test_the_next_page_is_lighter(browser: Browser, zipped_site: str) -> None:
    order = reading_order()
    assert set(order) >= {page for page in built_pages() if page.startswith("chapters/")}
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    sizes = {path: bytes_transferred(page, f"{zipped_site}/{path}") for path in order}
    context.close()
    del sizes[LANDING]
    assert {path: size for path, size in sizes.items() if size > MOST_NEXT} == {}


def test_pictures_come_late_and_have_their_room(book: Path, page_path: str) -> None:
    html = (book / page_path).read_text("utf8")
    assert "data:image/png" not in html
    body = html[html.index("<main") : html.index("</main>")]
    for tag in re.findall(r"<img\b[^>]*>", body):
        assert 'loading="lazy"' in tag, tag
        assert re.search(r'width="\d+"', tag), tag
        assert re.search(r'height="\d+"', tag), tag


def test_a_picture_keeps_its_looks_in_a_third_of_the_size(part: Part, tmp_path: Path) -> None:
    shades = np.linspace(0, 255, 200 * 300).reshape(200, 300)
    noise = np.random.default_rng(0).integers(0, 6, (200, 300))
    colours = np.stack([shades, 255 - shades, 128 + noise], axis=-1).astype(np.uint8)
    path = tmp_path / "plot.png"
    Image.fromarray(colours).convert("RGBA").save(path)
    before = path.stat().st_size
    part("pictures").make_smaller(path)
    assert path.stat().st_size < before / 3
    with Image.open(path) as image:
        difference = np.abs(np.asarray(image.convert("RGB"), dtype=int) - colours.astype(int))
    assert difference.max() <= 8
    smaller = path.read_bytes()
    part("pictures").make_smaller(path)
    assert path.read_bytes() == smaller


def test_a_still_becomes_a_file(part: Part, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (3, 2), "red").save(picture)
    data = base64.b64encode(picture.read_bytes()).decode()
    body = part("pictures").move_out(
        f'<img src="data:image/png;base64,{data}" alt="a">', tmp_path / "out", "../out"
    )
    (written,) = (tmp_path / "out").iterdir()
    assert body == f'<img src="../out/{written.name}" alt="a">'
    (tmp_path / "chapters").mkdir()
    complete = part("pictures").reserve_room(body, tmp_path / "chapters")
    assert 'loading="lazy"' in complete
    assert 'width="3" height="2"' in complete
