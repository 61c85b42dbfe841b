"""What a page of the built book weighs, and when it answers: `make book` first.

For each page, in reading order: the bytes that come over the line when it is the first one a reader
opens and when it comes after the page before it, on a host that zips texts as those of static
pages do. Then, in headless Chromium with the files on this machine, of several first visits: the
largest contentful paint; by how much the page shifts while it loads (the cumulative layout shift);
and, where there are figures, when the first of them answers: from the start of the navigation until
a slider that is moved as soon as it is there has changed the sentence below the picture, which is
drawn in the same frame. Each is the median, beside the best. A figure whose large configuration
comes only when the reader comes near (see `samlib_book.figures`) is scrolled to when the page is
complete, so that its answer holds the loading of both.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from goals import Goal, show, stored
from playwright.sync_api import Browser, sync_playwright
from simulate import provenance

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser import FLAGS, find_browser
from tests.site.conftest import BOOK, serve
from tests.site.test_weight import (
    MOST_FIRST,
    MOST_NEXT,
    ZippedFiles,
    bytes_transferred,
    reading_order,
)

RESULTS = Path(__file__).parent / "results" / "pages.json"
VISITS = 7
# The shift is what Core Web Vitals calls good; what there is of it comes from letters that arrive.
MOST_PAINT, MOST_ANSWER, MOST_SHIFT = 1_000, 600, 0.1
WINDOW: Any = {"viewport": {"width": 1400, "height": 900}}

# What is watched from the first moment of a page on. Each frame looks for a figure that is drawn
# and has a slider, moves that, and waits for the sentence to change.
WATCH = """
(() => {
  const watched = (window.watched = { paint: 0, shift: 0 });
  const watch = (type, note) => {
    const observer = new PerformanceObserver((list) => list.getEntries().forEach(note));
    observer.observe({ type, buffered: true });
  };
  watch("largest-contentful-paint", (entry) => { watched.paint = entry.startTime; });
  watch("layout-shift", (entry) => { if (!entry.hadRecentInput) watched.shift += entry.value; });
  watched.answer = new Promise((done) => {
    const sentence = (figure) => figure.querySelector(".samlib-readout")?.textContent;
    function move(figure, slider) {
      const before = sentence(figure), { min, max, value } = slider;
      const part = value - min < (max - min) / 2 ? 0.6 : 0.4;
      slider.value = String(Math.round(Number(min) + part * (max - min)));
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      const wait = () =>
        sentence(figure) === before ? requestAnimationFrame(wait) : done(performance.now());
      wait();
    }
    function look() {
      const figures = [...document.querySelectorAll("[data-samlib-widget]")];
      const drawn = figures.filter(sentence);
      for (const figure of drawn) {
        const slider = figure.querySelector("input[type=range]:enabled");
        if (slider) return move(figure, slider);
      }
      if (document.readyState === "complete") {
        if (drawn.length === figures.length) return done(null);
        figures.find((figure) => !figure.matches(".samlib-live"))?.scrollIntoView();
      }
      requestAnimationFrame(look);
    }
    look();
  });
})();
"""
WATCHED = "async () => ({ ...watched, answer: await watched.answer })"


class Visit(NamedTuple):
    """What came over the line, in bytes; times in milliseconds; no answer where no figure is."""

    size: int
    paint: float
    shift: float
    answer: float | None


def first_visit(browser: Browser, address: str) -> Visit:
    """Return what a reader meets whose first page this is."""
    context = browser.new_context(**WINDOW)
    page = context.new_page()
    page.add_init_script(WATCH)
    size = bytes_transferred(page, address)
    watched = page.evaluate(WATCHED)
    context.close()
    return Visit(size, watched["paint"], watched["shift"], watched["answer"])


def summary(times: Iterable[float | None]) -> dict[str, float]:
    """Return the median and the best of times, or nothing where there are none."""
    known = [time for time in times if time is not None]
    return {"median": round(statistics.median(known)), "best": round(min(known))} if known else {}


def measure(browser: Browser, site: str) -> list[dict[str, Any]]:
    """Measure and print all pages, a row each."""
    rows: list[dict[str, Any]] = []
    reader = browser.new_context(**WINDOW).new_page()
    for path in reading_order():
        following = bytes_transferred(reader, f"{site}/{path}")
        visits = [first_visit(browser, f"{site}/{path}") for _ in range(VISITS)]
        row = {
            "page": path,
            "first_bytes": visits[0].size,
            "next_bytes": following,
            "paint_ms": summary(visit.paint for visit in visits),
            "answer_ms": summary(visit.answer for visit in visits),
            "shift": round(statistics.median(visit.shift for visit in visits), 4),
        }
        rows.append(row)
        paint, answer = row["paint_ms"], row["answer_ms"]
        answers = f"{answer['median']:5} ms (best {answer['best']})" if answer else "no figure"
        print(
            f"{path:42} first {row['first_bytes']:7} B, next {following:7} B, largest paint "
            f"{paint['median']:5} ms (best {paint['best']}), answers {answers}, "
            f"shift {row['shift']:.3f}",
            flush=True,
        )
    return rows


def goals(rows: list[dict[str, Any]]) -> list[Goal]:
    """Return what the pages are to keep to, each with the page that is worst at it."""
    first = max(row["first_bytes"] for row in rows)
    following = max(row["next_bytes"] for row in rows[1:])
    paint = max(row["paint_ms"]["median"] for row in rows)
    answer = max(row["answer_ms"]["median"] for row in rows if row["answer_ms"])
    shift = max(row["shift"] for row in rows)
    return [
        Goal("the heaviest first page, in kB", first / 1000, MOST_FIRST / 1000),
        Goal("the heaviest next page, in kB", following / 1000, MOST_NEXT / 1000),
        Goal("the latest largest paint, in ms", paint, MOST_PAINT),
        Goal("the latest answer of a figure, in ms", answer, MOST_ANSWER),
        Goal("the largest layout shift", shift, MOST_SHIFT),
    ]


def main() -> None:
    """Measure, print and store."""
    executable = find_browser()
    if executable is None or not BOOK.is_dir():
        sys.exit("a Chromium and the built book are needed: set CHROMIUM, run `make book`")
    site = next(server := serve(partial(ZippedFiles, directory=str(BOOK))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        rows = measure(browser, site)
        version = browser.version
        browser.close()
    server.close()
    reached = goals(rows)
    show(reached)
    results = {
        "provenance": {**provenance(), "chromium": version},
        "goals": stored(reached),
        "pages": rows,
    }
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
