"""Opening what a figure shows on request."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

from tests.browser import DRAWN

# Presses the buttons of closed panels, of all of them without a name.
PRESS = """(buttons, names) => buttons
  .filter((button) => button.checkVisibility() && button.getAttribute("aria-expanded") === "false")
  .filter((button) => !names.length || names.includes(button.dataset.opens))
  .forEach((button) => button.click())"""


def open_panels(place: Page | Locator, *names: str) -> None:
    """Open these panels of the figures in a place, or all that there are."""
    page = place if isinstance(place, Page) else place.page
    page.evaluate(DRAWN)
    place.locator("[data-opens]").evaluate_all(PRESS, list(names))
    page.evaluate(DRAWN)
