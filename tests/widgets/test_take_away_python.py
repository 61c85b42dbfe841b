"""The Python that a figure gives makes the figure again, and computes the table that it gives."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
import torch
from playwright.sync_api import Page
from torch import nn

from samlib import rules, widgets
from samlib.widgets import BasinMap, Explore, TrainYourself
from samlib.widgets.core.figure import Figure
from tests.browser import DRAWN
from tests.sharing import copied, saved

from .conftest import Open
from .exploring import RADII, Problem
from .train_page import STEP, at_step, steps

CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}

# Figures in states that differ in all that the Python depends on.
STATES: dict[str, tuple[str, dict[str, Any]]] = {
    "aligned": ("Alignment", {}),
    "aligned in three": (
        "Alignment",
        {"eigenvalues": (0.5, 4, 2.5), "start": (0.1, -0.2, 2), "lr": 0.05, "steps": 300},
    ),
    "aligned on four": ("Alignment", {"landscape": "four-dimensional", "steps": 4000, "lr": 0.013}),
    "destinations": ("OneLossThreeDestinations", {"steps": 3000, "frame": 17, "seed": 7}),
    "destinations elsewhere": (
        "OneLossThreeDestinations",
        {"start": (0.9, -0.7, -0.15, 0.05), "rho": 0.1, "lr": 0.005, "steps": 2000, "turn": 200},
    ),
    "destinations without ρ": ("OneLossThreeDestinations", {"rho": 0.0, "steps": 500}),
    "drifts": ("OppositeDrifts", {"steps": 5000, "lr": 0.03}),
    "drifts of one": ("OppositeDrifts", {"batch_size": 1, "seed": 123456789, "steps": 2000}),
    "drifts of 32": ("OppositeDrifts", {"batch_size": 32, "seed": 2**31 - 1, "steps": 3000}),
    "notions": ("ThreeNotions", {}),
    "notions in the valley": ("ThreeNotions", {"loss": "curved valley", "point": (-1.7, 2.9)}),
    "notions at the saddle": ("ThreeNotions", {"loss": "saddle", "rho": 0.9}),
    "prefers": ("ExplicitBias", {}),
    "prefers the trace": ("ExplicitBias", {"quantity": "trace", "point": (-0.4, 0), "approach": 2}),
    "flows": ("LimitingFlow", {"time": 1.0}),
    "flows with both errors": ("LimitingFlow", {"network": 3, "flow": "both", "time": 2.0}),
    "flows of one": ("LimitingFlow", {"batch_size": 1, "seed": 5, "time": 1.0}),
    "spectra": ("SpectrumInTraining", {}),
    "directions": ("RandomDirections", {}),
    "directions in many": ("RandomDirections", {"dimension": 1210, "seed": 2**32 - 1}),
    "directions in seven": ("RandomDirections", {"dimension": 7, "seed": 11}),
    "thermostat": ("Thermostat", {}),
    "thermostat of a saddle": (
        "Thermostat",
        {"eigenvalues": (0.4, -0.9, 0.0, 1.3), "norm": 0.07, "lr": 0.3, "rho": 0.25, "steps": 90},
    ),
    "thermostat of a tie": ("Thermostat", {"eigenvalues": (1.2, 1.9, 1.9, 0.3), "frame": 12}),
    "thermostat without balance": ("Thermostat", {"eigenvalues": (4.1, 1, 0.5, -2), "steps": 30}),
    "thermostat without ρ": ("Thermostat", {"rho": 0.0, "start": (-1, 2, 0, 0.3), "steps": 60}),
    "thermostat at rest": ("Thermostat", {"start": (0, 0, 0, 0), "steps": 25}),
    "rescaled": ("Rescaling", {}),
    "rescaled sharp": ("Rescaling", {"alpha": 0.05}),
    "rescaled flat": ("Rescaling", {"alpha": 2.75}),
    "basins": ("BasinMap", {}),
    "basins of a slope": ("BasinMap", {"rho": 1.3, "steps": 501, "center": (0.3, -0.2)}),
    "basins of a round bowl": (
        "BasinMap",
        {"loss": "round bowl", "method": "gradient_descent", "steps": 77, "reach": 0.8},
    ),
    "basins of two valleys": ("BasinMap", {"loss": "two valleys", "across": (-0.3, 1), "lr": 0.07}),
    "basins in four dimensions": (
        "BasinMap",
        {"loss": "four dimensions", "across": (-0.15, 0.25), "rho": 0.03, "steps": 4001},
    ),
    "basins of a formula": (
        "BasinMap",
        # Between the minima these runs are chaotic: of 1e-15 more at the start, 80 steps make 0.07.
        {"loss": "formula", "formula": "(x^2 - 1)^2 + cos(x)*y^2 + exp(y)/9", "rho": 0.1,
         "reach": 1.2, "steps": 20},
    ),
    "basins that runs leave": (
        "BasinMap",
        {"method": "ascent_loss_descent", "lr": 0.2, "steps": 300, "start": (-0.9, 0.4)},
    ),
    "before it trains": ("TrainYourself", {}),
    "spectra of one": ("SpectrumInTraining", {"method": "1-SAM", "rho": 0.05, "step": 540}),
}  # fmt: skip

# Runs that the page trains in float64, five steps by hand.
TRAINED: dict[str, dict[str, Any]] = {
    "as it opens": {"rows": 100, "panels": ("trace", "alignment")},
    "batches": {
        "first": "sgd", "second": "mini_batch", "batch": 9, "rows": 60, "lr": 0.1, "seed": 3,
        "panels": ("spectrum",),
    },
    "single rows": {"first": "m_sam", "second": "one_sam", "batch": 16, "rows": 50, "width": 40},
    "convolutional": {
        "rows": 50, "network": "convolutional", "loss": "cross-entropy", "lr": 0.1,
        "shuffled": 0.4,
    },
    "ρ moves": {"rows": 80, "rho": 0.05, "switch_step": 3, "switch_rho": 0.4, "seed": 2},
}  # fmt: skip

# The relative difference that columns may have, where it is more than roundings: flows are
# integrated with other steps; the network's minimizers are found by gradient flow in Python and by
# Newton's steps on the page, as the script says.
TOLERANCES = {"flow_": 1e-6}
# Where a network trains, the page knows its curvature to less than a percent.
TRAINING = {"eigenvalue": 0.01, "alignment": 0.01}
NETWORK = {"top_eigenvalue": 3e-4, "trace": 3e-4, "alignment": 1e-6}


def run(script: str, **names: Any) -> dict[str, Any]:
    """What a script leaves behind."""
    scope: dict[str, Any] = dict(names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it runs without a warning, but for what diverges
        warnings.filterwarnings("ignore", ".* runs diverged", RuntimeWarning)
        exec(compile(script, "copied.py", "exec"), scope)
    return scope


def link(state: dict[str, Any]) -> str:
    """A state as the address of a page has it."""

    def text(value: Any) -> str:
        return ",".join(map(text, value)) if isinstance(value, tuple) else quote(str(value))

    return "&".join(f"{name}={text(value)}" for name, value in state.items())


def tolerance(figure: str, column: str) -> float:
    named = {"LimitingFlow": NETWORK, "TrainYourself": TRAINING}.get(figure, {})
    found = [rtol for part, rtol in {**TOLERANCES, **named}.items() if part in column]
    return max(found, default=1e-9)


def read(path: Path) -> pd.DataFrame:
    """The numbers of a file, whose first line is a comment."""
    first, names, *rows = path.read_text("utf8").splitlines()
    assert first.startswith("# ")
    numbers = [[float(text) for text in row.split(",")] for row in rows]
    return pd.DataFrame(numbers, columns=names.split(","))


def compare(figure: str, given: pd.DataFrame, computed: pd.DataFrame) -> None:
    """The page's table is made of rows of the one that Python computes."""
    key = given.columns[0]
    assert set(given.columns) == set(computed.columns)
    assert len(given) >= 2
    if computed[key].is_unique:
        computed = computed.set_index(key, drop=False).loc[given[key]]
    compared = 0
    estimated = {f"{run}_trace{end}" for run in ("first", "second") for end in ("", "_error")}
    for name in given.columns.difference(estimated, sort=False):
        here, there = given[name].to_numpy(), computed[name].to_numpy()
        # Python knows a flow at some steps only; an angle is none where the gradient has vanished.
        known = ~np.isnan(here) & ~np.isnan(there)
        if not known.any():
            continue
        compared += 1
        scale = np.abs(there[known & np.isfinite(there)]).max(initial=0)
        rtol = tolerance(figure, name)
        np.testing.assert_allclose(
            here[known], there[known], rtol=rtol, atol=rtol * scale, err_msg=name
        )
    assert compared >= len(given.columns.difference(estimated)) - 2
    for name in sorted(estimated & {*given.columns}):
        if not name.endswith("_error"):
            compare_estimates(given, computed, name)


