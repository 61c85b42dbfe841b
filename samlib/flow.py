"""Where gradient flow leads, and the limiting flows that SAM follows along Γ.

Φ(x), the limit of gradient flow from x, projects a neighbourhood of the minimizer manifold Γ
onto it (Lemma 3.2). On Γ, SAM drifts along a flow of its own, which lowers the top eigenvalue
(eq. 7), 1-SAM along the one that lowers the trace (Theorem 5.4).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy
import torch
from numpy.typing import NDArray
from scipy.integrate import DOP853, LSODA, solve_ivp
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_fraction,
    require_numbers,
    require_one_point,
    require_point,
    shown,
)
from samlib.curvature import top_eigenpairs
from samlib.objective import Objective, require_objective

Regularizer = Literal["top_eigenvalue", "trace", "smallest_nonzero_eigenvalue"]
REGULARIZERS = ("top_eigenvalue", "trace", "smallest_nonzero_eigenvalue")

# Up to this many parameters the Hessian is formed and diagonalized; beyond, Lanczos computes as
# many eigenpairs as the caller says are not zero.
_DENSE_DIM = 512
# Numbers of all the points' Hessians together, up to which points are integrated as one system.
_HESSIAN_NUMBERS = 2**24
_FOREVER = 1e10
# Before 1.16 SciPy's LSODA wanted a banded Jacobian with room below the bands for its own use.
_TAKES_BANDS_ALONE = tuple(int(part) for part in scipy.__version__.split(".")[:2]) >= (1, 16)
_FAR = 1e6
_NEWTON_STEPS = 20


@dataclass(frozen=True, eq=False, repr=False)
class Projection:
    """Φ(x), with the evidence for it.

    Attributes
    ----------
    x
        Φ(x), [..., dim].
    loss, gradient_norm
        L and ‖∇L‖ there, [...]: how far from Γ the point still is.
    rank
        M, the number of eigenvalues of ∇²L(Φ(x)) that are not zero, [...]; 0 where not converged.
    error
        The distance between the last two estimates of Φ(x), the first of them made when the
        gradient was at least ten times as large, [...]. It leaves out what the integrator has
        lost before, which ``rtol`` bounds step by step.
    evaluations
        How many gradients were computed per point.
    converged
        Whether the point is on Γ and ``error`` is within the tolerance, [...], boolean. Where
        it is False, x is the last point of the flow.
    """

    x: Tensor
    loss: Tensor
    gradient_norm: Tensor
    rank: Tensor
    error: Tensor
    evaluations: int
    converged: Tensor

    def __repr__(self) -> str:
        points, done = self.converged.numel(), int(self.converged.sum())
        return (
            f"Projection(shape={tuple(self.x.shape)}, converged={done} of {points}, "
            f"gradient_norm≤{_largest(self.gradient_norm):.1e}, "
            f"error≤{_largest(self.error):.1e}, evaluations={self.evaluations})"
        )


def project_to_minimizers(
    objective: Objective,
    x: Tensor,
    rtol: float = 1e-9,
    atol: float = 1e-9,
    rank: int | None = None,
    max_evaluations: int = 100_000,
    progress: bool = True,
) -> Projection:
    """Φ(x), the limit of the gradient flow dx/dt = −∇L(x) from x (Lemma 3.2).

    SciPy integrates the flow with error control until the rest of the way to Γ is straight:
    Newton's method along the Hessian's range then ends at Φ(x) up to the square of the remaining
    distance. It is tried each time the gradient has shrunk tenfold, and taken when two tries
    in a row agree.

    Parameters
    ----------
    objective
        The loss. Γ must be a manifold of local minimizers on which ∇²L has constant rank
        (Assumption 3.3); an isolated non-degenerate minimizer is one.
    x
        [..., dim]. Points of a batch are integrated together.
    rtol, atol
        Tolerances of the integrator at each step, relative and absolute for each component.
        They are raised to 100 times the rounding unit of x's dtype.
    rank
        M, if known. Up to 512 parameters it is read off the spectrum on Γ, where an eigenvalue
        below 1e-8 λ₁ counts as zero, and a point where it differs from the given one does not
        converge. Beyond, it is required: the loss is then only touched through Hessian-vector
        products, and the integrator is one for problems that are not stiff, whose steps are at
        most about 6/λ₁ long.
    max_evaluations
        Stop after so many gradients per point, converged or not.
    progress
        Whether to show a bar if it takes more than two seconds.

    Returns
    -------
    Projection
        On the device and in the dtype of x. The integrator itself runs on the CPU.

    Raises
    ------
    ValueError
        If x has the wrong shape or is not finite, an argument is out of range, or rank is
        missing.

    Warns
    -----
    RuntimeWarning
        If some point has not converged: the flow was cut short, or its limit is not a
        non-degenerate minimizer (a saddle, infinity).

    Examples
    --------
    >>> import torch, samlib
    >>> from samlib.flow import project_to_minimizers
    >>> valleys = samlib.landscapes.TwoValleys()
    >>> start = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    >>> project_to_minimizers(valleys, start).x.round(decimals=4)
    tensor([0.1695, 0.0000, 0.0000], dtype=torch.float64)
    """
    require_point("x", x, require_objective(objective).dim)
    _require_finite("x", x)
    max_evaluations = require_count("max_evaluations", max_evaluations, minimum=1)
    require_fraction("rtol", rtol)
    require_fraction("atol", atol)
    rank = _require_rank(rank, objective)
    require_flag("progress", progress)
    points = x.detach().reshape(-1, objective.dim)
    together = max(1, _HESSIAN_NUMBERS // objective.dim**2)
    chunks = torch.split(points, together)
    searches = [_Search(objective, chunk, rtol, atol, rank) for chunk in chunks]
    for search in searches:
        with ProgressBar(max_evaluations, "gradient flow", progress) as bar:
            search.run(max_evaluations, bar)
    found, ranks, error, converged = (
        torch.cat([getattr(search, name) for search in searches])
        for name in ("found", "ranks", "error", "done")
    )
    if not bool(converged.all()):
        warnings.warn(
            f"{int((~converged).sum())} of {len(points)} points did not reach a non-degenerate "
            f"minimizer by gradient flow within {max_evaluations} gradients",
            RuntimeWarning,
            stacklevel=2,
        )
    shape = x.shape[:-1]
    return Projection(
        found.reshape(x.shape),
        objective.value(found).reshape(shape),
        objective.gradient(found).norm(dim=-1).reshape(shape),
        ranks.reshape(shape),
        error.reshape(shape),
        max(search.evaluations for search in searches),
        converged.reshape(shape),
    )


@dataclass(frozen=True, eq=False, repr=False)
class LimitingFlow:
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

    def plot(self, name: str | None = None, ax: Any = None, **style: Any) -> Any:
        """Draw what the flow lowers: see :func:`samlib.plotting.plot_limiting_flow`."""
        from samlib.plotting import plot_limiting_flow

        return plot_limiting_flow(self, name, ax, **style)

    def __repr__(self) -> str:
        value = self.value
        return (
            f"LimitingFlow({self.regularizer!r}, times={len(self.times)} in "
            f"[{float(self.times[0]):g}, {float(self.times[-1]):g}], "
            f"value {float(value[0]):.4g} → {float(value[-1]):.4g}, rank={self.rank}, "
            f"gradient_norm≤{_largest(self.gradient_norm):.1e}, converged={self.converged})"
        )


def limiting_flow(
    objective: Objective,
    start: Tensor,
    regularizer: Regularizer | Callable[[Tensor], Tensor],
    times: Sequence[float] | Tensor,
    rtol: float = 1e-8,
    atol: float = 1e-9,
    rank: int | None = None,
    gap_rtol: float = 1e-4,
    progress: bool = True,
) -> LimitingFlow:
    """Integrate dX/dτ = −½ P⊥ ∇S(X) on Γ from X(0) = Φ(start).

    P⊥ projects on the tangent space of Γ. S is one of

    * ``"top_eigenvalue"``: λ₁. Full-batch SAM follows this flow (eq. 7, Theorem 4.5);
    * ``"trace"``: 1-SAM follows it (Theorem 5.4);
    * ``"smallest_nonzero_eigenvalue"``: λ_M. Gradient descent on L^Asc follows it as η → 0 at
      fixed ρ; the same factor ½ and the same unit of time;
    * any other function of x, [dim] → [], that torch can differentiate.

    One step with η and ρ advances τ by ηρ².

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
    rtol, atol
        Tolerances of the adaptive integrator at each step; of Φ, a tenth of them.
    rank
        M. Required beyond 512 parameters, where Lanczos computes that many eigenpairs at each
        evaluation of the right-hand side.
    gap_rtol
        An eigenvalue can be followed as long as it is simple (Assumption 4.4). The flow ends
        where its distance to the next one falls below gap_rtol · λ₁, or λ_M below that.
    progress
        Whether to show a bar if it takes more than two seconds.

    Returns
    -------
    LimitingFlow
        On the device and in the dtype of start.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or range, a function does not return one finite number,
        gradient flow from start does not reach Γ, Γ is a single point there, or the eigenvalue to
        be followed is not simple there.

    Warns
    -----
    RuntimeWarning
        If the flow ends early; what would come after is NaN, and ``converged`` is False.

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
    """
    require_one_point("start", start, require_objective(objective).dim)
    _require_finite("start", start)
    named = isinstance(regularizer, str) and regularizer in REGULARIZERS
    if not (named or callable(regularizer)):
        raise ValueError(
            f"regularizer must be one of {', '.join(REGULARIZERS)}, or a function of x, "
            f"got {shown(regularizer)}"
        )
    instants = _require_times(times)
    require_fraction("rtol", rtol)
    require_fraction("atol", atol)
    rank = _require_rank(rank, objective)
    require_fraction("gap_rtol", gap_rtol)
    require_flag("progress", progress)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        first = project_to_minimizers(objective, start, rtol / 10, atol / 10, rank, progress=False)
    if not bool(first.converged):
        raise ValueError(
            "gradient flow from start does not reach a non-degenerate minimizer: it ends with "
            f"‖∇L‖ = {float(first.gradient_norm):.2g}, loss {float(first.loss):.2g}"
        )
    ranks = int(first.rank)
    if ranks == 0:
        raise ValueError("the Hessian vanishes at Φ(start): there is no sharpness to lower")
    if ranks == objective.dim:
        raise ValueError(
            f"Γ is a single point at Φ(start): all {ranks} eigenvalues of the Hessian are non-zero"
        )
    gamma = _Gamma(objective, first.x, ranks, regularizer, gap_rtol)
    if gamma.margin(gamma.begin) <= 0:
        raise ValueError(f"there is no flow from Φ(start): {gamma.obstacle}")
    least = 100 * torch.finfo(start.dtype).eps
    with ProgressBar(100, "limiting flow", progress) as bar:
        states, problem = gamma.integrate(instants, max(rtol, least), max(atol, least), bar)
    if problem:
        warnings.warn(
            f"the flow of {gamma.name} ends before τ = {instants[-1]:g}: {problem}",
            RuntimeWarning,
            stacklevel=2,
        )
    places = [gamma.at(state) for state in states]

    def column(name: str) -> Tensor:
        values = torch.stack([getattr(place, name) for place in [*places, gamma.begin]])
        result = values.new_full((len(instants), *values.shape[1:]), torch.nan)
        result[: len(places)] = values[:-1]
        return result

    return LimitingFlow(
        gamma.name,
        times=torch.as_tensor(instants).to(start),
        x=column("x"),
        value=column("value"),
        top_eigenvalue=column("top_eigenvalue"),
        trace=column("trace"),
        smallest_nonzero_eigenvalue=column("smallest_nonzero_eigenvalue"),
        eigengap=column("eigengap"),
        gradient_norm=column("gradient_norm"),
        rank=ranks,
        evaluations=gamma.evaluations,
        converged=not problem,
    )


class _Search:
    """The search for Φ of a batch of points, which SciPy integrates as one system.

    One system, because the integrator's own work at each step then does not grow with the
    number of points: it costs one batched gradient. Its error is held in the maximum norm, so a
    point is integrated as carefully as it would be alone, in the steps of the stiffest one.
    LSODA changes to implicit steps when the flow has become stiff; the Jacobian of the system is
    block diagonal, which it takes as a banded matrix.
    """

    def __init__(
        self, objective: Objective, x: Tensor, rtol: float, atol: float, rank: int | None
    ) -> None:
        least = 100 * torch.finfo(x.dtype).eps
        self.rtol, self.atol = max(rtol, least), max(atol, least)
        self.objective, self.rank = objective, rank
        self.evaluations = 0
        self.found = x.clone()
        self.error = x.new_full((len(x),), torch.inf)
        self.ranks = torch.full((len(x),), rank or 0, device=x.device)
        self.done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self._guessed_wrong = torch.zeros_like(self.done)
        self._estimate = torch.full_like(x, torch.nan)

    def run(self, max_evaluations: int, bar: ProgressBar) -> None:
        """Follow the flow until every point is found, or for so many gradients."""
        tried_at = torch.full_like(self.error, torch.inf)
        horizon = _FAR * (1 + self.found.norm(dim=-1))
        active = torch.arange(len(self.found), device=self.found.device)
        solver = self._integrator(self.found)
        while len(active):
            x = self._points(solver.y)
            slope = self.objective.gradient(x).norm(dim=-1)
            lost = ~(x.norm(dim=-1) <= horizon[active]) | ~slope.isfinite()
            if bool(lost.any()):  # bound for infinity; their overflow would stop the others, too
                active, x = active[~lost], x[~lost]
                solver = self._integrator(x)
                continue
            done = self.done[active]
            self.found[active[~done]] = x[~done]
            last = solver.status != "running" or self.evaluations >= max_evaluations
            due = ~done & (last | (slope < tried_at[active] / 10))
            # A try for many points costs little more than for one; for few, it can wait.
            if 2 * int(due.sum()) >= int((~done).sum()) > 0:
                self._try(active[due], x[due])
                tried_at[active[due]] = slope[due]
            if last or bool(self.done[active].all()):
                break
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # LSODA's own; what it means is in its status
                solver.step()
            bar.update(self.evaluations - bar.n)

    def _try(self, which: Tensor, x: Tensor) -> None:
        """Retract these points onto Γ; take what is on Γ and agrees with the estimate before."""
        values, vectors = _eigenpairs(self.objective, x, self.rank)
        ranks = self.ranks[which]
        if self.rank is None:
            above = (values > _zero(values)).sum(dim=-1)
            ranks = torch.where(self._guessed_wrong[which], above, _likely_rank(values))
        kept = torch.arange(values.shape[-1], device=x.device) < ranks.unsqueeze(-1)
        point, step = _retract(self.objective, x, values, vectors, kept)
        tolerance = 10 * (self.atol + self.rtol * point.norm(dim=-1))
        error = (point - self._estimate[which]).norm(dim=-1)
        error = torch.where((point - x).norm(dim=-1) <= tolerance, 0.0, error)
        near = (error <= tolerance) & (step <= tolerance / 100)
        self._estimate[which], self.error[which] = point, error
        if bool(near.any()):
            self._take(which[near], point[near], ranks[near], tolerance[near])

    def _take(self, which: Tensor, points: Tensor, ranks: Tensor, tolerance: Tensor) -> None:
        """Accept those of the points that are minimizers and where the Hessian has this rank."""
        values = _eigenpairs(self.objective, points, self.rank)[0]
        zero = _zero(values)
        right = (values > zero).sum(dim=-1) == ranks
        stationary = self.objective.gradient(points).norm(dim=-1) <= tolerance * values[:, 0]
        accepted = right & stationary & (values >= -zero).all(dim=-1)
        self._guessed_wrong[which] = ~right
        self.found[which[accepted]] = points[accepted]
        self.ranks[which[accepted]] = ranks[accepted]
        self.done[which] = accepted

    def _integrator(self, x: Tensor) -> Any:
        batch, dim = x.shape
        tolerances = {"rtol": self.rtol, "atol": self.atol}
        begin = x.double().cpu().numpy().ravel()
        if dim > _DENSE_DIM:
            return DOP853(self._velocity, 0.0, begin, _FOREVER, **tolerances)
        row, column = np.indices((dim, dim))
        rows = 2 * dim - 1 if _TAKES_BANDS_ALONE else 3 * dim - 2

        def jacobian(time: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
            hessians = self.objective.hessian(self._points(y)).double().cpu().numpy()
            packed = np.zeros((rows, batch, dim))
            packed[row - column + dim - 1, :, column] = -hessians.transpose(1, 2, 0)
            return packed.reshape(rows, batch * dim)

        band = {"lband": dim - 1, "uband": dim - 1}
        return LSODA(self._velocity, 0.0, begin, _FOREVER, jac=jacobian, **band, **tolerances)

    def _velocity(self, time: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
        self.evaluations += 1
        gradient = self.objective.gradient(self._points(y))
        velocity: NDArray[np.float64] = -gradient.double().cpu().numpy().ravel()
        return velocity

    def _points(self, y: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(y).to(self.found).reshape(-1, self.objective.dim)


@dataclass(frozen=True, eq=False)
class _Place:
    """A point of Γ, with S, the non-zero eigenvalues [rank] and their eigenvectors [dim, rank]."""

    x: Tensor
    values: Tensor
    vectors: Tensor
    eigengap: Tensor
    gradient_norm: Tensor
    value: Tensor

    @property
    def top_eigenvalue(self) -> Tensor:
        return self.values[0]

    @property
    def trace(self) -> Tensor:
        return self.values.sum()

    @property
    def smallest_nonzero_eigenvalue(self) -> Tensor:
        return self.values[-1]


class _Gamma:
    """Γ near a point, with a limiting flow on it.

    The velocity at a point off Γ is the one at its retraction on Γ: then the flow of R^D
    leaves Γ only by the integrator's error, which does not feed back, and the integrator needs to
    know nothing of Γ.
    """

    def __init__(
        self,
        objective: Objective,
        x: Tensor,
        rank: int,
        regularizer: str | Callable[[Tensor], Tensor],
        gap_rtol: float,
    ) -> None:
        self.objective, self.rank, self.regularizer = objective, rank, regularizer
        self.gap_rtol = gap_rtol
        self.evaluations = 0
        self._like = x
        self._last: tuple[NDArray[np.float64], _Place] | None = None
        self.begin = self.at(x.double().cpu().numpy())

    def integrate(
        self, times: NDArray[np.float64], rtol: float, atol: float, bar: ProgressBar
    ) -> tuple[NDArray[np.float64], str]:
        """Return the states at those times that could be reached, and why not at all."""
        begin = self._like.double().cpu().numpy()
        if times[-1] == 0:
            return begin[None, :], ""

        def margin(time: float, state: NDArray[np.float64]) -> float:
            return self.margin(self.at(state))

        margin.terminal = True  # type: ignore[attr-defined]

        def velocity(time: float, state: NDArray[np.float64]) -> NDArray[np.float64]:
            bar.update(max(0, int(100 * time / times[-1]) - bar.n))
            result: NDArray[np.float64] = self._velocity(self.at(state)).double().cpu().numpy()
            return result

        solution = solve_ivp(
            velocity,
            (0.0, float(times[-1])),
            begin,
            method="DOP853",
            t_eval=times,
            events=margin,
            rtol=rtol,
            atol=atol,
        )
        problem = "" if solution.status == 0 else str(solution.message)
        if solution.status == 1:
            problem = f"{self.obstacle} at τ = {solution.t_events[0][0]:.6g}"
        return np.asarray(solution.y).T.reshape(-1, len(begin)), problem

    @property
    def name(self) -> str:
        """What S is called."""
        if isinstance(self.regularizer, str):
            return self.regularizer
        return getattr(self.regularizer, "__name__", type(self.regularizer).__name__)

    @property
    def obstacle(self) -> str:
        """What ends a flow."""
        return (
            f"the eigenvalue that it follows meets another one (their distance falls below "
            f"{self.gap_rtol:g} λ₁) or the rank of the Hessian falls below {self.rank}"
        )

    def margin(self, place: _Place) -> float:
        """Positive as long as the flow is well defined (Assumptions 3.3 and 4.4)."""
        gap = float(place.eigengap) / self.gap_rtol
        rest = float(place.values[-1] / _zero(place.values))
        return math.log(max(min(gap, rest), 1e-300))

    def at(self, state: NDArray[np.float64]) -> _Place:
        """The point of Γ next to state, and the curvature there."""
        if self._last is None or not np.array_equal(self._last[0], state):
            self.evaluations += 1
            self._last = (state.copy(), self._place(torch.from_numpy(state).to(self._like)))
        return self._last[1]

    def _place(self, x: Tensor) -> _Place:
        point = x if self._last is None else self._retract(x, self._last[1])
        values, vectors = self._eigenpairs(point)
        gaps = (values[:-1] - values[1:]) / values[0]
        gap = values.new_tensor(torch.inf)
        if len(gaps) and self.regularizer == "top_eigenvalue":
            gap = gaps[0]
        elif len(gaps) and self.regularizer == "smallest_nonzero_eigenvalue":
            gap = gaps[-1]
        length = self.objective.gradient(point).norm()
        return _Place(point, values, vectors, gap, length, self._value(point, values))

    def _value(self, x: Tensor, values: Tensor) -> Tensor:
        """S at a point of Γ, where ∇²L has these non-zero eigenvalues."""
        if callable(self.regularizer):
            value = self.regularizer(x).detach()
            if value.shape != () or not bool(value.isfinite()):
                raise ValueError(f"regularizer must return one finite number, got {value}")
            return value
        return {"top_eigenvalue": values[0], "trace": values.sum()}.get(
            self.regularizer, values[-1]
        )

    def _retract(self, x: Tensor, last: _Place) -> Tensor:
        """The point of Γ next to x, with the eigenvectors of the last place if they are good."""
        everything = torch.ones_like(last.values, dtype=torch.bool)
        point, step = _retract(self.objective, x, last.values, last.vectors, everything)
        if not bool(step <= 1000 * torch.finfo(x.dtype).eps * x.norm()):
            point, _ = _retract(self.objective, x, *self._eigenpairs(x), everything)
        return point

    def _eigenpairs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The non-zero eigenvalues of ∇²L(x), [rank], and their eigenvectors, [dim, rank]."""
        known = None if self.objective.dim <= _DENSE_DIM else self.rank
        values, vectors = _eigenpairs(self.objective, x[None], known)
        return values[0, : self.rank], vectors[0, :, : self.rank]

    def _velocity(self, place: _Place) -> Tensor:
        """−½ P⊥ ∇S on Γ, [dim]."""
        vectors = place.vectors
        slope = self._slope(place)
        return -(slope - vectors @ (vectors.mT @ slope)) / 2

    def _slope(self, place: _Place) -> Tensor:
        """∇S, up to its part across Γ, [dim]."""
        if callable(self.regularizer):
            return _gradient(self.regularizer, place.x)
        # Of Tr = Σ vᵢᵀ∇²L vᵢ over an eigenbasis, the zero eigenvalues' share has no derivative
        # along Γ: ∇²L v = 0 there for every tangent v, and moving along Γ it stays so.
        followed = {
            "top_eigenvalue": place.vectors[:, :1],
            "trace": place.vectors,
            "smallest_nonzero_eigenvalue": place.vectors[:, -1:],
        }[self.regularizer]
        return _curvature_gradient(self.objective, place.x, followed.mT)


