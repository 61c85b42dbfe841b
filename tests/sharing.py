"""Pressing what a figure's menu offers, as a reader does."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page


def share(figure: Page | Locator, name: str) -> None:
    """Open a figure's menu and press one of its entries."""
    figure.locator("[data-control='share']").first.click()
    figure.locator(f"[data-control='{name}']").first.click()


def saved(page: Page, name: str, folder: Path) -> Path:
    """Take a file along; return where it is."""
    with page.expect_download() as download:
        share(page, name)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def copied(page: Page, name: str) -> str:
    """Copy a text; return it."""
    page.evaluate("navigator.clipboard.writeText('')")
    share(page, name)
    page.wait_for_function("navigator.clipboard.readText().then((text) => text !== '')")
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text
