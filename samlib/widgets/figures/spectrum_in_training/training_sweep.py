"""Compute the runs that the figure SpectrumInTraining shows.

``python -m samlib.widgets.figures.spectrum_in_training.training_sweep`` trains the network by SAM
and 1-SAM for every ρ, measures the whole spectrum of the Hessian at every checkpoint, and writes
the file that the figure reads. What is finished is kept in a folder, build/training-sweep by
default: an interrupted run goes on where it was. It takes about fifteen minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from base64 import b64encode
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from samlib import rules
from samlib.dynamics import simulate
from samlib.objective import ModuleObjective, Objective
from samlib.problems import Digits, digits, perceptron
from samlib.widgets.figures.spectrum_in_training.model import (
    BINS,
    CHECKPOINTS,
    DATA,
    METHODS,
    RHOS,
    STEPS,
    TOP,
    bin_edges,
)

HIDDEN, ROWS, SEED = 16, 1000, 0

# The other seed, from which one sees how much runs differ, and the ρ for which it is run.
OTHER_SEED, OTHER_RHOS = 1, (0.0, 0.2)

# One step of SAM takes as much of the time ηt as ten of 1-SAM.
LR = {"sam": 0.5, "one_sam": 0.05}
STRIDE = {method: round(LR["sam"] / LR[method]) for method in METHODS}

# What is positive is stored by its logarithm, in units of this.
LOG_UNIT = 1e-4

SCALARS = ("loss", "test_accuracy", "gradient_norm", "trace", "alignment", "top_alignment")


class Problem(NamedTuple):
    """The network and its data."""

    objective: ModuleObjective
    network: nn.Module
    digits: Digits
    start: Tensor


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """½‖f(x) − y‖², averaged over the rows."""
    return (outputs - targets).square().sum(dim=-1).mean() / 2


def make_problem(seed: int) -> Problem:
    """The perceptron 64-16-10 on 1,000 digits, with one-hot targets, from weights by a seed."""
    data = digits(ROWS)
    targets = nn.functional.one_hot(data.targets, 10).to(data.inputs)
    network = perceptron((64, HIDDEN, 10), seed=seed)
    objective = Objective.from_module(network, half_squared_error, (data.inputs, targets))
    return Problem(objective, network, data, objective.flat_parameters())


def advance(
    problem: Problem,
    method: str,
    x: Tensor,
    rhos: Iterable[float],
    first: int,
    last: int,
    seed: int,
) -> Tensor:
    """Run from step ``first`` to ``last`` of SAM: x [runs, dim], one run for each ρ.

    1-SAM takes so many more steps. All its runs of a seed see the same rows in the same order.
    """
    radius = torch.tensor(list(rhos), dtype=x.dtype)
    steps, draws = (last - first) * STRIDE[method], None
    rule: rules.Rule = rules.SAM(LR[method], radius)
    if method == "one_sam":
        rule = rules.StochasticSAM(LR[method], radius)
        everything = torch.randint(
            ROWS, (STEPS[-1] * STRIDE[method],), generator=torch.Generator().manual_seed(seed)
        )
        drawn = everything[first * STRIDE[method] :][:steps]
        draws = drawn[:, None, None].expand(-1, len(x), 1)
    run = simulate(
        problem.objective, rule, x, steps, every=steps, record=("x",), draws=draws, progress=False
    )
    return run.x[:, -1]


def measure(problem: Problem, x: Tensor) -> dict[str, Any]:
    """What is known of one point x [dim]: the eigenvalues of its exact Hessian, and SCALARS."""
    objective = problem.objective
    gradient = objective.gradient(x)
    product = objective.hessian_operator(x)
    rows = torch.stack([product(unit) for unit in torch.eye(objective.dim, dtype=x.dtype)])
    values, vectors = torch.linalg.eigh((rows + rows.mT) / 2)
    along = (vectors[:, -TOP:].mT @ gradient) / gradient.norm()
    return {
        "eigenvalues": values.flip(0).numpy(),
        "loss": float(objective.value(x)),
        "test_accuracy": _test_accuracy(problem, x),
        "gradient_norm": float(gradient.norm()),
        "trace": float(values.sum()),
        "alignment": float(along[-1].abs()),
        "top_alignment": float(along.norm()),
    }


@torch.no_grad()
def _test_accuracy(problem: Problem, x: Tensor) -> float:
    problem.objective.load_flat_parameters(x)
    answers = problem.network(problem.digits.test_inputs).argmax(dim=-1)
    return float((answers == problem.digits.test_targets).double().mean())


def sweep(
    folder: Path, seed: int, method: str, rhos: tuple[float, ...], steps: Iterable[int] = STEPS
) -> Iterator[list[dict[str, Any]]]:
    """Train and measure: for every checkpoint, one dictionary for each ρ.

    What is in the folder already is read from there.
    """
    problem = make_problem(seed)
    x, before = problem.start.expand(len(rhos), -1), 0
    for step in steps:
        file = folder / f"{method}-seed{seed}-{step:05}.npz"
        if not file.exists():
            if step > before:
                x = advance(problem, method, x, rhos, before, step, seed)
            rows = [measure(problem, point) for point in (x if step > 0 else x[:1])]
            rows = rows if step > 0 else rows * len(rhos)
            columns: dict[str, Any] = {
                name: np.array([row[name] for row in rows]) for name in rows[0]
            }
            # Under its name only when it is whole.
            unfinished = file.with_suffix(".part")
            with unfinished.open("wb") as stream:
                np.savez(stream, x=x.numpy(), **columns)
            os.replace(unfinished, file)
            print(f"{method}, seed {seed}, step {step}: loss {columns['loss'].round(4)}")
        with np.load(file) as kept:
            x, before = torch.from_numpy(kept["x"]), step
            names = [name for name in kept.files if name != "x"]
            columns = {name: kept[name] for name in names}
        yield [{name: columns[name][i] for name in names} for i in range(len(rhos))]


# ── The file ─────────────────────────────────────────────────────────────────────────────────────


def pack(runs: list[list[list[dict[str, Any]]]]) -> dict[str, Any]:
    """Arrays [method, ρ, checkpoint, …] as text, from rows by method, checkpoint and ρ."""

    def gather(name: str) -> npt.NDArray[Any]:
        return np.array([[[row[name] for row in rows] for rows in run] for run in runs]).swapaxes(
            1, 2
        )

    values = gather("eigenvalues")
    edges = bin_edges()
    if not edges[0] <= values.min() <= values.max() <= edges[-1]:
        raise ValueError(f"eigenvalues reach from {values.min():g} to {values.max():g}")
    counts = np.apply_along_axis(lambda v: np.histogram(v, edges)[0], -1, values)
    arrays = {name: gather(name) for name in SCALARS}
    return {
        "counts": encode(counts),
        **{
            name: {**encode(np.rint(np.log(array) / LOG_UNIT).astype(int)), "log": LOG_UNIT}
            for name, array in {"eigenvalues": values[..., :TOP], **arrays}.items()
        },
    }


def encode(numbers: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Integers [method, ρ, checkpoint, …] as text: the differences from checkpoint to checkpoint.

    These are small. Those below zero are folded in between the others: 0, −1, 1, −2 … become
    0, 1, 2, 3 …
    """
    differences = np.diff(numbers, axis=CHECKPOINTS, prepend=0)
    folded = np.where(differences < 0, -2 * differences - 1, 2 * differences)
    text = b64encode(to_leb128(folded.ravel())).decode("ascii")
    return {"shape": numbers.shape, "leb128": text}


