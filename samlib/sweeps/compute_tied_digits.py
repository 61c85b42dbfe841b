"""Where SAM presses the largest eigenvalues of a network of digits together.

``python -m samlib.sweeps.compute_tied_digits`` trains a perceptron of 2,410 weights on 100 digits
by gradient descent and lets SAM go on from there, at several learning rates and radii. Beside SAM
it follows the central flow, and what other mixtures of the top eigenvectors would give. It writes
the files that ``tied_digits`` reads, each path when it is finished: an interrupted run goes on
where it was. It takes about an hour on one core.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from samlib import rules
from samlib.curvature import top_eigenpairs
from samlib.datasets import digits
from samlib.dynamics import simulate
from samlib.flow import CentralPath, central_flow
from samlib.flow.central import pull
from samlib.flow.valley import Spot, look
from samlib.objective import ModuleObjective, Objective
from samlib.problems import perceptron
from samlib.sweeps.tied_digits import NUMBER, PATHS, SHARES

SETTINGS = ((0.1, 0.1), (0.1, 0.05), (0.05, 0.1), (0.1, 0.2))  # η, ρ
TIMES = torch.arange(0.5, 20.25, 0.5)
LENGTH = 0.25  # of the steps of the other mixtures, in τ
STEPS_FOR_SHARES = 4_000

Mixture = Callable[[Spot], Tensor]


def problem() -> ModuleObjective:
    """Half the squared error of a perceptron on 100 digits, a mean over the digits."""
    data = digits(100)
    targets = torch.nn.functional.one_hot(data.targets, 10).to(data.inputs)
    model = perceptron((64, 32, 10), seed=0)
    return Objective.from_module(
        model, lambda o, y: (o - y).square().sum() / 2 / len(y), (data.inputs, targets)
    )


def trained(objective: ModuleObjective) -> Tensor:
    """The weights after 4,000 steps of gradient descent."""
    rule, start = rules.GradientDescent(0.2), objective.flat_parameters()
    return simulate(objective, rule, start, 4000, every=4000, progress=False).x[0, -1]


def sam(objective: Objective, start: Tensor, lr: float, rho: float) -> Tensor:
    """The means of two consecutive iterates of SAM at the times, [times, dim]."""
    rule, between = rules.SAM(lr, rho), round(float(TIMES[0]) / (lr * rho**2))
    run = simulate(objective, rule, start, len(TIMES) * between, every=between, progress=False)
    x = run.x[0, 1:]
    return torch.stack([(each + rule.step(objective, each[None])[0]) / 2 for each in x])


def only_first(spot: Spot) -> Tensor:
    """λ₁'s own gradient, as if it were never tied."""
    return torch.ones(1, 1).to(spot.x)


def same_shares(spot: Spot) -> Tensor:
    """The same share for each eigenvalue that is within a hundredth of λ₁."""
    near = (spot.values > 0.99 * spot.values[0]).to(spot.x)
    return torch.diag(near / near.sum())


def mean_of_ten(spot: Spot) -> Tensor:
    """The gradient of the mean of the ten largest eigenvalues."""
    return torch.eye(10).to(spot.x) / 10


OTHERS: dict[str, tuple[Mixture, int]] = {
    "λ₁ alone": (only_first, 1),
    "equal shares": (same_shares, 6),
    "mean of ten": (mean_of_ten, 10),
}


def with_mixture(
    name: str, objective: Objective, x: Tensor, lr: float, rho: float
) -> Iterator[Tensor]:
    """The flow that another mixture gives, at the times, in steps of one length."""
    mixture, number = OTHERS[name]
    guess = None
    for _ in TIMES:
        for _ in range(round(float(TIMES[0]) / LENGTH)):
            spot = look(objective, x, number, guess)
            bend = torch.einsum("ab,abd->d", mixture(spot), spot.bends).unsqueeze(-1)
            slope = spot.gradient.unsqueeze(-1) + pull(spot, bend, 1, lr, rho)
            x = x - spot.damped(rho**2 / LENGTH, slope)[:, 0]
            guess = spot.vectors
        yield x


def shares_of_sam(objective: Objective, flow: CentralPath, lr: float, rho: float) -> Tensor:
    """V ᵀ(mean uuᵀ)V over some thousand steps of SAM from the end of the flow, [k, k]."""
    walls = flow.vectors[-1]
    start = flow.x[-1] + 1e-3 * rho * walls[:, 0]
    rule, record = rules.SAM(lr, rho), ("gradient",)
    run = simulate(objective, rule, start, STEPS_FOR_SHARES, record=record, progress=False)
    u = torch.nn.functional.normalize(run.gradient[0, STEPS_FOR_SHARES // 4 :], dim=1) @ walls
    return u.mT @ u / len(u)


def rows(objective: Objective, measured: Tensor, path: Tensor, start: Tensor) -> list[list[str]]:
    """A line for each time: the loss, the distance from SAM over its way, the eigenvalues."""
    values = top_eigenpairs(objective, path, k=NUMBER, rtol=1e-5, progress=False).values
    distances = (path - measured).norm(dim=-1) / (measured - start).norm(dim=-1)
    numbers = [TIMES, objective.value(path), distances, *values.mT]
    return [[f"{x:.5g}" for x in line] for line in torch.stack(numbers, dim=1).tolist()]


def main() -> None:
    """Compute what is missing."""
    objective = problem()
    start = trained(objective)
    if not PATHS.exists():
        head = ["path", "lr", "rho", "tau", "loss", "distance"]
        head += [f"lambda{i + 1}" for i in range(NUMBER)]
        PATHS.write_text(",".join(head) + "\n", "utf8")
        SHARES.write_text("path,lr,rho,share1,share2,share3,share4,share5,share6\n", "utf8")
    with PATHS.open(encoding="utf8") as file:
        done = {(row["path"], float(row["lr"]), float(row["rho"])) for row in csv.DictReader(file)}
    for lr, rho in SETTINGS:
        others = OTHERS if (lr, rho) == SETTINGS[0] else ()
        if all((name, lr, rho) in done for name in ("SAM", "central flow", *others)):
            continue
        measured = sam(objective, start, lr, rho)
        for name in ("SAM", "central flow", *others):
            if (name, lr, rho) in done:
                continue
            path = measured
            if name == "central flow":
                flow = central_flow(objective, start, TIMES, lr=lr, rho=rho, rtol=0.05)
                path = flow.x
                of_sam = torch.linalg.eigvalsh(shares_of_sam(objective, flow, lr, rho))
                predicted = torch.linalg.eigvalsh(flow.mixture[-1])
                write(SHARES, [["SAM", lr, rho, *first_shares(of_sam)]])
                write(SHARES, [["central flow", lr, rho, *first_shares(predicted)]])
            elif name != "SAM":
                path = torch.stack(list(with_mixture(name, objective, start, lr, rho)))
            found = rows(objective, measured, path, start)
            write(PATHS, [[name, lr, rho, *line] for line in found])
            print(f"{name} at lr={lr:g}, rho={rho:g} is done", flush=True)


def first_shares(values: Tensor) -> list[str]:
    """Six shares, largest first, as text."""
    padded = torch.nn.functional.pad(values.flip(-1), (0, 6))[:6]
    return [f"{value:.4f}" for value in padded.tolist()]


def write(path: object, lines: list[list[object]]) -> None:
    """Add lines to a file."""
    with open(str(path), "a", encoding="utf8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


if __name__ == "__main__":
    main()
