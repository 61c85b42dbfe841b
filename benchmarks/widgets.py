"""Recomputing and redrawing each figure during a drag: `python benchmarks/widgets.py`.

For drags of its sliders and of its point: the time that one animation frame spends on everything
that is computed and on all drawing, in headless Chromium. The target is 16.7 ms at the median and
33 ms at the 95th percentile. For BasinMap also how many maps a second come while ρ is dragged,
and of how many starts, and how long the finest one takes: by the shader, on a card that the
processor makes believe where there is no other, and without WebGL 2 by a worker. Then the time that
the worker of LimitingFlow takes for 16,000 SAM steps of a network and its spectrum at 60 of them
(target 300 ms), the time from the start of loading until a page with all figures is drawn and
answers (1 s), and the size of the bundle (250 kB).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route, sync_playwright
from simulate import provenance

from samlib.widgets import (
    Alignment,
    BasinMap,
    ExplicitBias,
    LimitingFlow,
    OneLossThreeDestinations,
    OppositeDrifts,
    RandomDirections,
    Rescaling,
    SpectrumInTraining,
    Thermostat,
    ThreeNotions,
    TrainYourself,
)
from samlib.widgets.core.figure import STATIC, Figure

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser import DRAWN, FLAGS, find_browser

RESULTS = Path(__file__).parent / "results" / "widgets.json"
MOVES, WARM_UP, LOADS = 200, 20, 5
MOST_MEDIAN, MOST_P95, MOST_LOAD, MOST_BYTES = 16.7, 33.0, 1.0, 250_000
RUNS, MOST_RUN = 20, 300.0

# Name, figure, and what is dragged: sliders, and a handle by the name of its trait.
CASES: list[tuple[str, Figure, tuple[str, ...]]] = [
    ("Alignment, quadratic", Alignment(steps=100_000), ("rho", "lr", "start")),
    (
        "Alignment, four-dimensional",
        Alignment(landscape="four-dimensional", steps=100_000),
        ("rho", "lr", "start"),
    ),
    (
        "Alignment, ten dimensions",
        Alignment(eigenvalues=[3 * 0.75**i for i in range(10)], steps=20_000),
        ("rho", "lr", "start"),
    ),
    ("ThreeNotions, bowl", ThreeNotions(), ("rho", "point")),
    ("ThreeNotions, curved valley", ThreeNotions(loss="curved valley"), ("rho", "point")),
    ("ExplicitBias", ExplicitBias(), ("approach", "point")),
    ("OneLossThreeDestinations", OneLossThreeDestinations(), ("rho", "lr", "start", "turn")),
    ("LimitingFlow", LimitingFlow(), ("rho", "lr", "batch_size", "time")),
    ("OppositeDrifts", OppositeDrifts(), ("rho", "lr", "batch_size", "start")),
    ("SpectrumInTraining", SpectrumInTraining(), ("rho", "frame")),
    ("TrainYourself", TrainYourself(), ("rho",)),
    ("Rescaling", Rescaling(), ("alpha",)),
    ("Thermostat", Thermostat(steps=2000), ("norm", "eigenvalue-1")),
    ("RandomDirections", RandomDirections(), ("dimension",)),
    ("ExplicitBias, on the way in", ExplicitBias(panels=("arrival",)), ("approach", "frame")),
    ("BasinMap", BasinMap(), ("rho", "start")),
]

# Drag ρ for so long (ms); the maps that came, each with how long it took and its cells a side.
MAPS = """async (duration) => {
  const maps = [];
  const observer = new PerformanceObserver((list) =>
    list.getEntriesByName("samlib:map").forEach((e) => maps.push([e.duration, e.detail])));
  observer.observe({ entryTypes: ["measure"] });
  const slider = document.querySelector("[data-control='rho']");
  const began = performance.now();
  for (let i = 0; performance.now() - began < duration; i++) {
    slider.value = String(Math.round(300 + 150 * Math.sin(i / 20)));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise(requestAnimationFrame);
  }
  observer.disconnect();
  return maps;
}"""
DRAGGED = 4000
NO_WEBGL = """const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...options) {
  return kind === "webgl2" ? null : get.call(this, kind, ...options);
};"""
RENDERER = """() => {
  const gl = document.createElement("canvas").getContext("webgl2");
  const more = gl?.getExtension("WEBGL_debug_renderer_info");
  return gl ? String(gl.getParameter(more ? more.UNMASKED_RENDERER_WEBGL : gl.RENDERER)) : "";
}"""

# Move a control a number of times, one move an animation frame, and return the drawing times in ms.
DRAG = """async ([control, moves]) => {
  const times = [];
  const observer = new PerformanceObserver((list) =>
    list.getEntriesByName("samlib:draw").forEach((entry) => times.push(entry.duration)));
  observer.observe({ entryTypes: ["measure"] });
  const frame = () => new Promise(requestAnimationFrame);
  const element = document.querySelector(`[data-control="${control}"]`);
  const box = element.getBoundingClientRect();
  const x = box.left + box.width / 2, y = box.top + box.height / 2;
  const point = (kind, dx, dy) => element.dispatchEvent(new PointerEvent(kind, {
    pointerId: 1, clientX: x + dx, clientY: y + dy, bubbles: true, cancelable: true }));
  const handle = element.localName === "g";
  if (handle) {
    element.setPointerCapture = () => {};
    element.hasPointerCapture = () => true;
    point("pointerdown", 0, 0);
  }
  for (let i = 0; i < moves; i++) {
    const turn = (2 * Math.PI * i) / 50;
    if (handle) point("pointermove", 25 * Math.sin(turn), 25 * Math.cos(turn) - 25);
    else {
      const part = 0.6 + 0.15 * Math.sin(turn);
      element.value = String(Math.round(part * Number(element.max)));
      element.dispatchEvent(new Event("input", { bubbles: true }));
    }
    await frame();
    await frame();
  }
  await new Promise((done) => setTimeout(done, 100));
  observer.disconnect();
  return times;
}"""


def measure(page: Page, control: str) -> dict[str, float]:
    """Return the median and the 95th percentile of the drawing times of a drag, in ms."""
    page.evaluate(DRAG, [control, WARM_UP])
    times = sorted(page.evaluate(DRAG, [control, MOVES]))
    return {
        "drags": len(times),
        "median_ms": round(times[len(times) // 2], 2),
        "p95_ms": round(times[int(0.95 * len(times))], 2),
        "longest_ms": round(times[-1], 2),
    }


def training(browser: Browser, page: str) -> list[float]:
    """Return how long each run of 16,000 steps took in LimitingFlow's worker, in ms, sorted."""
    tab = open_tab(browser, page)
    times = []
    for i in range(RUNS):
        # A hair's breadth of difference, so that it is another run.
        field = tab.locator("[data-field='rho']")
        field.fill(f"{0.05 - 1e-7 * (i + 1):.7f}")
        field.press("Enter")
        tab.evaluate(DRAWN)
        times += tab.evaluate(
            "performance.getEntriesByName('samlib:run').map((entry) => entry.duration)"
        )
    tab.close()
    return sorted(times)


