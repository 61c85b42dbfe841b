"""The chain of the residuals and its drift: against exact laws, SAM itself, and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from samlib import Objective, limiting_flow, networks, project_to_minimizers, rules, simulate
from samlib.flow import (
    ChainMoments,
    chain_drift,
    chain_flow,
    residual_chain,
    uncoupled_chain,
)
from samlib.landscapes import FourDimensional, TanhNetwork, TwoValleys
from tests.samlib.flow_cases import double, normal

pytestmark = pytest.mark.usefixtures("one_thread")

MOMENTS = ("residuals", "perturbed", "lengths", "speeds")


def gram_of(examples: int, seed: int) -> Tensor:
    """The inner products of random gradients with a good deal of overlap."""
    rows = normal(examples, examples + 1, seed=seed) + 0.5
    return rows @ rows.T / 2


def deviations(found: ChainMoments, truth: dict[str, Any], floor: float = 0.0) -> NDArray[Any]:
    """How many standard errors each moment is off."""
    return np.concatenate(
        [
            ((getattr(found, name) - torch.as_tensor(value)) / (errors + floor)).flatten()
            for name, value in truth.items()
            for errors in [getattr(found, f"{name}_error")]
        ]
    )


def test_one_example_is_a_two_cycle() -> None:
    # r ← −r at |r| = ηh^{3/2}/(2 − ηh): nothing is drawn, so only rounding is left.
    for curvature, lr in ((3.0, 0.2), (0.7, 0.05), (9.0, 0.2)):
        for batch_size in (1, 4, None):
            moments = residual_chain(
                double(curvature)[None], lr, batch_size=batch_size, samples=1_000
            )
            size = lr * curvature**1.5 / (2 - lr * curvature)
            length = 2 * math.sqrt(curvature) / (2 - lr * curvature)
            assert float(moments.residuals) == pytest.approx(size**2, rel=1e-4)
            assert float(moments.perturbed) == pytest.approx(length**2, rel=1e-4)
            assert float(moments.lengths) == pytest.approx(length, rel=1e-4)
            assert float(moments.speeds) == pytest.approx(4 / (2 - lr * curvature) ** 2, rel=1e-4)


def test_perpendicular_gradients_have_the_closed_form() -> None:
    curvatures, lr = double(4.0, 1.0, 9.0, 6.0), 0.15  # ηh from .15 to 1.35
    found = residual_chain(torch.diag(curvatures), lr, samples=200_000)
    known = uncoupled_chain(curvatures, lr)
    # Diagonal entries do not vary, but for what the law still lacks at first: e^(-12).
    away = deviations(found, {name: getattr(known, name) for name in MOMENTS}, floor=1e-4)
    assert np.abs(away).max() < 4.5
    assert np.sqrt(np.mean(away**2)) < 1.2
    torch.testing.assert_close(known.speeds.diagonal(), (2 / (2 - lr * curvatures)) ** 2)
    assert float(known.speeds_error.max()) == 0


def stationary_law(gram: NDArray[Any], lr: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ulam's method for batches of one of two: cells [n, 2] and their probabilities [n]."""
    width = 1.02 * lr * np.abs(gram).max() ** 1.5 / (2 - lr * gram.max()) * 2.2
    side, fine = 301, 4
    edges = np.linspace(-width, width, side + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    offsets = (np.arange(fine) + 0.5) / fine - 0.5
    cells = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = (np.stack(np.meshgrid(offsets, offsets), axis=-1) * (edges[1] - edges[0])).reshape(
        -1, 1, 2
    )
    points = cells + inside
    move = scipy.sparse.csr_matrix((len(cells), len(cells)))
    for k in (0, 1):
        a = points[..., k] + math.sqrt(gram[k, k]) * np.sign(points[..., k])
        after = points - lr * a[..., None] * gram[k]
        place = ((after + width) / (edges[1] - edges[0])).astype(int).clip(0, side - 1)
        flat = place[..., 0] * side + place[..., 1]
        origin = np.broadcast_to(np.arange(len(cells)), flat.shape)
        weight = np.full(flat.size, 1 / flat.shape[0] / 2)
        move = move + scipy.sparse.csr_matrix(
            (weight, (flat.ravel(), origin.ravel())), shape=move.shape
        )
    law = np.full(len(cells), 1 / len(cells))
    for _ in range(400):
        law = (law + move @ law) / 2  # half: the signs may alternate
    return cells, law


def test_two_examples_have_the_law_of_the_transition_operator() -> None:
    gram, lr = np.array([[3.0, 1.2], [1.2, 1.5]]), 0.25
    cells, law = stationary_law(gram, lr)
    residuals = np.einsum("n,ni,nj->ij", law, cells, cells)
    perturbed, lengths = np.empty((2, 2)), np.empty(2)
    for k in (0, 1):
        u = np.sign(cells[:, k])
        a = cells + u[:, None] * gram[k] / math.sqrt(gram[k, k])
        perturbed[k] = law @ (a[:, k, None] * a)
        lengths[k] = law @ np.abs(a[:, k])
    found = residual_chain(torch.from_numpy(gram), lr)
    # A cell is about 1 % of the width of the law.
    size = np.trace(residuals)
    np.testing.assert_allclose(found.residuals, residuals, rtol=0, atol=1e-2 * size)
    np.testing.assert_allclose(found.perturbed, perturbed, rtol=0, atol=1e-2 * perturbed.max())
    np.testing.assert_allclose(found.lengths, lengths, rtol=1e-2)
    speeds = perturbed @ np.linalg.inv(gram)
    np.testing.assert_allclose(found.speeds, speeds, rtol=0, atol=1e-2 * speeds.max())
    # That part of it is far from what two-cycles of their own would have, 2.56.
    own = uncoupled_chain(double(3.0, 1.5), lr)
    assert abs(float(own.speeds[0, 0] - found.speeds[0, 0])) > 0.1


@pytest.mark.parametrize("batch_size", [1, 2, 5, None])
def test_the_moments_are_those_of_sam_on_a_linear_model(batch_size: int | None) -> None:
    """SAM itself on L = (1/2M) Σ (g_k·x)² in R⁴, in units of ρ."""
    rows, lr, rho, runs = (normal(3, 4, seed=5) + 0.3).numpy(), 0.15, 0.3, 2_000
    random = np.random.default_rng(1)
    x = 0.1 * rho * random.standard_normal((runs, 4))
    sums = {"residuals": np.zeros((runs, 3, 3)), "perturbed": np.zeros((runs, 3, 3))}
    for step in range(1_500):
        if batch_size is None:
            weights = np.full((runs, 3), 1 / 3)
        else:
            drawn = random.integers(0, 3, (runs, batch_size))
            weights = (drawn[..., None] == np.arange(3)).mean(axis=1)
        gradient = (weights * (x @ rows.T)) @ rows
        shifted = x + rho * gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
        outputs = shifted @ rows.T
        if step >= 1_000:
            r = x @ rows.T / rho
            sums["residuals"] += r[:, :, None] * r[:, None, :] / 500
            pull = 3 * weights * outputs / rho
            sums["perturbed"] += pull[:, :, None] * outputs[:, None, :] / rho / 500
        x = x - lr * (weights * outputs) @ rows
    found = residual_chain(torch.from_numpy(rows @ rows.T), lr, batch_size=batch_size)
    for name, each in sums.items():
        mean, error = each.mean(axis=0), each.std(axis=0) / math.sqrt(runs)
        own = getattr(found, f"{name}_error").numpy()
        away = (getattr(found, name).numpy() - mean) / np.sqrt(error**2 + own**2 + 1e-14)
        assert np.abs(away).max() < 4  # of nine normal deviates
        assert (error < 0.02 * np.trace(mean)).all()


def test_standard_errors_cover_the_truth_as_often_as_they_say() -> None:
    gram, lr = gram_of(3, seed=2) + torch.eye(3), 0.2
    for batch_size in (1, 2):
        truth = residual_chain(gram, lr, batch_size=batch_size, samples=2**21, seed=10_000)
        known = {name: getattr(truth, name) for name in MOMENTS}
        away = np.stack(
            [
                deviations(
                    residual_chain(gram, lr, batch_size=batch_size, samples=8_192, seed=seed), known
                )
                for seed in range(40)
            ]
        )
        # 40 seeds of some ten independent numbers: rms within .1 of one, 68 and 95 % within 5 %.
        assert np.sqrt(np.mean(away**2)) == pytest.approx(1, abs=0.12)
        assert np.mean(np.abs(away) < 1) == pytest.approx(0.68, abs=0.06)
        assert np.mean(np.abs(away) < 2) == pytest.approx(0.954, abs=0.03)


def test_what_is_stationary_makes_the_speeds_of_single_examples_diagonal() -> None:
    # E r'r'ᵀ = E r rᵀ over a step: the symmetric part of S has ½ηE a_k² + E|a_k|/√h_k.
    gram, lr = gram_of(6, seed=3) + torch.eye(6) / 2, 0.08
    found = residual_chain(gram, lr)
    symmetric = (found.speeds + found.speeds.T) / 2
    own = lr / 2 * found.perturbed.diagonal() + found.lengths / gram.diagonal().sqrt()
    close = {"rtol": 0, "atol": 1e-3}  # what is left of the start over 2,048 steps
    torch.testing.assert_close(symmetric, torch.diag(own), **close)
    assert float((found.speeds - symmetric).abs().max()) > 0.03


def test_full_batch_sam_has_its_two_cycle() -> None:
    gram, lr = gram_of(4, seed=4), 0.2
    values, vectors = torch.linalg.eigh(gram)
    speed = (2 / (2 - lr * values[-1] / 4)) ** 2
    found = residual_chain(gram, lr, batch_size=None, samples=10_000)
    expected = speed * torch.outer(vectors[:, -1], vectors[:, -1])
    torch.testing.assert_close(found.speeds, expected, rtol=0, atol=1e-6)


def test_the_moments_do_not_depend_on_signs_order_or_scale() -> None:
    gram, lr = gram_of(3, seed=6), 0.1
    whole = residual_chain(gram, lr, samples=2**18)
    signs, order = torch.diag(double(1, -1, 1)), torch.eye(3).double()[[2, 0, 1]]
    for matrix in (signs, order):
        other = residual_chain(matrix @ gram @ matrix.T, lr, samples=2**18, seed=1)
        for name in ("residuals", "perturbed", "speeds"):
            error = getattr(whole, f"{name}_error") * math.sqrt(2)
            back = matrix.T @ getattr(other, name) @ matrix
            assert float(((back - getattr(whole, name)) / error).abs().max()) < 5
    scaled = residual_chain(4 * gram, lr / 4, samples=2**18)
    torch.testing.assert_close(scaled.speeds, whole.speeds)
    torch.testing.assert_close(scaled.residuals, 4 * whole.residuals)


def test_the_same_seed_gives_the_same_moments_and_another_does_not() -> None:
    gram = gram_of(3, seed=7)
    one, two, three = (residual_chain(gram, 0.1, samples=1_024, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(one.speeds, two.speeds)
    assert not torch.equal(one.speeds, three.speeds)
    single = residual_chain(gram.float(), 0.1, samples=1_024, seed=5)
    assert single.speeds.dtype == torch.float32
    torch.testing.assert_close(single.speeds, one.speeds.float(), rtol=0, atol=0.02)
    assert (one.chains, one.steps) == (512, 2)
    assert repr(one).startswith("ChainMoments(examples=3, chains=512, steps=2, effective_samples=")


@pytest.mark.parametrize(
    ("gram", "lr", "batch_size", "message"),
    [
        (torch.eye(2) * 8, 0.25, 1, r"lr must be below 0\.25, .* got 0\.25"),
        (torch.eye(2) * 8, 0.25, 3, r"lr must be below 0\.25"),
        (torch.eye(2) * 8, 0.5, None, r"lr must be below 0\.5"),
        (torch.ones(2, 2), 0.1, 1, "positive definite, the gradients linearly independent"),
    ],
)
def test_what_has_no_stationary_law_is_refused(
    gram: Tensor, lr: float, batch_size: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        residual_chain(gram, lr, batch_size=batch_size)
    with pytest.raises(ValueError, match=r"lr must be below 0\.25"):
        uncoupled_chain(torch.ones(2) * 8, 0.25)


def test_a_mode_that_is_too_slow_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samlib.flow.chain._MOST_STEPS_BEFORE", 100)
    gram = torch.diag(double(4.0, 1e-3))
    with pytest.warns(RuntimeWarning, match="slowest mode .* 1/e in 2e.05 steps"):
        residual_chain(gram, 0.01, samples=32)


# The drift


def test_the_drift_in_the_valleys_is_that_of_own_speeds() -> None:
    # The gradients of the two terms are perpendicular on the floor, h = 6 + tanh x, 2 − 1.6 tanh x.
    for position, lr in ((0.3, 0.07), (-0.5, 0.2)):
        t = math.tanh(position)
        weights = [(2 / (2 - lr * h)) ** 2 for h in (6 + t, 2 - 1.6 * t)]
        expected = -(1 - t * t) * (weights[0] - 1.6 * weights[1]) / 4
        drift = chain_drift(TwoValleys(), double(position, 0, 0), lr=lr, samples=2**16)
        assert float(drift.velocity[0]) == pytest.approx(expected, abs=1e-4)
        assert float(drift.velocity[1:].abs().max()) < 1e-12
        assert repr(drift).startswith("ChainDrift(‖velocity‖=")


def test_the_drift_of_the_full_batch_is_the_flow_of_the_top_eigenvalue_made_faster() -> None:
    network, start = networks.interpolating_network(hidden=6, points=4, seed=21)
    x, lr, step = project_to_minimizers(network, start).x, 0.25, 1e-3
    near = limiting_flow(network, x, "top_eigenvalue", [step, 2 * step])
    velocity = (4 * near.x[0] - near.x[1] - 3 * x) / (2 * step)  # up to step²
    drift = chain_drift(network, x, lr=lr, batch_size=None, samples=1_000)
    top = torch.linalg.eigvalsh(network.hessian(x))[-1]
    expected = (2 / (2 - lr * top)) ** 2 * velocity
    torch.testing.assert_close(drift.velocity, expected, rtol=0, atol=1e-4 * float(expected.norm()))


def test_other_losses_of_an_output_enter_by_their_curvature() -> None:
    # Near the target, (f − y)² and softplus-like log cosh have ℓ'' = 2 and 1: the drift at η of the
    # one is twice that of the other at 2η.
    model = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(normal(*p.shape, seed=i))
    data = normal(3, 2, seed=7), normal(3, 1, seed=8)
    square, logcosh = (
        Objective.from_module(model, loss, data)
        for loss in (nn.MSELoss(), lambda f, y: torch.log(torch.cosh(f - y)).mean())
    )
    x = project_to_minimizers(square, square.flat_parameters()).x
    options: dict[str, Any] = {"samples": 2**14, "batch_size": 2}
    one = chain_drift(square, x, lr=0.02, **options)
    other = chain_drift(logcosh, x, lr=0.04, **options)
    scale = float(one.velocity.norm())
    assert float(other.velocity.norm()) > 0.1
    torch.testing.assert_close(one.velocity, 2 * other.velocity, rtol=0, atol=1e-9 * scale)
    torch.testing.assert_close(one.gradients, math.sqrt(2) * other.gradients, rtol=1e-6, atol=1e-9)


def test_the_drift_is_the_formula_with_whole_hessians_and_its_error_is_honest() -> None:
    network, start = networks.interpolating_network(inputs=2, hidden=7, points=4, seed=9)
    x = project_to_minimizers(network, start).x

    def outputs(w: Tensor) -> Tensor:
        return network.output(w, network.inputs)

    rows, hessians = torch.func.jacrev(outputs)(x), torch.func.hessian(outputs)(x)
    found = [chain_drift(network, x, lr=0.15, samples=2_048, seed=seed) for seed in range(20)]
    signs = torch.sign((found[0].gradients * rows).sum(dim=1))
    torch.testing.assert_close(found[0].gradients, signs[:, None] * rows)
    speeds = signs[:, None] * found[0].moments.speeds * signs
    slope = torch.einsum("kj,kab,jb->a", speeds, hessians, rows) / 4
    expected = torch.linalg.pinv(rows) @ (rows @ slope) - slope
    torch.testing.assert_close(found[0].velocity, expected)
    spread = torch.stack([each.velocity for each in found]).std(dim=0)
    stated = torch.stack([each.error for each in found]).square().mean(dim=0).sqrt()
    # 20 seeds know a spread to 16 %, and the entries are not independent.
    assert float(spread.norm() / stated.norm()) == pytest.approx(1, abs=0.35)


def own_speeds(network: TanhNetwork, lr: float) -> Any:
    def regularizer(x: Tensor) -> Tensor:
        rows = torch.func.jacrev(lambda w: network.output(w, network.inputs))(x)
        h = rows.square().sum(dim=1)
        return (2 * h / (2 - lr * h)).mean()

    return regularizer


@pytest.mark.parametrize(("batch_size", "seed"), [(1, 14), (2, 31)])
def test_sam_on_mini_batches_moves_as_the_chain_says(batch_size: int, seed: int) -> None:
    network, start = networks.interpolating_network(inputs=4, hidden=8, points=4, seed=seed)
    begin = project_to_minimizers(network, start).x
    lr, rho, runs, time = 0.15, 0.01, 64, 0.08
    steps = round(time / (lr * rho**2))
    path = simulate(
        network,
        rules.StochasticSAM(lr, rho, batch_size=batch_size),
        begin.expand(runs, -1) + 1e-4 * normal(runs, network.dim),
        2 * steps,
        every=steps,
        record=("x",),
        seed=3,
    )
    points = project_to_minimizers(network, path.x[:, 1:]).x
    moved = points[:, 1] - points[:, 0]
    mean, error = moved.mean(dim=0), moved.std(dim=0) / math.sqrt(runs)
    middle = points[:, 0].mean(dim=0)
    flow = chain_flow(network, middle, [lr * rho**2 * steps], lr=lr, batch_size=batch_size)
    expected = flow.x[0] - project_to_minimizers(network, middle).x
    away = float((mean - expected).norm() / mean.norm())
    # The noise of the runs, and the next order in ρ and √η ρ.
    assert float(error.norm() / mean.norm()) < 0.006
    assert away < 0.015
    others: list[Any] = ["trace", own_speeds(network, lr)]
    for regularizer in others:
        other = limiting_flow(network, middle, regularizer, [0.0, lr * rho**2 * steps])
        assert float((mean - other.x[1] + other.x[0]).norm() / mean.norm()) > 2.5 * away


# The flow


def test_the_flow_in_the_valleys_is_that_of_own_speeds() -> None:
    valleys, lr, start = TwoValleys(), 0.12, double(-0.4, 0.01, 0.01)

    def regularizer(x: Tensor) -> Tensor:
        h = torch.stack([6 + x[0].tanh(), 2 - 1.6 * x[0].tanh()])
        return (2 * h / (2 - lr * h)).mean()

    times = [0.0, 0.5, 1.5]
    expected = limiting_flow(valleys, start, regularizer, times)
    flow = chain_flow(valleys, start, times, lr=lr, samples=2**15)
    torch.testing.assert_close(flow.x, expected.x, rtol=0, atol=2e-4)
    torch.testing.assert_close(flow.trace, expected.trace, rtol=0, atol=2e-4)
    torch.testing.assert_close(flow.top_eigenvalue, expected.top_eigenvalue, rtol=0, atol=2e-4)
    assert float(flow.gradient_norm.max()) < 1e-12
    assert repr(flow).startswith("ChainFlow(times=3 in [0, 1.5], trace")


def test_the_flow_depends_little_on_its_draws_and_steps() -> None:
    network, start = networks.interpolating_network(hidden=6, points=3, seed=5)
    one, two = (
        chain_flow(network, start, [0.4], lr=0.2, rtol=rtol, seed=seed, samples=2**16)
        for rtol, seed in ((1e-3, 0), (1e-4, 1))
    )
    moved = one.x[0] - project_to_minimizers(network, start).x
    assert float((one.x - two.x).norm()) < 3e-3 * float(moved.norm())
    assert float(one.gradient_norm) < 1e-12
    assert float(one.trace) == pytest.approx(float(network.hessian(one.x[0]).trace()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": Objective(lambda x: x.square().sum(), 4)}, "no components"),
        ({"x": double(0.5, 0.5, 0.1, 0.2)}, "∇²L_k must have rank one at x"),
        ({"x": torch.ones(3)}, "x must have shape"),
        ({"lr": 0.2}, "lr must be below"),
    ],
)
def test_a_drift_refuses_what_has_none(arguments: dict[str, Any], message: str) -> None:
    good = {"objective": FourDimensional(), "x": double(0.5, 0.5, 0, 0), "lr": 0.01}
    with pytest.raises(ValueError, match=message):
        chain_drift(**{**good, **arguments})


def test_several_outputs_are_refused() -> None:
    model = nn.Linear(4, 2).double()
    objective = Objective.from_module(
        model, nn.MSELoss(), (normal(3, 4), torch.zeros(3, 2).double())
    )
    with pytest.raises(ValueError, match=r"rank one at x.*one output"):
        chain_drift(objective, torch.zeros(objective.dim).double(), lr=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": [1.0, 0.5]}, "increasing"),
        ({"times": []}, "times"),
        ({"rtol": 0.0}, "rtol"),
        ({"objective": Objective(lambda x: x.square().sum(), 50)}, "no components"),
        ({"lr": 10.0}, "lr must be below"),
    ],
)
def test_a_flow_refuses_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    network, start = networks.interpolating_network(seed=2)
    good = {"objective": network, "start": start, "times": [0.1], "lr": 0.01, "samples": 512}
    with pytest.raises(ValueError, match=message):
        chain_flow(**{**good, **arguments})
