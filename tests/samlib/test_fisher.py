"""Fisher matrices against the gradients of single rows, and their mean against Gauss-Newton's."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import samlib
from samlib import Objective, fisher, gauss_newton
from samlib.linalg.operator import rounding_error
from tests.samlib.small_networks import (
    Attentive,
    Convolutional,
    Normalized,
    Tied,
    data_of,
    mlp,
)
from tests.samlib.test_gauss_newton import CLOSE, deep, large
from tests.samlib.test_objective_sizes import LOG, LOSSES, ROWS, in_batches

pytestmark = pytest.mark.filterwarnings("ignore:the second derivative of loss_fn")


def own_gradients(
    model: nn.Module, loss_fn: Any, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradient of each row's loss, [rows, dim], and what the row counts, found by doubling it.

    L is Σ s_k ℓ_k: with row k twice, the loss is (L + s_k ℓ_k)/(1 + s_k).
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()

    def loss_of(rows: list[int]) -> Tensor:
        loss: Tensor = loss_fn(model(inputs[rows]), targets[rows])
        return loss

    everything = list(range(len(targets)))
    whole, gradients, shares = loss_of(everything).detach(), [], []
    for k in everything:
        loss = loss_of([k])
        slopes = torch.autograd.grad(loss, weights, materialize_grads=True)
        twice = loss_of([*everything, k]).detach()
        counts = bool(loss.isfinite()) and bool((twice - loss).abs() > 1e-12)
        gradient, zero = torch.cat([g.reshape(-1) for g in slopes]), torch.zeros(()).double()
        shares.append((whole - twice) / (twice - loss.detach()) if counts else zero)
        gradients.append(gradient if counts else torch.zeros_like(gradient))
    for module, mode in modes:
        module.training = mode
    return torch.stack(gradients), torch.stack(shares)


def second_moments(gradients: Tensor, shares: Tensor) -> Tensor:
    assert abs(shares.sum() - 1) < 1e-8
    matrix: Tensor = (gradients.T * shares) @ gradients
    return matrix


@pytest.mark.parametrize("kind", ["pair", "list", "shuffled"])
@pytest.mark.parametrize("name", [n for n in LOSSES if "weights, smoothing" not in n])
def test_empirical_each_loss_of_torch_against_the_gradients_of_rows(name: str, kind: str) -> None:
    if name == "all of these":
        pytest.skip("a weighted label and the smoothing around it are two losses")
    model, loss_fn, inputs, targets = deep(name)
    data = (inputs, targets) if kind == "pair" else in_batches(kind, inputs, targets)
    objective = Objective.from_module(model, loss_fn, data)
    matrix = fisher(objective, objective.flat_parameters()).to_dense()
    expected = second_moments(*own_gradients(model, loss_fn, inputs, targets))
    torch.testing.assert_close(matrix, expected, rtol=1e-6, atol=1e-8)
    assert torch.linalg.eigvalsh(matrix).min() > -1e-12


@pytest.mark.parametrize("kind", ["pair", "list", "loader"])
@pytest.mark.parametrize("factory", [mlp, Convolutional, Normalized, Tied, Attentive])
def test_empirical_each_network_against_the_gradients_of_rows(factory: Any, kind: str) -> None:
    torch.manual_seed(0)
    model = factory().double()
    inputs, targets = torch.randn(2, 7, 3).double()
    if isinstance(model, (Normalized, Convolutional)):
        model(3 * inputs + 1)  # running statistics that are not the initial ones
    objective = Objective.from_module(model, nn.MSELoss(), data_of(kind, inputs, targets))
    operator = fisher(objective, objective.flat_parameters())
    matrix = operator @ torch.eye(objective.dim).double()
    gradients = own_gradients(model, nn.MSELoss(), inputs, targets)[0]
    torch.testing.assert_close(matrix, matrix.T, **CLOSE)
    torch.testing.assert_close(matrix, gradients.T @ gradients / 7, **CLOSE)


def drawn_losses() -> list[str]:
    return [
        name
        for name, (loss_fn, _, _) in LOSSES.items()
        if getattr(loss_fn, "func", loss_fn)
        in (F.cross_entropy, F.nll_loss, F.mse_loss, F.binary_cross_entropy_with_logits)
        or type(loss_fn) in (nn.CrossEntropyLoss, nn.NLLLoss, nn.MSELoss, nn.BCEWithLogitsLoss)
    ]


def of_logits(model: nn.Module, loss_fn: Any) -> tuple[nn.Module, Any]:
    """The same loss as one of logits, of which Gauss-Newton's matrix shows something."""
    if isinstance(loss_fn, nn.NLLLoss):
        loss_fn = nn.CrossEntropyLoss(weight=loss_fn.weight, ignore_index=loss_fn.ignore_index)
    elif loss_fn is F.nll_loss:
        loss_fn = F.cross_entropy
    else:
        return model, loss_fn
    assert isinstance(model, nn.Sequential)
    *first, last = model
    assert isinstance(last, nn.Sequential)
    assert last[-1] is LOG
    return nn.Sequential(*first, last[0]), loss_fn


