"""A SAM step against a plain step of the same network: `python benchmarks/optim.py`.

SAM needs two gradients where plain SGD needs one, so the ratio cannot fall below about two; what
is above is the optimizer's own work. An MLP 64-128-128-10 on scikit-learn's digits, all 1,797
rows and 128 of them, float32, one thread, so that the two are compared on equal terms.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any

import torch
from simulate import provenance
from sklearn.datasets import load_digits
from torch import Tensor, nn

import samlib

ROUNDS, STEPS_A_ROUND = 40, 10
RESULTS = Path(__file__).parent / "results" / "optim.json"


def measure(rows: int) -> dict[str, float]:
    """Return the median time of a plain and of a SAM step, and the median ratio of rounds."""
    images, labels = load_digits(return_X_y=True)
    inputs = torch.as_tensor(images[:rows], dtype=torch.float32) / 16
    targets = torch.as_tensor(labels[:rows])
    model = samlib.problems.perceptron((64, 128, 128, 10), seed=0, dtype=torch.float32)
    base = torch.optim.SGD(model.parameters(), lr=0.01)
    sam = samlib.optim.SAM(model.parameters(), base, rho=0.05)

    def closure() -> Tensor:
        base.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    def a_step(step: Callable[[Any], Any]) -> float:
        begin = time.perf_counter()
        for _ in repeat(None, STEPS_A_ROUND):
            step(closure)
        return (time.perf_counter() - begin) / STEPS_A_ROUND

    for step in (base.step, sam.step):
        a_step(step)
    # Rounds alternate, so that both meet the same load of the machine.
    rounds = [(a_step(base.step), a_step(sam.step)) for _ in range(ROUNDS)]
    return {
        "rows": rows,
        "plain_seconds": median(plain for plain, _ in rounds),
        "sam_seconds": median(ours for _, ours in rounds),
        "ratio": median(ours / plain for plain, ours in rounds),
    }


def main() -> None:
    torch.set_num_threads(1)
    results = [measure(1797), measure(128)]
    print("SAM step ÷ plain SGD step, MLP 64-128-128-10, one thread (two gradients: 2.0)\n")
    print(f"{'rows':>6}{'plain, ms':>12}{'SAM, ms':>12}{'ratio':>8}")
    for row in results:
        plain, ours = 1e3 * row["plain_seconds"], 1e3 * row["sam_seconds"]
        print(f"{row['rows']:6}{plain:12.3f}{ours:12.3f}{row['ratio']:8.2f}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"provenance": provenance(), "steps": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
