"""Where SAM presses the eigenvalues of a network of digits together: digits_ties.csv.

Run it from this folder, ``python digits_ties.py``; it takes about an hour on one core. A perceptron
with 2,410 weights learns 100 digits by gradient descent; then SAM goes on. Beside SAM's iterates
stand its central flow and what other mixtures of the top eigenvectors would give. Each setting
that is finished is written at once.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

import samlib
from samlib import rules
from samlib.flow.central import central_flow, pull
from samlib.flow.mixtures import symmetric_basis
from samlib.flow.valley import Spot, look

RESULTS = Path(__file__).with_suffix(".csv")
SETTINGS = [(0.1, 0.1), (0.1, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 0.1)]  # η, ρ
TIMES = torch.arange(0.5, 20.25, 0.5)
NUMBER = 12  # of eigenvalues
LENGTH = 0.1  # of the steps of the other mixtures, in τ


def problem() -> samlib.Objective:
    """Half the squared error of a perceptron on 100 digits, a mean over the digits."""
    digits = samlib.datasets.digits(100)
    targets = torch.nn.functional.one_hot(digits.targets, 10).to(digits.inputs)
    model = samlib.problems.perceptron((64, 32, 10), seed=0)
    return samlib.Objective.from_module(
        model, lambda o, y: (o - y).square().sum() / 2 / len(y), (digits.inputs, targets)
    )


def trained(objective: samlib.Objective) -> Tensor:
    """The weights after 4,000 steps of gradient descent."""
    start = objective.flat_parameters()
    rule = rules.GradientDescent(0.2)
    return samlib.simulate(objective, rule, start, 4000, every=4000, progress=False).x[0, -1]


def centres(objective: samlib.Objective, start: Tensor, lr: float, rho: float) -> Iterator[Tensor]:
    """The means of two consecutive iterates of SAM at the times."""
    rule, x, done = rules.SAM(lr, rho), start, 0
    for time in TIMES.tolist():
        steps = round(time / (lr * rho**2))
        run = samlib.simulate(objective, rule, x, steps - done, every=steps - done, progress=False)
        x, done = run.x[0, -1], steps
        yield (x + rule.step(objective, x[None])[0]) / 2


def only_first(spot: Spot) -> Tensor:
    """λ₁'s own gradient, as if it were never tied."""
    return torch.diag((torch.arange(NUMBER) == 0).to(spot.x))


def same_shares(spot: Spot) -> Tensor:
    """The same share for each eigenvalue that is within a hundredth of λ₁."""
    near = (spot.values > 0.99 * spot.values[0]).to(spot.x)
    return torch.diag(near / near.sum())


def mean_of_ten(spot: Spot) -> Tensor:
    """The gradient of the mean of the ten largest eigenvalues."""
    return torch.diag((torch.arange(NUMBER) < 10).to(spot.x) / 10)


def with_mixture(
    mixture: Callable[[Spot], Tensor],
    objective: samlib.Objective,
    x: Tensor,
    lr: float,
    rho: float,
) -> Iterator[Tensor]:
    """The flow that a mixture of ∂²(∇L)[v_a, v_b] gives at the times, in steps of one length."""
    basis, guess, per_time = symmetric_basis(NUMBER), None, round(float(TIMES[0]) / LENGTH)
    for _ in TIMES:
        for _ in range(per_time):
            spot = look(objective, x, NUMBER, guess)
            shares = torch.einsum("nab,ab->n", basis, mixture(spot))
            slope = spot.gradient + pull(spot, 1, lr, rho) @ shares
            x = x - spot.damped(rho**2 / LENGTH, slope.unsqueeze(-1))[:, 0]
            guess = spot.vectors
        yield x


def rows(objective: samlib.Objective, start: Tensor, lr: float, rho: float) -> Iterator[list[str]]:
    """What was measured with SAM and what each flow says, a line for each of them and each time."""
    measured = torch.stack(list(centres(objective, start, lr, rho)))
    flow = central_flow(objective, start, TIMES, lr=lr, rho=rho, rtol=0.05)
    paths = {"SAM": measured, "central flow": flow.x}
    if (lr, rho) == SETTINGS[0]:
        for mixture in (only_first, same_shares, mean_of_ten):
            path = with_mixture(mixture, objective, start, lr, rho)
            paths[mixture.__name__.replace("_", " ")] = torch.stack(list(path))
    moved = (measured - start).norm(dim=-1)
    for name, path in paths.items():
        values = samlib.top_eigenpairs(objective, path, k=NUMBER, rtol=1e-5, progress=False).values
        distances = (path - measured).norm(dim=-1) / moved
        tied = flow.multiplicity if name == "central flow" else itertools.repeat(0)
        for time, x, many, distance, each in zip(TIMES, path, tied, distances, values, strict=False):
            loss = float(objective.value(x))
            numbers = [lr, rho, float(time), int(many), loss, float(distance), *each.tolist()]
            yield [name, *(f"{number:.5g}" for number in numbers)]


def main() -> None:
    """Compute the settings that are missing."""
    objective = problem()
    start = trained(objective)
    start = start + 1e-6 * torch.randn(start.shape, generator=torch.Generator().manual_seed(0))
    head = ["path", "lr", "rho", "tau", "tied", "loss", "distance"]
    head += [f"lambda{i + 1}" for i in range(NUMBER)]
    if not RESULTS.exists():
        RESULTS.write_text(",".join(head) + "\n", "utf8")
    with RESULTS.open(encoding="utf8") as file:
        done = {(float(row["lr"]), float(row["rho"])) for row in csv.DictReader(file)}
    for lr, rho in SETTINGS:
        if (lr, rho) not in done:
            found = list(rows(objective, start, lr, rho))
            with RESULTS.open("a", encoding="utf8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(found)


if __name__ == "__main__":
    main()
