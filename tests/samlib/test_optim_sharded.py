"""samlib.optim with fully_shard: two processes, each with its part of the weights, against one."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from optimizers import IN_TWO_STEPS
from sharded_cases import SHARDED, Case, start
from torch import Tensor, nn

fsdp = pytest.importorskip("torch.distributed.fsdp")
if not hasattr(fsdp, "fully_shard"):
    pytest.skip("this torch has no fully_shard", allow_module_level=True)
from torch.distributed.tensor import Replicate, parallel  # noqa: E402

TWO_STEPS = [name for name in SHARDED if name in IN_TWO_STEPS]
RADII = [0.1, 0.2, 0.05, 0.3, 0.15, 0.1]
# Sums over shards are taken in another order than over whole vectors, so that weights of size 1
# differ by some 1e-16 a step.
TOLERANCE = 1e-13


def layers(model: nn.Sequential, **how: Any) -> None:
    """Shard as is usual: inner modules first, then the whole."""
    fsdp.fully_shard(model[2], **how)
    fsdp.fully_shard(model, **how)


def replicated(model: nn.Sequential) -> None:
    """A mesh with a dimension of copies: its parts are whole tensors, twice."""
    mesh = torch.distributed.init_device_mesh("cpu", (2, 1), mesh_dim_names=("copies", "shards"))
    layers(model, mesh=mesh)


def first_layer(model: nn.Sequential) -> None:
    """The other layers stay plain tensors."""
    fsdp.fully_shard(model[0])


def kept_gathered(model: nn.Sequential) -> None:
    """Weights stay gathered after each pass, where they are not those of the next."""
    layers(model, reshard_after_forward=False)
    model.set_reshard_after_backward(False)  # type: ignore[operator]


def across(model: nn.Sequential) -> None:
    """Tensor parallelism: of one layer each process computes half of the outputs."""
    mesh = torch.distributed.init_device_mesh("cpu", (2,))
    halves = parallel.ColwiseParallel(output_layouts=Replicate())
    parallel.parallelize_module(model[2], mesh, {"0": halves})


def average_plain(case: Case) -> Callable[[], None]:
    """What must be done for gradients that fully_shard knows nothing of."""

    def average() -> None:
        for p in case.model.parameters():
            if p.grad is not None and not hasattr(p, "to_local"):
                torch.distributed.all_reduce(p.grad)
                p.grad /= 2

    return average


def raised(call: Callable[[], Any]) -> str:
    try:
        call()
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def interrupted(case: Case, at: int) -> bool:
    """Raise inside the network at its n-th forward; whether weights and outputs are as before."""
    case.train(2)
    weights, outputs = case.parts(), case.outputs()
    calls = 0

    def fail(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise RuntimeError("an error of one's own")

    hook = case.model[2].register_forward_pre_hook(fail)
    assert "of one's own" in raised(lambda: case.train(1))
    hook.remove()
    same = all(torch.equal(a, b) for a, b in zip(case.parts(), weights, strict=True))
    return same and torch.equal(case.outputs(), outputs)


def scaled(case: Case, rank: int, spoiled: int) -> Case:
    """Steps with a GradScaler; in the third, one process's second gradient is infinite."""
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        loss = case.loss()
        scaler.scale(loss * (math.inf if calls == 6 and rank == spoiled else 1)).backward()
        return loss

    for _ in range(5):
        case.optimizer.step(closure, scaler=scaler)
        scaler.update()
    return case


def left_over(case: Case, rank: int) -> str:
    """Gradients of before that are zero in the first process and not in the second."""
    case.backward()
    for p in case.model.parameters():
        p.grad.mul_(1.0)
        if rank == 0:
            p.grad.to_local().zero_()
    return raised(lambda: case.train(1))


def tiny(case: Case) -> str:
    case.model.to(torch.bfloat16)
    case.inputs, case.targets = case.inputs.bfloat16(), case.targets.bfloat16()
    case.optimizer.param_groups[0]["rho"] = 1e-5
    return raised(lambda: case.train(1))


