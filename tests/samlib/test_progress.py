"""Progress bars: shown by whatever takes long, off by one argument, never left behind."""

from __future__ import annotations

from collections.abc import Callable
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


@pytest.mark.parametrize("name", LONG)
def test_a_bar_is_shown_if_it_takes_long_and_can_be_switched_off(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_progress, "_SECONDS_BEFORE_SHOWN", 0)
    LONG[name](True)
    assert name.split(",")[0] in capsys.readouterr().err
    LONG[name](False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("name", ["top eigenpairs", "trace", "SAM", "training"])
def test_what_is_short_shows_none(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_progress, "_SECONDS_BEFORE_SHOWN", 60)  # however busy the machine is
    LONG[name](True)
    assert capsys.readouterr().err == ""


def test_a_bar_begins_with_what_was_done_and_goes_away_at_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_progress, "_SECONDS_BEFORE_SHOWN", 0)
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
    assert _progress._SECONDS_BEFORE_SHOWN == 2
