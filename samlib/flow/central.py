"""Where SAM is on average, on Γ or beside it: its central flow.

SAM zigzags over the bottom of a valley. Averaged over its two-cycle, each step descends the slope
of the loss and ½s² times that of λ₁, with s = 2ρ/(2 − ηλ₁) the distance at which it takes its
gradients, so that the mean of its iterates follows the gradient flow of L + ρ²λ₁/(2 − ηλ₁), whose
derivative by λ₁ is ½s² (our calculation). On Γ, as η and ρ → 0, that is the limiting flow of λ₁.
Cohen et al. (2025) call such a flow of averages a central flow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_flag,
    require_fraction,
    require_number,
    require_one_point,
)
from samlib.flow.arguments import require_followable, require_times
from samlib.flow.mixtures import least_mixture, padded, symmetric_basis
from samlib.flow.valley import Spot, look
from samlib.linalg.conjugate_gradients import NotPositiveDefinite
from samlib.objective import Objective, require_objective

_SHRINK, _GROW, _SAFETY = 0.2, 3.0, 0.9
_TAKES_PART = 1e-3  # a share of Q below is no part in a tie
_LEAST_STEP = 1e-12  # of the time span: a step below means that there is no way on


@dataclass(frozen=True, eq=False, repr=False)
class CentralPath:
    """What :func:`central_flow` integrated.

    Attributes
    ----------
    times
        τ, [times]. One step of SAM advances τ by ηρ².
    x
        The points, [times, dim]: the mean of two consecutive iterates of SAM.
    loss
        L there, [times].
    top_eigenvalue
        λ₁ of ∇²L there, [times].
    multiplicity
        How many of the largest eigenvalues have a share in SAM's direction, of at least a
        thousandth, [times].
    mixture, vectors
        Q, [times, k, k], and the eigenvectors V, [times, dim, k]: the direction of SAM's gradient,
        u, has E uuᵀ = VQVᵀ.
    error
        An estimate of how far x is from the exact flow, by the sum of the differences between one
        step and two half as long, [times].
    evaluations
        At how many points the curvature was computed.
    """

    times: Tensor
    x: Tensor
    loss: Tensor
    top_eigenvalue: Tensor
    multiplicity: Tensor
    mixture: Tensor
    vectors: Tensor
    error: Tensor
    evaluations: int

    def __repr__(self) -> str:
        return (
            f"CentralPath(times={len(self.times)} in [{float(self.times[0]):g}, "
            f"{float(self.times[-1]):g}], top_eigenvalue {float(self.top_eigenvalue[0]):.4g} → "
            f"{float(self.top_eigenvalue[-1]):.4g}, multiplicity≤{int(self.multiplicity.max())}, "
            f"error≤{float(self.error[-1]):.1e}, evaluations={self.evaluations})"
        )


def central_flow(
    objective: Objective,
    start: Tensor,
    times: Sequence[float] | Tensor,
    *,
    lr: float,
    rho: float,
    rtol: float = 1e-2,
    progress: bool = True,
) -> CentralPath:
    """Integrate dX/dτ = −(∇L + ½ s² Σ Q_ab ∂²(∇L)[v_a, v_b]) / ρ² with s = 2ρ/(2 − ηλ₁).

    Where λ₁ is simple, the sum is ∇λ₁, and X descends L + ρ²λ₁/(2 − ηλ₁). Where the largest
    eigenvalues are tied, v_a spans their eigenspace, and Q ⪰ 0, tr Q = 1, makes the velocity the
    shortest one: it keeps tied what SAM keeps tied. One step of SAM with η and ρ advances τ by ηρ².

    X need not be on Γ, and there need not be a Γ: where an eigenvalue of the Hessian is below about
    ρ², the loss falls as slowly in its direction as λ₁ does, and SAM is not on Γ at all. But SAM
    has to be in its two-cycle, as it is soon after it has come down into a valley. From far above
    the bottom its gradient is not along the top eigenvectors, and this flow says nothing.

    Steps are implicit, so that steep walls do not make them short. Each is made once and in two
    halves; their difference says how long the next may be.

    Parameters
    ----------
    objective
        The loss, twice differentiable by torch in its gradient as samlib's own objectives are.
    start
        [dim], near the bottom of a valley.
    times
        Increasing, not negative, [times].
    lr, rho
        SAM's learning rate η, 0 < η < 2/λ₁, and its radius ρ > 0.
    rtol
        How long the difference between a step and two halves may be, relative to the step, or to
        half the length of SAM's own zigzag where steps are shorter.
    progress
        Whether to show a bar if it takes more than two seconds.

    Returns
    -------
    CentralPath
        On the device and in the dtype of start. Up to 512 parameters the Hessian is a matrix;
        beyond, it is known by its products with vectors.

    Raises
    ------
    TypeError
        If start has another dtype than float32 or float64.
    ValueError
        If an argument has the wrong shape or range, ``lr`` is at least 2/λ₁ somewhere on the way,
        λ₁ is not positive, or the flow does not go on.

    Examples
    --------
    A valley whose floor slopes, L = ½(1 + x)y² + x²/8000: its walls are flatter to the left, and
    SAM comes to rest where the slope of the floor and ½s² times that of λ₁ cancel.

    >>> import torch, samlib
    >>> from samlib.flow import central_flow
    >>> def loss(x):
    ...     return (1 + x[..., 0]) * x[..., 1] ** 2 / 2 + x[..., 0] ** 2 / 8000
    >>> objective = samlib.Objective(loss, dim=2)
    >>> start = torch.tensor([0.0, 0.01], dtype=torch.float64)
    >>> flow = central_flow(objective, start, [9.0], lr=0.4, rho=0.01)
    >>> print(f"{float(flow.x[0, 0]):.2f}")
    -0.27
    >>> rule, steps = samlib.rules.SAM(lr=0.4, rho=0.01), 225_000
    >>> run = samlib.simulate(objective, rule, start, steps, every=steps)
    >>> print(f"{float(run.x[0, -1, 0]):.2f}")
    -0.27
    """
    require_one_point("start", start, require_objective(objective).dim)
    require_followable("start", start)
    instants = require_times(times).tolist()
    lr = require_number("lr", lr, positive=True)
    rho = require_number("rho", rho, positive=True)
    require_fraction("rtol", rtol)
    require_flag("progress", progress)
    with ProgressBar(100, "central flow", progress) as bar:
        walk = _Walk(objective, start.detach(), lr, rho)
        stops = [_stop(walk, time, instants[-1], rtol, bar) for time in instants]
    return _path(objective, instants, stops, walk.evaluations)


@dataclass(frozen=True, eq=False)
class _Stop:
    """Where the flow is at a time: x, the eigenvectors there, their mixture, the error so far."""

    spot: Spot
    mixture: Tensor
    error: float


class _NoTwoCycleError(ValueError):
    """SAM has no two-cycle along the top eigenvectors at a point."""


class _Walk:
    """The way from a start, in steps whose length it finds itself."""

    def __init__(self, objective: Objective, start: Tensor, lr: float, rho: float) -> None:
        self._objective, self.lr, self.rho = objective, lr, rho
        self.evaluations, self.time, self.error = 0, 0.0, 0.0
        self._window, self._tied = min(2, objective.dim), 1
        self._pulled: tuple[Spot, Tensor] | None = None
        self.spot = self._look(start)
        self._length = rho**2 / float(self.spot.values[0])  # how fast a wall is left

    def go(self, end: float, rtol: float, on_step: Callable[[float], object]) -> None:
        """Follow the flow to a time."""
        while self.time < end:
            length = min(self._length, end - self.time)
            better, problem = self._try(length, rtol)
            if better >= 1:
                on_step(self.time)
                if length < self._length:
                    continue  # cut by the end: it says little of the length that would be right
            self._length = length * min(_GROW, max(_SHRINK, better))
            if self._length < _LEAST_STEP * end:
                raise problem or ValueError(f"the flow does not go on from τ = {self.time:.6g}")

    def _try(self, length: float, rtol: float) -> tuple[float, _NoTwoCycleError | None]:
        """Make a step if its error allows it: how many times as long the next may be, if ≥ 1.

        Otherwise how many times as long another attempt, and why if not for the error.
        """
        try:
            error, size, point = self._step(length)
            allowed = rtol * max(size, self._half_length)
            better = _SAFETY * (allowed / error) ** 0.5 if error else _GROW
            if error > allowed:
                return better, None
            self._window = min(self._tied + 1, self._objective.dim)
            spot = self._look(point, self.spot.vectors)
        except NotPositiveDefinite:  # a step for which the loss curves down too much
            return 0.0, None
        except _NoTwoCycleError as problem:
            return 0.0, problem
        self.time, self.error, self.spot = self.time + length, self.error + error, spot
        return max(1.0, better), None

    @property
    def _half_length(self) -> float:
        """d of SAM's two-cycle, ηρλ₁/(2 − ηλ₁): what is shorter cannot be seen."""
        curvature = self.lr * float(self.spot.values[0])
        return self.rho * curvature / (2 - curvature)

    def mixture(self, length: float | None = None) -> Tensor:
        """Q of a step of a length, the last one if not given, from where it is."""
        return self._mixed(self.spot, self._length if length is None else length)[1]

    def _step(self, length: float) -> tuple[float, float, Tensor]:
        """The difference of a step and two halves, how long it is, and the better point."""
        once = self._mixed(self.spot, length)[0]
        half = self._mixed(self.spot, length / 2)[0]
        twice = self._mixed(self._look(half, self.spot.vectors), length / 2)[0]
        error, size = (twice - once).norm(), (twice - self.spot.x).norm()
        # Of first order each: the leading error drops out of this combination.
        return float(error), float(size), 2 * twice - once

    def _mixed(self, spot: Spot, length: float) -> tuple[Tensor, Tensor]:
        """One implicit step and its Q, with as many eigenvectors as take part in it."""
        while True:
            if self._pulled is None or self._pulled[0] is not spot:
                bends = in_basis(spot).mT
                self._pulled = spot, pull(spot, bends, self._tied, self.lr, self.rho)
            point, mixture = implicit_step(spot, self._pulled[1], self.rho**2 / length)
            self._tied = _taking_part(mixture)
            if float(mixture[-1, -1]) <= _TAKES_PART or len(mixture) == self._objective.dim:
                return point, mixture
            self._window = min(len(mixture) + 1, self._objective.dim)
            wider = self._look(spot.x, spot.vectors)
            if spot is self.spot:
                self.spot = wider
            spot = wider

    def _look(self, x: Tensor, guess: Tensor | None = None) -> Spot:
        self.evaluations += 1
        spot = look(self._objective, x, self._window, guess)
        top = float(spot.values[0])
        if not top > 0:
            raise _NoTwoCycleError(
                f"λ₁ must be positive for SAM's two-cycle, got {top:.4g} on the way"
            )
        if self.lr * top >= 2:
            raise _NoTwoCycleError(
                f"lr must be below 2/λ₁ = {2 / top:.4g} all the way, got {self.lr:g}: beyond, SAM "
                "leaves this valley"
            )
        return spot


