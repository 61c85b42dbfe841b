"""The engine of the figures against samlib, iterate by iterate."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor

import samlib
from samlib.dynamics.rules import SAM, GradientDescent, StochasticSAM
from samlib.landscapes import FourDimensional, Landscape, Quadratic, TwoValleys
from samlib.widgets import Alignment

STEPS = 5000
SPECTRUM = (9.0, 0.1, 4.0, 4.0, 0.7, 2.0, 1.0, 0.3, 5.5, 3.1)

# landscape, its arguments, start, η, ρ
SETTINGS: dict[str, tuple[str, tuple[float, ...], tuple[float, ...], float, float]] = {
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

RUN = """async ([landscape, spectrum, rule, options]) => {
  const { engine } = await import("/samlib-widgets.esm.js");
  const make = { quadratic: engine.quadratic, "two-valleys": engine.twoValleys,
    "four-dimensional": engine.fourDimensional };
  const loss = make[landscape](spectrum);
  const run = engine.simulate(loss, rule, options);
  const probe = engine.probe(loss);
  const alignment = [];
  for (let i = 0; i < run.records; i++) alignment.push(probe.look(run.x, i * run.dim).alignment);
  return { x: Array.from(run.x, String), alignment: alignment.map(String) };
}"""


def run_engine(page: Page, name: str, rule: str, **options: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Run the bundle's engine; numbers travel as text, which keeps every bit, NaN and ∞."""
    landscape, spectrum, start, lr, rho = SETTINGS[name]
    options = {"start": start, "lr": lr, "rho": rho, "steps": STEPS, **options}
    result = page.evaluate(RUN, [landscape, list(spectrum), rule, options])
    return {key: np.array(value, dtype=np.float64) for key, value in result.items()}


def make_landscape(name: str) -> Landscape:
    landscape, spectrum, *_ = SETTINGS[name]
    if landscape == "quadratic":
        return Quadratic(spectrum)
    return TwoValleys() if landscape == "two-valleys" else FourDimensional()


