"""Progress bars: shown by whatever takes long to whoever looks, off by one argument, never left."""

from __future__ import annotations

import contextlib
import os
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import samlib
from samlib import Objective, _progress
from samlib._progress import ProgressBar

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

VALLEY = samlib.landscapes.FourDimensional()
START = torch.tensor([0.5, 0.5, 0.1, 0.2], dtype=torch.float64)
INPUTS, TARGETS = torch.linspace(-1, 1, 40).reshape(20, 2), torch.linspace(0, 1, 20).unsqueeze(1)


def model() -> nn.Module:
    return samlib.problems.perceptron((2, 20, 1), seed=0, dtype=torch.float32)


def network() -> tuple[Objective, torch.Tensor]:
    """A loss of 81 parameters: too many to be treated densely."""
    objective = Objective.from_module(model(), nn.MSELoss(), (INPUTS, TARGETS))
    return objective, objective.flat_parameters()


def train(progress: bool) -> None:
    trained = model()
    samlib.training.fit(
        trained,
        (INPUTS, TARGETS),
        torch.optim.SGD(trained.parameters(), lr=0.1),
        loss_fn=nn.MSELoss(),
        epochs=2,
        progress=progress,
    )


LONG: dict[str, Callable[[bool], Any]] = {
    "top eigenpairs": lambda p: samlib.top_eigenpairs(*network(), progress=p),
    "top eigenpairs, by alignment": lambda p: samlib.alignment(*network(), progress=p),
    "smallest eigenvalue": lambda p: samlib.smallest_nonzero_eigenvalue(*network(), progress=p),
    "trace": lambda p: samlib.trace(*network(), progress=p),
    "trace, by regularizers": lambda p: samlib.limiting_regularizers(*network(), progress=p),
    "spectral density": lambda p: samlib.spectral_density(*network(), progress=p),
    "average direction": lambda p: samlib.average_direction_sharpness(*network(), 0.1, progress=p),
    "worst direction": lambda p: samlib.worst_direction_sharpness(*network(), 0.1, progress=p),
    "components": lambda p: samlib.stochastic_sharpness(
        *network(), 0.1, notion="worst_direction", progress=p
    ),
    "gradient flow": lambda p: samlib.project_to_minimizers(VALLEY, START, progress=p),
    "limiting flow": lambda p: samlib.limiting_flow(VALLEY, START, "trace", [0.0, 0.1], progress=p),
    "SAM": lambda p: samlib.simulate(
        network()[0], samlib.rules.SAM(0.1, 0.1), network()[1], 3, record="x", progress=p
    ),
    "training": train,
}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take everything for long."""
    monkeypatch.setattr(_progress, "SECONDS_BEFORE_SHOWN", 0)


def ends(kind: str, folder: Path) -> tuple[int, int]:
    """Return the descriptors to read from and to write to a terminal, a pipe or a file."""
    if kind == "terminal":
        terminal = os.openpty()
        termios.tcsetwinsize(terminal[0], (24, 80))
        return terminal
    if kind == "pipe":
        return os.pipe()
    writing = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
    return os.open(folder / "log", os.O_RDONLY), writing


def written_to(kind: str, folder: Path, work: Callable[[], Any]) -> str:
    """Return what some work writes to a standard error of a kind."""
    reading, writing = ends(kind, folder)
    os.set_blocking(reading, False)
    try:
        with os.fdopen(writing, "w", encoding="utf8") as stream:
            with contextlib.redirect_stderr(stream):
                work()
            stream.flush()
            with contextlib.suppress(BlockingIOError):  # there is nothing
                return os.read(reading, 1 << 16).decode("utf8")
            return ""
    finally:
        os.close(reading)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", LONG)
def test_a_terminal_shows_what_takes_long_unless_it_is_switched_off(
    name: str, tmp_path: Path
) -> None:
    assert name.split(",")[0] in written_to("terminal", tmp_path, lambda: LONG[name](True))
    assert written_to("terminal", tmp_path, lambda: LONG[name](False)) == ""


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", LONG)
def test_a_pipe_or_a_file_holds_no_bars_but_by_wish(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("pipe", "file"):
        assert written_to(kind, tmp_path, lambda: LONG[name](True)) == ""
    monkeypatch.setenv("SAMLIB_PROGRESS", "1")
    assert name.split(",")[0] in written_to("pipe", tmp_path, lambda: LONG[name](True))


def test_a_notebook_shows_bars() -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    source = f"""
import runpy, sys
progress = runpy.run_path({_progress.__file__!r})
progress["ProgressBar"].update.__globals__["SECONDS_BEFORE_SHOWN"] = 0
with progress["ProgressBar"](3, "work", True) as bar:
    bar.update()
assert not sys.stderr.isatty()
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    done = nbclient.NotebookClient(notebook, timeout=60, startup_timeout=60).execute()
    shown = [output.get("data", {}) for output in done.cells[0].outputs]
    assert any("application/vnd.jupyter.widget-view+json" in data for data in shown)


@pytest.mark.usefixtures("at_once")
def test_work_goes_on_without_a_standard_error() -> None:
    with contextlib.redirect_stderr(None):
        LONG["trace"](True)


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for bars also where they are captured."""
    monkeypatch.setenv("SAMLIB_PROGRESS", "1")


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("name", ["top eigenpairs", "trace", "SAM", "training"])
def test_what_is_short_shows_none(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_progress, "SECONDS_BEFORE_SHOWN", 60)  # however busy the machine is
    LONG[name](True)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("anywhere", "at_once")
def test_a_bar_begins_with_what_was_done_and_goes_away_at_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = ProgressBar(10, "work", True)

    def interrupted() -> None:
        with bar:
            bar.update(4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    shown = capsys.readouterr().err
    assert "4/10" in shown
    assert shown.endswith("\r"), "the line is wiped"
    assert bar.n == 4


def test_bars_wait_two_seconds() -> None:
    assert _progress.SECONDS_BEFORE_SHOWN == 2
