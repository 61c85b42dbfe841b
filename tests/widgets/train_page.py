"""Training on a page of the tests: waiting for steps, and taking them."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Page, expect

from .reading import DRAWN

PLAY, STEP, REWIND = (f"[data-control='{name}']" for name in ("play", "step", "rewind"))
PATIENCE = 60_000  # ms; the machine may be busy


def at_step(page: Page, condition: Callable[[int], bool]) -> int:
    """Wait until the step that is shown fulfils a condition."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE / 1000:
        page.wait_for_timeout(20)
        step = int(
            page.locator(".samlib-train-time").inner_text().removeprefix("step ").replace(",", "")
        )
        if condition(step):
            return step
    raise AssertionError(f"still at step {step}")


def ready(page: Page) -> None:
    """Wait until the start was looked at."""
    expect(page.locator("[data-training='ready']")).to_be_visible(timeout=PATIENCE)


def steps(page: Page, count: int) -> None:
    """Take single steps, each of them measured."""
    ready(page)
    for n in range(1, count + 1):
        page.locator(STEP).click()
        page.wait_for_selector(f".samlib-train-time[data-measured='{n}']", timeout=PATIENCE)
        at_step(page, lambda step, n=n: step == n)
    page.evaluate(DRAWN)