def in_basis(spot: Spot) -> Tensor:
    """∂²(∇L)[v_a, v_b] as coefficients of symmetric_basis, [n, dim]."""
    basis = symmetric_basis(len(spot.values)).to(spot.x)
    return torch.einsum("nab,abd->nd", basis, spot.bends)


def pull(spot: Spot, bends: Tensor, tied: int, lr: float, rho: float) -> Tensor:
    """What a step of SAM adds to ∇L on average, for each column ∂²(∇L)[v_a, v_b] of bends [dim, n].

    Along the walls, the first so many eigenvectors, that is ½s² of it. Across, SAM looks ahead
    along the slope that its gradient has there beside the tied v_a, t = −½(s² − d²)(κ + ∇²L)⁻¹
    ∂²(∇L)[v_a, v_b]/ρ with κ = λ₁d/ρ, which takes back ρ∇²L t.
    """
    top, walls = float(spot.values[0]), spot.vectors[:, :tied]
    half = lr * rho * top / (2 - lr * top)
    reach, stiffness = rho + half, top * half / rho
    within = walls @ (walls.mT @ bends)
    across = bends - within
    ahead = stiffness * spot.damped(stiffness, across)
    ahead = ahead - walls @ (walls.mT @ ahead)
    return (reach**2 * within + half**2 * across + (reach**2 - half**2) * ahead) / 2