def to_leb128(numbers: npt.NDArray[Any]) -> bytes:
    """Unsigned integers, seven bits a byte, the lowest first; the eighth says that more follow."""
    written = bytearray()
    for number in numbers.tolist():
        while number >= 128:
            written.append(number % 128 + 128)
            number //= 128
        written.append(number)
    return bytes(written)


def _differences(
    runs: list[list[list[dict[str, Any]]]], others: list[list[list[dict[str, Any]]]]
) -> dict[str, Any]:
    """λ₁, trace, loss and test accuracy at the last checkpoint, of both seeds."""
    found: dict[str, Any] = {}
    for method, run, other in zip(METHODS, runs, others, strict=True):
        for i, rho in enumerate(OTHER_RHOS):
            pair = [run[-1][RHOS.index(rho)], other[-1][i]]
            found[f"{method}, rho = {rho:g}"] = {
                "top_eigenvalue": [float(row["eigenvalues"][0]) for row in pair],
                **{k: [float(row[k]) for row in pair] for k in ("trace", "loss", "test_accuracy")},
            }
    return found


def describe(
    problem: Problem,
    runs: list[list[list[dict[str, Any]]]],
    others: list[list[list[dict[str, Any]]]],
) -> dict[str, Any]:
    """What the file holds: the runs, where they come from, and those of the other seed."""
    return {
        "about": "Spectra of the Hessian in training: see samlib.widgets.SpectrumInTraining.",
        "provenance": {
            "samlib": version("samlib"), "torch": torch.__version__, "numpy": np.__version__,
            "python": platform.python_version(), "machine": platform.machine(), "device": "cpu",
            "dtype": "float64", "seed": SEED, "eigenvalues": "exact, by torch.linalg.eigh",
        },
        "settings": {
            "rows": ROWS, "test_rows": len(problem.digits.test_inputs),
            "sizes": [64, HIDDEN, 10], "dim": problem.objective.dim,
            "loss": "half squared error, one-hot targets", "lr": LR, "stride": STRIDE,
        },
        "other_seed": {"seed": OTHER_SEED, "at_the_end": _differences(runs, others)},
        "methods": METHODS, "rhos": RHOS, "steps": STEPS, "bins": BINS,
        "arrays": pack(runs),
    }  # fmt: skip


def main() -> None:
    """Compute what is missing, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, default=Path("build/training-sweep"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=DATA)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    runs = [list(sweep(given.folder, SEED, method, RHOS)) for method in METHODS]
    few = (0, STEPS[len(STEPS) // 2], STEPS[-1])
    others = [list(sweep(given.folder, OTHER_SEED, method, OTHER_RHOS, few)) for method in METHODS]
    written = describe(make_problem(SEED), runs, others)
    given.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf8")
    print(f"{given.out}: {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
