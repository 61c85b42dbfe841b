"""Checkpoints of two processes and of one, in turn; and a base optimizer that shards its state."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from optimizers import LR
from sharded_cases import SGD, Case, start
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

checkpoint = pytest.importorskip("torch.distributed.checkpoint")
fsdp = pytest.importorskip("torch.distributed.fsdp")
if not hasattr(fsdp, "fully_shard"):
    pytest.skip("this torch has no fully_shard", allow_module_level=True)
from torch.distributed.checkpoint import state_dict as states  # noqa: E402
from torch.distributed.optim import ZeroRedundancyOptimizer  # noqa: E402

BASES = {
    "SGD": partial(torch.optim.SGD, lr=LR),  # without a state of its own
    "momentum": SGD,
    "AdamW": partial(torch.optim.AdamW, lr=LR),
}
# LookSAM goes on with the direction of its fourth step, DiametricalRisk with its worst direction.
RUNS = [("LookSAM", "SGD"), ("LookSAM", "AdamW"), ("DiametricalRisk", "momentum"), ("SAM", "AdamW")]
ZERO = {"SAM": (torch.optim.SGD, {"momentum": 0.9}), "LookSAM": (torch.optim.AdamW, {})}
BEFORE, AFTER = 5, 3
TOLERANCE = 1e-13  # some roundings of weights of size 1
every_run = pytest.mark.parametrize("run", RUNS, ids=" ".join)


def layers(model: nn.Sequential) -> None:
    fsdp.fully_shard(model[2])
    fsdp.fully_shard(model)


def state(case: Case) -> dict[str, Any]:
    model, optimizer = states.get_state_dict(case.model, case.optimizer)
    return {"model": model, "optimizer": optimizer}


def save(case: Case, file: Path, **how: Any) -> None:
    case.optimizer.zero_grad()
    checkpoint.save(state(case), checkpoint_id=file, **how)


def load(case: Case, file: Path, **how: Any) -> Case:
    saved = state(case)
    checkpoint.load(saved, checkpoint_id=file, **how)
    return take_over(case, saved)


def take_over(case: Case, saved: dict[str, Any], **options: Any) -> Case:
    given = {"model_state_dict": saved["model"], "optim_state_dict": saved["optimizer"]}
    how = states.StateDictOptions(**options)
    states.set_state_dict(case.model, case.optimizer, **given, options=how)
    return case


def file(folder: str | Path, kind: str, run: tuple[str, str]) -> Path:
    return Path(folder) / "-".join((kind, *run))


def made(run: tuple[str, str], *sharded: Any) -> Case:
    return Case(run[0], *sharded, base=BASES[run[1]])


def process(rank: int, folder: str) -> None:
    """Save what two processes did, go on with what one did; then train with ZeRO."""
    start(rank, folder)
    half = slice(rank, None, 2)
    found: dict[Any, Tensor] = {}
    for run in RUNS:
        save(made(run, half, layers).train(BEFORE), file(folder, "two", run))
        case = load(made(run, half, layers), file(folder, "one", run))
        found["loaded", run] = case.train(AFTER).weights()
        full = torch.load(file(folder, "full", run), weights_only=True)
        case = take_over(made(run, half, layers), full, full_state_dict=True)
        found["full", run] = case.train(AFTER).weights()
    for name, (kind, settings) in ZERO.items():
        base = partial(ZeroRedundancyOptimizer, optimizer_class=kind, lr=LR, **settings)
        case = Case(name, half, DistributedDataParallel, base=base).train(BEFORE)
        zero: Any = case.optimizer.base_optimizer
        zero.consolidate_state_dict(to=0)
        if rank == 0:
            saved = {"model": case.model.module.state_dict(), "own": case.optimizer.state_dict()}
            torch.save(saved, file(folder, "zero", (name, "")))
        found["zero", name] = case.weights()
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one process has saved first, and then two."""
    folder: Path = tmp_path_factory.mktemp("checkpoints")
    for run in RUNS:
        case = made(run).train(BEFORE)
        save(case, file(folder, "one", run), no_dist=True)
        torch.save(state(case), file(folder, "full", run))
    torch.multiprocessing.spawn(process, (str(folder),), nprocs=2)
    return folder


