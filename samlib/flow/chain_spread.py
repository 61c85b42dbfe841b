"""How far apart runs of SAM on mini-batches end: their spread around the flow of the chain.

Our calculation. A step with the draw w moves along Γ by ηρ² g, g = −Σ_kj w_k a_k (K⁻¹a)_j G_kj with
G_kj = P⊥ ∇²f_k ∇f_j. Its mean is the drift b of :mod:`samlib.flow.chain_drift`. Over the 1/(ηρ²)
steps of a unit of τ the rest adds up to a random walk, which b carries on:

    Z = (Φ(x) − X)/(√η ρ),   dZ = ∂b(X) Z dτ + Σ(X)^{1/2} dW,

where Σ is the sum of Cov(g(0), g(n)) over all n, before and after. So runs lie √η ρ apart, and

    dC/dτ = ∂b C + C ∂bᵀ + Σ,   C(0) = 0,

is the covariance of Z. For batches of one and η → 0, g = −½ P⊥∇h_k, and Σ its covariance over the
draws: the examples pull in different directions. For perpendicular gradients at any η,

    Σ = Cov_k(s_k G_kk) + 1/(2M) Σ_{i<j} c_ij² B_ij B_ijᵀ,   s_k = (2/(2 − ηh_k))²,
    B_ij = G_ij − G_ji,   c_ij = 2η√(h_i h_j)/((2 − ηh_i)(2 − ηh_j)),

where B_ij, the Lie bracket of ∇f_i and ∇f_j, is what is left after steps there and back again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_fraction,
    require_number,
    require_one_point,
    require_seed,
)
from samlib.flow.arguments import require_followable, require_times
from samlib.flow.chain import run_chains
from samlib.flow.chain_drift import bends, component_slopes, velocity_along_gamma
from samlib.flow.chain_flow import chain_flow, retract_along
from samlib.flow.chain_noise import GROUPS, speed_noise, speed_response
from samlib.flow.chain_walk import Sampling, require_batch_size, require_gram
from samlib.flow.retraction import WHOLE_SPECTRUM_DIM
from samlib.objective import Objective, require_objective


@dataclass(frozen=True, eq=False)
class ChainSpread:
    """How runs of SAM on mini-batches are spread around the flow of the chain.

    All in units of √η ρ, or of ηρ² for the covariance. The errors are standard errors, from groups
    of independent chains; they do not know of terms of higher order in ρ.

    Attributes
    ----------
    times
        τ, [times]. One step of SAM advances τ by ηρ².
    x
        The flow of the chain, on Γ, [times, dim]: the middle of the runs.
    covariance
        C, the covariance of Φ(x) over the runs, [times, dim, dim].
    position
        The root mean square distance of Φ(x) from the middle, √Tr C, [times].
    trace
        The standard deviation of Tr ∇²L at Φ(x), [times].
    covariance_error, position_error, trace_error
        Their standard errors.
    """

    times: Tensor
    x: Tensor
    covariance: Tensor
    position: Tensor
    trace: Tensor
    covariance_error: Tensor
    position_error: Tensor
    trace_error: Tensor

    def __repr__(self) -> str:
        return (
            f"ChainSpread(times={len(self.times)} in [{float(self.times[0]):g}, "
            f"{float(self.times[-1]):g}], position {float(self.position[-1]):.3g} ± "
            f"{float(self.position_error[-1]):.1g}, trace {float(self.trace[-1]):.3g} ± "
            f"{float(self.trace_error[-1]):.1g})"
        )


def chain_spread(
    objective: Objective,
    start: Tensor,
    times: Sequence[float] | Tensor,
    *,
    lr: float,
    batch_size: int | None = 1,
    pieces: int = 2,
    samples: int = 2**18,
    seed: int = 0,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    progress: bool = True,
) -> ChainSpread:
    """The spread of SAM's runs on mini-batches from one start, as ρ → 0 at fixed η.

    Parameters
    ----------
    objective
        As for :func:`chain_drift`, with at most 512 parameters.
    start
        [dim], on Γ or not, the same for all runs.
    times
        Increasing, not negative, [times].
    lr, batch_size, rtol, atol
        As for :func:`chain_flow`.
    pieces
        Into how many pieces the time from 0 to the first of times is cut, and from each to the
        next. The error of the integration falls with the fourth power of their length.
    samples
        Over how many states of the chain to average at the ends and middle of each piece, for its
        noise, for how it answers, and for the flow.
    seed
        Fixes starts and draws, which are made on the CPU.
    progress
        Whether to show a bar if it takes more than two seconds.

    Returns
    -------
    ChainSpread
        On the device and in the dtype of start.

    Raises
    ------
    ValueError
        As :func:`chain_flow`, or if there are more than 512 parameters.

    Notes
    -----
    Across Γ the runs are spread by ηρ, which Φ takes away. With all examples in a step nothing is
    drawn, and the spread is zero. Each end and middle of a piece takes 2(dim − M) velocities along
    Γ and M(M + 1) chains.

    Examples
    --------
    In the two valleys, runs of 1-SAM part at once as fast as the slopes of the two terms differ,
    here by ¼(1 + 1.6) √τ = 0.65 √τ for η → 0:

    >>> import torch, samlib
    >>> from samlib.flow import chain_spread
    >>> valleys, floor = samlib.landscapes.TwoValleys(), torch.zeros(3).double()
    >>> spread = chain_spread(valleys, floor, [0.01, 1.0], lr=0.01, samples=2**12)
    >>> print(f"{float(spread.position[0]) / 0.1:.1f} {float(spread.position[1]):.2f}")
    0.7 0.66
    """
    require_one_point("start", start, require_objective(objective).dim)
    require_followable("start", start)
    if objective.dim > WHOLE_SPECTRUM_DIM:
        raise ValueError(
            f"objective must have at most {WHOLE_SPECTRUM_DIM} parameters, as the covariance of "
            f"all of them is computed, got {objective.dim}"
        )
    instants = require_times(times).tolist()
    lr = require_number("lr", lr, positive=True)
    batch_size = require_batch_size(batch_size)
    pieces = require_count("pieces", pieces, minimum=1)
    samples = require_count("samples", samples, minimum=1)
    seed = require_seed("seed", seed)
    require_fraction("rtol", rtol)
    require_fraction("atol", atol)
    require_flag("progress", progress)
    cuts = _cut(instants, pieces)
    flow = chain_flow(
        objective,
        start,
        cuts,
        lr=lr,
        batch_size=batch_size,
        samples=samples,
        seed=seed,
        rtol=rtol,
        atol=atol,
        progress=progress,
    )
    generator = torch.Generator().manual_seed(seed)
    with ProgressBar(None, "spread of the chain", progress) as bar:
        how = Sampling(lr, batch_size, samples, generator, bar)
        places = [_Place(objective, x, how) for x in flow.x]
    return _spread(instants, cuts, places, start)


def _cut(times: list[float], pieces: int) -> list[float]:
    """The ends and the middles of the pieces from 0 to the last of the times."""
    cuts = [0.0]
    for time in times:
        if time > cuts[-1]:
            before, parts = cuts[-1], 2 * pieces
            cuts += [before + (time - before) * i / parts for i in range(1, parts)] + [time]
    return cuts


class _Place:
    """A point of the flow: Σ and ∂b there, [1 + groups, dim, dim], of all chains and by groups."""

    def __init__(self, objective: Objective, x: Tensor, how: Sampling) -> None:
        self._objective, self.x = objective, x
        self._gradients = component_slopes(objective, x)
        examples = len(self._gradients)
        gram = require_gram(self._gradients @ self._gradients.mT).cpu().double()
        self._speeds = run_chains(gram, how).speeds(gram).mean(dim=0)
        noise, response = speed_noise(gram, how), speed_response(gram, how)
        rows = self._gradients
        turns = [bends(objective, x, rows, rows[j].expand_as(rows)) for j in range(examples)]
        # G_kj over M, of which all is made.
        self._parts = torch.stack(turns, dim=1).cpu().double() / examples
        self.slope = 2 * torch.einsum("kkd->d", self._parts)
        self.noise = _with_mean(torch.einsum("gkilj,kid,lje->gde", noise, self._parts, self._parts))
        self.transport = self._transport(response)
        how.bar.update()

    def _transport(self, response: Tensor) -> Tensor:
        """∂b P⊥, from differences between points of Γ on either side."""
        across = torch.linalg.svd(self._gradients.cpu().double()).Vh
        along = across[len(self._gradients) :]
        length = float(self.x.norm()) or 1.0
        step = 0.1 * torch.finfo(self.x.dtype).eps ** (1 / 3) * length
        sides = torch.stack([along, -along]).to(self.x) * step
        points = retract_along(self._objective, self.x + sides, self._gradients)
        found = [[self._at(point) for point in each] for each in points]
        velocities, grams = (
            torch.stack([torch.stack([each[i] for each in side]) for side in found]) for i in (0, 1)
        )
        factor = torch.linalg.cholesky((self._gradients @ self._gradients.mT).cpu().double())
        changes = (grams[0] - grams[1]) / (2 * step)
        relative = torch.linalg.solve_triangular(factor, changes, upper=False)
        relative = torch.linalg.solve_triangular(factor, relative.mT, upper=False)
        fixed = (velocities[0] - velocities[1]) / (2 * step)
        answers = torch.einsum("gkjab,vab->gvkj", response, relative)
        moved = _with_mean(torch.einsum("gvkj,kjd->gvd", answers, -self._parts)) + fixed
        return torch.einsum("gvd,ve->gde", moved, along)

    def _at(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity at a point nearby, with the speeds of here, and K there."""
        gradients = component_slopes(self._objective, point)
        gradients = gradients * torch.sign((gradients * self._gradients).sum(dim=-1, keepdim=True))
        speeds = self._speeds.to(point)
        velocity = velocity_along_gamma(self._objective, point, gradients, speeds)
        return velocity.cpu().double(), (gradients @ gradients.mT).cpu().double()


