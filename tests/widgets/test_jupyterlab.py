"""The figures in a real JupyterLab and in Notebook 7: page and kernel see each other's changes."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient
from playwright.sync_api import Browser, Locator, Page, expect

from tests.sharing import saved

from .in_notebooks import EXPLORE, OTHERS
from .panels import open_panels
from .reading import DRAWN, fields, has_colour, pictures, readout

pytestmark = pytest.mark.xdist_group("jupyter")  # one server for all

PATIENCE = 90  # seconds; a kernel imports torch before it shows anything

Ask = Callable[[str], str]

# Where each interface of the one server opens notebooks, and how it shows that the kernel is ready.
INTERFACES = {
    "JupyterLab": ("lab/tree", "#jp-main-statusbar:has-text('Python 3 (ipykernel) | Idle')"),
    "Notebook": ("notebooks", ".jp-NotebookKernelStatus-fade"),
}


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


def write_notebooks(home: Path) -> None:
    """Put the notebooks that the tests open into a folder."""
    others = [
        "from samlib import widgets\nfigures = {}",
        *(f"figures['{name}'] = widgets.{name}()\nfigures['{name}']" for name in OTHERS),
    ]
    cells = {
        "figure": ["from samlib.widgets import Alignment\nfigure = Alignment()\nfigure"],
        **dict.fromkeys(INTERFACES, others),
        "explore": [EXPLORE],
    }
    for name, sources in cells.items():
        (home / f"{name}.ipynb").write_text(json.dumps(notebook(*sources)), encoding="utf8")


def start_server(home: Path, port: int, token: str) -> subprocess.Popen[bytes]:
    """Start JupyterLab with settings of its own; what it says goes into the file ``log``."""
    # Without the question whether to fetch news.
    settings = home / "config/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
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
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=home)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A JupyterLab on loopback with settings of its own: its addresses and its runtime folder."""
    home = tmp_path_factory.mktemp("lab")
    write_notebooks(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    server = start_server(home, port, token)
    try:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        else:
            pytest.fail(f"JupyterLab did not start:\n{(home / 'log').read_text()}")
        yield f"http://127.0.0.1:{port}/{{}}/{{}}.ipynb?reset&token={token}", home / "runtime"
    finally:
        server.terminate()
        server.wait(30)


def run_all(page: Page, cells: Locator) -> None:
    """Run the cells. What is run before the kernel is connected is dropped: then once more."""
    not_run = re.compile(r"^\[ ?\]:?$")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not_run.match(prompt_of(cells.first)):
        cells.first.locator(".cm-content").click()
        for _ in range(cells.count()):
            page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(3000)


def prompt_of(cell: Locator) -> str:
    """Return what stands beside a cell: [ ], [*] while it runs, then its number."""
    return cell.locator(".jp-InputPrompt").inner_text().strip()


@contextmanager
def run_notebook(
    browser: Browser, lab: tuple[str, Path], name: str, figures: int, interface: str = "JupyterLab"
) -> Iterator[tuple[Page, Ask]]:
    """The notebook with its cells run, and a way to run code in its kernel."""
    address, runtime = lab
    known = set(runtime.glob("kernel-*.json"))
    page = browser.new_page(viewport={"width": 1300, "height": 1200})
    path, idle = INTERFACES[interface]
    page.goto(address.format(path, name))
    cells = page.locator(".jp-CodeCell")
    expect(cells.first).to_be_visible(timeout=1000 * PATIENCE)
    expect(page.locator(idle)).to_have_count(1, timeout=1000 * PATIENCE)
    run_all(page, cells)
    sentences = page.locator(".samlib-readout")
    expect(sentences).to_have_count(figures, timeout=1000 * PATIENCE)
    expect(sentences.last).not_to_be_empty(timeout=1000 * PATIENCE)

    client = BlockingKernelClient()
    (connection,) = set(runtime.glob("kernel-*.json")) - known
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


@pytest.fixture(scope="module")
def live(browser: Browser, lab: tuple[str, Path]) -> Iterator[tuple[Page, Ask]]:
    """The notebook of the figure Alignment."""
    with run_notebook(browser, lab, "figure", 1) as notebook:
        yield notebook


@pytest.fixture(
    scope="module", params=["JupyterLab", pytest.param("Notebook", marks=pytest.mark.slow)]
)
def others(
    browser: Browser, lab: tuple[str, Path], request: pytest.FixtureRequest
) -> Iterator[tuple[Page, Ask]]:
    """The notebook of all other figures, in JupyterLab and in Notebook 7."""
    with run_notebook(browser, lab, request.param, len(OTHERS), request.param) as notebook:
        yield notebook


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
    open_panels(page, "settings")
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


def test_what_needs_no_page_can_be_taken_along(live: tuple[Page, Ask], tmp_path: Path) -> None:
    """Pictures, numbers and Python; a notebook has no address to link to or to embed."""
    page, ask = live
    ask("figure.landscape = 'quadratic'; figure.rho = 0.25")
    expect(page.locator("[data-field='rho']")).to_have_value("0.25")
    page.locator("[data-control='share']").click()
    entries = page.locator(".samlib-menu [role='menuitem']")
    assert entries.all_inner_texts() == [
        "Picture (PNG)",
        "Picture (SVG)",
        "Numbers (CSV)",
        "Copy Python",
    ]
    page.keyboard.press("ArrowDown")  # for the menu, not for the notebook
    expect(entries.nth(1)).to_be_focused()
    page.keyboard.press("Escape")
    table = saved(page, "csv", tmp_path).read_text("utf8")
    assert "rho=0.25" in table.splitlines()[0]
    picture = saved(page, "svg", tmp_path).read_text("utf8")
    assert "How SAM minimizes sharpness" in picture
    assert "#alignment" not in picture


@pytest.mark.parametrize("name", OTHERS)
def test_page_and_python_see_each_other_in_every_figure(
    others: tuple[Page, Ask], name: str
) -> None:
    page, ask = others
    slider, trait, value = OTHERS[name]
    figure = page.locator(".samlib-live").nth(list(OTHERS).index(name))
    figure.scroll_into_view_if_needed()
    sentence = figure.locator(".samlib-readout")
    open_panels(figure, "settings")
    before = sentence.inner_text(), ask(f"print(figures['{name}'].{slider})")
    figure.locator(f"[data-control='{slider}']").first.focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    page.evaluate(DRAWN)
    shown = figure.locator(f"[data-field='{slider}']")
    assert float(shown.input_value()) > float(before[1])
    eventually(
        lambda: float(ask(f"print(figures['{name}'].{slider})")) == float(shown.input_value()), True
    )
    ask(f"figures['{name}'].{trait} = {value}")
    expect(figure.locator(f"[data-field='{trait}']")).to_have_value(value)
    expect(sentence).not_to_have_text(before[0])


def test_a_network_is_trained_in_the_notebook(others: tuple[Page, Ask]) -> None:
    page, ask = others
    figure = page.locator(".samlib-live").nth(list(OTHERS).index("TrainYourself"))
    figure.scroll_into_view_if_needed()
    assert ask("print(figures['TrainYourself'].rows)") == "500"
    figure.locator("[data-control='step']").click()
    # Python has sent the script that trains.
    expect(figure.locator(".samlib-readout")).to_contain_text("Step 1, ", timeout=60_000)
    ask("figures['TrainYourself'].rows = 60")
    expect(figure.locator(".samlib-readout")).to_contain_text("on 60 digits")


@pytest.fixture(scope="module")
def explored(browser: Browser, lab: tuple[str, Path]) -> Iterator[tuple[Page, Ask]]:
    """The notebook of a network that is explored."""
    with run_notebook(browser, lab, "explore", 1) as notebook:
        yield notebook


def test_a_network_is_explored_while_the_notebook_answers(explored: tuple[Page, Ask]) -> None:
    page, ask = explored
    sentence, stage = page.locator(".samlib-readout"), page.locator(".samlib-stage-text")
    expect(stage).to_have_text("Measured.", timeout=1000 * PATIENCE)
    expect(sentence).to_contain_text("within ρ = 0.05, L rises by at least")
    before = pictures(page), sentence.inner_text()

    # Slow enough to look at: the thread sends how far it is, and the kernel runs other cells.
    ask("seconds = 0.05")
    page.locator("[data-field='rho']").fill("0.2")
    page.locator("[data-field='rho']").press("Enter")
    expect(stage).to_contain_text("ρ = 0.2: ", timeout=1000 * PATIENCE)
    assert ask("print(figure.rho, figure._background.busy)") == "0.2 True"
    page.locator("[data-control='cancel']").click()
    expect(stage).to_have_text("Not measured at this ρ.")
    eventually(lambda: ask("print(figure._background.busy)"), "False")
    assert ask("print(list(figure.results))") == "[0.05]"

    ask("seconds = 0")
    page.get_by_role("button", name="Measure").and_(page.locator(":enabled")).first.click()
    expect(stage).to_have_text("Measured.", timeout=1000 * PATIENCE)
    expect(sentence).to_contain_text("within ρ = 0.2, L rises by at least")
    assert pictures(page) != before[0]
    worst = ask("print(f\"{float(figure.sharpness['worst'].value):.3g}\")")
    assert f"at least {worst} in the worst direction" in sentence.inner_text()

    handle = page.locator("[data-control='radius']")
    handle.focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    expect(stage).to_have_text("Measured.", timeout=1000 * PATIENCE)
    eventually(lambda: ask("print(figure.rho)"), fields(page)["rho"])
    assert float(fields(page)["rho"]) < 0.15
    eventually(lambda: ask("print(len(figure.results))"), "3")
    ask("figure.rho = 0.3")
    expect(sentence).to_contain_text("within ρ = 0.3", timeout=1000 * PATIENCE)