def _curvature_gradient(objective: Objective, x: Tensor, directions: Tensor) -> Tensor:
    """∇ₓ Σ vᵢᵀ∇²L(x)vᵢ with the directions [k, dim] held fixed: Σ ∂³L[vᵢ, vᵢ, ·].

    For simple eigenvalues and their eigenvectors this is the gradient of their sum: the change of
    a unit eigenvector does not contribute at first order.
    """
    directions = directions.detach().contiguous()

    def curvature(x: Tensor) -> Tensor:
        images = objective.hessian_vector_product(x.expand_as(directions), directions)
        return (images * directions).sum()

    return _gradient(curvature, x)


def _gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∇ of a function of x, [dim]; zero if it does not depend on x."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        value = function(at)
        if not value.requires_grad:
            return torch.zeros_like(x)
        (slope,) = torch.autograd.grad(value, at, materialize_grads=True)
    return slope


def _eigenpairs(objective: Objective, x: Tensor, rank: int | None) -> tuple[Tensor, Tensor]:
    """Eigenvalues [batch, k], largest first, and eigenvectors [batch, dim, k] of ∇²L(x).

    All of them for a small dimension, otherwise as many as the rank says.
    """
    if objective.dim > _DENSE_DIM:
        assert rank is not None
        products = min(objective.dim, 300 + 10 * rank)
        found = top_eigenpairs(objective, x, rank, 1e-8, max_products=products, progress=False)
        return found.values, found.vectors
    hessian = objective.hessian(x)
    finite = hessian.isfinite().all(dim=(-2, -1), keepdim=True)
    values, vectors = torch.linalg.eigh(torch.where(finite, hessian, 0.0))
    return values.flip(-1), vectors.flip(-1)


