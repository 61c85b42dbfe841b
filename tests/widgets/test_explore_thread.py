"""The figure Explore: its thread, and wrong arguments."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import threading
import weakref
from contextlib import closing
from typing import Any

import pytest
import torch
from torch import nn

from samlib.widgets import Explore, explore
from samlib.widgets.core.background import Background, Stopped
from samlib.widgets.figures.explore.widget import SWEEP

from .exploring import PATIENCE, ROWS, Gate, Problem, hold_up


def test_cancelling_stops_between_two_evaluations(gated: tuple[Explore, Gate]) -> None:
    figure, gate = gated
    hold_up(figure, gate, 0.3)
    assert figure._progress["running"]
    assert re.match(r"ρ = 0.3: ", figure._progress["text"])
    figure.cancel()
    assert not figure._progress["running"]
    before = gate.calls
    gate.open.set()
    figure.wait(PATIENCE)
    assert gate.calls <= before + 1
    assert list(figure.results) == [0.05]
    with pytest.raises(RuntimeError, match=r"nothing is measured at rho = 0.3 yet"):
        _ = figure.sharpness


def test_another_radius_takes_the_place_of_the_one_being_measured(
    gated: tuple[Explore, Gate],
) -> None:
    figure, gate = gated
    hold_up(figure, gate, 0.3)
    figure.rho = 0.1
    figure.rho = 0.2
    gate.open.set()
    figure.wait(PATIENCE)
    assert list(figure.results) == [0.05, 0.2]
    assert figure._measured == [json.loads(json.dumps(each)) for each in figure._measured]
    # What was measured is kept: coming back costs nothing.
    calls = gate.calls
    figure.rho = 0.05
    figure.wait(PATIENCE)
    assert gate.calls == calls


def test_only_the_first_radius_pays_for_what_does_not_depend_on_it(problem: Problem) -> None:
    seen: list[str] = []
    figure = problem.explore()
    figure.observe(lambda change: seen.append(change["new"]["text"]), names="_progress")
    figure.rho = 0.07
    figure.wait(PATIENCE)
    assert any("worst direction" in text for text in seen)
    before = len([text for text in seen if text.startswith("Top eigenvalues")])
    figure.sweep([0.1, 0.2])
    figure.wait(PATIENCE)
    assert len([text for text in seen if text.startswith("Top eigenvalues")]) == before
    assert any(text.startswith("ρ = 0.2 (2 of 2): ") for text in seen)
    figure.close()


def test_progress_goes_from_0_to_1(problem: Problem) -> None:
    figure = problem.explore()
    figure.wait(PATIENCE)
    parts: list[float] = []
    figure.observe(lambda change: parts.append(change["new"]["part"]), names="_progress")
    figure.sweep([0.1, 0.2, 0.3])
    figure.wait(PATIENCE)
    assert parts[-1] == 0  # idle
    assert parts[:-1] == sorted(parts[:-1])
    assert parts[-2] > 0.9
    figure.close()


def test_a_sweep_measures_at_seven_radii_and_leaves_the_one_picked(problem: Problem) -> None:
    with closing(problem.explore(samples=4)) as figure:
        figure.wait(PATIENCE)
        figure.sweep()
        figure.wait(PATIENCE)
        assert list(figure.results) == sorted({*SWEEP, 0.05})
        assert figure.rho == 0.05
        with pytest.raises(ValueError, match=r"rho must be a finite number .*got -1"):
            figure.sweep([0.1, -1])


def test_an_error_is_shown_raised_and_not_the_end(gated: tuple[Explore, Gate]) -> None:
    figure, gate = gated
    gate.fail = True
    figure.rho = 0.3
    with pytest.raises(ArithmeticError, match="it went wrong"):
        figure.wait(PATIENCE)
    assert isinstance(figure.error, ArithmeticError)
    assert figure._message == "ArithmeticError: it went wrong"
    assert not figure._progress["running"]
    assert list(figure.results) == [0.05]
    gate.fail = False
    figure.rho = 0.31
    figure.wait(PATIENCE)
    assert figure.error is None
    assert figure._message == ""
    assert list(figure.results) == [0.05, 0.31]


def test_closing_stops_the_thread(gated: tuple[Explore, Gate]) -> None:
    figure, gate = gated
    hold_up(figure, gate, 0.3)
    with pytest.raises(TimeoutError, match=r"still measuring after 0.01 s"):
        figure.wait(0.01)
    closing = threading.Thread(target=figure.close)
    closing.start()
    gate.open.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert not figure._background.busy
    calls = gate.calls
    figure.rho = 0.4
    figure.wait(PATIENCE)
    assert gate.calls == calls


def test_no_thread_at_import_and_none_in_the_way_of_the_end() -> None:
    code = """
