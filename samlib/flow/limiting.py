"""The limiting flows that SAM follows along Γ.

On Γ, SAM drifts along a flow of its own, which lowers the top eigenvalue (eq. 7), 1-SAM along the
one that lowers the trace (Theorem 5.4).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_flag,
    require_fraction,
    require_number,
    require_one_point,
    shown,
)
from samlib.flow.arguments import require_followable, require_rank, require_times
from samlib.flow.drift import REGULARIZERS, Drift, Regularizer
from samlib.flow.gamma import Gamma
from samlib.flow.integration import Integration, Stop, Tie
from samlib.flow.mixtures import padded
from samlib.flow.projection import Projection, project_to_minimizers
from samlib.flow.retraction import largest_known
from samlib.objective import Objective, require_objective

# Next to a tie the top eigenvectors change places from step to step, and the gap stays as large as
# the errors of the steps: it must count as closed while it is well above them.
_GAP_OVER_ERROR = 10


@dataclass(frozen=True, eq=False, repr=False)
class FlowPath:
    """What :func:`limiting_flow` integrated. Entries after a flow has ended early are NaN.

    Attributes
    ----------
    regularizer
        Which sharpness the flow lowers; of a function, its name.
    times
        τ, [times]. One step of SAM or 1-SAM advances τ by ηρ².
    x
        The points on Γ, [times, dim].
    value
        S at these points, what the flow lowers, [times].
    top_eigenvalue, trace, smallest_nonzero_eigenvalue
        λ₁, Tr and λ_M of ∇²L at these points, [times].
    eigengap
        Between the eigenvalue that the flow lowers and its nearest neighbour, relative to λ₁,
        [times]; infinite if it lowers something else, or where there is only one eigenvalue.
    gradient_norm
        ‖∇L‖ at these points, [times]: zero on Γ.
    multiplicity
        How many of the largest eigenvalues are tied and fall as one, [times]; 1 where λ₁ is alone,
        0 where the flow has ended.
    mixture, tied_vectors
        Q, [times, k, k], and the eigenvectors V, [times, dim, k], with k the largest multiplicity
        and zeros for what a smaller one leaves: the direction of SAM's gradient, u, has
        E uuᵀ = VQVᵀ. Without a tie it is v₁v₁ᵀ. None, if S is not λ₁.
    ties
        From when to when how many were tied.
    rank
        M, the number of non-zero eigenvalues on Γ.
    evaluations
        At how many points the curvature on Γ was computed.
    converged
        Whether the flow could be followed to the last time.
    """

    regularizer: str
    times: Tensor
    x: Tensor
    value: Tensor
    top_eigenvalue: Tensor
    trace: Tensor
    smallest_nonzero_eigenvalue: Tensor
    eigengap: Tensor
    gradient_norm: Tensor
    multiplicity: Tensor
    mixture: Tensor | None
    tied_vectors: Tensor | None
    ties: tuple[Tie, ...]
    rank: int
    evaluations: int
    converged: bool

    def to_dataframe(self) -> pd.DataFrame:
        """One row per time: time, λ₁, trace, λ_M, eigengap, gradient norm, then x1, …, xD."""
        names = (
            "top_eigenvalue",
            "trace",
            "smallest_nonzero_eigenvalue",
            "eigengap",
            "gradient_norm",
        )
        columns = {"time": self.times.cpu().numpy()}
        columns.update({name: getattr(self, name).cpu().numpy() for name in names})
        columns.update({f"x{i + 1}": c.cpu().numpy() for i, c in enumerate(self.x.unbind(-1))})
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        value = self.value
        return (
            f"FlowPath({self.regularizer!r}, times={len(self.times)} in "
            f"[{float(self.times[0]):g}, {float(self.times[-1]):g}], "
            f"value {float(value[0]):.4g} → {float(value[-1]):.4g}, rank={self.rank}, "
            f"gradient_norm≤{largest_known(self.gradient_norm):.1e}, converged={self.converged})"
        )


def limiting_flow(
    objective: Objective,
    start: Tensor,
    regularizer: Regularizer | Callable[[Tensor], Tensor],
    times: Sequence[float] | Tensor,
    *,
    lr: float | None = None,
    rho: float | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-9,
    rank: int | None = None,
    gap_rtol: float = 1e-4,
    progress: bool = True,
) -> FlowPath:
    """Integrate dX/dτ = −½ P⊥ ∇S(X) on Γ from X(0) = Φ(start).

    P⊥ projects on the tangent space of Γ. S is one of

    * ``"top_eigenvalue"``: λ₁. Full-batch SAM follows this flow (eq. 7, Theorem 4.5);
    * ``"trace"``: 1-SAM follows it (Theorem 5.4);
    * ``"smallest_nonzero_eigenvalue"``: λ_M. Gradient descent on L^Asc follows it as η → 0 at
      fixed ρ; the same factor ½ and the same unit of time;
    * any other function of x, [dim] → [], that torch can differentiate.

    One step with η and ρ advances τ by ηρ².

    Where λ₁ is tied, SAM goes on, and so does the flow: dX/dτ = −½ Σ Q_ab T_ab, the shortest of
    these vectors with Q ⪰ 0, tr Q = 1, where T_ab = P⊥ ∂²(∇L)[v_a, v_b] and v_a spans the tied
    eigenspace. It is minus half the least projected subgradient of λ₁. That SAM follows it is our
    calculation; the theorem assumes that λ₁ is simple (Assumption 4.4). Eigenvalues may join a tie
    and part again.

    Parameters
    ----------
    objective
        The loss; Γ as for :func:`project_to_minimizers`. Its Hessian-vector product must be
        differentiable by torch, as those of samlib's own objectives are.
    start
        [dim], on Γ or not.
    regularizer
        Which S: a name, or the function itself.
    times
        Increasing, not negative, [times].
    lr
        SAM's learning rate η, 0 < η < 2/λ₁, for the flow of λ₁ that it follows at this rate as
        ρ/η → 0: (2/(2 − ηλ₁))² times as fast, because its gradients are taken from the wall of
        the valley (our calculation). Default: the limit η → 0.
    rho
        SAM's radius ρ > 0, with ``lr``, for the second error too: what SAM's two-cycle, lopsided
        where ρ/η is not small, adds to the velocity, as in :func:`flow_corrections`. Its formula
        is of first order in ρ/η. Default: the limit ρ/η → 0.
    rtol, atol
        Tolerances of the adaptive integrator at each step; of Φ, a tenth of them.
    rank
        M. Required beyond 512 parameters, where Lanczos computes that many eigenpairs at each
        evaluation of the right-hand side.
    gap_rtol
        Eigenvalues count as tied where their distance falls below gap_rtol · λ₁; for the flow of
        λ₁, below 10 max(rtol, atol) · λ₁ (0.01 λ₁ at most) if that is more, since steps of a looser
        integrator would pass over a tie. The flow of λ_M ends there, and any flow where λ_M falls
        below 1e-8 λ₁: the rank of ∇²L changes.
    progress
        Whether to show a bar if it takes more than two seconds.

    Returns
    -------
    FlowPath
        On the device and in the dtype of start.

    Raises
    ------
    TypeError
        If start has another dtype than float32 or float64.
    ValueError
        If an argument has the wrong shape or range, a function does not return one finite number,
        gradient flow from start does not reach Γ, Γ is a single point there, λ_M is to be followed
        and not simple there, ``lr`` is at least 2/λ₁ there, or given for another S than λ₁, or
        ``rho`` is given without it.

    Warns
    -----
    RuntimeWarning
        If the flow ends early; what would come after is NaN, and ``converged`` is False. If the
        two-cycle is so lopsided that the second error is known only roughly.

    Examples
    --------
    On Figure 1's loss, λ₁ = 2F₁ and the flow is dx₁/dτ = −2x₁, dx₂/dτ = −12x₂.

    >>> import torch, samlib
    >>> from samlib.flow import limiting_flow
    >>> start = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64)
    >>> landscape = samlib.landscapes.FourDimensional()
    >>> flow = limiting_flow(landscape, start, "top_eigenvalue", [0.0, 0.5])
    >>> float(flow.x[-1, 0] / flow.x[0, 0])  # e⁻¹
    0.3678...
    >>> flow.top_eigenvalue
    tensor([19.5000, 16.0677], dtype=torch.float64)

    A function of x as the regularizer; on Γ this one has the gradient (2x₁, 2x₂).

    >>> flow = limiting_flow(landscape, start, lambda x: x.square().sum(), [0.0, 0.5])
    >>> float(flow.x[-1, 0] / flow.x[0, 0])  # e^(−1/2)
    0.6065...

    From here λ₁ = 2F₂ falls until it meets 2F₁; for a while both fall as one, then they part.

    >>> start = torch.tensor([-1.0, -1.0, 0.0, 0.0], dtype=torch.float64)
    >>> (tie,) = limiting_flow(landscape, start, "top_eigenvalue", [1.0]).ties
    >>> f"{tie.multiplicity} are tied from τ = {tie.begin:.3f} to {tie.end:.3f}"
    '2 are tied from τ = 0.044 to 0.135'
    """
    require_one_point("start", start, require_objective(objective).dim)
    require_followable("start", start)
    _require_regularizer(regularizer)
    instants = require_times(times)
    lr, rho = _require_rates(lr, rho, regularizer)
    require_fraction("rtol", rtol)
    require_fraction("atol", atol)
    rank = require_rank(rank, objective)
    require_fraction("gap_rtol", gap_rtol)
    require_flag("progress", progress)
    first = _project_start(objective, start, rtol / 10, atol / 10, rank)
    drift = Drift(Gamma(objective, first.x, int(first.rank)), regularizer, lr, rho)
    drift.value(drift.gamma.begin)  # a function that returns no number is refused here
    _require_stable(lr, drift.gamma.begin.top_eigenvalue)
    if regularizer == "top_eigenvalue":
        gap_rtol = max(gap_rtol, min(_GAP_OVER_ERROR * max(rtol, atol), 0.01))
    integration = Integration(drift, gap_rtol)
    if integration.margin(drift.gamma.begin) <= 0:
        raise ValueError(f"there is no flow from Φ(start): {integration.obstacle}")
    least = 100 * torch.finfo(start.dtype).eps
    with ProgressBar(100, "limiting flow", progress) as bar:
        integration.run(instants, max(rtol, least), max(atol, least), bar)
    if integration.problem:
        warnings.warn(
            f"the flow of {drift.name} ends before τ = {instants[-1]:g}: {integration.problem}",
            RuntimeWarning,
            stacklevel=2,
        )
    if drift.most_lopsided > 1:
        warnings.warn(
            f"rho/lr is too large for a formula of first order: the gradients on the two walls are "
            f"as unequal as {drift.most_lopsided:.2g} to their sum, by the formula, which can be "
            "at most 1; the second error is known only roughly",
            RuntimeWarning,
            stacklevel=2,
        )
    return _path(drift, instants, integration)


def _project_start(
    objective: Objective, start: Tensor, rtol: float, atol: float, rank: int | None
) -> Projection:
    """Φ(start), which must lie on a manifold of minimizers with some sharpness to lower."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        first = project_to_minimizers(
            objective, start, rtol=rtol, atol=atol, rank=rank, progress=False
        )
    if not bool(first.converged):
        raise ValueError(
            "gradient flow from start does not reach a non-degenerate minimizer: it ends with "
            f"‖∇L‖ = {float(first.gradient_norm):.2g}, loss {float(first.loss):.2g}"
        )
    if int(first.rank) == 0:
        raise ValueError("the Hessian vanishes at Φ(start): there is no sharpness to lower")
    if int(first.rank) == objective.dim:
        raise ValueError(
            f"Γ is a single point at Φ(start): all {int(first.rank)} eigenvalues of the Hessian "
            "are non-zero"
        )
    return first