def implicit_step(spot: Spot, pulls: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """One step of the central flow: the point after it [dim], and Q [k, k].

    The step is Δ = −(damping + ∇²L)⁻¹ (∇L + Σ q_n pull_n) with damping = ρ²/length. Q is chosen
    so that afterwards, as far as the bends tell, the largest eigenvalue is that of all v_a with a
    share in it, and no other is larger. Without a tie or a look ahead, and with the s of spot, Δ
    minimizes L + ½s²λ₁ + damping ‖Δ‖²/2, and this is the solution of the dual problem.
    """
    basis, bends = symmetric_basis(len(spot.values)).to(spot.x), in_basis(spot)
    moved = spot.damped(damping, torch.cat([spot.gradient.unsqueeze(-1), pulls], dim=1))
    down, along = moved[:, 0], moved[:, 1:]
    gram = bends @ along
    linear = (bends @ down.unsqueeze(-1)).squeeze(-1)
    linear = linear - torch.einsum("nab,ab->n", basis, spot.values.diag())
    mixture = least_mixture((gram + gram.mT).cpu().double() / 2, linear.cpu().double())
    mixture = mixture.to(spot.x)
    shares = torch.einsum("nab,ab->n", basis, mixture)
    return spot.x - down - (along @ shares.unsqueeze(-1)).squeeze(-1), mixture


def _stop(walk: _Walk, time: float, end: float, rtol: float, bar: ProgressBar) -> _Stop:
    walk.go(time, rtol, lambda now: bar.update(int(100 * now / end) - bar.n) if end else None)
    return _Stop(walk.spot, walk.mixture(), walk.error)


def _path(
    objective: Objective, times: list[float], stops: list[_Stop], evaluations: int
) -> CentralPath:
    x = torch.stack([stop.spot.x for stop in stops])
    most = max(len(stop.mixture) for stop in stops)
    return CentralPath(
        times=torch.tensor(times).to(x),
        x=x,
        loss=objective.value(x),
        top_eigenvalue=torch.stack([stop.spot.values[0] for stop in stops]),
        multiplicity=torch.tensor([_taking_part(stop.mixture) for stop in stops]),
        mixture=torch.stack([padded(stop.mixture, most, most) for stop in stops]),
        vectors=torch.stack(
            [padded(stop.spot.vectors[:, : len(stop.mixture)], len(x[0]), most) for stop in stops]
        ),
        error=torch.tensor([stop.error for stop in stops]).to(x),
        evaluations=evaluations,
    )


def _taking_part(mixture: Tensor) -> int:
    return int((torch.linalg.eigvalsh(mixture) > _TAKES_PART).sum())
