"""The trace where each batch has random vectors of its own, against dense Hessians."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from samlib import Objective, hessian, trace
from samlib.curvature.batch_trace import visit

pytestmark = pytest.mark.usefixtures("one_thread")

QUIET: dict[str, Any] = {"progress": False}


def model() -> nn.Sequential:
    """Of 83 parameters."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def data(rows: int, ignored: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (rows,), generator=generator)
    labels[:ignored] = -100
    return torch.randn(rows, 6, generator=generator).double(), labels


def in_batches(sizes: list[int], ignored: int = 0) -> list[tuple[Tensor, Tensor]]:
    inputs, labels = data(sum(sizes), ignored)
    ends = [0, *itertools.accumulate(sizes)]
    return [(inputs[i:j], labels[i:j]) for i, j in itertools.pairwise(ends)]


def objective(batches: Any) -> Any:
    return Objective.from_module(model(), F.cross_entropy, batches)


UNEVEN = [3, 17, 1, 8, 30, 5, 9, 2, 11, 4, 6, 24]


@pytest.mark.parametrize("ignored", [0, 23])
def test_the_products_of_batches_add_up_to_the_product(ignored: int) -> None:
    loss = objective(in_batches(UNEVEN, ignored))
    x = loss.flat_parameters()
    operator = hessian(loss, x)
    vector = torch.randn(len(x), generator=torch.Generator().manual_seed(2)).double()
    assert operator.by_batch is not None
    found = list(operator.by_batch(lambda: vector))
    assert len(found) == (len(UNEVEN) if not ignored else len(UNEVEN) - 3)  # without labels
    assert all(each[0] is vector for each in found)
    weights = torch.tensor([float(weight) for _, _, weight in found], dtype=torch.float64)
    assert float(weights.sum()) == sum(UNEVEN) - ignored
    shares = weights / weights.sum()
    total = torch.stack([image for _, image, _ in found]).T @ shares
    whole = objective(data(sum(UNEVEN), ignored))
    torch.testing.assert_close(total, hessian(whole, x) @ vector, rtol=1e-10, atol=1e-12)


def test_only_a_mean_over_batches_is_known_by_batch() -> None:
    several, one = objective(in_batches([5, 5])), objective(data(10))
    x = several.flat_parameters()
    operator = hessian(several, x)
    assert hessian(one, x).by_batch is None
    assert hessian(Objective(lambda x: x.square().sum(), 3), x[:3]).by_batch is None
    for changed in (operator * 2, operator + operator, operator.restricted(x > 0)):
        assert changed.by_batch is None


@pytest.mark.parametrize("ignored", [0, 23])
def test_a_pass_is_unbiased_with_the_variance_that_it_tells(ignored: int) -> None:
    """Means over 200 passes: each within four of its standard errors."""
    loss = objective(in_batches(UNEVEN, ignored))
    x = loss.flat_parameters()
    exact = float(torch.trace(hessian(loss, x).to_dense()))
    operator, generator = hessian(loss, x), torch.Generator().manual_seed(3)
    vector = torch.randn(len(x), generator=generator).double()
    passes, image = visit(operator, generator, 200, vector)
    torch.testing.assert_close(image, operator @ vector, rtol=1e-10, atol=1e-12)
    values, variances = passes[:, 0], passes[:, 1]
    assert abs(float(values.mean()) - exact) < 4 * float(values.std()) / 200**0.5
    spread = (values - exact).square()
    difference = (spread - variances).mean()
    assert abs(float(difference)) < 4 * float((spread - variances).std()) / 200**0.5
    assert bool((passes[:, 2] >= 1).all())
    assert bool((passes[:, 2] <= len(UNEVEN)).all())


def test_many_batches_need_few_passes_and_the_error_covers() -> None:
    loss, together = objective(in_batches([40] * 60)), objective(data(2400))
    x = loss.flat_parameters()
    exact = float(torch.trace(hessian(together, x).to_dense()))
    found = [trace(loss, x, rtol=0.08, seed=seed, **QUIET) for seed in range(30)]
    assert all(each.converged for each in found)
    most = max(each.products for each in found)
    assert most <= trace(together, x, rtol=0.08, **QUIET).products / 2
    off = torch.tensor([abs(float(each.value) - exact) / float(each.error) for each in found])
    # 95 % lie within two errors: of 30, fewer than 24 do once in a thousand.
    assert int((off <= 2).sum()) >= 24
    assert max(float(each.error) for each in found) <= 0.08 * 1.3 * exact


def test_no_more_vectors_are_sent_than_are_counted() -> None:
    loss = objective(in_batches([40] * 60))
    operator = hessian(loss, loss.flat_parameters())
    assert operator.by_batch is not None
    by_batch, sent = operator.by_batch, []

    def counted(draw: Any) -> Any:
        for vectors, images, weight in by_batch(draw):
            sent.append(len(vectors))
            yield vectors, images, weight

    found = trace(replace(operator, by_batch=counted), rtol=0.08, **QUIET)
    assert found.converged
    assert sum(sent) == 60 * found.products


def test_where_passes_would_be_many_a_subspace_is_used() -> None:
    loss = objective(in_batches([40, 40]))
    x = loss.flat_parameters()
    exact = float(torch.trace(hessian(loss, x).to_dense()))
    found = trace(loss, x, rtol=0.1, **QUIET)
    assert found.converged
    assert abs(float(found.value) - exact) < 4 * float(found.error)
    alone = trace(objective(data(80)), x, rtol=0.1, **QUIET)
    assert found.products == alone.products + 2


def test_in_single_precision_rounding_is_measured_and_counted() -> None:
    batches = [(inputs.float(), labels) for inputs, labels in in_batches([40] * 60)]
    loss = Objective.from_module(model().float(), F.cross_entropy, batches)
    found = trace(loss, loss.flat_parameters(), rtol=0.05, **QUIET)
    exact = trace(objective(data(2400)), loss.flat_parameters().double(), rtol=1e-3, **QUIET)
    assert found.products >= 3
    assert abs(float(found.value) - float(exact.value)) < 3 * float(found.error)


def test_what_is_not_finite_is_said() -> None:
    batches = in_batches([4] * 20)
    loss = objective(batches)
    x = loss.flat_parameters()
    x[0] = torch.nan
    found = trace(loss, x, **QUIET)
    assert not bool(found.value.isfinite())
    assert not found.converged


def test_it_stops_at_the_most_products() -> None:
    loss = objective(in_batches([4] * 30))
    x = loss.flat_parameters()
    with pytest.warns(RuntimeWarning, match="trace stopped at max_products=7"):
        found = trace(loss, x, rtol=1e-4, max_products=7, **QUIET)
    assert found.products <= 7
