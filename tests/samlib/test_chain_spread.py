"""The spread of SAM's runs: against closed forms, other formulas and many runs of SAM itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samlib import Objective, project_to_minimizers, rules, simulate
from samlib._progress import ProgressBar
from samlib.flow import chain_flow, chain_spread, residual_chain
from samlib.flow.chain_noise import speed_noise, speed_response
from samlib.flow.chain_walk import Sampling
from samlib.landscapes import FourDimensional, TwoValleys
from samlib.networks import interpolating_network
from tests.samlib.flow_cases import double, normal

pytestmark = pytest.mark.usefixtures("one_thread")


def noise(gram: Tensor, lr: float, batch_size: int | None = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    with ProgressBar(None, "", False) as bar:
        return speed_noise(gram, Sampling(lr, batch_size, 2**18, generator, bar))


def test_the_noise_of_perpendicular_gradients_has_a_closed_form() -> None:
    curvatures, lr = double(4.0, 1.0, 2.5, 6.0), 0.2  # ηh from .2 to 1.2
    found = noise(torch.diag(curvatures), lr)
    speeds = (2 / (2 - lr * curvatures)) ** 2
    free = 2 - lr * curvatures
    width = 2 * lr * torch.outer(curvatures, curvatures).sqrt() / torch.outer(free, free)
    expected = torch.zeros(4, 4, 4, 4).double()
    for k in range(4):
        for j in range(4):
            expected[k, k, j, j] = (4 * (k == j) - 1) * speeds[k] * speeds[j]
            if k != j:  # M² (1/2M) c² (e_kj − e_jk)(e_kj − e_jk)ᵀ
                expected[k, j, k, j], expected[k, j, j, k] = torch.stack([width, -width])[:, k, j]
                expected[k, j, k, j] *= 2 * width[k, j]
                expected[k, j, j, k] *= 2 * width[k, j]
    error = found.std(dim=0) / math.sqrt(len(found))
    away = (found.mean(dim=0) - expected) / (error + 3e-3 * speeds.max() ** 2)
    assert float(away.abs().max()) < 4.5
    assert float(away.square().mean().sqrt()) < 1.2
    assert float(error[1, 3, 1, 3]) < 0.1 * float(expected[1, 3, 1, 3])


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_noise_is_the_variance_of_a_long_sum(batch_size: int) -> None:
    rows, lr, steps, runs = normal(3, 4, seed=5) + 0.3, 0.1, 2_000, 2_000
    gram = rows @ rows.T
    generator = torch.Generator().manual_seed(3)
    r, total = 0.1 * normal(runs, 3, seed=1), torch.zeros(runs, 3, 3).double()
    for step in range(-500, steps):
        drawn = torch.randint(3, (runs, batch_size), generator=generator)
        w = torch.nn.functional.one_hot(drawn, 3).double().mean(dim=1)
        slope = (w * r) @ gram
        a = r + slope / (w * r * slope).sum(dim=1, keepdim=True).sqrt()
        r = r - lr * (w * a) @ gram
        if step >= 0:
            total += 3 * (w * a)[:, :, None] * a[:, None, :]
    sums = (total @ torch.linalg.inv(gram)).flatten(1)
    expected = torch.cov(sums.T) / steps
    found = noise(gram, lr, batch_size)
    mean, error = found.mean(dim=0).reshape(9, 9), found.std(dim=0).reshape(9, 9) / math.sqrt(8)
    sizes = expected.diagonal().sqrt()
    of_runs = torch.outer(sizes, sizes) / math.sqrt(runs)
    # What the start of the sum shares with nothing before it is of order 1/(η λ steps) = 1 %.
    away = (mean - expected) / (error.square() + 2 * of_runs.square()).sqrt()
    assert float(away.abs().max()) < 4.5


def test_nothing_is_drawn_and_nothing_varies_with_all_examples() -> None:
    rows = normal(3, 4, seed=5) + 0.3
    assert float(noise(rows @ rows.T, 0.1, None).abs().max()) < 1e-4


def test_the_response_is_what_another_chain_says() -> None:
    rows, lr = normal(3, 4, seed=7) + 0.3, 0.15
    gram = rows @ rows.T
    generator = torch.Generator().manual_seed(0)
    with ProgressBar(None, "", False) as bar:
        groups = speed_response(gram, Sampling(lr, 1, 2**18, generator, bar))
    found, error = groups.mean(dim=0), groups.std(dim=0) / math.sqrt(len(groups))
    factor = torch.linalg.cholesky(gram)
    change = 0.08 * double(1.0, 0.5, -0.3, 0.5, -1.0, 0.6, -0.3, 0.6, 0.2).view(3, 3)
    one = torch.eye(3).double()
    sides = [
        residual_chain(factor @ (one + sign * change) @ factor.T, lr, samples=2**21)
        for sign in (1, -1)
    ]
    expected = (sides[0].speeds - sides[1].speeds) / 2
    uncertain = (sides[0].speeds_error.square() + sides[1].speeds_error.square()).sqrt() / 2
    answer = torch.einsum("kjab,ab->kj", found, change)
    of_answer = torch.einsum("kjab,ab->kj", error.square(), change.square()).sqrt()
    away = (answer - expected) / (uncertain.square() + of_answer.square()).sqrt()
    assert float(away.abs().max()) < 4
    assert float(answer.norm()) > 20 * float(of_answer.norm())


def valleys_spread(lr: float, start: float, time: float) -> float:
    """The closed form in one dimension, by Euler's method in small steps."""
    x, variance, steps = start, 0.0, 20_000

    def pulls(x: float) -> tuple[float, float]:
        t = math.tanh(x)
        s = [(2 / (2 - lr * h)) ** 2 for h in (6 + t, 2 - 1.6 * t)]
        return -s[0] * (1 - t * t) / 2, 0.8 * s[1] * (1 - t * t)

    for _ in range(steps):
        first, second = pulls(x)
        slope = (sum(pulls(x + 1e-5)) - sum(pulls(x - 1e-5))) / 2 / 2e-5
        variance += time / steps * (2 * slope * variance + ((first - second) / 2) ** 2)
        x += time / steps * (first + second) / 2
    return math.sqrt(variance)