def assert_equal(found: Tensor, expected: Case) -> None:
    torch.testing.assert_close(found, expected.weights(), atol=TOLERANCE, rtol=0)


@every_run
@pytest.mark.parametrize("how", ["loaded", "full"])
def test_two_processes_go_on_with_what_one_has_saved(
    how: str, run: tuple[str, str], folder: Path
) -> None:
    for rank in (0, 1):
        found = torch.load(folder / f"{rank}.pt", weights_only=False)[how, run]
        assert_equal(found, made(run).train(BEFORE + AFTER))


@every_run
def test_one_process_goes_on_with_what_two_have_saved(run: tuple[str, str], folder: Path) -> None:
    resumed = load(made(run), file(folder, "two", run), no_dist=True).train(AFTER)
    assert_equal(resumed.weights(), made(run).train(BEFORE + AFTER))


@pytest.mark.parametrize("name", ZERO)
def test_a_base_optimizer_may_shard_its_state(name: str, folder: Path) -> None:
    kind, settings = ZERO[name]
    base = partial(kind, lr=LR, **settings)
    assert_equal(torch.load(folder / "0.pt")["zero", name], Case(name, base=base).train(BEFORE))
    saved = torch.load(file(folder, "zero", (name, "")))
    resumed = Case(name, base=base)
    resumed.model.load_state_dict(saved["model"])
    resumed.optimizer.load_state_dict(saved["own"])
    assert_equal(resumed.train(AFTER).weights(), Case(name, base=base).train(BEFORE + AFTER))


def test_preparing_for_a_checkpoint_is_no_step() -> None:
    case = made(("LookSAM", "SGD")).train(2)
    case.optimizer.zero_grad()
    weights = case.weights()
    first, second = state(case), state(case)
    torch.testing.assert_close(case.weights(), weights, atol=0, rtol=0)
    assert [group["sharpness_aware_steps"] for group in first["optimizer"]["param_groups"]] == [2]
    assert str(first) == str(second)


def test_a_state_of_version_0_1_0_is_taken() -> None:
    case = made(("LookSAM", "AdamW")).train(BEFORE)
    old = copy.deepcopy(case.optimizer.base_optimizer.state_dict())
    vectors = {
        place: entries["sharpness_aware"]
        for place, entries in case.optimizer.state_dict()["state"].items()
    }
    old["sharpness_aware"] = {"steps": BEFORE, "vectors": vectors}
    resumed = made(("LookSAM", "AdamW"))
    resumed.model.load_state_dict(case.model.state_dict())
    resumed.optimizer.load_state_dict(old)
    torch.testing.assert_close(
        resumed.train(AFTER).weights(), case.train(AFTER).weights(), atol=0, rtol=0
    )


def test_a_zero_that_steps_in_the_backward_pass_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.optim.SGD, "_overlap_with_ddp", True, raising=False)
    with pytest.raises(ValueError, match="steps within backward"):
        made(("SAM", "SGD"))


@pytest.mark.parametrize("name", ["LookSAM", "EigenSAM", "DiametricalRisk"])
@pytest.mark.parametrize("saved", ["before the first step", "by SAM"])
def test_a_state_without_a_direction_begins_with_a_new_one(saved: str, name: str) -> None:
    first = Case(name) if saved == "before the first step" else Case("SAM").train(BEFORE)
    resumed, expected = Case(name), Case(name)
    resumed.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    of_base = copy.deepcopy(first.optimizer.base_optimizer.state_dict())
    expected.optimizer.base_optimizer.load_state_dict(of_base)
    torch.testing.assert_close(
        resumed.train(4).weights(), expected.train(4).weights(), atol=0, rtol=0
    )
