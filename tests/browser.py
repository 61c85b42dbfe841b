"""Where the tests find a Chromium: `python tests/browser.py` prints its path or exits with 1."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

# The first is Chromium without a window of its own: the tests take two thirds of the time.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)

# Nothing but the page under test may use the network, and root has no sandbox.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def find_browser() -> str | None:
    """Return $CHROMIUM, or a Chromium on the PATH, or Playwright's own; None if there is none."""
    chosen = os.environ.get("CHROMIUM")
    if chosen:
        return shutil.which(chosen)
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    if on_path:
        return on_path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).is_file() else None


if __name__ == "__main__":
    path = find_browser()
    print(path or "no Chromium: set CHROMIUM to one, or install it", file=sys.stderr)
    sys.exit(path is None)

# Resolves when what was asked for is drawn: drawing waits for an animation frame, and a figure that
# computes in the background says so.
DRAWN = """async () => {
  const frames = () =>
    new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await frames();
  while (document.querySelector(".samlib-body[aria-busy='true']")) {
    await new Promise((done) => setTimeout(done, 20));
    await frames();
  }
}"""
