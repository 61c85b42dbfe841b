"""What a page of the built book weighs, and when its largest part is painted: `make book` first.

For each page, in reading order: the bytes that come over the line when it is the first one a reader
opens (target 900 kB) and when it comes after the page before it (150 kB), on a host that zips texts
as those of static pages do; and the largest contentful paint of the first visit, the median of
several, in headless Chromium with the files on this machine (1 s).
"""

from __future__ import annotations

import json
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from simulate import provenance

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser import FLAGS, find_browser
from tests.site.conftest import BOOK, serve
from tests.site.test_weight import ZippedFiles, bytes_transferred, reading_order

RESULTS = Path(__file__).parent / "results" / "pages.json"
VISITS = 5
MOST_FIRST, MOST_NEXT, MOST_PAINT = 900_000, 150_000, 1_000.0
WINDOW: Any = {"viewport": {"width": 1400, "height": 900}}
PAINT = """() => new Promise((done) => new PerformanceObserver((list) =>
  done(list.getEntries().at(-1).startTime)).observe({
    type: "largest-contentful-paint", buffered: true }))"""


def first_visit(browser: Browser, address: str) -> tuple[int, float]:
    """Return the bytes and the largest paint, in milliseconds, of a reader's first page."""
    context = browser.new_context(**WINDOW)
    page = context.new_page()
    size = bytes_transferred(page, address)
    paint = float(page.evaluate(PAINT))
    context.close()
    return size, paint


def main() -> None:
    """Measure, print and store."""
    executable = find_browser()
    if executable is None or not BOOK.is_dir():
        sys.exit("a Chromium and the built book are needed: set CHROMIUM, run `make book`")
    rows = []
    server = serve(partial(ZippedFiles, directory=str(BOOK)))
    site = next(server)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        reader = browser.new_context(**WINDOW).new_page()
        for path in reading_order():
            following = bytes_transferred(reader, f"{site}/{path}")
            visits = [first_visit(browser, f"{site}/{path}") for _ in range(VISITS)]
            rows.append(
                {
                    "page": path,
                    "first_bytes": visits[0][0],
                    "next_bytes": following,
                    "paint_ms": round(statistics.median(paint for _, paint in visits)),
                }
            )
            print(f"{path:45} first {visits[0][0]:7} B, next {following:7} B", end="")
            print(f", largest paint {rows[-1]['paint_ms']} ms")
        version = browser.version
        browser.close()
    heaviest = max(row["first_bytes"] for row in rows)
    after = max(row["next_bytes"] for row in rows[1:])
    latest = max(row["paint_ms"] for row in rows)
    print(f"first page ≤ {MOST_FIRST}: {heaviest}, {heaviest <= MOST_FIRST}")
    print(f"next page ≤ {MOST_NEXT}: {after}, {after <= MOST_NEXT}")
    print(f"largest paint ≤ {MOST_PAINT:.0f} ms: {latest}, {latest <= MOST_PAINT}")
    stored = {"provenance": {**provenance(), "chromium": version}, "pages": rows}
    RESULTS.write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
