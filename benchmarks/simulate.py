"""Simulate against what one would write without it: `python benchmarks/simulate.py`.

64 values of ρ × 20,000 SAM steps on FourDimensional, every 100th recorded, on the CPU in float64:

* one call of ``samlib.simulate`` (compiled by Numba, after warm-up);
* an eager torch loop over the same analytic gradient, batched over ρ;
* one call of ``samlib.simulate`` on the same loss as a user's own torch function, which is followed
  once and interpreted in compiled code: the first time, in which torch loads what it needs for that
  (Numba's own code is loaded, or compiled if it never was), and warm;
* the same step by step by torch, as short runs are (fewer steps, scaled).

Then networks through ``from_module``, each followed and step by step, with one ρ and with eight:
that of 50 weights from ``samlib.problems`` (interpreted), and one on digits (its operations run by
torch). Seconds per step, without what is done once.

Fails unless the first is at least 50 times as fast as the second, with iterates equal to 1e-12.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from goals import Goal, show, stored
from torch import Tensor, nn

import samlib
from samlib.dynamics import run

RADII, STEPS, EVERY, LR = 64, 20_000, 100, 0.02
LEAST_RATIO, MOST_DIFFERENCE = 50, 1e-12
USER_STEPS = 500
NETWORK_STEPS = 1_000
LEAST_GAIN, MOST_OF_COMPILED = 40, 60
RESULTS = Path(__file__).parent / "results" / "simulate.json"


def processor() -> str:
    """Return the model of the CPU, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "unknown")


def finish() -> None:
    """Wait until the device has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def results_path(name: str, device: str) -> Path:
    """Return where the results of a benchmark are kept; those of a GPU have a file of their own."""
    suffix = "" if device == "cpu" else f"-{device}"
    return Path(__file__).parent / "results" / f"{name}{suffix}.json"


def provenance(device: str = "cpu") -> dict[str, Any]:
    """Say where and with what the numbers were measured."""
    accelerator = {} if device == "cpu" else {"gpu": torch.cuda.get_device_name()}
    return {
        "device": device,
        **accelerator,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "numba": version("numba"),
        "samlib": version("samlib"),
    }


def gradient(x: Tensor) -> Tensor:
    """∇L of FourDimensional, batched, in the operations that its definition names."""
    x1, x2, x3, x4 = x.unbind(-1)
    d1, d2 = 1 - x1, 1 - x2
    f1 = x1 * x1 + 6 * x2 * x2 + 8
    f2 = 4 * d1 * d1 + d2 * d2 + 1
    return torch.stack(
        [
            2 * x1 * x3 * x3 - 8 * d1 * x4 * x4,
            12 * x2 * x3 * x3 - 2 * d2 * x4 * x4,
            2 * f1 * x3,
            2 * f2 * x4,
        ],
        dim=-1,
    )


def eager(start: Tensor, rho: Tensor) -> Tensor:
    """SAM as a plain torch loop: [radii, records, 4]."""
    x, radius = start.expand(len(rho), -1), rho[:, None]
    records = [x]
    for step in range(1, STEPS + 1):
        g = gradient(x)
        x = x - LR * gradient(x + radius * g / g.norm(dim=-1, keepdim=True))
        if step % EVERY == 0:
            records.append(x)
    return torch.stack(records, dim=1)


def loss(x: Tensor) -> Tensor:
    """The same loss, as a user would write it."""
    f1 = x[0] ** 2 + 6 * x[1] ** 2 + 8
    f2 = 4 * (1 - x[0]) ** 2 + (1 - x[1]) ** 2 + 1
    return f1 * x[2] ** 2 + f2 * x[3] ** 2


def timed(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median wall time of a call in seconds, and its last result."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - begin)
    return median(times), result


START = torch.tensor([0.5, 0.5, 0.1, 0.2], dtype=torch.float64)
RHO = torch.logspace(math.log10(0.005), math.log10(0.2), RADII, dtype=torch.float64)


def simulated(objective: samlib.Objective, steps: int = STEPS) -> Callable[[], Tensor]:
    """Return the run on a loss, to be timed."""
    rule = samlib.rules.SAM(LR, RHO)
    return lambda: (
        samlib.simulate(objective, rule, START, steps, every=EVERY, record=("x",), progress=False).x
    )


def networks() -> dict[str, tuple[samlib.Objective, Tensor]]:
    """Return losses through from_module, each with a start."""
    problem = samlib.problems.interpolating_network().objective
    torch.manual_seed(0)
    small = nn.Sequential(nn.Linear(3, 10), nn.Tanh(), nn.Linear(10, 1, bias=False)).double()
    rows = problem.inputs, problem.targets[:, None]
    inputs, labels = samlib.problems.digits()[:2]
    large = nn.Sequential(nn.Linear(inputs.shape[1], 16), nn.Tanh(), nn.Linear(16, 10)).double()
    made = {
        "50 weights": samlib.Objective.from_module(small, nn.MSELoss(), rows),
        "digits": samlib.Objective.from_module(large, nn.CrossEntropyLoss(), (inputs, labels)),
    }
    return {name: (objective, objective.flat_parameters()) for name, objective in made.items()}


def per_step(objective: samlib.Objective, start: Tensor, radii: int, first: int) -> float:
    """Return the seconds of a step, if runs of ``first`` steps and more are followed."""
    rule = samlib.rules.SAM(0.05, torch.linspace(0.01, 0.1, radii, dtype=torch.float64))

    def go(steps: int) -> Callable[[], Any]:
        return lambda: samlib.simulate(
            objective, rule, start, steps, every=steps, record=("x",), progress=False
        )

    usual, run.FOLLOWED_STEPS = run.FOLLOWED_STEPS, first
    try:
        short, long = (timed(go(steps), 3)[0] for steps in (NETWORK_STEPS // 10, NETWORK_STEPS))
    finally:
        run.FOLLOWED_STEPS = usual
    return (long - short) / (0.9 * NETWORK_STEPS)


def measure_four() -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds of the run on FourDimensional, by way, and how far iterates differ."""
    compiled = simulated(samlib.landscapes.FourDimensional())
    own, short = (
        simulated(samlib.Objective(loss, 4)),
        simulated(samlib.Objective(loss, 4), USER_STEPS),
    )
    assert USER_STEPS < run.FOLLOWED_STEPS, "these steps are to be taken one by one"
    compiled()  # warm-up: compiles, or loads what was compiled
    seconds, points = {}, {}
    with torch.no_grad():
        seconds["eager"], points["eager"] = timed(lambda: eager(START, RHO), 1)
    seconds["first"], _ = timed(own, 1)
    seconds["compiled"], points["compiled"] = timed(compiled, 9)
    seconds["torch_function"], points["torch_function"] = timed(own, 5)
    seconds["step_by_step"] = timed(short, 3)[0] * STEPS / USER_STEPS
    differences = {name: float((x - points["eager"]).abs().max()) for name, x in points.items()}
    return seconds, differences


