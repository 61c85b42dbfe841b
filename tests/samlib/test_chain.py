"""The chain of the residuals: against exact laws, SAM itself on a linear model, closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from samlib.flow import ChainMoments, residual_chain, uncoupled_chain
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
    monkeypatch.setattr("samlib.flow.chain_walk._MOST_STEPS_BEFORE", 100)
    gram = torch.diag(double(4.0, 1e-3))
    with pytest.warns(RuntimeWarning, match="slowest mode .* 1/e in 2e.05 steps"):
        residual_chain(gram, 0.01, samples=32)
