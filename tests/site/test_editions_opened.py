"""A plain notebook in JupyterLab and in Notebook 7, as they are without any extension."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

NAME = "02_three_notions.ipynb"
PATIENCE = 60  # seconds
SERVER = [
    "--no-browser", "--ip=127.0.0.1", "--allow-root", "--IdentityProvider.token=",
    "--ServerApp.disable_check_xsrf=True", "--LabApp.news_url=", "--LabApp.check_for_updates_class="
    "jupyterlab.NeverCheckForUpdate",
]  # fmt: skip


@pytest.fixture(scope="module")
def jupyter(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server of notebooks that holds one of the book's."""
    folder = tmp_path_factory.mktemp("jupyter")
    (folder / "root").mkdir()
    shutil.copy(book / "notebooks" / NAME, folder / "root")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    own = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    own["JUPYTERLAB_SETTINGS_DIR"] = own["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / "lab")
    command = [sys.executable, "-m", "jupyterlab", *SERVER, f"--port={port}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder / "root", env=os.environ | own, stdout=log, stderr=log
        )
        try:
            address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
            while not answers(f"{address}/api"):
                assert server.poll() is None, (folder / "log").read_text("utf8")
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield address
        finally:
            server.terminate()
            server.wait(PATIENCE)


def answers(address: str) -> bool:
    """Return whether there is a server at an address."""
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(params=["doc/tree", "notebooks"], ids=["JupyterLab", "Notebook 7"])
def shown_in(request: pytest.FixtureRequest, jupyter: str, browser: Browser) -> Iterator[Page]:
    """Return the notebook, shown_in, untrusted and not run, in a window that holds all of it."""
    context = browser.new_context(viewport={"width": 1200, "height": 14_000})
    page = context.new_page()
    page.goto(f"{jupyter}/{request.param}/{NAME}")
    expect(page.locator(".jp-Notebook h2", has_text="References")).to_be_visible(timeout=60_000)
    yield page
    context.close()


@pytest.mark.slow
def test_all_of_it_is_shown_as_it_is_meant(book: Path, shown_in: Page) -> None:
    cells = nbformat.read(book / "notebooks" / NAME, as_version=4).cells
    text = "".join(cell.source for cell in cells if cell.cell_type == "markdown")
    hidden = [c for c in cells if c.metadata.get("jupyter", {}).get("source_hidden")]
    expect(shown_in.locator(".jp-Notebook details")).to_have_count(text.count("<details"))
    expect(shown_in.locator(".jp-InputPlaceholder")).to_have_count(len(hidden))
    expect(shown_in.locator(".jp-Notebook table:has(mjx-container)")).to_have_count(1)
    expect(shown_in.locator(".jp-OutputArea img")).to_have_count(3)  # two stills and a plot
    expect(shown_in.locator(".jp-Notebook mjx-container").first).to_be_visible()
    expect(shown_in.locator("mjx-merror, [data-mml-node=merror]")).to_have_count(0)
    shown = shown_in.locator(".jp-Notebook .jp-MarkdownOutput").all_inner_texts()
    assert not re.findall(r"\{\w+\}|\$|\*\*|```|\\tag|<summary", "\n".join(shown))


@pytest.mark.slow
def test_a_guess_is_opened_and_a_reference_leads_to_its_section(shown_in: Page) -> None:
    said = shown_in.locator("details p", has_text="You guessed 4, and that is right.")
    expect(said).not_to_be_visible()
    shown_in.locator("summary", has_text="4. A few hundredths").click()
    expect(said).to_be_visible()
    shown_in.set_viewport_size({"width": 1200, "height": 700})
    target = "#What-curvature-and-slope-predict"
    link = shown_in.locator(f'a[href="{target}"]:not(.jp-InternalAnchorLink)').first
    link.scroll_into_view_if_needed()
    heading = shown_in.locator("h2", has_text="What curvature and slope predict")
    expect(heading).not_to_be_in_viewport()
    link.click()
    expect(heading).to_be_in_viewport()
