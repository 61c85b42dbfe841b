"""Compute how far SAM is from the flow of λ₁ on networks whose λ₁ is soon tied.

``python -m samlib.sweeps.compute_tied_networks`` lets SAM run on each of the networks, at three
learning rates and radii, projects it on Γ, and writes the file that ``tied_networks`` reads. What
is finished is kept in a folder, build/tied-networks by default: an interrupted run goes on where
it was. It takes about twenty minutes on one core.

The networks: of each shape some of the seeds for which the flow, followed up to τ = 6, is tied.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from samlib import rules
from samlib.dynamics import simulate
from samlib.flow import FlowPath, flow_corrections, limiting_flow, project_to_minimizers
from samlib.objective import Objective
from samlib.problems import interpolating_network
from samlib.sweeps.tied_networks import DATA, FLOWS, SETTINGS

NOISE = 1e-3  # how far from Γ all set out, per parameter
RTOL, ATOL = 1e-6, 1e-7


class Case(NamedTuple):
    """A network by its shape and seed, and the times at which SAM is compared with the flow."""

    inputs: int
    hidden: int
    points: int
    seed: int
    times: tuple[float, ...] = (2.0, 4.0, 6.0)

    def begin(self) -> tuple[Objective, Tensor]:
        """The network, and where SAM and the flows set out, [dim]."""
        network, away = interpolating_network(
            inputs=self.inputs, hidden=self.hidden, points=self.points, seed=self.seed
        )
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(network.dim, generator=generator, dtype=torch.float64)
        return network, project_to_minimizers(network, away, progress=False).x + NOISE * noise


# Of the last two the first parts again, at τ = 5.7; in the second three are tied, from 26.5 on.
CASES = (
    *(Case(3, 10, 5, seed) for seed in (39, 44, 48, 69, 78, 89, 98, 100, 126, 128, 147, 149, 151)),
    *(Case(4, 8, 4, seed) for seed in (23, 26, 55, 63, 67, 88)),
    Case(4, 12, 10, 19),
    Case(2, 5, 3, 24),
    Case(2, 5, 3, 33),
    Case(2, 5, 3, 0, (4.0, 12.0, 30.0)),
)


def sam(case: Case, lr: float, rho: float) -> Tensor:
    """Φ(SAM) at the times, [times, dim]."""
    network, start = case.begin()
    steps = [round(time / (lr * rho**2)) for time in case.times]
    every = math.gcd(*steps)
    run = simulate(
        network, rules.SAM(lr, rho), start, steps[-1], every=every, record=("x",), progress=False
    )
    points = run.x[0, [step // every for step in steps]]
    return project_to_minimizers(network, points, progress=False).x


def flow(case: Case, *, lr: float | None = None, rho: float | None = None) -> FlowPath:
    """The flow at 0 and at the times."""
    network, start = case.begin()
    with warnings.catch_warnings():  # of lopsided cycles: how well that goes is the question
        warnings.filterwarnings("ignore", message="rho/lr is too large")
        return limiting_flow(
            network, start, "top_eigenvalue", [0.0, *case.times], lr=lr, rho=rho, rtol=RTOL,
            atol=ATOL, progress=False,
        )  # fmt: skip


def distance(points: Tensor, path: FlowPath) -> list[float]:
    """From points of SAM to the flow, relative to how far that has come."""
    come = (path.x[1:] - path.x[0]).norm(dim=1)
    return rounded((points - path.x[1:]).norm(dim=1) / come)


def rounded(numbers: Tensor) -> list[float]:
    """To four digits."""
    return [float(f"{number:.4g}") for number in numbers.tolist()]


def measure(case: Case) -> dict[str, Any]:
    """What the file holds of a network."""
    network, _ = case.begin()
    plain = flow(case)
    distances: dict[str, list[list[float]]] = {name: [] for name in FLOWS}
    lopsided = []
    for lr, rho in SETTINGS:
        points, rates = sam(case, lr, rho), {"lr": lr, "rho": rho}
        for name, options in FLOWS.items():
            chosen = {option: rates[option] for option in options}
            path = flow(case, **chosen) if chosen else plain
            distances[name].append(distance(points, path))
        lopsided.append(flow_corrections(network, plain.x[0], lr=lr, rho=rho).lopsidedness)
    return {
        **case._asdict(),
        "ties": [[*rounded(torch.tensor([t.begin, t.end])), t.multiplicity] for t in plain.ties],
        "lopsidedness": rounded(torch.stack(lopsided)),
        "distances": distances,
    }


def kept(folder: Path, case: Case) -> dict[str, Any]:
    """What was measured of a network, now or before."""
    file = folder / f"{case.inputs}-{case.hidden}-{case.points}-seed{case.seed}.json"
    if not file.exists():
        found = measure(case)
        file.write_text(json.dumps(found), encoding="utf8")
        print(file.stem, found["ties"])
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf8"))
    return result


def written(networks: list[dict[str, Any]]) -> str:
    """The file: a line per network."""
    about = "SAM beside the flow of λ₁ through ties: see samlib.sweeps.tied_networks."
    provenance = {
        "samlib": version("samlib"), "torch": torch.__version__, "device": "cpu",
        "python": platform.python_version(), "machine": platform.machine(), "dtype": "float64",
        "rtol": RTOL, "atol": ATOL, "noise": NOISE,
    }  # fmt: skip
    head = json.dumps({"about": about, "provenance": provenance}, ensure_ascii=False)[:-1]
    lines = ",\n".join(json.dumps(network) for network in networks)
    return f'{head},\n"networks": [\n{lines}\n]}}\n'


def main() -> None:
    """Compute what is missing, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, default=Path("build/tied-networks"))
    parser.add_argument("--out", type=Path, default=DATA)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    networks = [kept(given.folder, case) for case in CASES]
    given.out.write_text(written(networks), encoding="utf8")
    print(f"{given.out}: {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