ROWS = {
    "compiled": "landscape, compiled",
    "eager": "eager torch loop",
    "torch_function": "own loss, warm",
    "first": "own loss, the first time",
    "step_by_step": "own loss, step by step*",
}


def measure_networks() -> list[dict[str, Any]]:
    """Return seconds of a step on networks, followed and step by step."""
    rows = []
    for name, (objective, start) in networks().items():
        for radii in (1, 8):
            followed = per_step(objective, start, radii, first=1)
            plain = per_step(objective, start, radii, first=10 * NETWORK_STEPS)
            rows.append({"network": name, "radii": radii, "followed": followed, "plain": plain})
    return rows


def main() -> None:
    seconds, differences = measure_four()
    print(f"{RADII} radii × {STEPS:,} SAM steps on FourDimensional, every {EVERY}th recorded")
    print(f"\n{'':34}{'seconds':>10}{'ratio':>9}{'max |Δx|':>12}")
    for name, row in ROWS.items():
        difference = f"{differences[name]:12.1e}" if name in differences else ""
        ratio = seconds[name] / seconds["compiled"]
        print(f"{row:34}{seconds[name]:10.4f}{ratio:9.1f}{difference}")
    print(f"\n* {USER_STEPS} steps, scaled to {STEPS:,}")

    rows = measure_networks()
    print(f"\n{'a SAM step on a network, in ms':34}{'followed':>10}{'plain':>9}{'ratio':>12}")
    for each in rows:
        name = f"{each['network']}, {each['radii']} ρ"
        followed, plain = 1e3 * each["followed"], 1e3 * each["plain"]
        print(f"{name:34}{followed:10.3f}{plain:9.3f}{plain / followed:12.1f}")

    own, ratio = seconds["torch_function"], seconds["eager"] / seconds["compiled"]
    gain, share = seconds["step_by_step"] / own, own / seconds["compiled"]
    worst = max(differences.values())
    goals = [
        Goal("compiled landscape: times as fast", ratio, LEAST_RATIO, True, "an eager torch loop"),
        Goal("own loss, warm: times as fast", gain, LEAST_GAIN, True, "itself step by step"),
        Goal("own loss, warm: seconds", share, MOST_OF_COMPILED, against="the compiled landscape"),
        Goal("iterates: largest difference", worst, MOST_DIFFERENCE, against="an eager torch loop"),
    ]
    show(goals)
    RESULTS.parent.mkdir(exist_ok=True)
    result = {
        "provenance": provenance(),
        "problem": {"radii": RADII, "steps": STEPS, "every": EVERY, "lr": LR},
        "seconds": seconds,
        "networks": rows,
        "ratio": ratio,
        "max_difference": differences,
        "goals": stored(goals),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    assert ratio >= LEAST_RATIO, f"ratio {ratio:.1f} is below {LEAST_RATIO}"
    assert worst <= MOST_DIFFERENCE, f"iterates differ by {worst:.1e}"


if __name__ == "__main__":
    main()
