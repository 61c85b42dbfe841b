"""Eigenvalues, trace and average sharpness against the libraries in use: `python curvature.py`.

`gpu.py` runs the same on a GPU. `python curvature.py --resume` goes on with a run that was
interrupted: cases of which every row is stored are kept, if machine and versions are the same.

The same work in one run, at equal accuracy, on a perceptron and on a small residual network:

* the largest, and the five largest, eigenvalues of the Hessian to 1e-3, each with the loosest
  tolerance that is enough. hessian-eigenthings takes a number of iterations: it is shown as it is,
  with the number doubled until it says that it has converged, and with the last of these runs
  alone, as if one had been told the number. What misses the accuracy is shown as missing it;
* the trace to 2 % (root mean square over seeds), each with the smallest number of products that is
  enough, then timed in turn, 15 times;
* the average-direction sharpness to 2 %, in evaluations of the loss.

The residual network takes most of the time, about half an hour on two cores. `make bench` sets
two variables that let the allocator of glibc keep what it frees.
"""

from __future__ import annotations

import gc
import json
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from statistics import median
from typing import Any

from goals import Goal, stored
from goals import show as show_goals
from peers.cases import Case, perceptron, residual_network
from peers.eigenvalues import (
    Answer,
    answer,
    doubled,
    iterated,
    linear_operators,
    ours,
    power_iterated,
    scipy_over_our_products,
)
from peers.traces import TRACES
from simulate import finish, provenance, results_path
from torch import Tensor, nn

import samlib

ACCURACY, TRACE_ACCURACY = 1e-3, 0.02
# λ₅ and λ₆ of the residual network are so close that the fifth needs a small residual.
TOLERANCES = {("MLP", 1): 0.1, ("MLP", 5): 0.05, ("CNN", 1): 0.1, ("CNN", 5): 0.02}
METHODS = 7  # rows of a case
# How many times as fast as the fastest accurate peer. What a peer does that was told the number of
# iterations, and what takes our products, does not count.
LEAST_GAINS = {("MLP", 1): 3, ("MLP", 5): 3.5, ("CNN", 1): 4, ("CNN", 5): 3}
NO_PEERS = ("SciPy eigsh over samlib's product", "hessian-eigenthings, told the number")
SEEDS = 48
TRACE_ROUNDS = 15
TRACE_LIMITS = {"cpu": 0.45, "cuda": 0.9}  # of the time of the fastest accurate run of a peer
PEERS = ("PyHessian", "hessian-eigenthings", "curvlinops-for-pytorch", "scipy")


# --------------------------------------------------------------------------------- eigenvalues


