"""Simulate, compiled, against what one would write without it: `python benchmarks/simulate.py`.

64 values of ρ × 20,000 SAM steps on FourDimensional, every 100th recorded, on the CPU in float64:

* one call of ``samlib.simulate`` (compiled by Numba, after warm-up);
* an eager torch loop over the same analytic gradient, batched over ρ;
* one call of ``samlib.simulate`` on the same loss as a user's own torch function (fewer steps,
  scaled), which takes the batched torch path.

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
from torch import Tensor

import samlib

RADII, STEPS, EVERY, LR = 64, 20_000, 100, 0.02
LEAST_RATIO, MOST_DIFFERENCE = 50, 1e-12
USER_STEPS = 500
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


def main() -> None:
    start = torch.tensor([0.5, 0.5, 0.1, 0.2], dtype=torch.float64)
    rho = torch.logspace(math.log10(0.005), math.log10(0.2), RADII, dtype=torch.float64)
    rule = samlib.rules.SAM(LR, rho)

    def compiled() -> Tensor:
        landscape = samlib.landscapes.FourDimensional()
        return samlib.simulate(landscape, rule, start, STEPS, every=EVERY, record=("x",)).x

    def user() -> Tensor:
        objective = samlib.Objective(loss, 4)
        return samlib.simulate(objective, rule, start, USER_STEPS, every=EVERY, record=("x",)).x

    compiled()  # warm-up: compiles, or loads what was compiled
    with torch.no_grad():
        eager_time, eager_x = timed(lambda: eager(start, rho), 1)
    compiled_time, compiled_x = timed(compiled, 9)
    user_time, user_x = timed(user, 1)
    user_time *= STEPS / USER_STEPS

    difference = float((compiled_x - eager_x).abs().max())
    user_difference = float((user_x - eager_x[:, : user_x.shape[1]]).abs().max())
    ratio = eager_time / compiled_time

    print(f"{RADII} radii × {STEPS:,} SAM steps on FourDimensional, every {EVERY}th recorded\n")
    print(f"{'':34}{'seconds':>10}{'ratio':>9}{'max |Δx|':>12}")
    for name, seconds, error in (
        ("samlib.simulate, compiled", compiled_time, 0.0),
        ("eager torch loop", eager_time, difference),
        ("samlib.simulate, torch function*", user_time, user_difference),
    ):
        print(f"{name:34}{seconds:10.4f}{seconds / compiled_time:9.1f}{error:12.1e}")
    print(f"\n* {USER_STEPS} steps, scaled to {STEPS:,}")

    RESULTS.parent.mkdir(exist_ok=True)
    result = {
        "provenance": provenance(),
        "problem": {"radii": RADII, "steps": STEPS, "every": EVERY, "lr": LR},
        "seconds": {"compiled": compiled_time, "eager": eager_time, "torch_function": user_time},
        "ratio": ratio,
        "max_difference": difference,
        "max_difference_torch_function": user_difference,
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")

    assert ratio >= LEAST_RATIO, f"ratio {ratio:.1f} is below {LEAST_RATIO}"
    assert difference <= MOST_DIFFERENCE, f"iterates differ by {difference:.1e}"
    print(f"ratio {ratio:.0f} ≥ {LEAST_RATIO}: yes; iterates equal to {MOST_DIFFERENCE:.0e}: yes")


if __name__ == "__main__":
    main()