@pytest.mark.parametrize("name", drawn_losses())
def test_sampled_its_mean_over_draws_is_the_gauss_newton_matrix(name: str) -> None:
    """By Hotelling's statistic of the matrix on its three top eigenvectors."""
    draws = 200
    model, loss_fn, inputs, targets = deep(name)
    objective = Objective.from_module(model, loss_fn, (inputs, targets))
    logits = Objective.from_module(*of_logits(model, loss_fn), (inputs, targets))
    x = objective.flat_parameters()
    matrix = gauss_newton(logits, x).to_dense()
    v, entries = torch.linalg.eigh(matrix).eigenvectors[:, -3:], torch.triu_indices(3, 3)
    seen = torch.stack(
        [v.T @ (fisher(objective, x, labels="sampled", seed=seed) @ v) for seed in range(draws)]
    )[:, entries[0], entries[1]]
    expected, precision = (v.T @ matrix @ v)[entries[0], entries[1]], torch.cov(seen.T).inverse()

    def statistic(mean: Tensor) -> float:
        missed = seen.mean(dim=0) - mean
        return float(draws * missed @ precision @ missed)

    assert stats.chi2.sf(statistic(expected), len(expected)) > 1e-3
    assert stats.chi2.sf(statistic(1.25 * expected), len(expected)) < 1e-6  # the test can tell


def test_sampled_classes_come_as_often_as_they_are_predicted() -> None:
    """With one row and J = I, F is (p − e_y)(p − e_y)ᵀ: it shows which class y was drawn."""
    logits = torch.tensor([1.0, -0.5, 0.3, -2.0]).double()
    model = nn.Linear(1, 4).double()
    model.weight.requires_grad_(False).zero_()
    data = torch.zeros(1, 1).double(), torch.tensor([0])
    objective = Objective.from_module(model, nn.CrossEntropyLoss(), data)
    p, eye = logits.softmax(dim=0), torch.eye(4).double()
    matrices = torch.stack([torch.outer(p - e, p - e) for e in eye])
    counts = torch.zeros(4)
    for seed in range(1000):
        matrix = fisher(objective, logits, labels="sampled", seed=seed).to_dense()
        distance = (matrices - matrix).flatten(1).norm(dim=1)
        assert distance.min() < 1e-12
        counts[distance.argmin()] += 1
    assert (
        stats.chisquare(counts.numpy(), (1000 * p / p.sum()).numpy(), sum_check=False).pvalue > 0.01
    )


def test_sampled_numbers_are_normal_with_variance_one_half() -> None:
    """With one row and J = I, F of the mean of (y − t)² is diag(2ε²) / 3, ε² of χ²₁."""
    model = nn.Linear(1, 3).double()
    model.weight.requires_grad_(False).zero_()
    data = torch.zeros(1, 1).double(), torch.zeros(1, 3).double()
    objective = Objective.from_module(model, nn.MSELoss(), data)
    squares = []
    for seed in range(300):
        matrix = fisher(objective, torch.ones(3).double(), labels="sampled", seed=seed).to_dense()
        torch.testing.assert_close(matrix, matrix.diagonal().diag(), **CLOSE)
        squares.append(1.5 * matrix.diagonal())
    assert stats.kstest(torch.cat(squares).numpy(), "chi2", args=(1,)).pvalue > 0.01


