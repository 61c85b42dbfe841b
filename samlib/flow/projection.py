"""Φ(x), the limit of gradient flow from x.

It projects a neighbourhood of the minimizer manifold Γ onto it (Lemma 3.2).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from scipy.integrate import DOP853, LSODA
from torch import Tensor

from samlib._batching import how_many_at_once
from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_fraction,
    require_point,
)
from samlib.flow.arguments import require_followable, require_rank
from samlib.flow.retraction import (
    WHOLE_SPECTRUM_DIM,
    eigenpairs_in_range,
    largest_known,
    likely_rank,
    retract,
    zero_up_to,
)
from samlib.objective import Objective, require_objective

_FOREVER = 1e10

# Before 1.16 SciPy's LSODA wanted a banded Jacobian with room below the bands for its own use.
_TAKES_BANDS_ALONE = tuple(int(part) for part in scipy.__version__.split(".")[:2]) >= (1, 16)

_FAR = 1e6


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
            f"gradient_norm≤{largest_known(self.gradient_norm):.1e}, "
            f"error≤{largest_known(self.error):.1e}, evaluations={self.evaluations})"
        )


def project_to_minimizers(
    objective: Objective,
    x: Tensor,
    *,
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
    TypeError
        If x has another dtype than float32 or float64.
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
    require_followable("x", x)
    max_evaluations = require_count("max_evaluations", max_evaluations, minimum=1)
    require_fraction("rtol", rtol)
    require_fraction("atol", atol)
    rank = require_rank(rank, objective)
    require_flag("progress", progress)
    points = x.detach().reshape(-1, objective.dim)
    chunks = torch.split(points, how_many_at_once(objective.dim**2))
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
            last = solver.status != "running" or self.evaluations >= max_evaluations
            done = self.done[active]
            due = ~done & (last | (slope < tried_at[active] / 10))
            counts = torch.stack([lost.sum(), due.sum(), (~done).sum()])
            leave, trying, left = counts.tolist()  # the one look of a step
            if leave:  # bound for infinity; their overflow would stop the others, too
                active, x = active[~lost], x[~lost]
                solver = self._integrator(x)
                continue
            self.found[active] = torch.where(done.unsqueeze(-1), self.found[active], x)
            # A try for many points costs little more than for one; for few, it can wait.
            if 2 * trying >= left > 0:
                self._try(active[due], x[due])
                tried_at[active] = torch.where(due, slope, tried_at[active])
                left = int((~self.done[active]).sum())
            if last or not left:
                break
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # LSODA's own; what it means is in its status
                solver.step()
            bar.update(self.evaluations - bar.n)

    def _try(self, which: Tensor, x: Tensor) -> None:
        """Retract these points onto Γ; take what is on Γ and agrees with the estimate before."""
        values, vectors = eigenpairs_in_range(self.objective, x, self.rank)
        ranks = self.ranks[which]
        if self.rank is None:
            above = (values > zero_up_to(values)).sum(dim=-1)
            ranks = torch.where(self._guessed_wrong[which], above, likely_rank(values))
        kept = torch.arange(values.shape[-1], device=x.device) < ranks.unsqueeze(-1)
        point, step = retract(self.objective, x, values, vectors, kept)
        tolerance = 10 * (self.atol + self.rtol * point.norm(dim=-1))
        error = (point - self._estimate[which]).norm(dim=-1)
        error = torch.where((point - x).norm(dim=-1) <= tolerance, 0.0, error)
        near = (error <= tolerance) & (step <= tolerance / 100)
        self._estimate[which], self.error[which] = point, error
        if bool(near.any()):
            self._take(which[near], point[near], ranks[near], tolerance[near])

    def _take(self, which: Tensor, points: Tensor, ranks: Tensor, tolerance: Tensor) -> None:
        """Accept those of the points that are minimizers and where the Hessian has this rank."""
        values = eigenpairs_in_range(self.objective, points, self.rank)[0]
        zero = zero_up_to(values)
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
        begin = x.cpu().double().numpy().ravel()
        if dim > WHOLE_SPECTRUM_DIM:
            return DOP853(self._velocity, 0.0, begin, _FOREVER, **tolerances)
        row, column = np.indices((dim, dim))
        rows = 2 * dim - 1 if _TAKES_BANDS_ALONE else 3 * dim - 2

        def jacobian(time: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
            hessians = self.objective.hessian(self._points(y)).cpu().double().numpy()
            packed = np.zeros((rows, batch, dim))
            packed[row - column + dim - 1, :, column] = -hessians.transpose(1, 2, 0)
            return packed.reshape(rows, batch * dim)

        band = {"lband": dim - 1, "uband": dim - 1}
        return LSODA(self._velocity, 0.0, begin, _FOREVER, jac=jacobian, **band, **tolerances)

    def _velocity(self, time: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
        self.evaluations += 1
        gradient = self.objective.gradient(self._points(y))
        velocity: NDArray[np.float64] = -gradient.cpu().double().numpy().ravel()
        return velocity

    def _points(self, y: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(y).to(self.found).reshape(-1, self.objective.dim)