def relative_error(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> float:
    """The largest ‖difference‖/‖iterate‖, each component's size included, over all iterates."""
    difference = np.linalg.norm(ours - theirs, axis=-1)
    size = np.linalg.norm(theirs, axis=-1)
    # Where samlib's numbers have all but run out, the engine's are 0.
    return float(np.max(difference / np.where(size > 1e-280, size, 1.0)))


@functools.cache
def simulate_group(landscape: str, spectrum: tuple[float, ...], rule: str) -> dict[str, Tensor]:
    """Run all settings of one loss by samlib, in one batch: their iterates by name."""
    names = [name for name in SETTINGS if SETTINGS[name][:2] == (landscape, spectrum)]
    starts, lr, rho = (
        torch.tensor([SETTINGS[name][part] for name in names], dtype=torch.float64)
        for part in (2, 3, 4)
    )
    update = SAM(lr, rho) if rule == "sam" else GradientDescent(lr)
    run = samlib.simulate(make_landscape(names[0]), update, starts, STEPS, record=("x",))
    return dict(zip(names, run.x, strict=True))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("rule", ["sam", "gradient-descent"])
def test_every_iterate_is_samlibs(engine: Page, name: str, rule: str) -> None:
    expected = simulate_group(*SETTINGS[name][:2], rule)[name]
    x = run_engine(engine, name, rule)["x"].reshape(expected.shape)
    assert len(x) == STEPS + 1
    assert np.isfinite(x).all()
    assert relative_error(x, expected.numpy()) <= 1e-10


@pytest.mark.parametrize("name", [name for name in SETTINGS if "quadratic" not in name])
def test_one_sam_with_the_same_draws_is_samlibs(engine: Page, name: str) -> None:
    *_, start, lr, rho = SETTINGS[name]
    objective = make_landscape(name)
    draws = torch.randint(2, (STEPS,), generator=torch.Generator().manual_seed(3))
    rule = StochasticSAM(lr, rho)
    x = torch.tensor([start], dtype=torch.float64)
    expected = [x]
    for k in draws:
        x = rule.step(objective, x, k[None])
        expected.append(x)
    got = run_engine(engine, name, "one-sam", draws=draws.tolist())
    ours = got["x"].reshape(STEPS + 1, objective.dim)
    assert relative_error(ours, torch.cat(expected).numpy()) <= 1e-10


@pytest.mark.parametrize("every", [7, 1000])
def test_sparse_records_are_samlibs(engine: Page, every: int) -> None:
    name = "four, mirrored"
    *_, start, lr, rho = SETTINGS[name]
    run = samlib.simulate(
        FourDimensional(),
        SAM(lr, rho),
        torch.tensor(start, dtype=torch.float64),
        STEPS,
        every=every,
        record=("x",),
    )
    got = run_engine(engine, name, "sam", every=every)["x"].reshape(-1, 4)
    assert len(got) == len(run.steps)
    assert relative_error(got, run.x[0].numpy()) <= 1e-10


@pytest.mark.parametrize("name", [name for name in SETTINGS if "from the minimum" not in name])
def test_the_alignment_is_samlibs(engine: Page, name: str) -> None:
    got = run_engine(engine, name, "sam", steps=400)
    objective = make_landscape(name)
    x = torch.from_numpy(got["x"].reshape(401, objective.dim))
    expected = samlib.alignment(objective, x)
    np.testing.assert_allclose(got["alignment"], expected.numpy(), rtol=0, atol=1e-9)


def test_a_diverging_run_diverges_alike(engine: Page) -> None:
    objective = Quadratic((3.0, 1.0))
    got = run_engine(engine, "quadratic, as the figure opens", "sam", lr=0.7, steps=300)
    x = torch.from_numpy(got["x"].reshape(301, 2))
    expected = samlib.simulate(
        objective,
        SAM(0.7, 0.4),
        torch.tensor((0.3, 0.85), dtype=torch.float64),
        300,
        record=("x",),
    ).x[0]
    assert float(expected[-1].norm()) > 1e10
    assert relative_error(x.numpy(), expected.numpy()) <= 1e-10


SHARES = """async ([spectrum, lr, rho, options]) => {
  const { engine } = await import("/samlib-widgets.esm.js");
  const loss = engine.quadratic(spectrum);
  const { x, records, dim } = engine.simulate(loss, "sam", { ...options, lr, rho });
  const met = engine.invariantConditions(spectrum, lr, rho);
  const gradient = new Float64Array(dim);
  const shares = [];
  const conditions = [];
  for (let t = 0; t < records; t++) {
    loss.gradient(x, t * dim, gradient);
    shares.push(...engine.shares(gradient, new Float64Array(dim)));
    conditions.push(met(x, t * dim));
  }
  return { shares: shares.map(String), conditions };
}"""


@pytest.mark.parametrize(
    "name",
    [name for name in SETTINGS if SETTINGS[name][0] == "quadratic" and "beyond" not in name],
)
def test_shares_and_invariant_set_are_samlibs(engine: Page, name: str) -> None:
    _, spectrum, start, lr, rho = SETTINGS[name]
    figure = Alignment(eigenvalues=spectrum, start=start, lr=lr, rho=rho, steps=400)
    options = {"start": start, "steps": 400}
    got = engine.evaluate(SHARES, [list(spectrum), lr, rho, options])
    ours = np.array(got["shares"], dtype=np.float64).reshape(401, -1)
    np.testing.assert_allclose(ours, figure.gradient_shares().numpy(), rtol=1e-9, atol=1e-300)
    dim = len(spectrum)
    entered = next((t for t, met in enumerate(got["conditions"]) if met == dim), None)
    if rho > 0:
        assert entered == figure.invariant_since()
        assert all(met == dim for met in got["conditions"][entered or 400 :]) or entered is None
    # Every condition once met stays so, not only all of them together.
    assert got["conditions"] == sorted(got["conditions"])
