"""Where SAM's gradient points in the plane of the two largest eigenvalues along a flow of λ₁."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from samlib.dynamics import simulate
from samlib.problems import interpolating_network
from samlib.widgets.core.runs import diverging_in_silence
from samlib.widgets.figures.limiting_flow.model import SAMPLES, weights_along

if TYPE_CHECKING:
    from samlib.flow import FlowPath
    from samlib.objective import Objective
    from samlib.rules import SAM


@dataclass(frozen=True, eq=False)
class Directions:
    """Where SAM's gradient points in the plane of the two largest eigenvalues along a flow.

    In the orthonormal basis of that plane in which the mixture Q is diagonal, its larger entry
    first (without a tie: v₁ and v₂), the direction u = c₁e₁ + c₂e₂ + … is the point
    (c₁² − c₂², 2c₁c₂), of length one if u lies in the plane.

    Attributes
    ----------
    times
        τ of the points, [points].
    s
        The points, [points, 2].
    counts
        How many points there are before each checkpoint, [61].
    since
        The checkpoint from which on as many eigenvalues are tied as at this one, [61].
    tied
        How many are, [61]; 0 where the flow has ended.
    predicted
        Q₁₁ − Q₂₂, the mean that s₁ is to have, [61]; that of s₂ is 0.
    """

    times: Tensor
    s: Tensor
    counts: Tensor
    since: Tensor
    tied: Tensor
    predicted: Tensor

    def mean(self, frame: int) -> Tensor:
        """The mean point since as many eigenvalues are tied as at a checkpoint, [2]."""
        first = int(self.counts[self.since[frame]])
        mean: Tensor = self.s[first : int(self.counts[frame])].mean(dim=0)
        return mean


def point_text(*point: float) -> str:
    """A point as a text, to hundredths."""
    return "(" + ", ".join(f"{round(v, 2) + 0.0:.2f}".replace("-", "−") for v in point) + ")"


@functools.lru_cache(maxsize=16)
def directions_along(network: int, rule: SAM, steps: tuple[int, ...], flow: FlowPath) -> Directions:
    """The directions of a full-batch run in the plane along a flow, known at its checkpoints."""
    objective, unit = interpolating_network(seed=network).objective, rule.lr * rule.rho**2
    x = weights_along(network, rule, 0, steps)
    places = torch.unique(torch.tensor(steps), return_inverse=True)[1].tolist()
    bases, tied, predicted = [[each[k] for k in places] for each in _planes(objective, flow)]
    since, counts, times, points = [0], [0], [x.new_zeros(0)], [x.new_zeros(0, 2)]
    for n, (first, last) in enumerate(pairwise(steps)):
        stays = tied[n + 1] == tied[n]
        since.append(since[n] if stays else n + 1)
        stride = max(1, (last - first) // SAMPLES)
        u = _directions(objective, rule, x[n], last - first, stride)
        part = torch.arange(len(u)) * stride / max(last - first, 1) * stays
        c = torch.lerp(u @ bases[n], u @ bases[n + stays], part.to(u)[:, None])
        points.append(torch.stack([c[:, 0] ** 2 - c[:, 1] ** 2, 2 * c[:, 0] * c[:, 1]], dim=-1))
        times.append((first + stride * torch.arange(len(u))).double() * unit)
        counts.append(counts[n] + len(u))
    return Directions(
        torch.cat(times),
        torch.cat(points),
        torch.tensor(counts),
        torch.tensor(since),
        torch.tensor(tied),
        torch.tensor(predicted, dtype=x.dtype),
    )


def _directions(objective: Objective, rule: SAM, x: Tensor, steps: int, stride: int) -> Tensor:
    """∇L/‖∇L‖ at every stride-th of some steps from x, [points, 50]; none of a run that is lost."""
    if steps == 0 or not bool(x.isfinite().all()):
        return x.new_zeros(0, len(x))
    with diverging_in_silence():
        run = simulate(
            objective, rule, x, steps, every=stride, record=("gradient",), progress=False
        )
    gradient = run.gradient[0, :-1]
    directions: Tensor = gradient / gradient.norm(dim=-1, keepdim=True)
    return directions


def _planes(objective: Objective, flow: FlowPath) -> tuple[list[Tensor], list[int], list[float]]:
    """At the times of a flow of λ₁: the basis [50, 2], how many are tied, Q₁₁ − Q₂₂."""
    assert flow.mixture is not None
    assert flow.tied_vectors is not None
    bases: list[Tensor] = []
    tied: list[int] = []
    predicted: list[float] = []
    for x, mixture, vectors in zip(flow.x, flow.mixture, flow.tied_vectors, strict=True):
        number = int((vectors.norm(dim=0) > 0).sum()) if bool(x.isfinite().all()) else 0
        basis, mean = _plane(objective, x, mixture[:number, :number], vectors[:, :number])
        if tied and tied[-1] == number:
            sign = (basis * bases[-1]).sum(dim=0)
        else:  # that of the largest entry
            sign = basis.gather(0, basis.abs().argmax(dim=0, keepdim=True))[0]
        bases.append(basis * sign.sign())
        tied.append(number)
        predicted.append(mean)
    return bases, tied, predicted


def _plane(
    objective: Objective, x: Tensor, mixture: Tensor, vectors: Tensor
) -> tuple[Tensor, float]:
    """The basis [50, 2] in which Q is diagonal, and Q₁₁ − Q₂₂, at a point of a flow."""
    if len(mixture) == 0:
        return x.new_full((len(x), 2), torch.nan), math.nan
    if len(mixture) == 1:
        return torch.linalg.eigh(objective.hessian(x)).eigenvectors[:, [-1, -2]], 1.0
    shares, turn = torch.linalg.eigh(mixture)
    return (vectors @ turn)[:, [-1, -2]], float(shares[-1] - shares[-2])