def test_log_probabilities_and_logits_draw_the_same() -> None:
    for name in ("NLLLoss", "nll_loss"):
        model, loss_fn, inputs, targets = deep(name)
        objective = Objective.from_module(model, loss_fn, (inputs, targets))
        logits = Objective.from_module(*of_logits(model, loss_fn), (inputs, targets))
        x = objective.flat_parameters()
        one, two = (fisher(o, x, labels="sampled", seed=4).to_dense() for o in (objective, logits))
        torch.testing.assert_close(one, two, **CLOSE)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**64 - 1), cuts=st.sets(st.integers(1, ROWS - 1), max_size=4))
@pytest.mark.parametrize("name", ["MSELoss", "ignored", "probabilities of tokens"])
def test_the_seed_fixes_the_labels_whatever_the_batches(
    name: str, seed: int, cuts: set[int]
) -> None:
    model, loss_fn, inputs, targets = deep(name)
    edges = [0, *sorted(cuts), ROWS]
    batches = [(inputs[i:j], targets[i:j]) for i, j in itertools.pairwise(edges)]
    before, images = torch.get_rng_state(), []
    for data in ((inputs, targets), batches):
        objective = Objective.from_module(model, loss_fn, data)
        x = objective.flat_parameters()
        v = torch.linspace(-1, 1, objective.dim).double()
        torch.manual_seed(len(images))  # which must not matter
        state = torch.get_rng_state()
        operator = fisher(objective, x, labels="sampled", seed=seed)
        images += [operator @ v, operator @ v]
        assert torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(before)
    for image in images[1:]:
        torch.testing.assert_close(image, images[0], **CLOSE)
    other = fisher(objective, x, labels="sampled", seed=seed ^ 1) @ v
    assert (other - images[0]).norm() > 1e-3 * other.norm()


@pytest.mark.parametrize("labels", ["empirical", "sampled"])
@pytest.mark.parametrize("kind", ["pair", "list"])
def test_eigenpairs_and_trace_take_it(kind: str, labels: Any) -> None:
    objective, x, _ = large(kind)
    operator = fisher(objective, x, labels=labels)
    matrix = (operator @ torch.eye(objective.dim).double()).double()
    torch.testing.assert_close(matrix, matrix.T, **CLOSE)
    assert torch.linalg.matrix_rank(matrix, hermitian=True) <= 20  # there are so many rows
    values = torch.linalg.eigvalsh(matrix)
    found = samlib.top_eigenpairs(operator, k=2, rtol=1e-6)
    torch.testing.assert_close(found.values, values.flip(0)[:2], rtol=1e-6, atol=0)
    trace = samlib.trace(operator, rtol=0.01)
    assert abs(trace.value - matrix.trace()) <= 4 * trace.error
    whole = (operator + gauss_newton(objective, x)).restricted(objective.where("4.*"))
    assert whole.dim == 28


@pytest.mark.parametrize("labels", ["empirical", "sampled"])
def test_what_rounding_does_is_seen(labels: Any) -> None:
    for seed in range(5):
        matrix = {}
        for dtype in (torch.float64, torch.float32):
            torch.manual_seed(seed)
            model, data, targets = mlp(), torch.randn(7, 3), torch.arange(7) % 3
            objective = Objective.from_module(
                model.to(dtype), nn.CrossEntropyLoss(), (data.to(dtype), targets)
            )
            x = objective.flat_parameters()
            operator = fisher(objective, x, labels=labels, seed=seed)
            matrix[dtype] = operator.to_dense().double()
        v = nn.functional.normalize(torch.randn(objective.dim), dim=0)
        missed = (matrix[torch.float32] - matrix[torch.float64]) @ v.double()
        image = operator @ v
        assert 0 < missed.norm() <= rounding_error(operator, v, image) <= 1e-5 * image.norm()


