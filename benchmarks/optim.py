"""A SAM step beside its two gradients: `python benchmarks/optim.py`.

"Two gradients" is the limit, what a SAM step would cost if its own work were free: the closure
twice, then the base step. Told is what each contender takes beyond it, in milliseconds and as a
ratio, and the peak of memory beyond it in copies of the weights. Beside samlib, with a closure and
in two steps, with and without `model=`, run pytorch-optimizer and a step in the style that is
usually copied from page to page. The rest of the family follows, each beside the gradients and
evaluations that its own formula asks for.

The networks, all in float32: one of four tensors with ten weights each; an MLP 64-128-128-10 on
scikit-learn's digits, 128 rows of them and all 1,797; an encoder of 12 transformer layers with 147
parameter tensors on 32 sequences of 16 tokens; and a ResNet-8 with BatchNorm on 128 random images.
The base optimizer is SGD, plain and as SAM is used with it, with momentum and weight decay.

Every contender has a copy of the network. A round times each of them once, beginning with another
one each time, so that all meet the same load of the machine; told is the median over rounds of the
difference to two gradients, or the ratio, within a round, after three steps that do not count.
With one thread it is the CPU's time, which leaves out what other programs take, else that of a
clock on the wall.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_optimizer
import torch
from goals import Goal, show, stored
from simulate import finish, provenance, results_path
from step_networks import Problem, problems
from torch import Tensor, nn

import samlib

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.memory import peak_bytes

RHO = 0.05
WARM_UP = 3
BASES: dict[str, dict[str, float]] = {
    "plain SGD": {"lr": 0.01},
    "SGD with momentum": {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4},
}
SMALL = 1e-3  # seconds a gradient: below, what counts is the time a step takes beyond two
MOST_RATIO, MOST_MS, MOST_COPIES = 1.03, 0.15, 1.01  # a hundredth for single numbers
OURS = ("samlib", "samlib, model=", "samlib, two steps")

Step = Callable[[], Any]


# ---------------------------------------------------------------------- the contenders


def usual(model: nn.Module, base: torch.optim.Optimizer) -> Callable[[Any], Any]:
    """Return the SAM step that one finds everywhere, parameter by parameter."""
    parameters = list(model.parameters())

    @torch.no_grad()
    def step(closure: Callable[[], Tensor]) -> None:
        with torch.enable_grad():
            closure()
        norm = torch.stack([p.grad.norm() for p in parameters]).norm() + 1e-12
        before = [p.clone() for p in parameters]
        for p in parameters:
            p.add_(p.grad * (RHO / norm))
        with torch.enable_grad():
            closure()
        for p, old in zip(parameters, before, strict=True):
            p.copy_(old)
        base.step()

    return step


def closure_of(model: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    return closure


def contender(name: str, problem: Problem, settings: dict[str, float], device: str) -> Step:
    """Return a step of one contender, on a network of its own."""
    model, inputs, targets = problem.copied(device)
    parameters = list(model.parameters())
    closure = closure_of(model, inputs, targets)
    base = torch.optim.SGD(parameters, **settings)
    if name == "plain":
        return lambda: base.step(closure)
    if name == "two gradients":
        return lambda: (closure(), closure(), base.step())
    if name == "usual style":
        return partial(usual(model, base), closure)
    if name.startswith("pytorch-optimizer"):
        options = {"foreach": True} if name.endswith("foreach") else {}
        peer = pytorch_optimizer.SAM(parameters, torch.optim.SGD, rho=RHO, **options, **settings)
        return lambda: (closure(), peer.step(closure))
    told = {"model": model} if name.endswith("model=") else {}
    ours = samlib.optim.SAM(parameters, base, rho=RHO, **told)
    if name.endswith("two steps"):
        return lambda: (closure(), ours.first_step(), closure(), ours.second_step())
    return lambda: ours.step(closure)


CONTENDERS = (
    "plain",
    "two gradients",
    *OURS,
    "pytorch-optimizer",
    "pytorch-optimizer, foreach",
    "usual style",
)


# ------------------------------------------------------------------ the rest of the family

FAMILY: dict[str, dict[str, Any]] = {
    "SAM": {},
    "UnnormalizedSAM": {},
    "ASAM": {},
    "AWP": {},
    "AMP": {},
    "GSAM": {"alpha": 0.1},
    "LookSAM": {"alpha": 0.1, "every": 5},
    "EigenSAM": {"alpha": 0.1},
    "MSAM": {"m": 32},
    "DiametricalRisk": {"directions": 5},
}
UNIT = 5  # steps that are timed as one: LookSAM takes six gradients in them


def member(name: str, problem: Problem, device: str) -> Step:
    """Return UNIT steps of an optimizer of the family."""
    model, inputs, targets = problem.copied(device)
    base = torch.optim.SGD(model.parameters(), **BASES["SGD with momentum"])
    kind = getattr(samlib.optim, name)
    optimizer = kind(model.parameters(), base, rho=RHO, model=model, **FAMILY[name])

    def closure(rows: Tensor = inputs, labels: Tensor = targets) -> Tensor:
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(rows), labels)
        if not optimizer.takes_loss:
            loss.backward()
        return loss

    batch = (inputs, targets) if optimizer.takes_batch else ()
    return lambda: [optimizer.step(closure, *batch) for _ in range(UNIT)]


def limit(name: str, problem: Problem, device: str) -> Step:
    """Return the gradients and evaluations of UNIT such steps, and the base steps."""
    model, inputs, targets = problem.copied(device)
    base = torch.optim.SGD(model.parameters(), **BASES["SGD with momentum"])
    closure = closure_of(model, inputs, targets)
    pieces = zip(inputs.split(32), targets.split(32), strict=True)
    on_micro_batches = [closure_of(model, *piece) for piece in pieces]

    def evaluations() -> None:
        with torch.no_grad():
            for _ in range(FAMILY["DiametricalRisk"]["directions"] + 2):
                nn.functional.cross_entropy(model(inputs), targets)

    def steps() -> None:
        for number in range(UNIT):
            if name == "MSAM":
                for each in on_micro_batches:
                    each()
                    each()
            elif name == "DiametricalRisk":
                evaluations()
                closure()
            else:
                closure()
                if name != "LookSAM" or number == 0:
                    closure()
            base.step()

    return steps


# ------------------------------------------------------------------------ what is measured


def seconds(step: Step, repeats: int, clock: Callable[[], float]) -> float:
    finish()
    begin = clock()
    for _ in range(repeats):
        step()
    finish()
    return (clock() - begin) / repeats


def interleaved(
    steps: dict[str, Step], rounds: int, repeats: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Time each step once a round, beginning with another one each time."""
    for step in steps.values():
        seconds(step, WARM_UP, clock)
    times: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(seconds(steps[name], repeats, clock))
    return times