def compare_estimates(given: pd.DataFrame, computed: pd.DataFrame, name: str) -> None:
    """Two estimates with random vectors of their own differ by some standard errors at most."""
    errors = np.hypot(given[f"{name}_error"].to_numpy(), computed[f"{name}_error"].to_numpy())
    apart = np.abs(given[name].to_numpy() - computed[name].to_numpy()) / errors
    known = ~np.isnan(apart)
    assert known.sum() >= 2
    assert apart[known].max() < 4
    assert np.median(apart[known]) < 2


@pytest.mark.parametrize("name", STATES)
def test_the_copied_python_computes_the_saved_numbers(
    name: str, open_page: Open, tmp_path: Path
) -> None:
    kind, traits = STATES[name]
    figure: Figure = getattr(widgets, kind)(**traits)
    # Opened in another state: what is copied is what is shown, not what was opened.
    page = open_page(getattr(widgets, kind)().to_html(id="figure"), **CLIPBOARD)
    go_to(page, figure)
    take_along(page, figure, tmp_path)


@pytest.mark.parametrize("name", TRAINED)
def test_the_copied_python_trains_as_the_page_did(
    name: str, open_page: Open, tmp_path: Path
) -> None:
    figure = TrainYourself(precision="float64", **TRAINED[name])
    page = open_page(TrainYourself().to_html(id="figure"), panels=False, **CLIPBOARD)
    go_to(page, figure)
    steps(page, 5)
    measured(page, 5, tmp_path)
    table = take_along(page, figure, tmp_path)
    assert table["step"].tolist() == list(range(6))
    ten = {"spectrum", "alignment"} & {*figure.panels}
    assert ("first_eigenvalue_10" in table) == bool(ten)
    assert ("second_trace" in table) == ("trace" in figure.panels)
    radii = [figure.rho] * 4 + [figure.switch_rho] * 2 if figure.switch_step else [figure.rho] * 6
    assert table["second_rho"].tolist() == radii


