"""Memory and messages of λ₁ over several processes: `python benchmarks/distributed.py`.

A perceptron of 3.2 million weights in 13 layers on 64 rows, in float32, over 1, 2 and 4 processes
(gloo, on one machine) that share the rows; with vectors whole in each process, spread over them,
and spread with a model that fully_shard has spread. For each:

* the most bytes that tensors hold at a time in one process, during λ₁, beside the model and x;
* the same during one product;
* the messages of λ₁ and their bytes, for each product: those of more than 1 kB, which are vectors,
  parameters or pieces of them, and the short ones;
* the CPU seconds of a product in one process, relative to those of a gradient there. The processes
  share the machine's cores, so that seconds on the clock would say nothing.

λ₁ must be the same everywhere to 1e-4, or this fails.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
from simulate import provenance, results_path
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard

import samlib
from samlib.objective.points import bytes_needed

PROCESSES = (1, 2, 4)
WIDTH, LAYERS, CLASSES, ROWS = 512, 12, 10, 64
REPEATS = 3
LARGEST_DIFFERENCE = 1e-4

HELD = ("whole", "spread", "spread, as the model")
COLLECTIVES = ("all_reduce", "all_gather_single", "all_gather_into_tensor", "broadcast", "reduce")
SHORT = 1024


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(LAYERS):
        layers += [nn.Linear(WIDTH, WIDTH), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES))


def rows() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, CLASSES, (ROWS,), generator=generator)
    # With a mean, as images have, that gives the Hessian a few large eigenvalues.
    return 1 + torch.randn(ROWS, WIDTH, generator=generator), labels


class Messages:
    """Counts messages while it lasts, by the bytes that a process gives to each."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._before = {name: getattr(dist, name) for name in COLLECTIVES if hasattr(dist, name)}

    def __enter__(self) -> Messages:
        for name, function in self._before.items():
            setattr(dist, name, self._counted(function, given=int(name.startswith("all_gather"))))
        return self

    def __exit__(self, *_: object) -> None:
        for name, function in self._before.items():
            setattr(dist, name, function)

    def _counted(self, function: Callable[..., Any], given: int) -> Callable[..., Any]:
        def counted(*tensors: Any, **options: Any) -> Any:
            self.sizes.append(tensors[given].nbytes)
            return function(*tensors, **options)

        return counted

    def for_each(self, products: int) -> dict[str, float]:
        """Their numbers and bytes for each product: long ones and short ones."""
        long = [size for size in self.sizes if size > SHORT]
        short = [size for size in self.sizes if size <= SHORT]
        return {
            "long_messages": len(long) / products,
            "long_bytes": sum(long) / products,
            "short_messages": len(short) / products,
            "short_bytes": sum(short) / products,
        }


def cpu_seconds(function: Callable[[], Any]) -> float:
    times = []
    for _ in range(REPEATS):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return median(times)


def spread_network() -> nn.Module:
    model = network()
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer)
    return fully_shard(model)


def measured(rank: int, processes: int, held: str) -> dict[str, Any]:
    inputs, labels = rows()
    objective = samlib.Objective.from_module(
        spread_network() if held == "spread, as the model" else network(),
        nn.CrossEntropyLoss(),
        (inputs[rank::processes], labels[rank::processes]),
        process_group=dist.group.WORLD if processes > 1 else None,
        shard_vectors=held != "whole",
        check=False,
    )
    x = objective.flat_parameters()
    results: list[samlib.EigenResult] = []
    with Messages() as messages:
        most = bytes_needed(
            lambda: results.append(samlib.top_eigenpairs(objective, x, rtol=0.01, progress=False))
        )
    (found,) = results
    most_of_product = bytes_needed(lambda: objective.hessian_operator(x)(x))
    product = objective.hessian_operator(x)
    of_gradient, of_product = (
        cpu_seconds(lambda: objective.gradient(x)),
        cpu_seconds(lambda: product(x)),
    )
    return {
        "processes": processes,
        "vectors": held,
        "dim": objective.dim,
        "held": len(x),
        "eigenvalue": float(found.values[0]),
        "products": found.products,
        "most_bytes": most,
        "most_in_vectors": most / (4 * objective.dim),
        "product_in_vectors": most_of_product / (4 * objective.dim),
        "product_by_gradient": of_product / of_gradient,
        "product_seconds": of_product,
        **messages.for_each(found.products),
    }


def work(rank: int, processes: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=processes
    )
    results = [
        measured(rank, processes, held) for held in HELD[: len(HELD) if processes > 1 else 1]
    ]
    if rank == 0:
        Path(folder, "results.json").write_text(json.dumps(results))
    dist.destroy_process_group()


def show(row: dict[str, Any]) -> None:
    print(
        f"{row['processes']} processes, vectors {row['vectors']:20}: λ₁ = {row['eigenvalue']:.5f}, "
        f"{row['products']} products, {row['most_bytes'] / 2**20:5.0f} MiB = "
        f"{row['most_in_vectors']:.1f} vectors, a product "
        f"{row['product_in_vectors']:.2f}; {row['long_messages']:.1f} long and "
        f"{row['short_messages']:.1f} short messages, {row['long_bytes'] / 2**20:.1f} MiB; "
        f"a product takes {row['product_by_gradient']:.2f} gradients, "
        f"{row['product_seconds']:.3f} s",
        flush=True,
    )


def main() -> None:
    found: list[dict[str, Any]] = []
    for processes in PROCESSES:
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(work, (processes, folder), nprocs=processes)
            new = json.loads(Path(folder, "results.json").read_text())
        for row in new:
            show(row)
        found += new
    one = found[0]["eigenvalue"]
    if not all(math.isclose(r["eigenvalue"], one, rel_tol=LARGEST_DIFFERENCE) for r in found):
        raise SystemExit("λ₁ differs between the processes")
    results = {**provenance(), "rows": ROWS, "width": WIDTH, "layers": LAYERS, "results": found}
    results_path("distributed", "cpu").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
