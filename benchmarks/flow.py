"""SAM and 1-SAM against the limiting flows on a real network: `python benchmarks/flow.py`.

The 50-parameter network of ``samlib.problems.interpolating_network``. Full-batch SAM runs beside
the flow of λ₁, 1-SAM (averaged over seeds) beside that of the trace, for (η, ρ) = (0.1, 0.05),
both halved, both quartered. All end points are projected on Γ before they are measured.

Reported are the largest errors over τ: of the mean λ₁ or trace, relative, and of the points
themselves, ‖Φ(x) − X(τ)‖, averaged over runs; and the order p of error ∝ ηᵖ, or ∝ ρᵖ where ρ
alone shrinks, beside what the theorems bound it by: O(η ln(1/ρ)) for SAM (Theorem 4.5),
Õ(√η + ρ) for 1-SAM (Theorem 5.4).

Why SAM runs ahead of the flow: on its two-cycle it takes its gradients at distance 2ρ/(2 − ηλ₁)
from Γ, not ρ, so it drifts (2/(2 − ηλ₁))² times as fast. "rescaled" compares SAM at one η and
shrinking ρ with the flow at times corrected for that: what remains is an error of order ρ²/η.

The flows start where the runs do: X(0) = Φ(x(0)). Fails unless every error falls as η and ρ, or ρ
alone, are halved.
"""

from __future__ import annotations

import json
import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import CubicSpline
from simulate import provenance
from torch import Tensor

import samlib
from samlib.flow import FlowPath, limiting_flow, project_to_minimizers

SETTINGS = ((0.1, 0.05), (0.05, 0.025), (0.025, 0.0125))
RADII = ((0.1, 0.05), (0.1, 0.025), (0.1, 0.0125))
SEEDS = 16
END = 4.0
SAM_TIMES = np.array([0.5, 1.0, 2.0, 4.0])
STOCHASTIC_TIMES = np.array([1.0, 2.0, 3.0, 4.0])
RESULTS = Path(__file__).parent / "results" / "flow.json"


def errors(points: Tensor, measured: Tensor, x: Any, value: Any) -> dict[str, Any]:
    """Compare runs [runs, times] with a flow's x [times, dim] and value [times]."""
    mean = measured.mean(dim=0).numpy()
    distance = (points - torch.as_tensor(x)).norm(dim=-1).mean(dim=0)
    return {
        "measured": mean.tolist(),
        "flow": np.asarray(value).tolist(),
        "relative_error": float(np.abs(mean / value - 1).max()),
        "distance": float(distance.max()),
    }


def run(rule: samlib.rules.Rule, start: Tensor, times: Any) -> tuple[Tensor, Tensor, float]:
    """Φ(x) and the spectrum of ∇²L there, [runs, times, …], and the seconds of simulation."""
    network, _ = samlib.problems.interpolating_network()
    per_unit = round(1 / (float(rule.lr) * float(rule.rho) ** 2))  # type: ignore[attr-defined]
    every = per_unit // 2
    begin = time.perf_counter()
    path = samlib.simulate(
        network, rule, start, int(END * per_unit), every=every, record=("x",), seed=0
    ).x
    seconds = time.perf_counter() - begin
    points = project_to_minimizers(network, path[:, (2 * times).astype(int)])
    assert bool(points.converged.all())
    return points.x, torch.linalg.eigvalsh(network.hessian(points.x)), seconds


def sam_time(flow: FlowPath, lr: float) -> Any:
    """Return the flow's times at which SAM with this η is expected at SAM_TIMES."""
    speed = (2 / (2 - lr * flow.top_eigenvalue.numpy())) ** 2
    elapsed = cumulative_trapezoid(1 / speed, flow.times.numpy(), initial=0.0)
    return np.interp(SAM_TIMES, elapsed, flow.times.numpy())


def orders(values: list[float]) -> list[float]:
    """The p of error ∝ ηᵖ, or ρᵖ, between neighbouring settings, each half the one before."""
    return [math.log2(a / b) for a, b in pairwise(values)]