def test_the_same_labels_where_rounding_moves_what_is_predicted() -> None:
    """In bfloat16, a label drawn anew at the moved point would be another in one case of 50."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 20)).bfloat16()
    data = torch.randn(1, 3).bfloat16(), torch.zeros(1, dtype=torch.long)
    objective = Objective.from_module(model, nn.CrossEntropyLoss(), data)
    x = objective.flat_parameters()
    for seed in range(200):
        operator = fisher(objective, x, labels="sampled", seed=seed)
        assert operator.nearby is not None
        one, two = (each.matvec(x).float() for each in (operator, operator.nearby()))
        assert (one - two).norm() < 0.2 * one.norm()


def test_data_in_another_order_each_time_are_refused_for_drawn_labels() -> None:
    inputs, targets = torch.randn(7, 3), torch.zeros(7, 3)  # the same targets everywhere
    objective = Objective.from_module(mlp(), nn.MSELoss(), data_of("shuffled", inputs, targets))
    with pytest.raises(ValueError, match=r"another order .*shuffle=False"):
        fisher(objective, objective.flat_parameters(), labels="sampled")
    fisher(objective, objective.flat_parameters())


@pytest.mark.parametrize(
    ("loss_fn", "name"),
    [
        (nn.L1Loss(), "L1Loss"),
        (F.huber_loss, "huber_loss"),
        (functools.partial(F.mse_loss, weight=torch.ones(7, 3)), "mse_loss"),
        (lambda y, t: (y - t).square().mean(), "<lambda>"),
    ],
)
def test_where_no_distribution_is_known_it_says_which_are(loss_fn: Any, name: str) -> None:
    objective = Objective.from_module(mlp(), loss_fn, tuple(torch.randn(2, 7, 3)))
    known = "CrossEntropyLoss, NLLLoss, BCEWithLogitsLoss or MSELoss"
    with pytest.raises(ValueError, match=f"{known}.*got {name}.*empirical.*gauss_newton"):
        fisher(objective, objective.flat_parameters(), labels="sampled")


def test_a_loss_that_is_no_mean_over_rows_is_refused() -> None:
    torch.manual_seed(0)
    inputs, targets = torch.randn(8, 3), torch.arange(8) % 3
    losses = (
        lambda y, t: F.cross_entropy(y, t, ignore_index=0),
        lambda y, t: -(y @ y.T).softmax(dim=1).diagonal().log().mean() + 0 * t.sum(),
    )
    for loss_fn in losses:
        objective = Objective.from_module(mlp(), loss_fn, (inputs, targets))
        with pytest.raises(ValueError, match="loss_fn is not a mean over rows"):
            fisher(objective, objective.flat_parameters())


class Flattened(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).reshape(-1)


def test_outputs_that_do_not_fit_the_rows_are_refused() -> None:
    data = torch.randn(7, 3), torch.randn(7, 3)
    flat = lambda y, t: (y.reshape(t.shape) - t).square().mean()  # noqa: E731
    objective = Objective.from_module(Flattened(), flat, data)
    with pytest.raises(ValueError, match=r"a row for each of 7 rows.*\(21,\)"):
        fisher(objective, objective.flat_parameters())
    one = Objective.from_module(nn.Linear(3, 1), nn.MSELoss(), data)
    with (
        pytest.warns(UserWarning, match="target size"),
        pytest.raises(ValueError, match=r"shape of the targets.*\(7, 1\) and \(7, 3\)"),
    ):
        fisher(one, one.flat_parameters(), labels="sampled")


def test_at_interpolation_the_empirical_matrix_vanishes_and_the_other_does_not() -> None:
    torch.manual_seed(0)
    model, inputs = mlp().double(), torch.randn(6, 3).double()
    objective = Objective.from_module(model, nn.MSELoss(), (inputs, model(inputs).detach()))
    x = objective.flat_parameters()
    assert fisher(objective, x).to_dense().norm() == 0
    assert fisher(objective, x, labels="sampled").to_dense().trace() > 0.1