def loading(browser: Browser, page: str) -> float:
    """Return the seconds from navigation until every figure of a page is drawn and answers."""
    tab = open_tab(browser, page)
    milliseconds: float = tab.evaluate(
        "() => new Promise((done) => setTimeout(() => done(performance.now())))"
    )
    tab.close()
    return milliseconds / 1000


def open_tab(browser: Browser, page: str, script: str = "") -> Page:
    """Load a page, after a script, and wait until every figure on it is drawn."""
    tab = browser.new_page(viewport={"width": 1000, "height": 1000})
    tab.add_init_script(script)
    tab.route("**/*", lambda route: serve(route, page))
    tab.goto("https://figures.test/", wait_until="commit")
    tab.wait_for_function(
        """() => [...document.querySelectorAll("[data-samlib-widget]")]
          .every((e) => e.querySelector(".samlib-readout")?.textContent)"""
    )
    return tab


def serve(route: Route, page: str) -> None:
    """Answer with the page, or with a file of the bundle."""
    name = route.request.url.rpartition("/")[2].partition("?")[0]
    if name:
        route.fulfill(path=STATIC / name)
    else:
        route.fulfill(body=page, content_type="text/html; charset=utf-8")


def drags(browser: Browser, pages: list[str]) -> list[dict[str, Any]]:
    """Measure and print all drags, a row each."""
    rows: list[dict[str, Any]] = []
    for page, (name, _, controls) in zip(pages, CASES, strict=True):
        tab = open_tab(browser, page)
        for control in controls:
            row = {"figure": name, "drag": control, **measure(tab, control)}
            met = row["median_ms"] <= MOST_MEDIAN and row["p95_ms"] <= MOST_P95
            rows.append(row)
            print(
                f"{name:30} {control:8} median {row['median_ms']:6.2f} ms, 95 % "
                f"{row['p95_ms']:6.2f} ms, longest {row['longest_ms']:6.2f} ms"
                f"{'' if met else '   MISSED'}"
            )
        tab.close()
    return rows