class Flows:
    """Both limiting flows of the network from one start, as functions of τ."""

    def __init__(self) -> None:
        network, x = samlib.problems.interpolating_network()
        noise = torch.randn(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        self.start = project_to_minimizers(network, x).x + 1e-3 * noise
        self.seconds: dict[str, float] = {}
        grid = np.linspace(0, 1.25 * END, 201)
        paths = {}
        for regularizer in ("top_eigenvalue", "trace"):
            begin = time.perf_counter()
            paths[regularizer] = limiting_flow(network, self.start, regularizer, grid)
            self.seconds[f"flow_{regularizer}"] = time.perf_counter() - begin
        self.top = paths["top_eigenvalue"]
        self.x = {name: CubicSpline(grid, path.x) for name, path in paths.items()}
        self.value = {name: CubicSpline(grid, path.value) for name, path in paths.items()}


def full_batch(flows: Flows, lr: float, rho: float, times: Any) -> dict[str, Any]:
    """SAM beside the flow of λ₁ at these times of the flow."""
    points, spectrum, took = run(samlib.rules.SAM(lr, rho), flows.start, SAM_TIMES)
    x, value = flows.x["top_eigenvalue"](times), flows.value["top_eigenvalue"](times)
    found = errors(points, spectrum[..., -1], x, value)
    return {"lr": lr, "rho": rho, "seconds": took, **found}


def stochastic(flows: Flows, lr: float, rho: float) -> dict[str, Any]:
    """1-SAM, for each seed, beside the flow of the trace."""
    rule = samlib.rules.StochasticSAM(lr, rho)
    points, spectrum, took = run(rule, flows.start.expand(SEEDS, -1), STOCHASTIC_TIMES)
    traces = spectrum.sum(dim=-1)
    x, value = flows.x["trace"](STOCHASTIC_TIMES), flows.value["trace"](STOCHASTIC_TIMES)
    spread = (traces.std(dim=0) / math.sqrt(SEEDS)).tolist()
    found = errors(points, traces, x, value)
    return {"lr": lr, "rho": rho, "seconds": took, **found, "standard_error": spread}


def main() -> None:
    torch.set_num_threads(1)
    flows = Flows()
    tables = {
        "sam": [full_batch(flows, lr, rho, SAM_TIMES) for lr, rho in SETTINGS],
        "sam_rescaled": [full_batch(flows, lr, rho, sam_time(flows.top, lr)) for lr, rho in RADII],
        "stochastic": [stochastic(flows, lr, rho) for lr, rho in SETTINGS],
    }
    report(tables, flows.seconds)
    series = {
        f"{name}.{kind}": [row[kind] for row in rows]
        for name, rows in tables.items()
        for kind in ("relative_error", "distance")
    }
    result = {
        "provenance": provenance(),
        "problem": {"dim": len(flows.start), "seeds": SEEDS, "end": END},
        "seconds": flows.seconds,
        **tables,
        "orders": {name: orders(values) for name, values in series.items()},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")

    for name, values in series.items():
        assert values == sorted(values, reverse=True), f"{name} does not fall: {values}"


def report(tables: dict[str, list[dict[str, Any]]], seconds: dict[str, float]) -> None:
    """Print the tables of errors and orders."""
    print(", ".join(f"{name}: {value:.2f} s" for name, value in seconds.items()))
    for name, what in (
        ("sam", "SAM, λ₁ (Theorem 4.5: η ln(1/ρ))"),
        ("sam_rescaled", "SAM, λ₁, against the flow in rescaled time"),
        ("stochastic", f"1-SAM, trace, mean of {SEEDS} seeds (Theorem 5.4: √η + ρ up to logs)"),
    ):
        print(f"\n{what}")
        print(f"{'η':>8}{'ρ':>9}{'rel. error':>12}{'distance':>10}{'seconds':>9}   values | flow")
        for row in tables[name]:
            values = " ".join(f"{value:.4f}" for value in row["measured"])
            flow = " ".join(f"{value:.4f}" for value in row["flow"])
            print(
                f"{row['lr']:8g}{row['rho']:9g}{row['relative_error']:12.5f}"
                f"{row['distance']:10.4f}{row['seconds']:9.2f}   {values} | {flow}"
            )
        for kind in ("relative_error", "distance"):
            found = ", ".join(f"{p:.2f}" for p in orders([row[kind] for row in tables[name]]))
            print(f"order of the {kind.replace('_', ' ')}: {found}")
    bounds = [lr * math.log(1 / rho) for lr, rho in SETTINGS]
    print("\norder of η ln(1/ρ) itself:", ", ".join(f"{p:.2f}" for p in orders(bounds)))


if __name__ == "__main__":
    main()
