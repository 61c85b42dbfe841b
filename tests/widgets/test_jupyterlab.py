"""The figure in a real JupyterLab: the page and the kernel see each other's changes."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient
from playwright.sync_api import Browser, Page, expect

from .reading import DRAWN, fields, has_colour, pictures, readout

PATIENCE = 90  # seconds; a kernel imports torch before it shows anything

Ask = Callable[[str], str]


def notebook(*cells: str) -> dict[str, Any]:
    """Return a notebook of code cells."""
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{i}",
                "metadata": {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for i, source in enumerate(cells)
        ],
    }


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A JupyterLab on loopback with settings of its own: its address and its runtime folder."""
    home = tmp_path_factory.mktemp("lab")
    cells = ["from samlib.widgets import Alignment\nfigure = Alignment()\nfigure"]
    (home / "figure.ipynb").write_text(json.dumps(notebook(*cells)), encoding="utf8")
    # Without the question whether to fetch news.
    settings = home / "config/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    folders = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    environment = {
        **os.environ,
        **{f"JUPYTER_{key}_DIR": str(home / name) for key, name in folders.items()},
        "IPYTHONDIR": str(home / "ipython"),
    }
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": home,
        "IdentityProvider.token": token,
        "LabApp.news_url": "",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    command += [f"--{name}={value}" for name, value in options.items()]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=home)
    try:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        else:
            pytest.fail(f"JupyterLab did not start:\n{(home / 'log').read_text()}")
        address = f"http://127.0.0.1:{port}/lab/tree/figure.ipynb?reset&token={token}"
        yield address, home / "runtime"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def live(browser: Browser, lab: tuple[str, Path]) -> Iterator[tuple[Page, Ask]]:
    """The notebook with its cell run, and a way to run code in its kernel."""
    address, runtime = lab
    page = browser.new_page(viewport={"width": 1300, "height": 1200})
    page.goto(address)
    cell = page.locator(".jp-CodeCell").first
    expect(cell).to_be_visible(timeout=1000 * PATIENCE)
    # JupyterLab drops what is run before the kernel is connected, and only then calls it idle.
    status = page.locator("#jp-main-statusbar")
    expect(status).to_contain_text("Python 3 (ipykernel) | Idle", timeout=1000 * PATIENCE)
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".samlib-readout").first).not_to_be_empty(timeout=1000 * PATIENCE)

    client = BlockingKernelClient()
    (connection,) = runtime.glob("kernel-*.json")
    client.load_connection_file(str(connection))
    client.start_channels()
    client.wait_for_ready(timeout=PATIENCE)

    def ask(code: str) -> str:
        """Run code in the kernel and return what it prints."""
        printed: list[str] = []

        def keep(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = client.execute_interactive(code, output_hook=keep, timeout=PATIENCE)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(printed).strip()

    yield page, ask
    client.stop_channels()
    page.close()


def eventually(look: Callable[[], Any], wanted: Any) -> None:
    """Wait until ``look`` sees what is wanted: messages take their time."""
    until = time.monotonic() + 20
    while (seen := look()) != wanted and time.monotonic() < until:
        time.sleep(0.1)
    assert seen == wanted


def test_it_has_its_colours(live: tuple[Page, Ask]) -> None:
    page, _ = live
    assert has_colour(page, 0xCC, 0x79, 0xA7)  # SAM
    assert has_colour(page, 0x00, 0x72, 0xB2)  # the gradient
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    expect(page.locator(".samlib-alignment")).to_have_css("background-color", "rgb(20, 24, 30)")
    assert has_colour(page, 0xF0, 0xE4, 0x42)  # the eigenvector, on dark
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")


def test_python_sees_a_slider_move_by_arrow_keys(live: tuple[Page, Ask]) -> None:
    page, ask = live
    before = pictures(page), readout(page)
    assert ask("print(figure.rho)") == "0.4"
    page.locator("[data-control='rho']").focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    value = fields(page)["rho"]
    assert float(value) < 0.39
    assert pictures(page) != before[0]
    assert readout(page) != before[1]
    eventually(lambda: ask("print(figure.rho)"), value)


def test_python_sees_the_start_dragged_and_moved_by_keys(live: tuple[Page, Ask]) -> None:
    page, ask = live
    handle = page.locator("[data-control='start']").first
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 40, steps=5)
    page.mouse.up()
    page.keyboard.press("ArrowDown")
    after = fields(page)
    assert (after["start-1"], after["start-2"]) != ("0.3", "0.85")
    start = f"{float(after['start-1'])} {float(after['start-2'])}"
    eventually(lambda: ask("print(*figure.start)"), start)
    assert ask("print(*figure.trajectory.x[0, 0].tolist())") == start


def test_letters_typed_in_a_field_do_not_reach_the_notebook(live: tuple[Page, Ask]) -> None:
    page, ask = live
    cells = page.locator(".jp-CodeCell").count()
    field = page.locator("[data-field='lr']")
    field.click()
    field.press("Control+a")
    page.keyboard.type("ab0.25")  # a and b would insert cells
    assert field.input_value() == "ab0.25"
    field.fill("0.25")
    field.press("Enter")
    eventually(lambda: ask("print(figure.lr)"), "0.25")
    assert page.locator(".jp-CodeCell").count() == cells


def test_the_page_follows_python(live: tuple[Page, Ask]) -> None:
    page, ask = live
    before = pictures(page), readout(page)
    ask("figure.rho = 0.123; figure.eigenvalues = (2, 5, 1); figure.frame = 30")
    expect(page.locator("[data-field='rho']")).to_have_value("0.123")
    expect(page.locator("[data-field='eigenvalue-3']")).to_have_value("1")
    page.evaluate(DRAWN)
    assert readout(page).startswith("Step 30: ")
    assert pictures(page) != before[0]
    assert readout(page) != before[1]
    ask("figure.landscape = 'four-dimensional'")
    expect(page.locator("[data-field='start-4']")).to_have_value("0.2")
    eventually(
        lambda: ask("print(figure.landscape, *figure.start)"), "four-dimensional 0.5 0.5 0.1 0.2"
    )


def test_python_sees_a_switch_of_the_loss(live: tuple[Page, Ask]) -> None:
    page, ask = live
    page.get_by_role("radio", name="Quadratic").check(force=True)
    eventually(lambda: ask("print(figure.landscape)"), "quadratic")
    assert ask("print(len(figure.start) == len(figure.eigenvalues))") == "True"
    assert not page.locator("[data-control='link']").is_visible()
