"""Training a classifier in the page: `python benchmarks/training.py [FOLDER]`.

In headless Chromium, by the page's own script in its workers: full-batch steps of SAM on 500 digits
with 2,410 weights, the ten largest eigenvalues of the Hessian to 1 %, cold and warm, how far they
are from those of a longer search in float64, animation frames while two networks train, and the
size of the script.

With a folder whose ``node_modules`` holds ``@jax-js/jax``, ``@tensorflow/tfjs-core`` and
``@tensorflow/tfjs-backend-wasm``, the same gradient is measured with these; without one, what was
last measured of them is kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from goals import Goal, show, stored
from playwright.sync_api import Browser, Page, Route, sync_playwright
from simulate import provenance

sys.path.insert(0, str(Path(__file__).parents[1]))
from samlib.widgets.core.figure import STATIC
from tests.browser import FLAGS, find_browser

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "training.json"
ADDRESS = "https://training.test/"
LEAST_STEPS, MOST_SPECTRUM, MOST_ERROR, LEAST_FRAMES, MOST_BYTES = 300, 250, 0.01, 55, 150_000

PERCEPTRON = {"network": {"kind": "perceptron", "width": 32}, "rows": 500, "shuffled": 0.2}
CONVOLUTIONAL = {"network": {"kind": "convolutional", "channels": 8}, "rows": 500, "shuffled": 0.2}
COMMON = {"loss": "squared", "seed": 0, "precision": "float32"}

CASES: dict[str, dict[str, Any]] = {
    "perceptron": {**PERCEPTRON, **COMMON},
    "perceptron, cross-entropy": {**PERCEPTRON, **COMMON, "loss": "cross-entropy"},
    "perceptron, 1,500 rows": {**PERCEPTRON, **COMMON, "rows": 1500},
    "perceptron, float64": {**PERCEPTRON, **COMMON, "precision": "float64"},
    "convolutional": {**CONVOLUTIONAL, **COMMON},
}

# Those whose eigenvalues are compared with what a longer search in float64 finds.
COMPARED = ("perceptron", "perceptron, cross-entropy")

# Times in ms: of one step, the best of forty rounds; of a spectrum, cold and eight steps after
# another, the best of three at each of four places along the run. (The best, because other programs
# may share the machine.)
MEASURE = """async ({ settings, steps, compare }) => {
  const rule = { name: "sam", lr: 0.1, rho: 0.1 };
  const timed = async (what) => {
    const began = performance.now();
    const found = await what();
    return [performance.now() - began, found];
  };
  const [opening, training] = await timed(() => samlibTraining.openTraining(settings));
  const exact = compare && await samlibTraining.openTraining({ ...settings, precision: "float64" });
  await training.step(rule, steps);
  const rounds = [];
  for (let n = 0; n < 40; n++) {
    const [took] = await timed(() => training.step(rule, steps));
    rounds.push(took / steps);
  }
  const cold = [], warm = [], errors = [];
  for (const place of [0, 30, 100, 300]) {
    const times = [[], []];
    for (let again = 0; again < 3; again++) {
      await training.rewind();
      await training.step(rule, place);
      const [took, { eigenvalues }] = await timed(() => training.measure());
      times[0].push(took);
      if (compare && again === 0 && place <= 100) {
        await exact.rewind();
        await exact.step(rule, place);
        const wanted = (await exact.measure({ rtol: 1e-6, most: 3000 })).eigenvalues;
        errors.push(...eigenvalues.map((value, i) => Math.abs(value / wanted[i] - 1)));
      }
      await training.step(rule, 8);
      times[1].push((await timed(() => training.measure()))[0]);
    }
    cold.push(Math.min(...times[0]));
    warm.push(Math.min(...times[1]));
  }
  training.close();
  if (exact) exact.close();
  return { weights: training.dim, opening_ms: opening, step_ms: Math.min(...rounds),
    slowest_cold_spectrum_ms: Math.max(...cold), slowest_warm_spectrum_ms: Math.max(...warm),
    ...(compare && { largest_error: Math.max(...errors) }) };
}"""

# Two networks train for some seconds, with a look at the spectrum every eight steps.
FRAMES = """async ({ settings, seconds }) => {
  const rules = [{ name: "sam", lr: 0.1, rho: 0.1 }, { name: "gradient_descent", lr: 0.1 }];
  const both = await Promise.all(rules.map(() => samlibTraining.openTraining(settings)));
  let frames = 0, open = true, last = performance.now(), longest = 0;
  const count = (now) => {
    frames++;
    longest = Math.max(longest, now - last);
    last = now;
    if (open) requestAnimationFrame(count);
  };
  const began = performance.now();
  requestAnimationFrame(count);
  let steps = 0;
  while (performance.now() - began < 1000 * seconds) {
    await Promise.all(both.map(async (each, i) => {
      await each.step(rules[i], 8);
      await each.measure();
    }));
    steps += 8;
  }
  open = false;
  const took = (performance.now() - began) / 1000;
  both.forEach((each) => each.close());
  return { frames_per_second: frames / took, longest_frame_ms: longest, steps_per_second: steps / took };
}"""  # noqa: E501


def open_page(browser: Browser, *folders: Path, script: str) -> Page:
    """Open a page with a script that lies in one of the folders."""

    def serve(route: Route) -> None:
        name = route.request.url.removeprefix(ADDRESS)
        found = [folder / name for folder in folders if name and (folder / name).is_file()]
        if found:
            route.fulfill(path=found[0])
        else:
            tag = f'<script src="{script}"></script>'
            body = f"<!doctype html><title>Training</title>{tag}"
            route.fulfill(body=body, content_type="text/html; charset=utf-8")

    page = browser.new_page()
    page.route("**/*", serve)
    page.goto(ADDRESS)
    return page


def rounded(found: dict[str, float]) -> dict[str, float]:
    """Numbers with four digits."""
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def measured(browser: Browser) -> dict[str, dict[str, float]]:
    """Each case by the page's own script."""
    page = open_page(browser, STATIC, script="samlib-training.js")
    found = {}
    for name, settings in CASES.items():
        wish = {
            "settings": settings,
            "steps": 20,
            "compare": name in COMPARED,
        }
        found[name] = rounded(page.evaluate(MEASURE, wish))
        print(name, found[name], flush=True)
    page.close()
    return found


