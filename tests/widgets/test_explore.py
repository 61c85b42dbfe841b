"""The figure Explore: its numbers against independent ones, its thread, and its page."""

from __future__ import annotations

import copy
import gc
import json
import math
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect
from torch import Tensor, nn

import samlib
from samlib.widgets import Explore, explore
from samlib.widgets._background import Background, Stopped
from samlib.widgets.explore import SWEEP

from .conftest import ADDRESS, Open
from .reading import (
    DRAWN,
    assert_accessible,
    assert_nothing_jumps,
    fields,
    has_colour,
    misfits,
    pictures,
    press,
    readout,
)

PATIENCE = 60
RADII = (0.05, 0.4)


# ── A network, and its loss computed without samlib ──────────────────────────────────────────────


class Problem:
    """A small trained network with 92 parameters, too many for samlib's dense Hessians."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.inputs = torch.randn(40, 6, generator=generator, dtype=torch.float64)
        self.targets = torch.randn(40, 2, generator=generator, dtype=torch.float64)
        self.model = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 2)).double()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.2)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.mse_loss(self.model(self.inputs), self.targets).backward()
            optimizer.step()
        optimizer.zero_grad()
        self.x = nn.utils.parameters_to_vector(self.model.parameters()).detach()

    def explore(self, **options: Any) -> Explore:
        return explore(self.model, nn.MSELoss(), (self.inputs, self.targets), **options)

    def loss(self, x: Tensor) -> Tensor:
        """L at x, by hand."""
        w1, b1, w2, b2 = torch.split(x, [60, 10, 20, 2])
        hidden = torch.tanh(self.inputs @ w1.reshape(10, 6).T + b1)
        return ((hidden @ w2.reshape(2, 10).T + b2 - self.targets) ** 2).mean()

    def gradient(self) -> Tensor:
        return torch.autograd.functional.jacobian(self.loss, self.x)

    def hessian(self) -> Tensor:
        return torch.autograd.functional.hessian(self.loss, self.x)


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem()


@pytest.fixture(scope="module")
def measured(problem: Problem) -> Iterator[Explore]:
    """The figure after it has measured at all RADII."""
    figure = problem.explore(rho=RADII[0], k=4, seed=5)
    figure.sweep(RADII)
    yield figure.wait(PATIENCE)
    figure.close()


# ── The numbers ──────────────────────────────────────────────────────────────────────────────────


def test_what_does_not_depend_on_the_radius(problem: Problem, measured: Explore) -> None:
    point = measured.point
    assert point is not None
    gradient, hessian = problem.gradient(), problem.hessian()
    values, vectors = torch.linalg.eigh(hessian)
    assert point.loss == pytest.approx(float(problem.loss(problem.x)), rel=1e-12)
    assert point.gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-10)
    pairs = point.eigenvalues
    assert pairs.values.shape == (4,)
    assert pairs.converged
    assert bool(((pairs.values - values.flip(0)[:4]).abs() <= pairs.residuals + 1e-10).all())
    assert float(pairs.residuals.max()) <= 1e-3 * float(values.abs().max())
    cosine = abs(float(gradient @ vectors[:, -1])) / float(gradient.norm())
    assert abs(float(point.cosines[0]) - cosine) <= point.cosine_error + 1e-9
    along = float(gradient @ hessian @ gradient / gradient.square().sum())
    assert point.curvature_along_gradient == pytest.approx(along, rel=1e-9)
    assert abs(float(point.trace.value) - float(hessian.trace())) <= 4 * float(point.trace.error)
    assert float(point.trace.error) <= 0.05 * float(hessian.trace())


@pytest.mark.parametrize("rho", RADII)
def test_the_three_sharpnesses(problem: Problem, measured: Explore, rho: float) -> None:
    worst, ascent, average = (
        float(measured.results[rho].sharpness[n].value) for n in ("worst", "ascent", "average")
    )
    gradient, before = problem.gradient(), problem.loss(problem.x)
    along = problem.loss(problem.x + rho * gradient / gradient.norm()) - before
    assert ascent == pytest.approx(float(along), rel=1e-9)

    generator = torch.Generator().manual_seed(11)
    directions = torch.randn(4000, 92, generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=-1, keepdim=True)
    rises = torch.stack([problem.loss(problem.x + rho * u) for u in directions]) - before
    both = torch.stack([problem.loss(problem.x - rho * u) for u in directions]) - before
    mean = (rises + both) / 2
    error = math.hypot(
        float(measured.results[rho].sharpness["average"].error), float(mean.std()) / 4000**0.5
    )
    assert abs(average - float(mean.mean())) <= 5 * error
    assert worst >= ascent
    assert worst >= float(rises.max())
    # Plain projected gradient ascent finds nothing that is much higher: there are several local
    # maxima, and the search promises a lower bound.
    v = (gradient / gradient.norm()).clone()
    for _ in range(400):
        v.requires_grad_()
        (slope,) = torch.autograd.grad(problem.loss(problem.x + rho * v), v)
        v = v.detach() + slope / slope.norm()
        v /= v.norm()
    found = float(problem.loss(problem.x + rho * v) - before)
    assert worst >= found * (1 - 1e-3)
    objective = samlib.Objective.from_module(
        problem.model, nn.MSELoss(), (problem.inputs, problem.targets)
    )
    again = samlib.worst_direction_sharpness(objective, problem.x, rho, seed=5)
    assert worst == pytest.approx(float(again.value), rel=1e-12)


@pytest.mark.parametrize("rho", RADII)
def test_the_quadratic_model(problem: Problem, measured: Explore, rho: float) -> None:
    predicted = measured.results[rho].predicted
    gradient, hessian = problem.gradient(), problem.hessian()
    norm = float(gradient.norm())
    along = float(gradient @ hessian @ gradient) / norm**2
    assert predicted["ascent"] == pytest.approx(rho * norm + rho**2 * along / 2, rel=1e-9)
    trace = float(hessian.trace()) / 92
    assert predicted["average"] == pytest.approx(rho**2 * trace / 2, rel=0.1)
    # The worst direction, by projected gradient ascent on the model from many starts.
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(20, 92, generator=generator, dtype=torch.float64)
    v[0] = gradient
    v /= v.norm(dim=-1, keepdim=True)
    for _ in range(3000):
        v = v + 2 * (gradient + rho * v @ hessian)
        v /= v.norm(dim=-1, keepdim=True).clamp(min=1)
    best = (rho * v @ gradient + rho**2 * ((v @ hessian) * v).sum(-1) / 2).max()
    assert predicted["worst"] == pytest.approx(float(best), rel=2e-4)


def test_the_model_tends_to_the_slope_and_to_the_top_eigenvalue(measured: Explore) -> None:
    point = measured.point
    assert point is not None
    radii = torch.tensor([1e-6, 1e4], dtype=torch.float64)
    small, large = (float(v) for v in point.quadratic.predict(radii)["worst"] / radii)
    assert small == pytest.approx(point.gradient_norm, rel=1e-4)
    assert large / 1e4 == pytest.approx(float(point.eigenvalues.values[0]) / 2, rel=1e-3)


def test_the_model_knows_the_top_eigenvector_even_if_the_gradient_is_orthogonal_to_it() -> None:
    scales = torch.linspace(3, 1, 30).double()
    line = nn.Linear(30, 1, bias=False).double()
    nn.init.constant_(line.weight, 0.01)
    with torch.no_grad():
        line.weight[0, 0] = 0
    data = torch.diag(scales), torch.zeros(30, 1).double()
    with closing(explore(line, nn.MSELoss(), data, rho=3.0)) as figure:
        result = figure.wait(PATIENCE).results[3.0]
        assert figure.point is not None
        assert float(figure.point.cosines[0]) < 1e-8
    worst = float(result.sharpness["worst"].value)
    assert worst > 1.05 * float(result.sharpness["ascent"].value)
    assert result.predicted["worst"] == pytest.approx(worst, rel=1e-5)


@pytest.mark.parametrize("rho", RADII)
def test_the_profiles(problem: Problem, measured: Explore, rho: float) -> None:
    result = measured.results[rho]
    assert result.complete
    steps, before = result.steps, problem.loss(problem.x)
    assert float(steps[0]) == pytest.approx(-2 * rho)
    gradient = problem.gradient()
    u = gradient / gradient.norm()
    expected = torch.stack([problem.loss(problem.x + s * u) - before for s in steps])
    torch.testing.assert_close(result.profiles["ascent"], expected, rtol=1e-8, atol=1e-12)
    # At ρ the curves are as high as the sharpnesses, at 0 all are 0.
    here = int((steps - rho).abs().argmin())
    assert float(steps[here]) == pytest.approx(rho)
    for name in ("ascent", "worst"):
        value = float(result.sharpness[name].value)
        assert float(result.profiles[name][here]) == pytest.approx(value, rel=1e-6)
    assert all(abs(float(rise[len(steps) // 2])) < 1e-12 for rise in result.profiles.values())
    # Along a random direction L curves by uᵀ∇²L u, which is neither the worst nor 0.
    random = result.profiles["random"]
    curvature = float(random[here] + random[-1 - here]) / rho**2
    assert 0 < curvature < 0.5 * float(torch.linalg.eigvalsh(problem.hessian())[-1])


def test_the_table_of_results(measured: Explore) -> None:
    table = measured.to_dataframe()
    assert table.columns.tolist() == [
        "rho", "notion", "value", "error", "kind", "predicted", "evaluations",
    ]  # fmt: skip
    assert table["rho"].tolist() == [RADII[0]] * 3 + [RADII[1]] * 3
    assert table["kind"].tolist() == ["lower bound", "exact", "estimate"] * 2
    (value,) = table.query(f"rho == {RADII[1]} and notion == 'worst'")["value"]
    assert value == float(measured.results[RADII[1]].sharpness["worst"].value)
    assert measured.sharpness is measured.results[RADII[0]].sharpness


def test_small_and_odd_networks() -> None:
    line = nn.Linear(2, 1).double()
    inputs = torch.eye(2, dtype=torch.float64)
    # Few parameters: exact eigenvalues, as many as there are.
    with closing(explore(line, nn.MSELoss(), (inputs, torch.ones(2, 1).double()), k=9)) as figure:
        point = figure.wait(PATIENCE).point
        assert point is not None
        hessian = torch.tensor([[1.0, 0, 1], [0, 1, 1], [1, 1, 2]], dtype=torch.float64)
        expected = torch.linalg.eigvalsh(hessian).flip(0)
        torch.testing.assert_close(point.eigenvalues.values, expected)
        assert float(point.trace.value) == pytest.approx(4)
        assert float(point.trace.error) == 0
        # The loss is quadratic: the model is exact.
        result = figure.results[0.05]
        for notion in ("worst", "ascent"):
            value = float(result.sharpness[notion].value)
            assert result.predicted[notion] == pytest.approx(value, rel=1e-6)
    # At a minimum the gradient is zero.
    nn.init.zeros_(line.weight)
    nn.init.ones_(line.bias)
    with closing(explore(line, nn.MSELoss(), (inputs, torch.ones(2, 1).double()))) as figure:
        figure.wait(PATIENCE)
        assert figure.point is not None
        assert bool(figure.point.cosines.isnan().all())
        assert figure.sentence().endswith("and the gradient is zero.")
        worst = float(figure.sharpness["worst"].value)
        assert worst == pytest.approx(0.05**2 * float(expected[0]) / 2, rel=1e-6)
        assert json.loads(state_of(figure.to_html()))["_point"]["cosines"] == [None] * 3


# ── What it leaves alone ─────────────────────────────────────────────────────────────────────────


def test_the_network_is_never_changed_and_may_be_trained_meanwhile() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 12), nn.BatchNorm1d(12), nn.Dropout(0.5), nn.Linear(12, 1))
    data = torch.randn(30, 4), torch.randn(30, 1)
    nn.functional.mse_loss(model(data[0]), data[1]).backward()
    before = copy.deepcopy(model.state_dict())
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    random = torch.get_rng_state()
    with closing(explore(model, nn.MSELoss(), data, samples=16)) as figure:
        figure.wait(PATIENCE)
        assert torch.equal(torch.get_rng_state(), random)
        assert model.training
        assert all(module.training for module in model.modules())
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name]), name
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            assert parameter.grad is not None
            assert torch.equal(parameter.grad, gradient)
        # The figure stays that of the network as it was.
        as_it_was = copy.deepcopy(model)
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.add_(1)
        figure.rho = 0.06
        figure.wait(PATIENCE)
        with closing(explore(as_it_was, nn.MSELoss(), data, rho=0.06, samples=16)) as other:
            other.wait(PATIENCE)
            for notion, sharpness in other.sharpness.items():
                assert float(figure.sharpness[notion].value) == float(sharpness.value)
        as_it_was.eval()
        with torch.no_grad():
            loss = nn.functional.mse_loss(as_it_was(data[0]), data[1])
        assert figure.point is not None
        assert figure.point.loss == pytest.approx(float(loss), rel=1e-5)


def test_it_warns_of_nothing_from_its_thread(recwarn: pytest.WarningsRecorder) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 1))
    data = torch.randn(30, 4), torch.randn(30, 1)
    with closing(explore(model, nn.MSELoss(), data, rho=1e-4, samples=16)) as figure:
        figure.wait(PATIENCE)
        # What is lost to rounding shows in the error.
        average = figure.sharpness["average"]
        assert float(average.error) > 0.1 * abs(float(average.value))
    assert [str(each.message) for each in recwarn] == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_it_measures_on_the_gpu_and_keeps_numbers_only(problem: Problem) -> None:
    model = copy.deepcopy(problem.model).cuda()
    data = problem.inputs.cuda(), problem.targets.cuda()
    with closing(explore(model, nn.MSELoss(), data, rho=RADII[1])) as figure:
        figure.wait(PATIENCE)
        with closing(problem.explore(rho=RADII[1])) as there:
            there.wait(PATIENCE)
            for notion in ("worst", "ascent"):
                here, other = (f.sharpness[notion].value for f in (figure, there))
                assert here.device.type == "cpu"
                torch.testing.assert_close(here, other, rtol=1e-5, atol=0)


# ── The thread ───────────────────────────────────────────────────────────────────────────────────


class Gate:
    """A loss that can be held up, and counts how often it is asked."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.calls = 0
        self.fail = False

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        assert self.open.wait(PATIENCE)
        self.calls += 1
        if self.fail:
            raise ArithmeticError("it went wrong")
        return nn.functional.mse_loss(outputs, targets)