def _zero(values: Tensor) -> Tensor:
    """Up to what size an eigenvalue counts as zero beside the first of values [..., k]."""
    return values[..., :1].abs() * max(1e-8, 100 * torch.finfo(values.dtype).eps)


def _likely_rank(values: Tensor) -> Tensor:
    """The rank of ∇²L on Γ, guessed nearby from all its eigenvalues, [batch, dim] → [batch].

    The zero eigenvalues have grown a little, in either direction: the guess is the place of the
    largest drop. It is checked on Γ, and replaced by a count if it was wrong.
    """
    zero = _zero(values)
    rest = torch.maximum(values[:, 1:].abs(), values[:, -1:].abs())
    rest = torch.cat([rest, torch.zeros_like(zero)], dim=-1).maximum(zero)
    drop = torch.where(values > zero, values / rest, 0.0)
    return torch.where(drop.amax(dim=-1) > 0, drop.argmax(dim=-1) + 1, 0)


def _retract(
    objective: Objective, x: Tensor, values: Tensor, vectors: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor]:
    """Move points near Γ onto it by Newton steps in the span of the eigenvectors to be kept.

    The eigenpairs are those at x or nearby, and kept fixed: the error then still shrinks at each
    step by a factor of the order of the distance. Stops when no step is less than half as long
    as the one before. Returns the points [..., dim] and the length of the last step [...].
    """
    inverse = torch.where(kept, 1 / values, 0.0)
    step = x.new_full(x.shape[:-1], torch.inf)
    rounding = 4 * torch.finfo(x.dtype).eps
    for _ in range(_NEWTON_STEPS):
        coefficients = inverse * (vectors.mT @ objective.gradient(x).unsqueeze(-1)).squeeze(-1)
        move = (vectors @ coefficients.unsqueeze(-1)).squeeze(-1)
        x = x - move
        before, step = step, move.norm(dim=-1)
        if bool(((step <= rounding * x.norm(dim=-1)) | (step >= before / 2)).all()):
            break
    return x, step


def _require_times(times: Sequence[float] | Tensor) -> NDArray[np.float64]:
    instants = require_numbers("times", times)
    if not (bool((instants.diff() > 0).all()) and float(instants[0]) >= 0):
        raise ValueError(f"times must be finite, not negative and increasing, got {shown(times)}")
    return instants.numpy()


def _require_finite(name: str, x: Tensor) -> None:
    if not bool(x.isfinite().all()):
        wrong = x[~x.isfinite()][0].item()
        raise ValueError(f"{name} must be finite, got {wrong} in it")


def _require_rank(rank: int | None, objective: Objective) -> int | None:
    if rank is not None:
        rank = require_count("rank", rank, minimum=1)
        if rank > objective.dim:
            raise ValueError(f"rank must be at most dim = {objective.dim}, got {shown(rank)}")
    elif objective.dim > _DENSE_DIM:
        raise ValueError(
            f"with more than {_DENSE_DIM} parameters, here {objective.dim}, rank is required: the "
            "number of non-zero eigenvalues on Γ, such as the number of fitted data points"
        )
    return rank


def _largest(values: Tensor) -> float:
    known = values[~values.isnan()]
    return float(known.max()) if known.numel() else math.nan