def timed(method: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    times = []
    for _ in range(repeats):
        gc.collect()  # graphs that the method before left in reference cycles
        begin = time.perf_counter()
        with warnings.catch_warnings(action="ignore"):
            found = method()
            finish()
        times.append(time.perf_counter() - begin)
    return median(times), found


def relative_error(values: Tensor, exact: Tensor) -> float:
    if len(values) < len(exact):
        return math.inf
    return float(((values[: len(exact)].double().cpu() - exact) / exact).abs().max())


def eigenvalues(name: str, case: Case, k: int, repeats: int) -> Iterator[dict[str, Any]]:
    exact = ours(case, k, 1e-5)[0].double().cpu()

    def row(method: str, seconds: float, found: Answer) -> dict[str, Any]:
        values, products = found
        error = relative_error(values, exact)
        return {
            "case": name,
            "k": k,
            "method": method,
            "seconds": seconds,
            "products": products,
            "error": error,
            "accurate": error <= ACCURACY,
        }

    methods: dict[str, Callable[[], Answer]] = {
        "samlib": lambda: ours(case, k, TOLERANCES[name, k]),
        "SciPy eigsh over samlib's product": lambda: scipy_over_our_products(case, k, ACCURACY),
        "curvlinops + SciPy eigsh": lambda: linear_operators(case, k, ACCURACY),
        "hessian-eigenthings, as it is": lambda: answer(iterated(case, k, None)),
        "PyHessian": lambda: power_iterated(case, k),
    }
    for method, run in methods.items():
        yield row(method, *timed(run, repeats))
    seconds, ((values, products), last, last_seconds) = timed(lambda: doubled(case, k), repeats)
    yield row("hessian-eigenthings, doubled", seconds, (values, products))
    yield row("hessian-eigenthings, told the number", last_seconds, (values, last))


def show_eigenvalue(row: dict[str, Any], of_ours: float) -> None:
    missed = "" if row["accurate"] else "  misses the accuracy"
    print(
        f"{row['case']:6}{row['k']:3}  {row['method']:38}{1e3 * row['seconds']:10.1f}"
        f"{row['products'] or '':>10}{row['error']:10.1e}{row['seconds'] / of_ours:10.2f}{missed}",
        flush=True,
    )


def finished_cases(results: dict[str, Any]) -> set[tuple[str, int]]:
    """The cases of which every row is there; the rows of others are dropped."""
    rows = results.setdefault("eigenvalues", [])
    counts = Counter((row["case"], row["k"]) for row in rows)
    done = {case for case, count in counts.items() if count == METHODS}
    rows[:] = [row for row in rows if (row["case"], row["k"]) in done]
    return done


def all_eigenvalues(cases: dict[str, tuple[Case, int]], results: dict[str, Any]) -> None:
    print(f"\nTop eigenvalues to {ACCURACY:g}\n")
    print(
        f"{'case':6}{'k':>3}  {'method':38}{'ms':>10}{'products':>10}{'error':>10}{'÷ samlib':>10}"
    )
    done = finished_cases(results)
    for name, (case, repeats) in cases.items():
        for k in (1, 5):
            if (name, k) in done:
                print(f"{name:6}{k:3}  kept from before")
                continue
            of_ours = None
            for row in eigenvalues(name, case, k, repeats):
                of_ours = of_ours or row["seconds"]
                show_eigenvalue(row, of_ours)
                results["eigenvalues"].append(row)
                store(results)


def eigenvalue_goals(rows: list[dict[str, Any]], device: str) -> list[Goal]:
    found = []
    for (name, k), least in LEAST_GAINS.items():
        accurate = {
            row["method"]: row["seconds"]
            for row in rows
            if (row["case"], row["k"]) == (name, k) and row["accurate"]
        }
        peers = accurate.keys() - {"samlib", *NO_PEERS}
        if "samlib" not in accurate or not peers:
            continue
        fastest = min(peers, key=lambda peer: accurate[peer])
        found.append(
            Goal(
                what=f"{name}, top {k} to {ACCURACY:g}: times as fast on the {device.upper()}",
                reached=accurate[fastest] / accurate["samlib"],
                limit=least,
                at_least=True,
                against=fastest,
            )
        )
    return found


# --------------------------------------------------------------------------------------- trace


def traces(case: Case) -> list[dict[str, Any]]:
    model, loss_fn, inputs, targets = case
    objective = samlib.Objective.from_module(model, loss_fn, (inputs, targets))
    exact = float(
        samlib.trace(
            objective, objective.flat_parameters(), rtol=1e-3, max_products=2000, progress=False
        ).value
    )
    rows = []
    for method, (run, budgets) in TRACES.items():
        for products in budgets:
            begin = time.perf_counter()
            errors = [run(case, products, seed) / exact - 1 for seed in range(SEEDS)]
            rows.append(
                {
                    "method": method,
                    "products": products,
                    "rms": math.sqrt(sum(error**2 for error in errors) / SEEDS),
                    "seconds": (time.perf_counter() - begin) / SEEDS,
                }
            )
            if rows[-1]["rms"] <= TRACE_ACCURACY:
                break
    time_in_turn(case, [row for row in rows if row["rms"] <= TRACE_ACCURACY])
    return rows


def time_in_turn(case: Case, rows: list[dict[str, Any]]) -> None:
    """Time what is accurate once more, in turn, so that other work of the machine hits all."""
    rounds = [
        [
            timed(partial(TRACES[row["method"]][0], case, row["products"], seed), 1)[0]
            for row in rows
        ]
        for seed in range(TRACE_ROUNDS)
    ]
    for row, times in zip(rows, zip(*rounds, strict=True), strict=True):
        row["seconds"] = median(times)


def trace_goals(rows: list[dict[str, Any]], device: str) -> list[Goal]:
    accurate = {row["method"]: row["seconds"] for row in rows if row["rms"] <= TRACE_ACCURACY}
    peers = {name: t for name, t in accurate.items() if name.startswith("curvlinops")}
    if "samlib" not in accurate or not peers:
        return []
    fastest = min(peers, key=lambda name: peers[name])
    return [
        Goal(
            what=f"MLP, trace to {TRACE_ACCURACY:.0%}: time on the {device.upper()} ÷ the peer's",
            reached=accurate["samlib"] / peers[fastest],
            limit=TRACE_LIMITS[device],
            against=fastest,
        )
    ]


def show_traces(rows: list[dict[str, Any]]) -> None:
    print(f"\nTrace, perceptron, RMS error over {SEEDS} seeds, until {TRACE_ACCURACY:.0%}\n")
    print(f"{'method':30}{'products':>10}{'RMS error':>12}{'ms':>9}")
    for row in rows:
        print(
            f"{row['method']:30}{row['products']:10}{row['rms']:12.2%}{1e3 * row['seconds']:9.1f}"
        )


# --------------------------------------------------------------------------- average direction


def averages(case: Case) -> list[dict[str, Any]]:
    """How many evaluations the average-direction sharpness takes for an error of 2 %."""
    model, loss_fn, inputs, targets = case
    double = nn.Sequential(*model).double()
    objective = samlib.Objective.from_module(double, loss_fn, (inputs.double(), targets))
    x = objective.flat_parameters()
    rows = []
    for rho in (0.01, 0.1, 0.5, 2.0):
        samples = 20_000
        found = samlib.average_direction_sharpness(
            objective, x, rho, samples=samples, progress=False
        )
        relative = float(found.error / found.value)
        rows.append({"rho": rho, "evaluations": samples * (relative / 0.02) ** 2})
    model.float()
    return rows


def show_averages(rows: list[dict[str, Any]]) -> None:
    print("\nAverage-direction sharpness, perceptron: evaluations for a standard error of 2 %\n")
    print(f"{'rho':>6}{'evaluations':>14}")
    for row in rows:
        print(f"{row['rho']:6}{row['evaluations']:14.0f}")


def store(results: dict[str, Any]) -> None:
    """Keep what is finished, so that an interrupt loses nothing of it."""
    path = results_path("curvature", results["provenance"]["device"])
    path.write_text(json.dumps(results, indent=2) + "\n")


def interrupted(now: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run has stored, or nothing if it was made on something else."""
    path = results_path("curvature", now["device"])
    stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    before = stored.get("provenance", {})
    ignored = ("date", "resumed")
    if any(before.get(key) != value for key, value in now.items() if key not in ignored):
        return {"provenance": now}
    return {**stored, "provenance": {**before, "resumed": now["date"]}}


def main(device: str = "cpu", resume: bool = False) -> None:
    now = provenance(device) | {p: version(p) for p in PEERS}
    results = interrupted(now) if resume else {"provenance": now}
    mlp = perceptron(device)
    for name, measure, show in (
        ("traces", traces, show_traces),
        ("averages", averages, show_averages),
    ):
        if name not in results:
            results[name] = measure(mlp)
            store(results)
        show(results[name])
    all_eigenvalues(
        {"MLP": (mlp, 7), "CNN": (residual_network(device), 1 if device == "cpu" else 3)}, results
    )
    goals = [
        *eigenvalue_goals(results["eigenvalues"], device),
        *trace_goals(results["traces"], device),
    ]
    show_goals(goals)
    results["goals"] = stored(goals)
    store(results)


if __name__ == "__main__":
    main(resume="--resume" in sys.argv[1:])
