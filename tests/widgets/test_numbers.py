"""The numbers that the figures compute on a page against samlib's, in Node.js.

Python writes what samlib expects; node/NAME.test.js computes the same with the page's own modules
and compares. Nothing here needs a browser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import samlib
from samlib.landscapes import FourDimensional, Landscape, Quadratic, TwoValleys
from samlib.rules import SAM, GradientDescent, StochasticSAM
from samlib.widgets import (
    Alignment,
    ExplicitBias,
    OneLossThreeDestinations,
    OppositeDrifts,
    Rescaling,
    SpectrumInTraining,
    Thermostat,
    ThreeNotions,
)
from samlib.widgets.core.four_dimensional import PREFERRED
from samlib.widgets.figures.explicit_bias.model import on_manifold, side_direction
from samlib.widgets.figures.random_directions.model import average_share, shares
from samlib.widgets.figures.rescaling import model as rescaling
from samlib.widgets.figures.spectrum_in_training.model import (
    bin_edges,
    edge_of_stability,
    read_sweep,
)
from samlib.widgets.figures.thermostat.model import ranks
from samlib.widgets.figures.three_notions.model import SPECTRA, angles_around, rise

from . import settings
from .basin_map_numbers import expect_basin_map
from .limiting_flow_numbers import expect_limiting_flow
from .nodejs import compare
from .take_away_numbers import expect_take_away
from .train_yourself_numbers import expect_train_yourself

STEPS = 5000


def vector(numbers: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


# ── The rules on the toy losses ──────────────────────────────────────────────────────────────────

SPECTRUM = (9.0, 0.1, 4.0, 4.0, 0.7, 2.0, 1.0, 0.3, 5.5, 3.1)

# landscape, its arguments, start, η, ρ
RUNS: dict[str, tuple[str, tuple[float, ...], tuple[float, ...], float, float]] = {
    "quadratic, as the figure opens": ("quadratic", (3.0, 1.0), (0.3, 0.85), 0.3, 0.4),
    "quadratic, eigenvalues ascending": ("quadratic", (0.2, 5.0), (-1.3, 0.7), 0.11, 0.013),
    "quadratic, beyond the theorem": ("quadratic", (3.0, 1.0), (0.3, 0.85), 0.55, 0.4),
    "quadratic, ρ = 0": ("quadratic", (3.0, 1.0), (0.3, 0.85), 0.3, 0.0),
    "quadratic, three": ("quadratic", (4.0, 2.5, 0.3), (0.1, -0.2, 2.0), 0.05, 0.7),
    "quadratic, ten": ("quadratic", SPECTRUM, tuple(np.linspace(-1, 1.7, 10)), 0.07, 0.21),
    "quadratic, from the minimum": ("quadratic", (3.0, 1.0), (0.0, 0.0), 0.3, 0.4),
    "two valleys": ("two-valleys", (), (0.0, 0.1, 0.2), 0.05, 0.1),
    "two valleys, far left": ("two-valleys", (), (-2.5, 0.4, -0.3), 0.11, 0.03),
    "two valleys, far right": ("two-valleys", (), (1.7, -0.2, 0.9), 0.3, 0.25),
    "four, as the figure opens": ("four-dimensional", (), (0.5, 0.5, 0.1, 0.2), 0.02, 0.05),
    "four, slow": ("four-dimensional", (), (0.5, 0.5, 0.1, 0.2), 0.001, 0.1),
    "four, mirrored": ("four-dimensional", (), (0.9, -0.7, -0.15, 0.05), 0.013, 0.021),
    "four, where F₂ is larger": ("four-dimensional", (), (-0.6, 0.1, 0.03, 0.08), 0.03, 0.07),
}


def make_landscape(name: str) -> Landscape:
    landscape, spectrum, *_ = RUNS[name]
    if landscape == "quadratic":
        return Quadratic(spectrum)
    return TwoValleys() if landscape == "two-valleys" else FourDimensional()


def described(name: str, steps: int = STEPS, **more: Any) -> dict[str, Any]:
    landscape, spectrum, start, lr, rho = RUNS[name]
    options = {"start": list(map(float, start)), "lr": lr, "rho": rho, "steps": steps, **more}
    return {"name": name, "landscape": landscape, "spectrum": spectrum, "options": options}


def simulate_groups() -> list[dict[str, Any]]:
    """All settings of one loss and one rule in one batch."""
    runs = []
    for group in dict.fromkeys(setting[:2] for setting in RUNS.values()):
        names = [name for name in RUNS if RUNS[name][:2] == group]
        starts, lr, rho = (vector([RUNS[name][part] for name in names]) for part in (2, 3, 4))
        for rule, update in (("sam", SAM(lr, rho)), ("gradient_descent", GradientDescent(lr))):
            run = samlib.simulate(make_landscape(names[0]), update, starts, STEPS, record=("x",))
            runs += [
                {**described(name), "rule": rule, "x": x}
                for name, x in zip(names, run.x, strict=True)
            ]
    return runs


def with_given_draws(name: str) -> dict[str, Any]:
    *_, start, lr, rho = RUNS[name]
    draws = torch.randint(2, (STEPS,), generator=torch.Generator().manual_seed(3))
    run = samlib.simulate(
        make_landscape(name),
        StochasticSAM(lr, rho),
        vector(start),
        STEPS,
        record=("x",),
        draws=draws[:, None],
    )
    return {**described(name), "draws": draws.tolist(), "x": run.x[0]}


def sparse(every: int) -> dict[str, Any]:
    name = "four, mirrored"
    *_, start, lr, rho = RUNS[name]
    run = samlib.simulate(
        FourDimensional(), SAM(lr, rho), vector(start), STEPS, every=every, record=("x",)
    )
    options = described(name, every=every)["options"]
    return {"options": options, "records": len(run.steps), "x": run.x[0]}


def aligned(name: str) -> dict[str, Any]:
    *_, start, lr, rho = RUNS[name]
    objective = make_landscape(name)
    x = samlib.simulate(objective, SAM(lr, rho), vector(start), 400, record=("x",)).x[0]
    return {**described(name, 400), "x": x, "alignment": samlib.alignment(objective, x)}


def shared(name: str) -> dict[str, Any]:
    _, spectrum, start, lr, rho = RUNS[name]
    figure = Alignment(eigenvalues=spectrum, start=start, lr=lr, rho=rho, steps=400)
    since = figure.invariant_since() if rho > 0 else None
    return {**described(name, 400), "shares": figure.gradient_shares(), "since": since}


def expect_alignment() -> dict[str, Any]:
    diverging = described("quadratic, as the figure opens", 300, lr=0.7)
    start = vector(diverging["options"]["start"])
    far = samlib.simulate(Quadratic((3.0, 1.0)), SAM(0.7, 0.4), start, 300, record=("x",)).x[0]
    quadratics = [name for name in RUNS if "quadratic" in name]
    return {
        "runs": simulate_groups(),
        "one_sam": [with_given_draws(name) for name in RUNS if name not in quadratics],
        "sparse": [sparse(every) for every in (7, 1000)],
        "alignment": [aligned(name) for name in RUNS if "from the minimum" not in name],
        "diverging": {**diverging, "x": far},
        "shares": [shared(name) for name in quadratics if "beyond" not in name],
    }


# ── The other figures ────────────────────────────────────────────────────────────────────────────


def expect_one_loss() -> dict[str, Any]:
    steps, runs = 4000, []
    for traits in settings.ONE_LOSS:
        figure = OneLossThreeDestinations(steps=steps, **traits)
        options = {"start": figure.start, "lr": figure.lr, "rho": figure.rho, "steps": steps}
        x = {method: run.x[0] for method, run in figure.trajectories.items()}
        runs.append({"name": repr(traits), "options": options, "seed": figure.seed, "runs": x})
    figure, times = OneLossThreeDestinations(start=(0.6, 0.4, 0.1, -0.2)), [0.05, 0.3, 1.0, 3.0]
    found = {method: flow.x[:, :2] for method, flow in figure.limiting_flows(vector(times)).items()}
    landing = figure.landing()[:2]
    flows = {"start": figure.start, "times": times, "landing": landing, "flows": found}
    return {"runs": runs, "flows": flows}


def expect_opposite_drifts() -> dict[str, Any]:
    runs = []
    for name, traits in settings.OPPOSITE_DRIFTS.items():
        figure = OppositeDrifts(**traits)
        state = figure.state()
        options = {key: state[key] for key in ("start", "lr", "rho", "steps")}
        options["every"] = -(-figure.steps // 10_000)
        x = {method: run.x[0] for method, run in figure.trajectories.items()}
        sizes = {"seed": figure.seed, "batch_size": figure.batch_size}
        runs.append({"name": name, "options": options, **sizes, "runs": x})
    weights = []
    for seed, size in [(0, 1), (7, 5), (2**31 - 1, 31), (42, 32)]:
        figure = OppositeDrifts(seed=seed, batch_size=size, steps=500)
        assert figure.draws.shape == (500, 1, size)
        second = figure.draws.double().mean(dim=-1)[:, 0] * 2
        both = torch.stack([2 - second, second], dim=1)
        weights.append({"seed": seed, "size": size, "steps": 500, "weights": both})
    times = torch.linspace(0, 40, 9, dtype=torch.float64)
    flows = []
    for start in (-2.3, 0.0, 1.1):
        for name in ("top_eigenvalue", "trace"):
            flow = samlib.limiting_flow(
                TwoValleys(), vector([start, 0, 0]), name, times, progress=False
            )
            flows.append({"start": start, "regularizer": name, "times": times.tolist()})
            flows[-1]["x"] = flow.x[:, 0]
    return {"runs": runs, "weights": weights, "flows": flows}


def expect_explicit_bias() -> list[dict[str, Any]]:
    found = []
    for point in settings.POINTS_OF_GAMMA:
        here = ExplicitBias(point=point).regularizers()
        sides = []
        for angle in settings.SIDES:
            nearby = on_manifold(point) + 1e-9 * side_direction(angle)
            sharpness = samlib.ascent_direction_sharpness(FourDimensional(), nearby, 1e-3)
            assert sharpness.direction is not None
            figure = ExplicitBias(point=point, approach=angle)
            sides.append(
                {
                    "angle": angle,
                    "value": figure.approached(),
                    "direction": sharpness.direction[2:],
                    "arrivals": {name: vars(run) for name, run in figure.arrivals().items()},
                }
            )
        values = {notion: float(getattr(here, notion).value) for notion in PREFERRED}
        found.append({"point": point, "regularizers": values, "sides": sides})
    return found


def expect_three_notions() -> list[dict[str, Any]]:
    found = []
    for loss, traits in settings.THREE_NOTIONS:
        figure = ThreeNotions(loss=loss, **traits)
        objective, x = figure.objective, vector(figure.point)
        found.append(
            {
                **figure.state(),
                "spectrum": SPECTRA.get(loss),
                "sharpness": figure.sharpness(),
                "predicted": figure.predicted(),
                "value": float(objective.value(x)),
                "slope": float(objective.gradient(x).norm()),
                "profile": rise(objective, x, figure.rho, angles_around()),
            }
        )
    return found


def expect_random_directions() -> list[dict[str, Any]]:
    return [
        {
            "dimension": dimension,
            "seed": seed,
            "shares": shares(dimension, seed),
            "average": average_share(dimension),
        }
        for seed in (0, 7, 2**32 - 1)
        for dimension in (9, 2, 1210, 33)
    ]


def expect_thermostat() -> list[dict[str, Any]]:
    found = []
    for name, traits in settings.THERMOSTAT.items():
        figure = Thermostat(**traits)
        found.append(
            {
                "name": name,
                "state": figure.state(),
                "gradients": figure.gradients(),
                "multipliers": figure.multipliers(),
                "balance": vector([figure.balance]),
                "ranks": ranks(figure.eigenvalues),
            }
        )
    return found


def expect_rescaling() -> dict[str, Any]:
    trained, cases = rescaling.read_trained(), []
    direction = torch.sin(torch.arange(rescaling.DIM, dtype=torch.float64) ** 2)
    for alpha in settings.ALPHAS:
        figure = Rescaling(alpha=alpha)
        product = figure.objective.hessian_vector_product(figure.weights(), direction)
        cases.append(
            {
                "alpha": alpha,
                "top": figure.top_eigenvalue(),
                "trace": figure.trace(),
                "profile": figure.profile(),
                "outputs": figure.outputs(),
                "answers": figure.answers().tolist(),
                "product": product,
            }
        )
    return {
        "network": Rescaling()._config["network"],
        "weights": trained.weights,
        "inputs": trained.inputs,
        "distances": rescaling.distances(),
        "direction": direction,
        "tolerance": {"rtol": 2e-3, "atol": 1e-4},
        "cases": cases,
    }


def expect_spectrum_in_training() -> dict[str, Any]:
    arrays = read_sweep().arrays
    some = [
        (("trace", "sam", 3, 7), (0, 3, 7)),
        (("loss", "one_sam", 7, 40), (1, 7, 40)),
        (("trace", "gradient_descent", 5, 11), (0, 0, 11)),
        (("eigenvalues", "sam", 2, 39, 9), (0, 2, 39, 9)),
        (("counts", "one_sam", 1, 20, 31), (1, 1, 20, 31)),
    ]
    cases = [(0.5, 0.0, 0.1), (0.5, 0.2, 0.126), (0.05, 0.5, 1e-6), (1.0, 1e-9, 3.0)]
    return {
        "sent": SpectrumInTraining()._config["sweep"],
        "arrays": {
            name: {"values": array, "size": array.shape[3] if array.ndim > 3 else 1}
            for name, array in arrays.items()
        },
        "edges": bin_edges(),
        "some": [{"where": at, "value": float(arrays[at[0]][place])} for at, place in some],
        "stability": [
            {"lr": lr, "rho": rho, "norm": norm, "edge": edge_of_stability(lr, rho, norm)}
            for lr, rho, norm in cases
        ],
    }


EXPECTED = {
    "alignment": expect_alignment,
    "basin_map": expect_basin_map,
    "explicit_bias": expect_explicit_bias,
    "limiting_flow": expect_limiting_flow,
    "one_loss": expect_one_loss,
    "opposite_drifts": expect_opposite_drifts,
    "random_directions": expect_random_directions,
    "rescaling": expect_rescaling,
    "spectrum_in_training": expect_spectrum_in_training,
    "take_away": expect_take_away,
    "thermostat": expect_thermostat,
    "three_notions": expect_three_notions,
    "train_yourself": expect_train_yourself,
}

# Those that test_training.py runs.
OF_TEST_TRAINING = {"training", "training_arithmetic", "training_curvature", "training_effects"}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_page_computes_samlibs_numbers(name: str, tmp_path: Path) -> None:
    compare(name, EXPECTED[name](), tmp_path)


def test_every_file_of_comparisons_is_run() -> None:
    files = {path.name.split(".")[0] for path in (Path(__file__).parent / "node").glob("*.test.js")}
    assert files == set(EXPECTED) | OF_TEST_TRAINING


def test_a_wrong_number_is_found(tmp_path: Path) -> None:
    expected = expect_explicit_bias()
    expected[2]["regularizers"]["ascent"] *= 1 + 1e-9
    with pytest.raises(AssertionError, match="the limiting regularizers are samlib's at 1,1"):
        compare("explicit_bias", expected, tmp_path)