def test_what_a_reader_has_moved_meanwhile_is_in_the_script(
    open_page: Open, tmp_path: Path
) -> None:
    figure = TrainYourself(precision="float64", rows=60, second="mini_batch", batch=7)
    page = open_page(TrainYourself().to_html(id="figure"), panels=False, **CLIPBOARD)
    go_to(page, figure)
    steps(page, 3)
    page.locator("[data-control='rho']").first.press("ArrowRight")
    for step in (4, 5):
        page.locator(STEP).click()
        at_step(page, lambda now, step=step: now == step)
    given = measured(page, 5, tmp_path)
    before, moved = given["second_rho"].unique()
    assert given["second_rho"].tolist() == [before] * 4 + [moved] * 2
    assert before == figure.rho < moved
    scope = run(copied(page, "python"))
    assert scope["figure"].rho == moved
    compare("TrainYourself", given, scope["table"])


@pytest.mark.parametrize("name", ["basins in four dimensions", "basins that runs leave"])
def test_the_script_of_a_map_follows_the_run_that_is_drawn(name: str, open_page: Open) -> None:
    figure = BasinMap(**STATES[name][1])
    page = open_page(BasinMap().to_html(id="figure"), **CLIPBOARD)
    go_to(page, figure)
    path = run(copied(page, "python"))["path"]
    first = [*figure.start, *figure.across][: figure.objective.dim]
    assert path[0].tolist() == first
    kind = {"sam": rules.SAM, "ascent_loss_descent": rules.AscentLossDescent}[figure.method]
    after = kind(figure.lr, figure.rho).step(figure.objective, path[:-1])
    assert len(path) == figure.steps + 1
    torch.testing.assert_close(path[1:], after, rtol=1e-9, atol=1e-12, equal_nan=True)


def measured(page: Page, last: int, folder: Path) -> pd.DataFrame:
    """The numbers after a look at the last step, which follows the step itself."""
    for _ in range(200):
        given = read(saved(page, "csv", folder))
        if given["step"].max() == last:
            return given
        page.wait_for_timeout(100)
    raise AssertionError(f"no look at step {last}")


def go_to(page: Page, figure: Figure) -> None:
    """Show the state of a figure."""
    page.evaluate("(link) => { location.hash = link; }", f"#figure:{link(figure.state())}")
    page.evaluate(DRAWN)


def take_along(page: Page, figure: Figure, folder: Path) -> pd.DataFrame:
    """The numbers of what is shown, which are those of its Python."""
    given = read(saved(page, "csv", folder))
    scope = run(copied(page, "python"))
    assert scope["figure"].state() == figure.state()
    compare(type(figure).__name__, given, scope["table"])
    return given


def test_explore_gives_the_lines_that_measure_again(
    open_page: Open, problem: Problem, measured: Explore, tmp_path: Path
) -> None:
    page = open_page(measured.to_html(id="figure"), **CLIPBOARD)
    given = read(saved(page, "csv", tmp_path))
    assert given["rho"].tolist() == sorted(RADII)
    script = copied(page, "python")
    again = {
        "model": problem.model,
        "loss_fn": nn.MSELoss(),
        "data": (problem.inputs, problem.targets),
    }
    scope = run(script, **again)
    try:
        # Of the same network, with other random directions.
        exact = ["ascent_value", "worst_predicted", "ascent_predicted"]
        np.testing.assert_allclose(given[exact], scope["table"][exact], rtol=5e-6)
        assert list(given.columns) == list(scope["table"].columns)
    finally:
        scope["figure"].close()
