"""samlib.optim with DistributedDataParallel: two processes against one."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from optimizers import Problem, make, step
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from samlib.training import SAMEffect

CPU = torch.device("cpu")
RUNS = [
    ("SAM", "averaged"),
    ("SAM", "local"),
    ("GSAM", "averaged"),
    ("LookSAM", "averaged"),
    ("ASAM", "local"),
    ("EigenSAM", "local"),
    ("BatchNorm", "local"),
]

READ = ("SAM", "averaged")  # with a monitor that reads the two gradients


def replica(rank: int, folder: str, runs: list[tuple[str, str]]) -> None:
    """Train on this rank's half of the rows; save the weights of every run."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    results: dict[Any, Any] = {}
    for name, perturb_with in runs:
        problem = Problem(CPU)
        if name == "BatchNorm":
            problem.model.insert(1, nn.BatchNorm1d(5).double())
        model = DistributedDataParallel(problem.model, gradient_as_bucket_view=True)
        given = {"model": model, "perturb_with": perturb_with} if perturb_with == "local" else {}
        optimizer = make("SAM" if name == "BatchNorm" else name, problem, momentum=0.9, **given)
        half = slice(0, 4) if rank == 0 else slice(4, 8)
        inputs, targets = problem.inputs[half], problem.targets[half]

        def loss() -> Tensor:
            return nn.functional.mse_loss(model(inputs), targets)  # noqa: B023

        def closure() -> Tensor:
            value = loss()
            value.backward()
            return value

        effect = SAMEffect(optimizer) if (name, perturb_with) == READ else None
        for _ in range(4):
            optimizer.step(loss if optimizer.takes_loss else closure)
        if name == "SAM":  # and once more in two steps
            optimizer.zero_grad()
            with model.no_sync() if perturb_with == "local" else nullcontext():
                loss().backward()
            optimizer.first_step()
            loss().backward()
            optimizer.second_step()
        if effect is not None:
            results["read"] = effect(5, model)
        weights = torch.cat([p.detach().flatten() for p in problem.model.parameters()])
        results[name, perturb_with] = weights
    torch.save(results, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> list[dict[tuple[str, str], Tensor]]:
    folder: Path = tmp_path_factory.mktemp("replicas")
    torch.multiprocessing.spawn(replica, (str(folder), RUNS), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("run", RUNS, ids=" ".join)
def test_replicas_stay_equal_to_the_bit(run: tuple[str, str], replicas: Any) -> None:
    assert torch.equal(replicas[0][run], replicas[1][run])


@pytest.mark.parametrize("name", ["SAM", "GSAM", "LookSAM"])
def test_perturbed_with_the_averaged_gradient_replicas_are_one_process(
    name: str, replicas: Any
) -> None:
    problem = Problem(CPU)
    optimizer = make(name, problem, momentum=0.9)
    for _ in range(5 if name == "SAM" else 4):
        step(problem, optimizer)
    torch.testing.assert_close(replicas[0][name, "averaged"], problem.weights(), atol=1e-12, rtol=0)


def test_perturbed_with_local_gradients_replicas_are_m_sharpness(replicas: Any) -> None:
    problem = Problem(CPU)
    optimizer = make("MSAM", problem, momentum=0.9, m=4)
    for _ in range(5):
        step(problem, optimizer)
    torch.testing.assert_close(replicas[0]["SAM", "local"], problem.weights(), atol=1e-12, rtol=0)
    difference = replicas[0]["SAM", "local"] - replicas[0]["SAM", "averaged"]
    assert float(difference.norm()) > 1e-6


def test_all_replicas_read_of_their_gradients_what_one_process_would(replicas: Any) -> None:
    assert replicas[0]["read"] == replicas[1]["read"]
    problem = Problem(CPU)
    optimizer = make("SAM", problem, momentum=0.9)
    effect = SAMEffect(optimizer)
    for _ in range(5):
        step(problem, optimizer)
    assert replicas[0]["read"] == pytest.approx(effect(5, problem.model), rel=1e-9)


def test_local_gradients_are_not_compared_with_averaged_ones() -> None:
    problem = Problem(CPU)
    problem.model.no_sync = nullcontext  # as DistributedDataParallel has it
    local = make("SAM", problem, model=problem.model, perturb_with="local")
    with pytest.raises(ValueError, match="one replica's rows"):
        SAMEffect(local)
