"""How time and memory grow: `python benchmarks/growth.py`, or with the names of some sweeps.

Along each sweep one number grows over about two decades or more while the others stay:

* parameters: a perceptron on 512 digits, wider and wider;
* rows: a perceptron of 4,810 weights on more and more of the same kind of data;
* eigenvalues: how many of the largest are asked for, of one matrix of dimension 20,000 whose
  eigenvalues are 1/i, each to a tenth of the smallest that is asked for. A product costs next to
  nothing there, and what is seen is the search's own work beside the number of products;
* processes: λ₁ of a perceptron of 85,002 weights on 4,096 rows that so many processes of this
  machine share, with vectors that are whole in each of them, and spread over them.

Times are CPU seconds with one thread, the median of several runs, of one process where there are
several: they share this machine's cores, so that seconds on the clock would say nothing. Memory is
the most that tensors hold at a time, beside the model, the data and x. The power in which they grow
is fitted to the upper decade of a sweep, where what is done once no longer counts.

Each sweep is stored as soon as it is finished. The book draws them: see `samlib_book.growth`.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from goals import Goal, show, stored
from simulate import provenance, results_path
from sklearn.datasets import load_digits
from torch import Tensor, nn

import samlib

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.memory import peak_bytes

WIDTHS = (10, 32, 100, 320, 640, 1000, 1400, 2000)
ROWS = (100, 320, 1_000, 3_200, 10_000, 32_000, 100_000)
COUNTS = (1, 2, 5, 10, 20, 50, 100)
PROCESSES = (1, 2, 4, 8, 16, 32, 64)
MATRIX, SHARED_ROWS, RTOL = 20_000, 4_096, 0.02
LEAST_SECONDS, MOST_REPEATS = 2.0, 7
MIB = 2**20
# Time may grow as this power of what it should be linear in; 1, and what a fit of few points has.
MOST_POWER = 1.1

Row = dict[str, float]


def cpu_seconds(function: Callable[[], Any]) -> float:
    """Return the median time of some calls, more of them where they are short."""
    times: list[float] = []
    while len(times) < MOST_REPEATS and (not times or sum(times) < LEAST_SECONDS):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return median(times)


def images(rows: int) -> tuple[Tensor, Tensor]:
    """So many digits in a random order, with a little noise where they are repeated."""
    pixels, labels = load_digits(return_X_y=True)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.cat([torch.randperm(len(labels), generator=generator)] * (rows // 1797 + 1))
    inputs = torch.as_tensor(pixels, dtype=torch.float32)[chosen[:rows]] / 16
    noise = 0.1 * torch.randn(inputs.shape, generator=generator)
    return inputs + noise, torch.as_tensor(labels)[chosen[:rows]]


def network(width: int) -> nn.Sequential:
    return samlib.problems.perceptron((64, width, width, 10), seed=0, dtype=torch.float32)


def costs(objective: samlib.ModuleObjective) -> Row:
    """Return what a gradient, a product and λ₁ take."""
    x = objective.flat_parameters()
    apply = objective.hessian_operator(x)
    found: list[samlib.EigenResult] = []

    def top() -> None:
        found.append(samlib.top_eigenpairs(objective, x, rtol=RTOL, progress=False))

    top()  # what the first evaluation of a model does besides
    return {
        "gradient seconds": cpu_seconds(lambda: objective.gradient(x)),
        "product seconds": cpu_seconds(lambda: apply(x)),
        "λ₁ seconds": cpu_seconds(top),
        "gradient MiB": peak_bytes(lambda: objective.gradient(x)) / MIB,
        "λ₁ MiB": peak_bytes(top) / MIB,
        "products": found[-1].products,
    }


def parameters() -> Iterator[Row]:
    """Grow the width."""
    for width in WIDTHS:
        model = network(width)
        objective = samlib.Objective.from_module(model, nn.CrossEntropyLoss(), images(512))
        yield {"parameters": objective.dim, **costs(objective)}


def rows() -> Iterator[Row]:
    """Grow the data, in batches of at most 4,096 rows."""
    for number in ROWS:
        inputs, labels = images(number)
        batches = list(zip(inputs.split(4096), labels.split(4096), strict=True))
        objective = samlib.Objective.from_module(network(50), nn.CrossEntropyLoss(), batches)
        yield {"rows": number, **costs(objective)}


def eigenvalues() -> Iterator[Row]:
    """Grow k."""
    spectrum = 1 / torch.arange(1, MATRIX + 1, dtype=torch.float64)
    entries = spectrum[torch.randperm(MATRIX, generator=torch.Generator().manual_seed(0))]
    matrix = samlib.Operator(MATRIX, entries.device, entries.dtype, lambda v: entries * v)
    for k in COUNTS:
        found: list[samlib.EigenResult] = []

        def top(k: int = k, found: list[samlib.EigenResult] = found) -> None:
            options = {"rtol": 0.1 / k, "max_products": 5_000, "progress": False}
            found.append(samlib.top_eigenpairs(matrix, k=k, **options))

        seconds, most = cpu_seconds(top), peak_bytes(top)
        wrong = (found[-1].values - spectrum[:k]).abs() > found[-1].errors
        assert found[-1].converged
        assert not bool(wrong.any()), f"k = {k} is wrong"
        yield {
            "eigenvalues": k,
            "the search seconds": seconds,
            "the search MiB": most / MIB,
            "products": found[-1].products,
        }


def of_process(rank: int, number: int, folder: str) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=number)
    inputs, labels = images(SHARED_ROWS)
    row: Row = {"processes": number}
    for name, spread in (("whole", False), ("spread", True)):
        objective = samlib.Objective.from_module(
            network(256),
            nn.CrossEntropyLoss(),
            (inputs[rank::number], labels[rank::number]),
            process_group=dist.group.WORLD,
            shard_vectors=spread,
            check=False,
        )
        x = objective.flat_parameters()
        found: list[samlib.EigenResult] = []

        def top(
            objective: samlib.Objective = objective,
            x: Tensor = x,
            found: list[samlib.EigenResult] = found,
        ) -> None:
            found.append(samlib.top_eigenpairs(objective, x, rtol=RTOL, progress=False))

        top()
        begin = time.process_time()
        top()
        row[f"{name} seconds"] = time.process_time() - begin
        row[f"{name} MiB"] = peak_bytes(top) / MIB
        row["products"] = found[-1].products
        row[f"{name} λ₁"] = float(found[-1].values[0])
    if rank == 0:
        Path(folder, "row.json").write_text(json.dumps(row))
    dist.destroy_process_group()


def processes() -> Iterator[Row]:
    """Grow the number of processes. They are forked, so that torch is in memory once."""
    alone: float | None = None
    for number in PROCESSES:
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.start_processes(
                of_process, (number, folder), nprocs=number, start_method="fork"
            )
            row = json.loads(Path(folder, "row.json").read_text())
        alone = alone or row["whole λ₁"]
        for name in ("whole", "spread"):
            assert math.isclose(row.pop(f"{name} λ₁"), alone, rel_tol=1e-4), f"λ₁ by {number}"
        yield row


# Processes first: forked ones want a parent that has computed nothing.
SWEEPS = {
    "processes": processes,
    "parameters": parameters,
    "rows": rows,
    "eigenvalues": eigenvalues,
}


def power(found: list[Row], along: str, name: str) -> float:
    """Return the power of the sweep's number in which a cost grows, over its upper decade."""
    last = found[-1][along]
    pairs = [(row[along], row[name]) for row in found if row[along] >= 0.99 * last / 10]
    x, y = np.log(pairs).T
    return float(np.polyfit(x, y, 1)[0])