import threading, torch, samlib
assert threading.active_count() == 1, threading.enumerate()
model = torch.nn.Sequential(torch.nn.Linear(50, 200), torch.nn.Tanh(), torch.nn.Linear(200, 1))
data = torch.randn(500, 50), torch.randn(500, 1)
figure = samlib.widgets.explore(model, torch.nn.MSELoss(), data)
figure.sweep()
assert threading.active_count() > 1
print("end")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    assert done.stderr == ""


def test_a_closed_figure_lets_the_network_go_and_keeps_its_numbers(problem: Problem) -> None:
    figure = problem.explore(samples=4)
    figure.wait(PATIENCE)
    gone = weakref.ref(figure._explored._objective)
    figure.close()
    figure.close()
    gc.collect()
    assert gone() is None
    assert len(figure.to_dataframe()) == 3
    assert "1 radius measured" in repr(figure)
    with pytest.raises(RuntimeError, match="this figure is closed"):
        figure.sweep()


def test_the_background_does_the_latest_work_and_one_at_a_time() -> None:
    background, order = Background(), []
    started, go = threading.Event(), threading.Event()

    def first(stopped: threading.Event) -> None:
        started.set()
        assert go.wait(PATIENCE)
        order.append(("first", stopped.is_set()))

    background.submit(first)
    assert started.wait(PATIENCE)
    background.submit(lambda stopped: order.append(("second", stopped.is_set())))
    background.submit(lambda stopped: order.append(("third", stopped.is_set())))
    assert background.busy
    assert not background.wait(0.01)
    go.set()
    assert background.wait(PATIENCE)
    assert order == [("first", True), ("third", False)]
    background.close()
    background.submit(lambda stopped: order.append(("late", True)))
    assert background.wait(PATIENCE)
    assert len(order) == 2
    assert issubclass(Stopped, Exception)


# ── Wrong arguments ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": "net"}, TypeError, r"model must be a torch.nn.Module, got 'net'"),
        ({"model": nn.Tanh()}, ValueError, r"no parameter with requires_grad=True"),
        ({"loss_fn": 3}, TypeError, r"loss_fn must be callable: .*; got 3"),
        ({"loss_fn": nn.MSELoss(reduction="sum")}, ValueError, r"average over the rows"),
        ({"loss_fn": nn.MSELoss(reduction="none")}, ValueError, r"must return a scalar"),
        ({"data": (ROWS[0], ROWS[1][:2])}, ValueError, r"same number of rows.*got 3 and 2"),
        ({"data": (ROWS[0][:0], ROWS[1][:0])}, ValueError, r"at least one; got 0 and 0"),
        ({"data": []}, ValueError, r"data gave no batch"),
        ({"data": iter([ROWS])}, TypeError, r"data can be iterated only once"),
        ({"data": (ROWS[0].double(), ROWS[1])}, ValueError, r"x has dtype torch.float32, the inp"),
        ({"data": (ROWS[0] + torch.nan, ROWS[1])}, ValueError, r"must be finite, got nan"),
        ({"rho": 0}, ValueError, r"rho must be a finite number from 1e-06 to 1000, got 0"),
        ({"rho": "big"}, ValueError, r"rho must be a finite number from .*got 'big'"),
        ({"k": 0}, ValueError, r"k must be ≥ 1, got 0"),
        ({"samples": 2}, ValueError, r"samples must be ≥ 4, got 2"),
        ({"samples": 7}, ValueError, r"samples must be even.*got 7"),
        ({"seed": -1}, ValueError, r"seed must be ≥ 0, got -1"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"model": nn.Linear(2, 1), "loss_fn": nn.MSELoss(), "data": ROWS, **change}
    threads = threading.active_count()
    with pytest.raises(error, match=message):
        explore(**arguments)
    assert threading.active_count() == threads


def test_a_wrong_radius_later_changes_nothing(measured: Explore) -> None:
    before = measured.state()
    with pytest.raises(ValueError, match=r"rho must be a finite number .* to 1000, got 10000"):
        measured.rho = 10_000
    assert measured.state() == before