def _path(drift: Drift, times: NDArray[np.float64], found: Integration) -> FlowPath:
    """What was found, one entry for each time, those that were not reached NaN."""
    stops, begin = found.stops, drift.gamma.begin
    missing = len(times) - len(stops)

    def column(of: Callable[[Stop], Tensor], blank: float = torch.nan) -> Tensor:
        known = [of(stop) for stop in stops] or [of(found.start)]
        values = torch.stack(known)[: len(stops)]
        return torch.cat([values, values.new_full((missing, *values.shape[1:]), blank)])

    top = drift.regularizer == "top_eigenvalue"
    most = max([len(stop.mixture) for stop in stops], default=1)
    return FlowPath(
        drift.name,
        times=torch.as_tensor(times).to(begin.x),
        x=column(lambda stop: stop.place.x),
        value=column(lambda stop: drift.value(stop.place)),
        top_eigenvalue=column(lambda stop: stop.place.top_eigenvalue),
        trace=column(lambda stop: stop.place.trace),
        smallest_nonzero_eigenvalue=column(lambda stop: stop.place.smallest_nonzero_eigenvalue),
        eigengap=column(lambda stop: drift.eigengap(stop.place)),
        gradient_norm=column(lambda stop: stop.place.gradient_norm),
        multiplicity=column(lambda stop: torch.tensor(stop.multiplicity), 0),
        mixture=column(lambda stop: padded(stop.mixture, most, most)) if top else None,
        tied_vectors=column(lambda stop: _tied_vectors(stop, most)) if top else None,
        ties=tuple(found.ties),
        rank=drift.gamma.rank,
        evaluations=drift.gamma.evaluations,
        converged=not found.problem,
    )


