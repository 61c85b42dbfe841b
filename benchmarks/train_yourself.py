"""How TrainYourself runs in a page: `python benchmarks/train_yourself.py`.

In headless Chromium, for the figure as it opens and with all panels: frames per second and tasks
that hold up the page while both networks train, what one frame spends on drawing, steps per second
(the figure takes no more than 240), and the time from Play until the picture has changed. The goals
are 60 frames a second, no task of 50 ms, and a second from Play to the first new points.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from goals import Goal, show, stored
from playwright.sync_api import Browser, Page, Route, sync_playwright
from simulate import provenance

from samlib.widgets import TrainYourself
from samlib.widgets.core.figure import STATIC

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser import FLAGS, find_browser

RESULTS = Path(__file__).parent / "results" / "train_yourself.json"
SECONDS, STARTS = 8, 5
MOST_START, MOST_FRAME = 1_000.0, 17.0

# Starts to count frames, long tasks and drawing times, in ms.
COUNT = """() => {
  const counted = (window.counted = { frames: [], tasks: [], draws: [] });
  let last = performance.now();
  const frame = (now) => {
    counted.frames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  const watch = (type, note) => new PerformanceObserver((list) =>
    list.getEntries().forEach(note)).observe({ entryTypes: [type] });
  watch("longtask", (entry) => counted.tasks.push(entry.duration));
  watch("measure", (entry) => entry.name === "samlib:draw" && counted.draws.push(entry.duration));
}"""

# From a press on Play until the readout tells of steps.
START = """() => new Promise((done) => {
  const began = performance.now();
  document.querySelector("[data-control='play']").click();
  const look = () => document.querySelector(".samlib-readout").textContent.startsWith("Step ")
    ? done(performance.now() - began) : requestAnimationFrame(look);
  look();
})"""


def open_figure(browser: Browser, panel: str) -> Page:
    """Open a page with the figure, and wait until it has looked at the start."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    figure = TrainYourself(panel=panel).to_html(id="figure")
    html = (
        '<link rel="stylesheet" href="/samlib-widgets.css">'
        f'{figure}<script src="/samlib-widgets.js"></script>'
    )

    def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if name:
            route.fulfill(path=STATIC / name)
        else:
            route.fulfill(body=html, content_type="text/html; charset=utf-8")

    page.route("**/*", serve)
    page.goto("https://figures.test/")
    page.wait_for_function(
        """[...document.querySelectorAll(".samlib-train-wrong")]
          .every((element) => /\\d/.test(element.innerText))"""
    )
    return page


def step_of(page: Page) -> int:
    """Return the step that is shown."""
    text = page.locator(".samlib-train-time").inner_text()
    return int(text.removeprefix("step ").replace(",", ""))


def playing(browser: Browser, panel: str) -> dict[str, Any]:
    """Measure some seconds of training."""
    page = open_figure(browser, panel)
    page.evaluate(START)
    first = step_of(page)
    page.evaluate(COUNT)
    page.wait_for_timeout(1000 * SECONDS)
    counted, steps = page.evaluate("counted"), step_of(page) - first
    page.close()
    frames, draws = sorted(counted["frames"]), sorted(counted["draws"])
    return {
        "panel": panel,
        "frames_per_second": round(len(frames) / SECONDS, 1),
        "median_frame_ms": round(statistics.median(frames), 2),
        "p95_frame_ms": round(frames[int(0.95 * len(frames))], 2),
        "median_draw_ms": round(statistics.median(draws), 2),
        "p95_draw_ms": round(draws[int(0.95 * len(draws))], 2),
        "long_tasks": len(counted["tasks"]),
        "longest_task_ms": round(max(counted["tasks"], default=0.0), 1),
        "steps_per_second": round(steps / SECONDS, 1),
    }


def starting(browser: Browser) -> float:
    """Return the ms from Play until there are new points."""
    page = open_figure(browser, "none")
    milliseconds: float = page.evaluate(START)
    page.close()
    return milliseconds


def main() -> None:
    """Measure, print and store."""
    executable = find_browser()
    if executable is None:
        sys.exit("no Chromium: set CHROMIUM to one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        starts = sorted(starting(browser) for _ in range(STARTS))
        rows = [playing(browser, panel) for panel in ("none", "all")]
        version = browser.version
        browser.close()
    goals = [
        Goal("from Play to new points, ms", starts[STARTS // 2], MOST_START),
        Goal("a frame while it trains, median, ms", rows[0]["median_frame_ms"], MOST_FRAME),
        Goal("tasks of 50 ms while it trains", rows[0]["long_tasks"], 0),
    ]
    for row in rows:
        print(row)
    show(goals)
    found = {
        "provenance": {**provenance(), "chromium": version},
        "start_ms": [round(start, 1) for start in starts],
        "playing": rows,
        "goals": stored(goals),
    }
    RESULTS.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
