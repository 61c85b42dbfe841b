"""Where the rules lead on the landscapes: the statements of the paper."""

from __future__ import annotations

import math

import pytest
import scipy.integrate
import torch
from torch import Tensor

from samlib import rules, simulate
from samlib.landscapes import FourDimensional, Quadratic, TwoValleys
from tests.samlib.simulation_cases import START, f1, f2


@pytest.mark.parametrize("seed", range(20))
def test_theorem_4_8_sam_on_a_quadratic_converges_to_a_two_cycle_along_v1(
    seed: int, device: torch.device
) -> None:
    generator = torch.Generator().manual_seed(seed)
    dim = 2 + round(28 * seed / 19)  # 2, …, 30

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        unit = torch.rand(shape, generator=generator, dtype=torch.float64)
        return low + (high - low) * unit

    spectrum = torch.cat([uniform(0.05, 0.9, dim - 1), torch.ones(1, dtype=torch.float64)])
    spectrum = spectrum[torch.randperm(dim, generator=generator)] * float(uniform(0.5, 20))
    top = int(spectrum.argmax())
    eta, rho = float(uniform(0.2, 0.9)) / float(spectrum[top]), float(uniform(0.01, 1))
    start = torch.randn(dim, generator=generator, dtype=torch.float64).to(device)
    steps = 6000 if device.type == "cpu" else 3000
    quadratic, rule = Quadratic(spectrum), rules.SAM(eta, rho)
    settled = simulate(quadratic, rule, start, steps, every=steps, record=("x",)).x[0, -1]
    run = simulate(quadratic, rule, settled, 20)

    last, before = run.x[0, -1], run.x[0, -2]
    limit = eta * rho * spectrum[top] / (2 - eta * spectrum[top])
    direction = torch.zeros_like(last)
    direction[top] = last[top].sign()
    assert float((last / last.norm() - direction).norm()) < 1e-6
    assert abs(float(last.norm() / limit) - 1) < 1e-8
    assert float((last + before).norm() / limit) < 1e-8, "the sign flips"
    signs = run.x[0, :, top].sign()
    assert torch.equal(signs[1:], -signs[:-1]), "at each step"
    assert float(run.alignment.min()) == pytest.approx(1, abs=1e-12)


def test_sam_minimizes_worst_direction_sharpness_in_four_dimensions() -> None:
    eta, rho = 0.02, 0.05
    run = simulate(FourDimensional(), rules.SAM(eta, rho), START, 60_000, every=60_000)  # τ = 3
    last = run.x[0, -1]
    assert float(f1(last)) - 8 < 1e-6
    assert float(last[2].abs()) == pytest.approx(eta * rho * 16 / (2 - eta * 16), rel=1e-6)
    assert float(run.alignment[0, -1]) == pytest.approx(1, abs=1e-6)


def test_one_sam_minimizes_average_direction_sharpness_in_four_dimensions() -> None:
    least = 10 + 23 / 35  # of F₁ + F₂, at (0.8, 1/7)
    excess = []
    for scale in (1.0, 0.5):
        eta, rho = 0.02 * scale, 0.05 * scale
        steps = round(6 / (eta * rho**2))  # τ = 6
        rule = rules.StochasticSAM(eta, rho)
        run = simulate(
            FourDimensional(),
            rule,
            START.expand(4, 4),
            steps,
            every=steps // 500,
            record=("x",),
            seed=0,
        )
        second_half = run.x[:, len(run.steps) // 2 :]
        excess.append((f1(second_half) + f2(second_half)).mean(dim=1) - least)
    assert float(excess[0].min()) > 0
    assert float(excess[0].max()) < 0.15
    assert float((excess[1] / excess[0]).max()) < 0.35  # a quarter was measured


@pytest.mark.parametrize(
    ("eta", "tau", "where", "sharpness", "tolerance"),
    [
        (1e-3, 3, (0.876, 0.224), 1.66, 0.005),
        (1e-4, 3, (0.967, 0.549), 1.21, 0.005),
        (1e-5, 1, (1.000, 0.933), 1.005, 0.0006),
    ],
)
def test_descent_on_the_ascent_loss_reaches_f2_only_as_eta_vanishes(
    eta: float, tau: float, where: tuple[float, float], sharpness: float, tolerance: float
) -> None:
    steps = round(tau / (eta * 0.1**2))
    rule = rules.AscentLossDescent(eta, 0.1)
    last = simulate(FourDimensional(), rule, START, steps, every=steps, record=("x",)).x[0, -1]
    assert last[:2].tolist() == pytest.approx(where, abs=0.001)
    assert float(f2(last)) == pytest.approx(sharpness, abs=tolerance)


def test_in_two_valleys_sam_and_one_sam_drift_apart_and_gradient_descent_stays() -> None:
    landscape, start = TwoValleys(), torch.tensor([0.0, 0.01, 0.01], dtype=torch.float64)
    ends = {}
    for rule in (
        rules.GradientDescent(0.05),
        rules.SAM(0.05, 0.1),
        rules.StochasticSAM(0.05, 0.1),
    ):
        run = simulate(landscape, rule, start, 60_000, every=60_000, record=("x",), seed=1)
        ends[type(rule)] = run.x[0, -1]
    top = {rule: float(landscape.minimizer_manifold.top_eigenvalue(x)) for rule, x in ends.items()}
    trace = {rule: float(landscape.minimizer_manifold.trace(x)) for rule, x in ends.items()}
    assert abs(float(ends[rules.GradientDescent][0])) < 1e-3
    assert float(ends[rules.SAM][0]) < -1
    assert top[rules.SAM] < 2.6
    assert trace[rules.SAM] > 4.2
    assert float(ends[rules.StochasticSAM][0]) > 1
    assert top[rules.StochasticSAM] > 3.3
    assert trace[rules.StochasticSAM] < 3.8


def test_in_two_valleys_sam_follows_the_drift_that_its_two_cycle_predicts() -> None:
    # On the two-cycle of Theorem 4.8, |y₁| = ηρλ₁/(2 − ηλ₁), and the perturbed point is at
    # y₁ = ±(ρ + |y₁|), where ∂L/∂x = ½ λ₁′(x) y₁².
    eta, rho, steps = 0.05, 0.1, 60_000

    def drift(t: float, x: list[float]) -> list[float]:
        top, slope = 3 + math.tanh(x[0]) / 2, (1 - math.tanh(x[0]) ** 2) / 2
        amplitude = eta * rho * top / (2 - eta * top)
        return [-eta / 2 * slope * (rho + amplitude) ** 2]

    flow = scipy.integrate.solve_ivp(drift, (0, steps), [0.0], rtol=1e-10, atol=1e-12)
    start = torch.tensor([0.0, 1e-3, 1e-3], dtype=torch.float64)
    run = simulate(TwoValleys(), rules.SAM(eta, rho), start, steps, every=steps, record=("x",))
    assert float(run.x[0, -1, 0]) == pytest.approx(flow.y[0, -1], abs=2e-3)
    assert flow.y[0, -1] == pytest.approx(-2.05, abs=0.005)
