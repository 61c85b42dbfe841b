"""samlib.training.records: what is kept costs the same at every step, and nothing is lost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn

import samlib
from samlib.training import History, fit
from samlib.training.records import DivergedError, Records
from tests.samlib.training_cases import MSE, network, rows, sgd


def instructions(work: Callable[[], object]) -> int:
    """How many instructions of samlib.training run, those inside of comprehensions too."""
    folder = str(Path(samlib.training.__file__).parent)
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(folder):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.usefixtures("one_thread")
def test_a_step_costs_the_same_however_many_records_there_are() -> None:
    def norm(step: int, model: nn.Module) -> dict[str, float]:
        return {"norm": 1.0, "norm_error": 0.5}

    norm.every = 1  # type: ignore[attr-defined]

    def train(steps: int) -> History:
        model = network()
        optimizer = sgd(model, 1e-4)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return fit(
            model,
            rows(),
            optimizer,
            loss_fn=MSE,
            epochs=steps,
            scheduler=scheduler,
            monitors=[norm],
            progress=False,
        )

    few, many, more = (instructions(lambda n=n: train(n)) for n in (100, 300, 500))
    assert many - few > 200 * 100, "the instructions were counted"
    assert more - many == pytest.approx(many - few, rel=0.02)


def test_readings_and_losses_are_those_that_were_added() -> None:
    records = Records(2)
    assert not records.was_read(0)
    records.add_readings(0, {"trace": 3.0, "trace_error": 0.5})
    assert records.was_read(0)
    assert not records.was_read(1)
    for step in range(250):
        records.add_step(1 + step // 100, torch.tensor(float(step)))
        assert not records.was_read(0)
    records.add_readings(1, {"accuracy": 0.5})
    records.add_readings(0, {"trace": 1.0, "trace_error": 0.25})
    assert records.mean_loss_of_epoch() == sum(range(200, 250)) / 50
    history = records.history("complete")
    assert history.losses.tolist() == list(range(250))
    assert history.epochs.bincount().tolist() == [0, 100, 100, 50]
    assert history["trace"].steps.tolist() == [0, 250]
    assert history["trace"].values.tolist() == [3.0, 1.0]
    assert history["trace"].errors.tolist() == [0.5, 0.25]
    assert history["accuracy"].steps.tolist() == [250]
    assert set(history.readings) == {"trace", "accuracy"}


@pytest.mark.parametrize("interrupted_at", ["stack", "tolist"])
def test_an_interrupt_while_losses_come_to_the_host_loses_and_doubles_none(
    interrupted_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(0)
    for step in range(50):
        records.add_step(1, torch.tensor(float(step)))
    owner = torch if interrupted_at == "stack" else torch.Tensor

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, interrupted_at, interrupt)
        with pytest.raises(KeyboardInterrupt):
            records.flush()
    records.add_step(1, torch.tensor(50.0))
    assert records.history("interrupted").losses.tolist() == list(range(51))


def test_a_loss_that_is_not_finite_is_the_last() -> None:
    records = Records(0)
    for loss in (1.0, float("inf"), 2.0):
        records.add_step(1, torch.tensor(loss))
    with pytest.raises(DivergedError):
        records.flush()
    assert records.history("diverged").losses.tolist() == [1.0, float("inf")]