def beyond(times: list[float], limits: list[float]) -> dict[str, float]:
    """Return the median time, and that of what it has beyond a limit within a round."""
    pairs = list(zip(times, limits, strict=True))
    return {
        "seconds": median(times),
        "ratio": median(time / limit for time, limit in pairs),
        "ms_more": 1e3 * median(time - limit for time, limit in pairs),
    }


def peak(make: Callable[[], Step], device: str) -> int:
    """Return the peak of memory, in bytes, over two steps of what ``make`` makes."""
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step = make()
        step(), step()
        return torch.cuda.max_memory_allocated() - before

    def run() -> None:
        step = make()
        step(), step()

    return peak_bytes(run)


def copies(
    problem: Problem, make: Callable[[], Step], of: Callable[[], Step], device: str
) -> float:
    """Return the peak of memory beyond that of the limit, in copies of the weights."""
    weights = sum(p.numel() * p.element_size() for p in problem.model.parameters())
    return (peak(make, device) - peak(of, device)) / weights


def compare(
    problem: Problem, settings: dict[str, float], device: str, clock: Callable[[], float]
) -> dict[str, dict[str, float]]:
    """Return what each contender takes beyond two gradients."""
    make = partial(contender, problem=problem, settings=settings, device=device)
    steps = {name: make(name) for name in CONTENDERS}
    times = interleaved(steps, problem.rounds, problem.repeats, clock)
    limits = times["two gradients"]
    rows = {name: beyond(times[name], limits) for name in CONTENDERS}
    if problem.name != "four tensors of 10":  # there the numbers beside are as many
        for name in CONTENDERS[2:]:
            of = partial(make, "two gradients")
            rows[name]["copies"] = copies(problem, partial(make, name), of, device)
    return rows