def until(look: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def gated(problem: Problem) -> Iterator[tuple[Explore, Gate]]:
    """A figure that has measured at 0.05, and the gate in its loss."""
    gate = Gate()
    figure = explore(problem.model, gate, (problem.inputs, problem.targets))
    figure.wait(PATIENCE)
    yield figure, gate
    gate.open.set()
    figure.close()


def hold_up(figure: Explore, gate: Gate, rho: float) -> None:
    """Begin to measure at ρ, and hold it up after some evaluations."""
    before = gate.calls
    figure.rho = rho
    until(lambda: gate.calls > before + 2)
    gate.open.clear()


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

ROWS = torch.zeros(3, 2), torch.zeros(3, 1)


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


# ── The page without a kernel ────────────────────────────────────────────────────────────────────


def state_of(html: str) -> str:
    found = re.search(r'<script type="application/json">(.*?)</script>', html)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def placeholder(measured: Explore) -> str:
    return measured.to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


def numbers(text: str) -> list[float]:
    """The numbers of a text, as the page and as Python write them."""
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
    plain = re.sub(r"·10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: "e" + m[1].translate(digits), text)
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", plain.translate(digits))]


def test_the_page_says_what_python_says(page: Page, measured: Explore) -> None:
    ours, python = readout(page), measured.sentence()
    assert ours.startswith("Sequential with 92 parameters, L = ")
    for text in (ours, python):
        assert len(numbers(text)) == 10
    np.testing.assert_allclose(numbers(ours), numbers(python), rtol=2e-3)


def test_the_table_has_pythons_numbers_with_their_errors(page: Page, measured: Explore) -> None:
    rows = page.locator(".samlib-numbers tbody tr")
    result = measured.results[RADII[0]]
    for i, notion in enumerate(("worst", "ascent", "average")):
        cells = rows.nth(i).locator("td").all_inner_texts()
        sharpness = result.sharpness[notion]
        assert numbers(cells[0])[0] == pytest.approx(float(sharpness.value), rel=5e-3)
        assert numbers(cells[2])[0] == pytest.approx(result.predicted[notion], rel=5e-3)
        if notion != "ascent":
            assert numbers(cells[1])[0] == pytest.approx(float(sharpness.error), rel=0.5)
    assert rows.nth(0).inner_text().split("\t")[1].startswith("at least")
    assert "slope left" in rows.nth(0).inner_text()
    assert "rounding" in rows.nth(1).inner_text()
    assert "±" in rows.nth(2).inner_text()


def test_without_a_kernel_what_needs_one_is_disabled_with_a_reason(page: Page) -> None:
    for selector in ("[data-control='rho']", "[data-field='rho']", "[data-control='sweep']"):
        assert page.locator(selector).is_disabled()
    text = "Measured by a kernel; this page shows what it measured last."
    assert page.locator(".samlib-stage-text").inner_text() == text
    assert not page.locator("[data-control='cancel']").is_visible()


def test_the_arrow_keys_go_through_what_was_measured(page: Page) -> None:
    before = pictures(page), readout(page)
    handle = page.locator("[data-control='radius']")
    assert handle.get_attribute("aria-valuetext") == "0.05"
    press(page, "[data-control='radius']", "ArrowRight")
    assert fields(page)["rho"] == "0.4"
    assert handle.get_attribute("aria-valuetext") == "0.4"
    assert "within ρ = 0.4" in readout(page)
    after = pictures(page)
    # The curves, the ρ picked; the eigenvalues stay.
    assert [a == b for a, b in zip(before[0], after, strict=True)] == [False, False, True, True]
    press(page, "[data-control='radius']", "ArrowRight", "ArrowLeft")
    assert (pictures(page), readout(page)) == before
    press(page, "[data-control='radius']", "ArrowLeft")
    assert readout(page) == before[1]


def test_the_curves_and_marks_are_drawn_in_their_colours(page: Page) -> None:
    for colour in ((0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2), (0x00, 0x9E, 0x73), (0x5C, 0x65, 0x70)):
        assert has_colour(page, *colour)


def test_dragging_picks_the_nearest_radius(page: Page) -> None:
    box = page.locator("[data-control='radius'] .samlib-ring").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y, steps=4)
    page.mouse.up()
    assert fields(page)["rho"] == "0.4"
    page.locator("[data-control='reset']").click()
    assert fields(page)["rho"] == "0.05"


def test_a_link_brings_back_the_radius(open_page: Open, page: Page, placeholder: str) -> None:
    press(page, "[data-control='radius']", "ArrowRight")
    page.locator("[data-control='link']").click()
    again = open_page(placeholder, fragment=page.url.removeprefix(ADDRESS))
    assert readout(again) == readout(page)
    assert pictures(again) == pictures(page)
    for fragment, message in {
        "rho=abc": "ρ = “abc” is not a number and was ignored",
        "rho=-3": "ρ = -3 was moved to 0.000001",
    }.items():
        page.evaluate("(fragment) => { location.hash = fragment; }", f"#figure:{fragment}")
        expect(page.locator(".samlib-note")).to_contain_text(message)
        assert "within ρ = 0.05" in readout(page)


def test_it_fits_and_every_text_can_be_read(page: Page) -> None:
    for width in (360, 800):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert misfits(page) == []


def test_nothing_jumps(open_page: Open, placeholder: str) -> None:
    assert_nothing_jumps(open_page, placeholder)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_in_both_themes(page: Page, theme: str) -> None:
    assert_accessible(page, theme)


def test_the_placeholder_has_a_still_and_a_sentence(open_page: Open, measured: Explore) -> None:
    assert measured.still().startswith(b"\x89PNG")
    page = open_page(measured.to_html(), scripts=False)
    assert page.locator("figcaption").inner_text() == measured.sentence()
    assert page.locator("figure img").evaluate("(i) => i.complete && i.naturalWidth > 500")


def test_before_anything_is_measured_there_is_a_page_too(
    open_page: Open, gated: tuple[Explore, Gate]
) -> None:
    _, gate = gated
    figure = explore(nn.Linear(2, 1), gate, ROWS)
    gate.open.clear()
    figure.cancel()
    gate.open.set()
    figure.wait(PATIENCE)
    if figure.point is None:
        assert figure.sentence() == "Linear with 3 parameters: nothing is measured yet."
    page = open_page(figure.to_html())
    assert "measured yet" in readout(page)
    assert misfits(page) == []
    assert repr(figure) == "Explore(Linear with 3 parameters, rho=0.05, 0 radii measured)"
    figure.close()


# ── The page with a kernel, played by the test ───────────────────────────────────────────────────

KERNEL = """async (state) => {
  const { render } = await import("/samlib-widgets.esm.js");
  const listeners = new Map();
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  window.sent = [];
  window.saved = 0;
  window.state = state;
  window.fire = (event) => (listeners.get(event) ?? []).forEach((listener) => listener());
  window.put = (changes) => {
    for (const [name, value] of Object.entries(changes)) {
      state[name] = value;
      window.fire("change:" + name);
    }
  };
  render({ el, model: {
    get: (name) => state[name],
    set: (name, value) => window.put({ [name]: value }),
    save_changes: () => (window.saved += 1),
    send: (content) => window.sent.push(content.wish),
    on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    off: () => {},
  } });
}"""


@pytest.fixture
def kernel(engine: Page, placeholder: str) -> Page:
    """The figure over a model that can send; nobody has answered yet."""
    engine.clock.install()
    engine.evaluate(KERNEL, json.loads(state_of(placeholder)))
    engine.add_style_tag(path=samlib.widgets.base.STATIC / "samlib-widgets.css")
    return engine


def answer(kernel: Page) -> None:
    kernel.evaluate("window.fire('msg:custom')")
    kernel.clock.run_for(100)


def said(kernel: Page) -> str:
    kernel.clock.run_for(100)
    return kernel.locator(".samlib-stage-text").inner_text()


def test_controls_wait_for_the_kernels_answer(kernel: Page) -> None:
    assert kernel.evaluate("window.sent") == ["hello"]
    assert said(kernel) == "Waiting for the kernel."
    assert kernel.locator("[data-control='rho']").is_disabled()
    kernel.clock.run_for(5000)
    assert said(kernel).startswith("The kernel does not answer: it is busy, or has ended.")
    assert kernel.locator("[data-control='sweep']").is_disabled()
    answer(kernel)
    assert said(kernel) == "Measured."
    assert kernel.locator("[data-control='rho']").is_enabled()


def test_a_new_radius_is_measured_and_shown_as_it_comes(kernel: Page, measured: Explore) -> None:
    answer(kernel)
    kernel.locator("[data-field='rho']").fill("0.2")
    kernel.locator("[data-field='rho']").press("Enter")
    assert kernel.evaluate("[window.state.rho, window.saved > 0]") == [0.2, True]
    answer(kernel)
    table = kernel.locator(".samlib-numbers")
    assert said(kernel) == "Not measured at this ρ."
    assert table.get_attribute("class") == "samlib-numbers samlib-faint"
    progress = {"running": True, "text": "ρ = 0.2: average direction", "part": 0.5}
    current = {
        "rho": 0.2,
        "length": 1,
        "ascent": {"value": 0.25, "error": 0, "predicted": 0.5},
        "profiles": {"ascent": [-0.5, 0, 0.5]},
    }
    kernel.evaluate("(changes) => window.put(changes)", {"_progress": progress})
    kernel.evaluate("(changes) => window.put(changes)", {"_current": current})
    assert said(kernel) == "ρ = 0.2: average direction"
    assert kernel.locator("progress").evaluate("(bar) => bar.value") == 0.5
    rows = table.locator("tbody tr")
    assert rows.nth(1).locator("td").all_inner_texts() == ["0.25", "rounding", "0.5"]
    assert rows.nth(0).locator("td").first.inner_text() == "at least –".replace("at least ", "")
    assert "not measured yet" in kernel.locator(".samlib-readout").inner_text()
    kernel.locator("[data-control='cancel']").click()
    assert kernel.evaluate("window.sent").count("cancel") == 1


def test_cancel_measure_sweep_and_errors(kernel: Page) -> None:
    answer(kernel)
    act = kernel.locator("[data-control='cancel']")
    assert act.is_disabled()
    kernel.evaluate("window.put({ rho: 0.3 })")
    kernel.clock.run_for(100)
    assert act.inner_text() == "Measure"
    act.click()
    kernel.locator("[data-control='sweep']").click()
    assert kernel.evaluate("window.sent.slice(-2)") == ["measure", "sweep"]
    error = kernel.locator(".samlib-error")
    assert not error.is_visible()
    kernel.evaluate("window.put({ _message: 'ArithmeticError: it went wrong' })")
    kernel.clock.run_for(100)
    assert error.inner_text() == "ArithmeticError: it went wrong"


def test_python_answers_what_the_page_asks(gated: tuple[Explore, Gate]) -> None:
    figure, _ = gated
    answers: list[Any] = []
    figure.send = lambda content, buffers=None: answers.append(content)
    for wish in ("hello", "sweep", "cancel", "measure", "fly"):
        data = {"method": "custom", "content": {"wish": wish}}
        figure._handle_msg({"content": {"data": data}, "buffers": []})
    assert answers == [{"done": w} for w in ("hello", "sweep", "cancel", "measure")]
    figure.set_state({"rho": 0.09})
    figure.set_state({"rho": 0.11})
    figure.wait(PATIENCE)
    # A radius that the slider only passed is not measured.
    assert list(figure.results) == [0.05, 0.11]