def test_the_spread_in_the_valleys_has_a_closed_form() -> None:
    for lr, start in ((0.03, 0.4), (0.2, -0.5)):
        spread = chain_spread(
            TwoValleys(), double(start, 0, 0), [0.6, 1.2], lr=lr, samples=2**11, pieces=3
        )
        for time, found in zip((0.6, 1.2), spread.position.tolist(), strict=True):
            assert found == pytest.approx(valleys_spread(lr, start, time), rel=2e-3)
        t = spread.x[:, 0].tanh()
        slope = 0.6 / 2 * (1 - t * t)  # of the trace ½(h₁ + h₂), to the left
        torch.testing.assert_close(spread.trace, slope * spread.position)
        assert torch.linalg.matrix_rank(spread.covariance[-1], rtol=1e-6) == 1


class Swivel(nn.Module):
    """f₁ = y₁ + θy₂ and f₂ = 3/2 (y₂ − θy₁), with the gradients perpendicular at every θ."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(3).double())

    def forward(self, inputs: Tensor) -> Tensor:
        first, second, angle = self.x
        outputs = torch.stack([first + angle * second, 1.5 * (second - angle * first)])
        return (inputs @ outputs)[:, None]


def test_steps_that_do_not_commute_scatter_the_runs() -> None:
    # h₁ = 1 + θ², h₂ = 9/4 (1 + θ²): at θ = 0 neither pulls, so that all noise is that of the
    # bracket, G_12 − G_21 = 3/2 + 3/2: Σ = ¼ (3c)².
    loss = Objective.from_module(
        Swivel(),
        lambda f, y: (f - y).square().mean() / 2,
        (torch.eye(2).double(), double(0, 0)[:, None]),
    )
    lr, time = 0.4, 0.05
    width = 2 * lr * 1.5 / ((2 - lr) * (2 - lr * 2.25))
    # And θ falls back at this rate.
    rate = (2 / (2 - lr)) ** 2 / 2 + 2.25 * (2 / (2 - 2.25 * lr)) ** 2 / 2
    expected = (1.5 * width) ** 2 * -math.expm1(-2 * rate * time) / (2 * rate)
    spread = chain_spread(loss, double(0, 0, 0), [time], lr=lr, samples=2**18)
    error = float(spread.covariance_error[0, 2, 2])
    assert float(spread.covariance[0, 2, 2]) == pytest.approx(expected, abs=3 * error)
    assert error < 0.02 * expected


@pytest.mark.parametrize(
    ("inputs", "hidden", "points", "seed", "lr", "batch_size"),
    [(4, 8, 4, 14, 0.15, 1), (2, 7, 3, 9, 0.2, 2), (3, 6, 6, 2, 0.06, 1)],
)
def test_many_runs_of_sam_are_spread_as_predicted(
    inputs: int, hidden: int, points: int, seed: int, lr: float, batch_size: int
) -> None:
    network, far = interpolating_network(inputs=inputs, hidden=hidden, points=points, seed=seed)
    start = project_to_minimizers(network, far).x
    rho, runs, time = 0.025, 600, 0.1
    steps = round(time / (lr * rho**2))
    spread = chain_spread(
        network, start, [lr * rho**2 * steps], lr=lr, batch_size=batch_size, samples=2**15, pieces=1
    )
    run = simulate(
        network,
        rules.StochasticSAM(lr, rho, batch_size=batch_size),
        (start + 1e-4 * normal(network.dim)).expand(runs, -1),
        steps,
        every=steps,
        record=("x",),
        seed=4,
    )
    ends = project_to_minimizers(network, run.x[:, -1]).x
    unit = math.sqrt(lr) * rho
    found = torch.cov(ends.T) / unit**2
    values, vectors = torch.linalg.eigh(spread.covariance[0])
    # 600 runs know a standard deviation to 2.9 %; the next order in ρ is about as much.
    for direction, value in zip(vectors.T[-2:], values[-2:], strict=True):
        assert float(direction @ found @ direction) == pytest.approx(float(value), rel=0.2)
    trace = network.hessian(ends).diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    assert float(trace.std() / unit) == pytest.approx(float(spread.trace[0]), rel=0.1)
    assert float(found.trace().sqrt()) == pytest.approx(float(spread.position[0]), rel=0.1)
    # Nearly all lies in the directions that are predicted.
    assert float(vectors[:, -6:].T.matmul(found).matmul(vectors[:, -6:]).trace()) > 0.97 * float(
        found.trace()
    )


def test_the_middle_is_the_flow_and_errors_are_honest() -> None:
    options: dict[str, Any] = {"lr": 0.1, "samples": 2_048, "batch_size": 2}
    start, times = double(0.3, 0.01, 0), [0.0, 0.2]
    found = [
        chain_spread(TwoValleys(), start, times, seed=seed, pieces=1, **options)
        for seed in range(24)
    ]
    flow = chain_flow(TwoValleys(), start, times, seed=0, **options)
    # On the way to 0.2 it stops at 0.1: another path of the integrator, to its tolerance.
    torch.testing.assert_close(found[0].x, flow.x, rtol=0, atol=1e-3)
    assert float(found[0].covariance[0].abs().max()) == 0
    spread = torch.stack([each.position[1] for each in found]).std()
    stated = torch.stack([each.position_error[1] for each in found]).square().mean().sqrt()
    # 24 seeds know a spread to 15 %; the flow, which varies with them, is in none of the errors.
    assert float(spread / stated) == pytest.approx(1, abs=0.45)
    assert repr(found[0]).startswith("ChainSpread(times=2 in [0, 0.2], position ")


def test_runs_on_the_full_batch_are_not_spread() -> None:
    spread = chain_spread(
        FourDimensional(), double(0.4, 0.6, 0, 0), [0.1], lr=0.02, batch_size=None, samples=512
    )
    assert float(spread.position) < 1e-3


def test_networks_with_too_many_parameters_are_refused() -> None:
    network, start = interpolating_network(hidden=103)
    with pytest.raises(ValueError, match=r"at most 512 parameters, .*, got 515"):
        chain_spread(network, start, [1.0], lr=0.1)


def test_the_spread_is_on_the_device_and_in_the_dtype_of_the_start(
    device: torch.device, dtype: torch.dtype
) -> None:
    start = double(0.5, 0.5, 0, 0)
    here = chain_spread(FourDimensional(), start, [0.02], lr=0.02, samples=2_048)
    there = chain_spread(FourDimensional(), start.to(device, dtype), [0.02], lr=0.02, samples=2_048)
    for name in ("covariance", "position", "trace", "position_error"):
        found = getattr(there, name)
        assert (found.device.type, found.dtype) == (device.type, dtype)
    # A rounded K may change a sign of the chain, and differences of rounded velocities are rough.
    assert float(there.position) == pytest.approx(float(here.position), rel=2e-2)