def family(problem: Problem, device: str, clock: Callable[[], float]) -> dict[str, Any]:
    """Return what each optimizer of the family takes beyond its own gradients."""
    rows = {}
    for name in FAMILY:
        make, of = (partial(each, name, problem, device) for each in (member, limit))
        times = interleaved({"step": make(), "limit": of()}, problem.rounds, 2, clock)
        rows[name] = beyond(*([t / UNIT for t in times[key]] for key in ("step", "limit")))
        rows[name]["copies"] = copies(problem, make, of, device)
    return rows


def goals(results: list[dict[str, Any]]) -> list[Goal]:
    """Return what a step takes beyond two gradients: the most, over bases and ways to call it."""
    found = []
    for problem, threads in dict.fromkeys((each["problem"], each["threads"]) for each in results):
        here = [each["contenders"] for each in results if each["problem"] == problem
                and each["threads"] == threads]  # fmt: skip
        ours = [rows[name] for rows in here for name in OURS]
        where = f"SAM step, {problem}, {threads} thread{'s' * (threads > 1)}"
        slow = min(rows["two gradients"]["seconds"] for rows in here) / 2 > SMALL
        key, most, what = (
            ("ratio", MOST_RATIO, "time") if slow else ("ms_more", MOST_MS, "ms beyond")
        )
        reached = max(row[key] for row in ours)
        found.append(Goal(f"{where}: {what}", reached, most, against="two gradients"))
        if threads == 1 and (copies := [row["copies"] for row in ours if "copies" in row]):
            what = f"{where}: copies of the weights beyond"
            found.append(Goal(what, max(copies), MOST_COPIES, against="two gradients"))
    return found


def table(rows: dict[str, dict[str, float]]) -> None:
    print(f"  {'':28}{'ms a step':>12}{'× limit':>10}{'ms more':>10}{'copies':>8}")
    for name, row in rows.items():
        number = f"{row['copies']:8.2f}" if "copies" in row else ""
        print(
            f"  {name:28}{1e3 * row['seconds']:12.3f}{row['ratio']:10.3f}"
            f"{row['ms_more']:10.3f}{number}",
            flush=True,
        )


def main(device: str = "cpu") -> None:
    results: list[dict[str, Any]] = []
    relatives: dict[str, Any] = {}
    for threads in (1, 2) if device == "cpu" else (1,):
        torch.set_num_threads(threads)
        clock = time.process_time if device == "cpu" and threads == 1 else time.perf_counter
        for problem, base in product(problems(device), BASES):
            rows = compare(problem, BASES[base], device, clock)
            results.append(
                {"problem": problem.name, "base": base, "threads": threads, "contenders": rows}
            )
            print(f"\n{problem.name}, {base}, {threads} thread{'s' * (threads > 1)}")
            table(rows)
            if problem.name == "MLP, 128 rows" and threads == 1 and base == "SGD with momentum":
                relatives = family(problem, device, clock)
                print("\nthe family there, beside its own gradients and evaluations")
                table(relatives)
    found = goals(results)
    where = provenance(device) | {"pytorch-optimizer": version("pytorch-optimizer")}
    content = {
        "provenance": where,
        "steps": results,
        "family": relatives,
        "goals": stored(found),
    }
    results_path("optim", device).write_text(json.dumps(content, indent=2) + "\n")
    show(found)


if __name__ == "__main__":
    main()