def _tied_vectors(stop: Stop, most: int) -> Tensor:
    vectors = stop.place.vectors[:, : len(stop.mixture)]
    return padded(vectors, len(vectors), most)


def _require_regularizer(regularizer: str | Callable[[Tensor], Tensor]) -> None:
    named = isinstance(regularizer, str) and regularizer in REGULARIZERS
    if not (named or callable(regularizer)):
        raise ValueError(
            f"regularizer must be one of {', '.join(REGULARIZERS)}, or a function of x, "
            f"got {shown(regularizer)}"
        )


def _require_rates(
    lr: float | None, rho: float | None, regularizer: str | Callable[[Tensor], Tensor]
) -> tuple[float | None, float | None]:
    """Return η and ρ, if the flow at a finite rate is known for the regularizer."""
    if lr is None and rho is None:
        return None, None
    if lr is None:
        raise ValueError(f"rho needs lr, since what it adds depends on both, got rho={shown(rho)}")
    lr = require_number("lr", lr, positive=True)
    if regularizer != "top_eigenvalue":
        raise ValueError(
            "lr is for the flow of top_eigenvalue, whose speed at a finite learning rate is known; "
            f"got lr={lr:g} with the regularizer {shown(regularizer)}"
        )
    return lr, None if rho is None else require_number("rho", rho, positive=True)


def _require_stable(lr: float | None, top_eigenvalue: Tensor) -> None:
    if lr is not None and lr * float(top_eigenvalue) >= 2:
        raise ValueError(
            f"lr must be below 2/λ₁ = {2 / float(top_eigenvalue):.4g} at Φ(start), got {lr:g}: "
            "beyond, SAM leaves this valley"
        )
