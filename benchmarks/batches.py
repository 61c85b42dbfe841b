"""The trace of a mean over many batches: `python benchmarks/batches.py`.

A perceptron 64-128-128-10 on 20,000 rows of digits with noise, in batches of 256, trained a little.
The trace to 2 % (root mean square over seeds), by samlib with its default tolerance, and by
curvlinops' XTrace and Hutch++ with the smallest number of products that is enough. Each with the
same network, loss and list of batches; then those that are accurate are timed in turn.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import curvlinops
import torch
from goals import Goal, show, stored
from growth import images
from simulate import provenance, results_path
from torch import Tensor, nn

import samlib

ROWS, BATCH, ACCURACY, SEEDS, ROUNDS = 20_000, 256, 0.02, 12, 5
MOST_TIME = 0.45
Run = Callable[[int], tuple[float, int]]


def trained() -> tuple[nn.Sequential, list[tuple[Tensor, Tensor]]]:
    """The network after 30 steps, and its batches."""
    inputs, labels = images(ROWS)
    batches = list(zip(inputs.split(BATCH), labels.split(BATCH), strict=True))
    model = samlib.problems.perceptron((64, 128, 128, 10), seed=0, dtype=torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for batch_inputs, batch_labels in batches[:30]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch_inputs), batch_labels).backward()
        optimizer.step()
    return model, batches


def contenders(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> dict[str, list[Run]]:
    """By name, one way to the trace, or several with more and more products."""

    def ours(seed: int) -> tuple[float, int]:
        objective = samlib.Objective.from_module(model, nn.CrossEntropyLoss(), batches)
        x = objective.flat_parameters()
        found = samlib.trace(objective, x, rtol=ACCURACY, seed=seed, progress=False)
        return float(found.value), found.products

    def theirs(estimator: Callable[..., Tensor], products: int) -> Run:
        def run(seed: int) -> tuple[float, int]:
            torch.manual_seed(seed)
            parameters = list(model.parameters())
            operator = curvlinops.HessianLinearOperator(
                model, nn.CrossEntropyLoss(), parameters, batches, check_deterministic=False
            )
            return float(estimator(operator, products)), products

        return run

    return {
        "samlib": [ours],
        "curvlinops xtrace": [theirs(curvlinops.xtrace, n) for n in (18, 22, 26, 30, 40)],
        "curvlinops hutchpp_trace": [theirs(curvlinops.hutchpp_trace, n) for n in (24, 36, 48)],
    }


def measured(name: str, run: Run, exact: float) -> dict[str, Any]:
    begin = time.perf_counter()
    found = [run(seed) for seed in range(SEEDS)]
    return {
        "method": name,
        "products": max(products for _, products in found),
        "rms": math.sqrt(sum((value / exact - 1) ** 2 for value, _ in found) / SEEDS),
        "seconds": (time.perf_counter() - begin) / SEEDS,
    }


def report(row: dict[str, Any]) -> None:
    print(
        f"{row['method']:28}{row['products']:10}{row['rms']:12.2%}{row['seconds']:10.3f} s",
        flush=True,
    )


def main() -> None:
    """Measure, print and store."""
    warnings.simplefilter("ignore")
    model, batches = trained()
    together = tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
    objective = samlib.Objective.from_module(model, nn.CrossEntropyLoss(), together)
    x = objective.flat_parameters()
    exact = float(samlib.trace(objective, x, rtol=1e-3, seed=99, progress=False).value)
    rows, accurate = [], {}
    print(f"trace {exact:.4g}\n{'method':28}{'products':>10}{'RMS error':>12}{'time':>12}")
    for name, ways in contenders(model, batches).items():
        for run in ways:
            rows.append(row := measured(name, run, exact))
            report(row)
            if row["rms"] <= ACCURACY:
                accurate[name] = row, run
                break
    times: dict[str, list[float]] = {name: [] for name in accurate}
    for seed in range(ROUNDS):
        for name, (_, run) in accurate.items():
            begin = time.perf_counter()
            run(seed)
            times[name].append(time.perf_counter() - begin)
    for name, (row, _) in accurate.items():
        row["seconds"] = median(times[name])
    peers = {name: row["seconds"] for name, (row, _) in accurate.items() if name != "samlib"}
    fastest = min(peers, key=lambda name: peers[name])
    ratio = accurate["samlib"][0]["seconds"] / peers[fastest]
    what = f"MLP in {len(batches)} batches, trace to {ACCURACY:.0%}: time ÷ the peer's"
    goals = [Goal(what, ratio, MOST_TIME, against=fastest)]
    show(goals)
    results = {"provenance": provenance(), "trace": exact, "rows": rows, "goals": stored(goals)}
    results_path("batches", "cpu").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