def mapping(browser: Browser, page: str) -> list[dict[str, Any]]:
    """Measure and print how maps of starts come while ρ is dragged, with the shader and without."""
    rows = []
    for by, script in (("shader", ""), ("worker", NO_WEBGL)):
        tab = open_tab(browser, page, script)
        tab.evaluate(DRAWN)
        maps = tab.evaluate(MAPS, DRAGGED)
        tab.evaluate(DRAWN)
        (last,) = tab.evaluate(
            "performance.getEntriesByName('samlib:map').map((e) => [e.duration, e.detail])"
        )
        times, sides = zip(*sorted(maps), strict=True)
        row = {
            "by": by,
            "renderer": tab.evaluate(RENDERER) if by == "shader" else "",
            "maps_per_second": round(1000 * len(maps) / DRAGGED, 1),
            "starts_a_side": max(sides),
            "median_ms": round(times[len(times) // 2], 1),
            "finest_a_side": last[1],
            "finest_ms": round(last[0], 1),
        }
        print(
            f"BasinMap by {by}: {row['maps_per_second']} maps of up to {row['starts_a_side']}² "
            f"starts a second; {last[1]}² starts after {last[0]:.0f} ms {row['renderer']}"
        )
        rows.append(row)
        tab.close()
    return rows


def describe_training(times: list[float]) -> dict[str, Any]:
    """Print how long the runs took, and return what is stored of it."""
    run = times[len(times) // 2]
    print(
        f"16,000 SAM steps with 60 spectra: median {run:.0f} ms ≤ {MOST_RUN:.0f}: "
        f"{run <= MOST_RUN}, longest {times[-1]:.0f} ms"
    )
    return {"runs": len(times), "median_ms": round(run, 1), "longest_ms": round(times[-1], 1)}


def describe_loading(loads: list[float]) -> dict[str, Any]:
    """Print how long loading took, and return what is stored of it."""
    load = loads[LOADS // 2]
    print(f"a page with {len(CASES) - 1} figures: {load:.2f} s ≤ {MOST_LOAD}: {load <= MOST_LOAD}")
    return {
        "figures": len(CASES) - 1, "median_s": round(load, 3), "longest_s": round(loads[-1], 3),
    }  # fmt: skip


def main() -> None:
    """Measure, print and store."""
    executable = find_browser()
    if executable is None:
        sys.exit("no Chromium: set CHROMIUM to one")
    head = '<link rel="stylesheet" href="/samlib-widgets.css">'
    tail = '<script src="/samlib-widgets.js"></script>'
    figures = [figure.to_html(id=f"figure-{i}") for i, (_, figure, _) in enumerate(CASES)]
    pages = [head + figure + tail for figure in figures]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        rows = drags(browser, pages)
        flow = next(i for i, (name, _, _) in enumerate(CASES) if name == "LimitingFlow")
        times = training(browser, pages[flow])
        maps = mapping(browser, pages[-1])
        # A figure that is a script of its own comes when a reader does.
        figures = [
            html for html, (_, figure, _) in zip(figures, CASES, strict=True) if not figure.parts
        ]
        loads = sorted(loading(browser, head + "".join(figures) + tail) for _ in range(LOADS))
        version = browser.version
        browser.close()
    size = (STATIC / "samlib-widgets.js").stat().st_size
    stored = {
        "provenance": {**provenance(), "chromium": version},
        "drags": rows,
        "training": describe_training(times),
        "maps": maps,
        "load": describe_loading(loads),
        "bundle_bytes": size,
    }
    print(f"bundle: {size} bytes ≤ {MOST_BYTES}: {size <= MOST_BYTES}")
    RESULTS.write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