def goals(sweeps: dict[str, list[Row]]) -> list[Goal]:
    return [
        Goal(f"{name} of λ₁: its power of the {along}", power(found, along, f"λ₁ {name}"), most)
        for along in ("parameters", "rows")
        if (found := sweeps.get(along))
        for name, most in (("seconds", MOST_POWER), ("MiB", MOST_POWER))
    ]


def report(row: Row) -> None:
    print("  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)


def main(chosen: list[str]) -> None:
    unknown = set(chosen) - SWEEPS.keys()
    if unknown:
        sys.exit(f"no sweep is called {', '.join(sorted(unknown))}: there are {', '.join(SWEEPS)}")
    path = results_path("growth", "cpu")
    results = json.loads(path.read_text("utf8")) if chosen and path.exists() else {"sweeps": {}}
    for name, sweep in SWEEPS.items():
        if chosen and name not in chosen:
            continue
        print(f"\n{name}")
        found = []
        for row in sweep():
            report(row)
            found.append(row)
        torch.set_num_threads(1)
        results["sweeps"][name] = {"provenance": provenance(), "rows": found}
        reached = goals({key: value["rows"] for key, value in results["sweeps"].items()})
        results |= {"provenance": provenance(), "goals": stored(reached)}
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf8")
    show(Goal(**{k: v for k, v in goal.items() if k != "met"}) for goal in results["goals"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
