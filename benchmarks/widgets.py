"""Recomputing and redrawing the alignment figure during a drag: `python benchmarks/widgets.py`.

For drags of ρ, of η and of the start, on each loss with 100,000 steps: the time that one animation
frame spends on the runs of SAM and gradient descent, their spectra and all drawing, in headless
Chromium. The target is 16.7 ms at the median and 33 ms at the 95th percentile.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from simulate import provenance

from samlib.widgets import Alignment
from samlib.widgets.base import STATIC

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser import FLAGS, find_browser

RESULTS = Path(__file__).parent / "results" / "widgets.json"
STEPS, MOVES, WARM_UP = 100_000, 200, 20

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
  if (control === "start") {
    element.setPointerCapture = () => {};
    element.hasPointerCapture = () => true;
    point("pointerdown", 0, 0);
  }
  for (let i = 0; i < moves; i++) {
    const turn = (2 * Math.PI * i) / 50;
    if (control === "start") point("pointermove", 25 * Math.sin(turn), 25 * Math.cos(turn) - 25);
    else {
      element.value = String(Math.round(600 + 150 * Math.sin(turn)));
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


def main() -> None:
    """Measure, print and store."""
    executable = find_browser()
    if executable is None:
        sys.exit("no Chromium: set CHROMIUM to one")
    results: list[dict[str, Any]] = []
    script, style = (
        (STATIC / f"samlib-widgets.{kind}").read_text("utf8") for kind in ("js", "css")
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        for landscape in ("quadratic", "four-dimensional"):
            figure = Alignment(landscape=landscape, steps=STEPS)
            page = browser.new_page(viewport={"width": 1000, "height": 1000})
            page.set_content(f"<style>{style}</style>{figure.to_html()}")
            page.add_script_tag(content=script)
            page.wait_for_function("document.querySelector('.samlib-readout').textContent")
            for control in ("rho", "lr", "start"):
                row = {"landscape": landscape, "drag": control, **measure(page, control)}
                results.append(row)
                print(
                    f"{landscape:17} {control:6} median {row['median_ms']:6.2f} ms, "
                    f"95 % {row['p95_ms']:6.2f} ms, longest {row['longest_ms']:6.2f} ms"
                )
            page.close()
        version = browser.version
        browser.close()
    stored = {"provenance": {**provenance(), "chromium": version}, "steps": STEPS, "drags": results}
    RESULTS.write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