def peers(browser: Browser, folder: Path) -> dict[str, Any]:
    """The same gradient by kept libraries, and the size of what a page would load."""
    found: dict[str, Any] = {}
    here = Path(__file__).parent
    wasm = folder / "node_modules/@tensorflow/tfjs-backend-wasm/dist"
    for name, package in (("jax", "@jax-js/jax"), ("tensorflow", "@tensorflow/tfjs-backend-wasm")):
        with tempfile.TemporaryDirectory() as out:
            subprocess.run(
                [ROOT / "node_modules/.bin/esbuild", here / f"training_{name}.js", "--bundle",
                 "--minify", "--format=iife", "--log-level=error", f"--outfile={out}/peer.js"],
                env={**os.environ, "NODE_PATH": str(folder / "node_modules")}, check=True,
            )  # fmt: skip
            page = open_page(browser, Path(out), wasm, script="peer.js")
            times = page.evaluate("measure(500, 32, 20)")
            page.close()
            size = (Path(out) / "peer.js").stat().st_size
        if name == "tensorflow":
            size += (wasm / "tfjs-backend-wasm-simd.wasm").stat().st_size
        manifest = json.loads((folder / "node_modules" / package / "package.json").read_text())
        milliseconds = rounded({f"{what}_ms": value for what, value in times.items()})
        found[package] = {"version": manifest["version"], "bytes": size, **milliseconds}
        print(package, found[package], flush=True)
    return found


def goals_of(cases: dict[str, Any], frames: dict[str, float], size: int) -> list[Goal]:
    """What is asked of it, and what was reached."""
    perceptron, entropy = cases["perceptron"], cases["perceptron, cross-entropy"]
    cold = max(each["slowest_cold_spectrum_ms"] for each in (perceptron, entropy))
    error = max(each["largest_error"] for each in (perceptron, entropy))
    return [
        Goal("SAM steps a second, 500 rows, 2,410 weights", 1000 / perceptron["step_ms"],
             LEAST_STEPS, at_least=True),
        Goal("ten largest eigenvalues, slowest cold start, ms", cold, MOST_SPECTRUM),
        Goal("their largest relative error", error, MOST_ERROR, against="float64, to 10⁻⁶"),
        Goal("animation frames a second while two train", frames["frames_per_second"],
             LEAST_FRAMES, at_least=True),
        Goal("script with the digits, bytes", size, MOST_BYTES),
    ]  # fmt: skip


def main() -> None:
    """Measure, print and store."""
    executable = find_browser()
    if executable is None:
        sys.exit("no Chromium: set CHROMIUM to one")
    before = json.loads(RESULTS.read_text("utf8")) if RESULTS.is_file() else {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        cases = measured(browser)
        page = open_page(browser, STATIC, script="samlib-training.js")
        wish = {"settings": CASES["perceptron"], "seconds": 5}
        frames = rounded(page.evaluate(FRAMES, wish))
        page.close()
        print(frames)
        others = before.get("peers", {})
        if len(sys.argv) > 1:
            others = peers(browser, Path(sys.argv[1]).resolve())
        version = browser.version
        browser.close()
    size = (STATIC / "samlib-training.js").stat().st_size
    goals = goals_of(cases, frames, size)
    show(goals)
    told = {
        "provenance": {**provenance(), "chromium": version},
        "goals": stored(goals),
        "cases": cases,
        "two at once": frames,
        "script_bytes": size,
        "peers": others,
    }
    RESULTS.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