def process(rank: int, folder: str) -> None:
    """Train on every second row, in every way; save what came out."""
    start(rank, folder)
    rows = slice(rank, None, 2)
    found: dict[Any, Any] = {name: Case(name, rows, layers).train(4).weights() for name in SHARDED}
    for name in TWO_STEPS:
        found["two steps", name] = Case(name, rows, layers).train_in_two_steps(4).weights()
    for name in ("LookSAM", "AWP"):
        case = Case(name, rows, first_layer)
        found["plain", name] = case.train(4, average_plain(case)).weights()
        found["copies", name] = Case(name, rows, replicated).train(4).weights()
    for name in ("LookSAM", "AWP", "DiametricalRisk"):
        found["across", name] = Case(name, shard=across).train(4).weights()
    for name in ("SAM", "DiametricalRisk"):
        found["kept", name] = Case(name, rows, kept_gathered).train(1).weights()
        case = Case(name, rows, layers)
        found["restored", name] = interrupted(case, 2)
        found["interrupted", name] = case.train(2).weights()
    found["radii"] = Case("ASAM", rows, layers, radii=RADII).train(4).weights()
    found["scaled"] = scaled(Case("SAM", rows, layers), rank, spoiled=1).weights()
    found["left over"] = left_over(Case("SAM", rows, layers), rank)
    found["tiny"] = tiny(Case("SAM", rows, layers))
    found["EigenSAM"] = raised(lambda: Case("EigenSAM", rows, layers))
    model = nn.Linear(2, 2)
    fsdp.fully_shard(model)
    given = {"model": model, "perturb_with": "local"}
    found["local"] = raised(lambda: Case("SAM", rows, layers, **given))
    flat = fsdp.FullyShardedDataParallel(nn.Linear(2, 2), device_id=torch.device("cpu"))
    found["flat"] = raised(lambda: Case("SAM", rows, lambda m: m.append(flat)))
    if hasattr(fsdp.FSDPModule, "reset_iter_state"):  # which came with torch 2.13
        del fsdp.FSDPModule.reset_iter_state
    found["restored", "in an older torch"] = interrupted(Case("SAM", rows, layers), 2)
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    folder: Path = tmp_path_factory.mktemp("sharded")
    torch.multiprocessing.spawn(process, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def assert_equal(found: Tensor, expected: Case) -> None:
    torch.testing.assert_close(found, expected.weights(), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", SHARDED)
def test_two_processes_with_half_of_each_weight_are_one(name: str, processes: Any) -> None:
    assert_equal(processes[0][name], Case(name).train(4))


@pytest.mark.parametrize("name", TWO_STEPS)
def test_in_two_steps_with_clipping_and_a_schedule(name: str, processes: Any) -> None:
    assert_equal(processes[0]["two steps", name], Case(name).train_in_two_steps(4))


@pytest.mark.parametrize("name", ["LookSAM", "AWP"])
@pytest.mark.parametrize("how", ["plain", "copies"])
def test_what_both_processes_hold_is_counted_once(how: str, name: str, processes: Any) -> None:
    assert_equal(processes[0][how, name], Case(name).train(4))
    assert torch.equal(processes[0][how, name], processes[1][how, name])


@pytest.mark.parametrize("name", ["LookSAM", "AWP", "DiametricalRisk"])
def test_tensor_parallelism_spreads_weights_too(name: str, processes: Any) -> None:
    assert_equal(processes[0]["across", name], Case(name).train(4))


@pytest.mark.parametrize("name", ["SAM", "DiametricalRisk"])
def test_weights_that_stay_gathered_are_gathered_anew_where_they_moved(
    name: str, processes: Any
) -> None:
    assert_equal(processes[0]["kept", name], Case(name).train(1))


@pytest.mark.parametrize("name", ["SAM", "DiametricalRisk"])
def test_an_error_at_perturbed_weights_leaves_weights_and_outputs(
    name: str, processes: Any
) -> None:
    assert all(each["restored", name] for each in processes)
    assert_equal(processes[0]["interrupted", name], Case(name).train(4))


def test_an_older_torch_is_made_to_gather_weights_anew(processes: Any) -> None:
    assert all(each["restored", "in an older torch"] for each in processes)


def test_each_parameter_has_its_radius(processes: Any) -> None:
    assert_equal(processes[0]["radii"], Case("ASAM", radii=RADII).train(4))


def test_an_infinity_in_one_process_makes_all_skip_the_step(processes: Any) -> None:
    assert_equal(processes[0]["scaled"], scaled(Case("SAM"), rank=0, spoiled=0))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("left over", "RuntimeError: step(closure) found gradients of earlier backward passes"),
        ("tiny", "ValueError: the perturbation of SAM with rho=1e-05 is too small for weights in"),
        ("EigenSAM", "ValueError: EigenSAM needs whole parameters"),
        ("local", "ValueError: perturb_with='local' needs weights that each process can perturb"),
        ("flat", "ValueError: params must not be those of FullyShardedDataParallel"),
    ],
)
def test_all_processes_refuse_alike(what: str, said: str, processes: Any) -> None:
    assert processes[0][what] == processes[1][what]
    assert processes[0][what].startswith(said)
