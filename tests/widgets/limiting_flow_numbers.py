"""What samlib expects of the network of the figure LimitingFlow, its flows and its runs."""

from __future__ import annotations

import warnings
from typing import Any

import torch

import samlib
from samlib.flow.ties import least_norm_mixture
from samlib.flow.two_cycle import third_derivative, two_cycle
from samlib.widgets import LimitingFlow

from . import settings


def vector(numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


REGULARIZERS = ("top_eigenvalue", "trace")


def trained(name: str) -> dict[str, Any]:
    figure = LimitingFlow(**settings.LIMITING_FLOW[name])
    told = {"name": name, "settings": figure.state(), "steps": figure.steps}
    told |= {"times": figure.times, "x": figure.x}
    if name in ("as it opens", "another network", "1-SAM", "batches of four"):
        told |= {"curvature": figure.on_gamma(), "alignment": figure.alignment}
    return told


def densely_aligned() -> dict[str, Any]:
    figure = LimitingFlow(network=4, batch_size=1, time=0.3)
    objective, x = figure.problem.objective, figure.x
    gradient = objective.gradient(x)
    v1 = torch.linalg.eigh(objective.hessian(x)).eigenvectors[..., -1]
    cosine = (gradient * v1).sum(dim=-1).abs() / gradient.norm(dim=-1)
    return {"settings": figure.state(), "cosine": cosine}


def flows_of(network: int) -> dict[str, Any]:
    figure = LimitingFlow(network=network, time=4.0, rho=0.2)
    flows = figure.limiting_flows()
    assert all(flow.converged for flow in flows.values())
    assert bool(flows["top_eigenvalue"].ties) == (network in (39, 147))
    values = {
        name: {"top_eigenvalue": flow.top_eigenvalue, "trace": flow.trace}
        for name, flow in flows.items()
    }
    return {"network": network, "time": figure.time, "times": figure.times, "flows": values}


def flows_from_one_point() -> dict[str, Any]:
    objective, start = samlib.problems.interpolating_network(seed=6)
    x = samlib.project_to_minimizers(objective, start, progress=False).x
    times = [0.1, 1, 2.345, 4]
    flows = {
        name: samlib.limiting_flow(objective, x, name, times, progress=False).value
        for name in REGULARIZERS
    }
    return {"seed": 6, "x": x, "times": times, "flows": flows}


# network, η, ρ: without a tie, through ties, and with a cycle that is as lopsided as can be
CORRECTED: list[tuple[int, float, float | None]] = [
    (6, 0.5, None),
    (6, 0.2, 0.1),
    (39, 0.1, None),
    (39, 0.1, 0.05),
    (147, 0.2, 0.05),
    (0, 0.1, 0.3),
]


def corrected_flow(network: int, lr: float, rho: float | None) -> dict[str, Any]:
    objective, start = samlib.problems.interpolating_network(seed=network)
    x = samlib.project_to_minimizers(objective, start, progress=False).x
    times = torch.linspace(0, 3, 7, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "rho/lr is too large")
        flow = samlib.limiting_flow(
            objective, x, "top_eigenvalue", times, lr=lr, rho=rho, progress=False
        )
    assert flow.converged
    assert bool(flow.ties) == (network in (39, 147))
    values = {"top_eigenvalue": flow.top_eigenvalue, "trace": flow.trace}
    return {"network": network, "x": x, "rates": {"lr": lr, "rho": rho}, "times": times, **values}


def third_derivatives() -> dict[str, Any]:
    """At a point of Γ: ∂³L[v₁, v₁, ·] on all eigenvectors, and P⊥∂²(∇L)[v₁, v₂]."""
    objective, start = samlib.problems.interpolating_network(seed=6)
    x = samlib.project_to_minimizers(objective, start, progress=False).x
    vectors = torch.linalg.eigh(objective.hessian(x)).eigenvectors[:, -5:].flip(-1)
    bend = third_derivative(objective, x, vectors[:, 0], vectors[:, 0])
    slope = third_derivative(objective, x, vectors[:, 0], vectors[:, 1])
    slope = slope - vectors @ (vectors.mT @ slope)
    thirds = vectors.mT @ bend
    return {"seed": 6, "x": x, "vectors": list(vectors.mT), "thirds": thirds, "slope": slope}


def lopsided_cycles() -> list[dict[str, Any]]:
    found = []
    for lr, rho in ((0.1, 0.05), (0.7, 0.001), (0.01, 0.5)):
        values, bend = vector([2.0, 1.1, 0.3]), vector([-0.7, 0.4, 1.3])
        cycle = two_cycle(values, torch.eye(3, dtype=torch.float64), bend, lr, rho)
        told = {"reach": float(cycle.reach), "lopsidedness": float(cycle.lopsidedness)}
        told["swing"] = cycle.bounded_swing
        found.append({"lr": lr, "rho": rho, "values": values, "bend": bend, **told})
    return found


def directions_of(**traits: Any) -> dict[str, Any]:
    figure = LimitingFlow(**traits)
    found = figure.directions()
    assert found is not None
    told = {name: getattr(found, name).tolist() for name in ("counts", "since", "tied")}
    told |= {"tau": found.times, "s1": found.s[:, 0], "s2": found.s[:, 1]}
    means = torch.stack([found.mean(n) for n in range(61)]).flatten()
    return {"settings": figure.state(), **told, "predicted": found.predicted, "means": means}


def network_of(seed: int) -> dict[str, Any]:
    objective, start = samlib.problems.interpolating_network(seed=seed)
    inputs, targets = objective.inputs.flatten(), objective.targets
    return {"seed": seed, "inputs": inputs, "targets": targets, "weights": start}


def derivatives() -> dict[str, Any]:
    objective, x = samlib.problems.interpolating_network(seed=8)
    v, probe = torch.linspace(-1, 1, 50, dtype=torch.float64), vector([[0.5, -1.0, 2.0]])
    return {
        "seed": 8,
        "x": x,
        "v": v,
        "value": float(objective.value(x)),
        "product": objective.hessian_vector_product(x, v),
        "hessian": objective.hessian(x).flatten(),
        "input": probe[0],
        "output": float(objective.output(x, probe)[0]),
    }


def mixtures() -> list[dict[str, Any]]:
    """Of two eigenvalues that stay tied, of two that part, of three."""
    found = []
    for seed, shared, k in ((0, 0.0, 2), (1, 9.0, 2), (2, 0.0, 3)):
        generator = torch.Generator().manual_seed(seed)
        random = torch.randn(k, k, 20, generator=generator, dtype=torch.float64)
        slopes = random + random.transpose(0, 1) + shared * torch.eye(k)[:, :, None]
        keeping = least_norm_mixture(slopes, bounded=False)
        parts = bool(torch.linalg.eigvalsh(keeping)[0] < 0)
        assert parts == bool(shared)
        row, column = torch.triu_indices(k, k)
        pair = {"slopes": list(slopes[row, column]), "keeping": keeping.flatten()}
        parting = least_norm_mixture(slopes).flatten() if parts else None
        found.append({**pair, "parting": parting})
    return found


def expect_limiting_flow() -> dict[str, Any]:
    state = LimitingFlow(time=1.0).state()
    return {
        "runs": [trained(name) for name in settings.LIMITING_FLOW],
        "dense": densely_aligned(),
        "flows": [flows_of(network) for network in (0, 2, 5, 39, 147)],  # the last two are tied
        "fromOnePoint": flows_from_one_point(),
        "corrected": [corrected_flow(*case) for case in CORRECTED],
        "thirds": third_derivatives(),
        "cycles": lopsided_cycles(),
        "directions": [
            directions_of(network=39, rho=0.1, time=5.0, panels=("plane",)),
            directions_of(
                rho=0.4, lr=0.7, time=2.0, panels=("plane",)
            ),  # fewer steps than checkpoints
        ],
        "presets": LimitingFlow()._config["presets"],
        "networks": [network_of(seed) for seed in (0, 1, 123_456, 2**31 - 1)],
        "curvature": derivatives(),
        "mixtures": mixtures(),
        "rounding": LimitingFlow().state(),
        "queue": [{**state, "rho": rho} for rho in (0.005, 0.2, 0.3, 0.4)],
    }
