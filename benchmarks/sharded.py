"""Memory of a SAM step on sharded weights: `python benchmarks/sharded.py`.

A perceptron of 9.5 million weights in float32 is sharded by fully_shard, layer by layer, over 1, 2
and 4 processes on the CPU (gloo). For plain SGD with momentum and for optimizers of samlib.optim
around it, each in processes of its own:

"held" are the bytes of all tensors of a process after some steps: weights, gradients, momentum and
what the optimizer holds, each storage once, without the data. "resident" is how far the process's
memory rises at most above that before the model is made, with activations, gathered layers and all
that fully_shard, gloo and the C library hold besides. Both are the largest over processes.
"""

from __future__ import annotations

import gc
import json
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from simulate import provenance, results_path
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard

from samlib import optim

WIDTH, LAYERS, ROWS, STEPS = 768, 16, 16, 4
PROCESSES = (1, 2, 4)
MIB = 2**20
KINDS = ("held", "resident")
OPTIMIZERS: dict[str, Any] = {
    "SGD": None,
    "SAM": partial(optim.SAM, rho=0.05),
    "GSAM": partial(optim.GSAM, rho=0.05, alpha=0.3),
    "LookSAM": partial(optim.LookSAM, rho=0.05, alpha=0.7, every=3),
    "DiametricalRisk": partial(optim.DiametricalRisk, rho=0.05, directions=3),
}


def sharded_model(width: int) -> nn.Sequential:
    """Make the perceptron without ever holding it whole."""
    with torch.device("meta"):
        layers = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(LAYERS)]
        model = nn.Sequential(*layers)
    for layer in model:
        fully_shard(layer)
    fully_shard(model)
    model.to_empty(device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=width**-0.5)
    return model


def held_bytes(apart_from: list[Tensor]) -> int:
    """Return the bytes of all storages that tensors of this process are in."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if isinstance(each, Tensor)]
    storages = {
        each.untyped_storage().data_ptr(): each.untyped_storage().nbytes()
        for each in tensors
        if not hasattr(each, "to_local") and each.device.type == "cpu"
    }
    for each in apart_from:
        storages.pop(each.untyped_storage().data_ptr(), None)
    return sum(storages.values())


def status(entry: str) -> int:
    """Return an entry of the process's status, in bytes: resident memory, or the most so far."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(entry))


def train(name: str, width: int) -> tuple[int, int]:
    """Take some steps; return the bytes held then, and the peak above what was there before."""
    data = [torch.randn(ROWS, width), torch.randn(ROWS, width)]
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what is resident now
    before = status("VmRSS")
    model = sharded_model(width)
    parameters = list(model.parameters())
    optimizer: Any = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)
    if OPTIMIZERS[name] is not None:
        optimizer = OPTIMIZERS[name](parameters, optimizer)

    def closure() -> Tensor:
        loss = nn.functional.mse_loss(model(data[0]), data[1])
        if not getattr(optimizer, "takes_loss", False):
            optimizer.zero_grad()
            loss.backward()
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)
    return held_bytes(data), status("VmHWM") - before


def process(rank: int, folder: str, world: int, name: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world
    )
    train(name, width=8)  # loads what a first step loads
    most = torch.tensor(train(name, WIDTH), dtype=torch.float64)
    torch.distributed.all_reduce(most, torch.distributed.ReduceOp.MAX)
    if rank == 0:
        mib = (most / MIB).round(decimals=1).tolist()
        Path(folder, "found.json").write_text(json.dumps(dict(zip(KINDS, mib, strict=True))))
    torch.distributed.destroy_process_group()


def measure(name: str, world: int) -> dict[str, float]:
    """Return the MiB of an optimizer."""
    # Memory that is given back is not to stay with the C library.
    os.environ |= {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(process, (folder, world, name), nprocs=world)
        found: dict[str, float] = json.loads(Path(folder, "found.json").read_text())
    return found


def main() -> None:
    found: dict[str, dict[int, dict[str, float]]] = {}
    for name in OPTIMIZERS:
        found[name] = of = {world: measure(name, world) for world in PROCESSES}
        print(f"{name:16}", of, flush=True)
        ratio = of[PROCESSES[0]]["held"] / of[PROCESSES[-1]]["held"]
        assert ratio > 0.99 * PROCESSES[-1] / PROCESSES[0], (name, ratio)
    weights = LAYERS * (WIDTH + 1) * WIDTH
    results = {
        "provenance": provenance(),
        "weights": weights,
        "mib of the weights": round(4 * weights / MIB, 1),
        "mib": found,
    }
    results_path("sharded", "cpu").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