def _with_mean(groups: Tensor) -> Tensor:
    """[groups, ...] after their mean, [1 + groups, ...]."""
    return torch.cat([groups.mean(dim=0, keepdim=True), groups])


def _spread(
    times: list[float], cuts: list[float], places: list[_Place], start: Tensor
) -> ChainSpread:
    """Integrate C over the pieces and keep it at the times."""
    covariance = torch.zeros_like(places[0].noise)
    found = {0.0: covariance}
    for i in range(2, len(cuts), 2):
        length = cuts[i] - cuts[i - 2]
        first, middle, last = places[i - 2 : i + 1]
        halves = _carried(_carried(covariance, first, middle, length / 2), middle, last, length / 2)
        whole = _carried(covariance, first, last, length)
        covariance = halves + (halves - whole) / 3  # the error of the halves is a third of that
        found[cuts[i]] = covariance
    ends = [places[cuts.index(time)] for time in times]
    spans = torch.stack([found[time] for time in times])
    slopes = torch.stack([place.slope for place in ends])
    along = torch.einsum("td,tgde,te->tg", slopes, spans, slopes).clamp(min=0).sqrt()
    position = spans.diagonal(dim1=-2, dim2=-1).sum(dim=-1).clamp(min=0).sqrt()
    return ChainSpread(
        torch.tensor(times).to(start),
        torch.stack([place.x for place in ends]),
        *(each[:, 0].to(start) for each in (spans, position, along)),
        *(_error(each).to(start) for each in (spans, position, along)),
    )


def _carried(covariance: Tensor, before: _Place, here: _Place, length: float) -> Tensor:
    """C after a time, from what is known at both of its ends, by the trapezoidal rule."""
    carry = torch.matrix_exp(length / 2 * (before.transport + here.transport))
    early = covariance + length / 2 * before.noise
    late: Tensor = carry @ early @ carry.mT + length / 2 * here.noise
    return late


def _error(values: Tensor) -> Tensor:
    """The standard error of the mean from the groups, [times, 1 + groups, ...]."""
    error: Tensor = values[:, 1:].std(dim=1) / GROUPS**0.5
    return error
