"""Parameters that are gathered for single operations: two processes against one."""

from __future__ import annotations

import pytest
import torch

from samlib import Objective

pytest.importorskip("accelerate")
if not hasattr(pytest.importorskip("torch.distributed.fsdp"), "fully_shard"):
    pytest.skip("this torch has no fully_shard", allow_module_level=True)
from gathering_cases import (
    evaluated,
    experts,
    language,
    penalized,
    routed,
    squared,
    tokens,
    work,
)
from group_cases import PROCESSES, Results

pytestmark = pytest.mark.slow  # every push runs it

SHARED = ["uneven", "no rows", "experts"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """What each process found."""
    folder = tmp_path_factory.mktemp("gathering")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=PROCESSES)
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.parametrize("shared", SHARED)
def test_all_processes_together_find_what_one_finds(shared: str, found: list[Results]) -> None:
    if shared == "experts":
        alone = Objective.from_loss(experts(spread=False), squared, routed())
    else:
        alone = Objective.from_loss(language(spread=False), penalized, tokens())
    for name, number in evaluated(alone).items():
        # Sums in another order: a few roundings of float64.
        torch.testing.assert_close(found[0][shared][name], number, rtol=1e-12, atol=1e-13, msg=name)


@pytest.mark.parametrize("shared", SHARED)
def test_every_process_finds_the_same_to_the_bit(shared: str, found: list[Results]) -> None:
    one, two = (each[shared] for each in found)
    for name, number in one.items():
        assert torch.equal(number, two[name]), name


def test_an_error_in_one_process_ends_the_call_in_all(found: list[Results]) -> None:
    for first, second in zip(*(each["said"] for each in found), strict=True):
        assert (
            first == "RuntimeError: process 1 of process_group has failed; its own error says how"
        )
        assert "Double" in second  # tokens that are no integers


def test_a_product_has_few_parameters_whole_at_a_time(found: list[Results]) -> None:
    # Of 24 equal layers: 13 of them, and 4.3 vectors over two processes, as benchmarks/distributed
    # measures it, are 2.7 vectors. With whole parameters there are five or more.
    for each in found:
        assert each["memory"]["gathered"] < 3.2
        assert each["memory"]["whole"] > 5
