"""Objectives over a process group: two processes against one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("accelerate")
if not hasattr(pytest.importorskip("torch.distributed.fsdp"), "fully_shard"):
    pytest.skip("this torch has no fully_shard", allow_module_level=True)
from group_cases import (
    PROCESSES,
    Results,
    evaluated,
    make_data,
    make_model,
    measured,
    objective_over,
    work,
)

pytestmark = pytest.mark.slow  # every push runs it

SHARED = [
    *("uneven", "pair", "sampler", "no rows", "mappings"),
    *("vectors", "fully_shard", "whole vectors"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """What each process found."""
    folder = tmp_path_factory.mktemp("group")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=PROCESSES)
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.fixture(scope="module")
def alone() -> Results:
    """What one process finds on all rows."""
    objective = objective_over(make_data(), process_group=None)
    return evaluated(objective) | measured(objective)


@pytest.mark.parametrize("shared", SHARED)
def test_all_processes_together_find_what_one_finds(
    shared: str, found: list[Results], alone: Results
) -> None:
    for name, number in found[0]["numbers"][shared].items():
        # Sums in another order: a few roundings of float64, which a search makes more.
        torch.testing.assert_close(number, alone[name], rtol=1e-7, atol=1e-11, msg=name)


@pytest.mark.parametrize("shared", SHARED)
def test_every_process_finds_the_same_to_the_bit(shared: str, found: list[Results]) -> None:
    one, two = (each["numbers"][shared] for each in found)
    for name, number in one.items():
        assert torch.equal(number, two[name]), name


def said(found: list[Results], name: str) -> tuple[str, ...]:
    return tuple(each["said"][name] for each in found)


@pytest.mark.parametrize("name", ["one fails", "one fails in a product", "one fails in a look"])
def test_an_error_in_one_process_ends_the_call_in_all(name: str, found: list[Results]) -> None:
    first, second = said(found, name)
    assert first == "RuntimeError: process 1 of process_group has failed; its own error says how"
    assert "mat1 and mat2 shapes cannot be multiplied" in second


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("models differ", "ValueError: the points differ between the processes"),
        ("calls differ", "ValueError: the shapes of results differ between the processes"),
        ("repeats", "ValueError: data has a DistributedSampler that repeats 1 of 7 rows"),
        ("another's share", "ValueError: data has a DistributedSampler with the share of process"),
        ("evened by Accelerate", "ValueError: data was prepared by Accelerate with even_batches"),
        ("outside derivative", "ValueError: an objective over a process_group cannot be diff"),
        ("nothing counts", "ValueError: every target of data is ignored by the loss"),
        ("sum", "ValueError: loss must average over the rows, and it sums"),
        (
            "drawn labels",
            "ValueError: this matrix needs all rows in one process",
        ),
        ("no group", "ValueError: the model's parameters are spread over processes"),
        ("vectors without a group", "ValueError: shard_vectors=True needs process_group"),
        ("used nowhere", "the loss does not depend on the trainable parameter 'second.weight'"),
    ],
)
def test_what_is_wrong_is_said_in_every_process(
    name: str, words: str, found: list[Results]
) -> None:
    for each in said(found, name):
        assert each.startswith(words)


@pytest.mark.parametrize(
    "name",
    [
        "repeats, as asked",
        "drops",
        "own rows",
        "uneven by Accelerate",
        "used elsewhere",
        "afterwards",
    ],
)
def test_what_is_right_is_taken_without_a_word(name: str, found: list[Results]) -> None:
    assert said(found, name) == ("", "")


def test_a_loss_that_changes_in_one_process_is_refused_in_all(found: list[Results]) -> None:
    first, second = said(found, "draws")
    assert first.startswith("RuntimeError: process 1")
    assert "draws random numbers" in second


def test_training_goes_on_as_if_nobody_had_looked(found: list[Results]) -> None:
    for each in (one["spread"] for one in found):
        assert torch.equal(each["looked"], each["trained"])


def test_parameters_are_loaded_into_their_parts(found: list[Results]) -> None:
    dim = sum(p.numel() for p in make_model().parameters())
    for each in (one["spread"] for one in found):
        assert torch.equal(each["loaded"], torch.arange(float(dim)).double())
        assert set(each["placements"]) == {"(Shard(dim=0),)"}


def test_each_process_holds_a_part_of_the_vectors(found: list[Results]) -> None:
    dim = sum(p.numel() for p in make_model().parameters())
    first, second = (one["spread"] for one in found)
    assert (first["length"], second["length"]) == (-(-dim // 2), dim // 2)
    whole: Any = torch.cat([first["where"], second["where"]])
    assert whole.tolist() == [k < 70 for k in range(dim)]
    assert first["dense"].startswith("ValueError: to_dense() needs whole vectors")
