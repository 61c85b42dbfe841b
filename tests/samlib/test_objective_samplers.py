"""Samplers of torch: which of them give the same rows in every pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from samlib import Objective

torch.manual_seed(0)
INPUTS, TARGETS = torch.randn(12, 3), torch.randn(12, 2)
ROWS = TensorDataset(INPUTS, TARGETS)


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(3, 2)


def objective_on(data: Any, network: nn.Module | None = None, **options: Any) -> Any:
    return Objective.from_module(network or model(), nn.MSELoss(), data, **options)


def loader(sampler: Any, batch_size: int = 5, **options: Any) -> DataLoader:
    return DataLoader(ROWS, batch_size=batch_size, sampler=sampler, **options)


def in_batches(sampler: Any, size: int, drop_last: bool) -> DataLoader:
    return DataLoader(ROWS, batch_sampler=BatchSampler(sampler, size, drop_last))


def one_by_one(sampler: Any) -> DataLoader:
    """Without batches of torch's: the sampler gives lists of rows."""
    return DataLoader(ROWS, sampler=sampler, batch_size=None)


KNOWN: dict[str, tuple[Callable[[], Any], str]] = {
    "replacement": (lambda: loader(RandomSampler(ROWS, replacement=True)), "with replacement"),
    "fewer rows": (lambda: loader(RandomSampler(ROWS, num_samples=9)), "of 9 of 12 rows"),
    "some rows twice": (lambda: loader(RandomSampler(ROWS, num_samples=15)), "of 15 of 12 rows"),
    "weighted": (lambda: loader(WeightedRandomSampler([1.0] * 12, 12)), "with replacement"),
    "weighted, fewer": (
        lambda: loader(WeightedRandomSampler([1.0] * 12, 8, replacement=False)),
        "WeightedRandomSampler of 8 of 12 rows",
    ),
    "shuffle, drop_last": (
        lambda: DataLoader(ROWS, 5, shuffle=True, drop_last=True),
        "shuffles and drops",
    ),
    "subset, drop_last": (
        lambda: loader(SubsetRandomSampler(range(11)), drop_last=True),
        "shuffles and drops",
    ),
    "distributed, drop_last": (
        lambda: loader(DistributedSampler(ROWS, 1, 0), drop_last=True),
        "shuffles and drops",
    ),
    "batch sampler, replacement": (
        lambda: in_batches(RandomSampler(ROWS, replacement=True), 5, False),
        "with replacement",
    ),
    "batch sampler, drop_last": (
        lambda: in_batches(RandomSampler(ROWS), 5, True),
        "shuffles and drops",
    ),
    "batch sampler, subset": (
        lambda: in_batches(SubsetRandomSampler(range(11)), 4, True),
        "shuffles and drops",
    ),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_a_sampler_that_draws_other_rows_each_time_is_refused_at_once(kind: str) -> None:
    data, message = KNOWN[kind]
    with pytest.raises(ValueError, match=f"data .*{message}.*every pass sees another loss"):
        objective_on(data())
    known = objective_on(data(), check=False)
    assert bool(known.value(known.flat_parameters()).isfinite())


class Backwards(Sampler):
    def __len__(self) -> int:
        return len(ROWS)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(ROWS) - 1, -1, -1))


SAME: dict[str, Callable[[], Any]] = {
    "pair": lambda: (INPUTS, TARGETS),
    "list": lambda: [(INPUTS[:5], TARGETS[:5]), (INPUTS[5:], TARGETS[5:])],
    "sequential": lambda: loader(SequentialSampler(ROWS)),
    "shuffled": lambda: DataLoader(ROWS, 5, shuffle=True),
    "shuffled, own generator": lambda: DataLoader(
        ROWS, 5, shuffle=True, generator=torch.Generator().manual_seed(0)
    ),
    "shuffled, nothing to drop": lambda: DataLoader(ROWS, 4, shuffle=True, drop_last=True),
    "all rows twice": lambda: loader(RandomSampler(ROWS, num_samples=24)),
    "weighted, all rows": lambda: loader(WeightedRandomSampler([1.0] * 12, 12, replacement=False)),
    "subset": lambda: loader(SubsetRandomSampler(range(12))),
    "batch sampler": lambda: in_batches(RandomSampler(ROWS), 5, False),
    "distributed": lambda: loader(DistributedSampler(ROWS, 1, 0)),
    "own sampler": lambda: loader(Backwards()),
    "two workers": lambda: DataLoader(ROWS, 5, shuffle=True, num_workers=2),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_rows_in_any_order_are_one_loss(kind: str) -> None:
    truth = F.mse_loss(model()(INPUTS), TARGETS).detach()
    objective = objective_on(SAME[kind]())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(objective.value(objective.flat_parameters()), truth)


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_fixed_order_may_drop_its_last_batch(drop_last: bool) -> None:
    rows = 10 if drop_last else 12
    objective = objective_on(DataLoader(ROWS, 5, drop_last=drop_last))
    truth = F.mse_loss(model()(INPUTS[:rows]), TARGETS[:rows]).detach()
    torch.testing.assert_close(objective.value(objective.flat_parameters()), truth)


def test_the_share_of_one_process_is_named() -> None:
    with pytest.warns(UserWarning, match="the share of process 1 of 2"):
        objective_on(loader(DistributedSampler(ROWS, 2, 1)))
