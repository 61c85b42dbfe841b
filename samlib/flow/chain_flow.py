"""The flow on Γ that the chain of the residuals drives: SAM at a finite learning rate."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
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
from samlib.flow.chain_drift import component_slopes, number_of_components, velocity_along_gamma
from samlib.flow.chain_walk import Sampling, require_batch_size, require_gram
from samlib.flow.projection import project_to_minimizers
from samlib.flow.retraction import retract
from samlib.objective import Objective, require_objective

# How long the last of Newton's steps onto Γ may be, relative to x, for another try from there.
_NEARBY = 1e-6


@dataclass(frozen=True, eq=False)
class ChainFlow:
    """What :func:`chain_flow` integrated.

    Attributes
    ----------
    times
        τ, [times]. One step of SAM advances τ by ηρ².
    x
        The points on Γ, [times, dim].
    trace
        Tr ∇²L there, [times].
    top_eigenvalue
        λ₁ of ∇²L there, [times].
    gradient_norm
        ‖∇L‖ there, [times]: zero on Γ.
    evaluations
        How many times the moments of the chain were estimated.
    """

    times: Tensor
    x: Tensor
    trace: Tensor
    top_eigenvalue: Tensor
    gradient_norm: Tensor
    evaluations: int

    def __repr__(self) -> str:
        return (
            f"ChainFlow(times={len(self.times)} in [{float(self.times[0]):g}, "
            f"{float(self.times[-1]):g}], trace {float(self.trace[0]):.4g} → "
            f"{float(self.trace[-1]):.4g}, evaluations={self.evaluations})"
        )


def chain_flow(
    objective: Objective,
    start: Tensor,
    times: Sequence[float] | Tensor,
    *,
    lr: float,
    batch_size: int | None = 1,
    samples: int = 2**18,
    seed: int = 0,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    progress: bool = True,
) -> ChainFlow:
    """Integrate the drift of SAM on mini-batches from X(0) = Φ(start), as ρ → 0 at fixed η.

    The chain makes the same draws at each evaluation. What its averages lack is therefore a
    systematic error of the path, of the order of 1/√samples; another seed shows it.

    Parameters
    ----------
    objective
        As for :func:`chain_drift`; Γ as for :func:`samlib.project_to_minimizers`.
    start
        [dim], on Γ or not.
    times
        Increasing, not negative, [times].
    lr, batch_size, seed
        As for :func:`residual_chain`.
    samples
        Over how many states of the chain to average at each evaluation.
    rtol, atol
        Tolerances of the adaptive integrator at each step. Below about 1/√samples of the length of
        a step, it would chase the noise of the averages.
    progress
        Whether to show a bar if it takes more than two seconds.

    Returns
    -------
    ChainFlow
        On the device and in the dtype of start.

    Raises
    ------
    ValueError
        As :func:`chain_drift`, or if gradient flow from start does not reach Γ, or the flow does
        not go on along it.

    Examples
    --------
    Full-batch SAM is as fast as (2/(2 − ηλ₁))² says; at the bottom of Figure 1's loss, λ₁ = 16.

    >>> import torch, samlib
    >>> from samlib.flow import chain_flow
    >>> figure, start = samlib.landscapes.FourDimensional(), torch.tensor([1e-3, 0, 0, 0]).double()
    >>> options = {"batch_size": None, "rtol": 1e-8, "atol": 1e-9}
    >>> flow = chain_flow(figure, start, [0.0, 0.1], lr=0.02, **options)
    >>> rate = torch.log(flow.x[0, 0] / flow.x[1, 0]) / 0.1
    >>> print(f"{float(rate):.4f} {2 * (2 / (2 - 0.02 * 16)) ** 2:.4f}")
    2.8345 2.8345
    """
    require_one_point("start", start, require_objective(objective).dim)
    require_followable("start", start)
    instants = require_times(times).tolist()
    lr = require_number("lr", lr, positive=True)
    batch_size = require_batch_size(batch_size)
    samples = require_count("samples", samples, minimum=1)
    generator = torch.Generator().manual_seed(require_seed("seed", seed))
    require_fraction("rtol", rtol)
    require_fraction("atol", atol)
    require_flag("progress", progress)
    with ProgressBar(None, "flow of the chain", progress) as bar:
        path = _Path(objective, start, Sampling(lr, batch_size, samples, generator, bar))
        x = path.follow(instants, rtol, atol)
    return _flow(objective, instants, x, path.evaluations)


class _Path:
    """The way of the drift along Γ from Φ(start).

    The velocity at a point off Γ is the one at its retraction on Γ. The draws are the same at each
    evaluation, so that it is nearly as smooth as an integrator needs it.
    """

    def __init__(self, objective: Objective, start: Tensor, how: Sampling) -> None:
        self._objective, self._how = objective, how
        self.evaluations = 0
        self._begin = _on_gamma(objective, start.detach())
        self._gradients = component_slopes(objective, self._begin)

    def follow(self, times: list[float], rtol: float, atol: float) -> Tensor:
        """The points on Γ at these times, [times, dim]."""
        points = [self._begin]
        for before, time in pairwise([0.0, *times]):
            if time == before:  # at the very start
                points.append(points[-1])
                continue
            begin = points[-1].cpu().double().numpy()
            found = solve_ivp(self._velocity, (before, time), begin, rtol=rtol, atol=atol)
            x = self._retract(torch.from_numpy(found.y[:, -1]).to(self._begin))
            if found.status != 0 or not bool(x.isfinite().all()):
                raise ValueError(
                    f"times must end before τ = {float(found.t[-1]):.6g}, from where the flow does "
                    f"not go on along Γ, got {time:g} in it"
                )
            points.append(x)
        return torch.stack(points[1:])

    def _velocity(self, time: float, state: NDArray[np.float64]) -> NDArray[np.float64]:
        """dX/dτ; not a number where there is no way back to Γ: the step is shortened then."""
        x = self._retract(torch.from_numpy(state).to(self._begin))
        if not bool(x.isfinite().all()):
            return np.full_like(state, np.nan)
        self.evaluations += 1
        self._gradients = component_slopes(self._objective, x)
        gram = require_gram(self._gradients @ self._gradients.mT)
        draws = self._how.generator
        draws.manual_seed(draws.initial_seed())
        averages = run_chains(gram, self._how)
        speeds = averages.speeds(gram).mean(dim=0).to(x)
        velocity = velocity_along_gamma(self._objective, x, self._gradients, speeds)
        result: NDArray[np.float64] = velocity.cpu().double().numpy()
        return result

    def _retract(self, x: Tensor) -> Tensor:
        return retract_along(self._objective, x, self._gradients)


def retract_along(objective: Objective, x: Tensor, gradients: Tensor) -> Tensor:
    """The points of Γ next to x [..., dim], from the ∇f_k of a point nearby; NaN if not found."""
    for _ in range(2):
        values, vectors = _eigenpairs(gradients)
        everything = torch.ones_like(values, dtype=torch.bool)
        x, last = retract(objective, x, values, vectors, everything)
        size = x.norm(dim=-1)
        if bool((last <= 1000 * torch.finfo(x.dtype).eps * size).all()):
            return x
        if x.dim() > 1 or not bool(last <= _NEARBY * size):
            break
        gradients = component_slopes(objective, x)
    return torch.full_like(x, torch.nan)


def _eigenpairs(gradients: Tensor) -> tuple[Tensor, Tensor]:
    """The non-zero eigenvalues of ∇²L = JᵀJ/M on Γ, rising, and their vectors [dim, M]."""
    values, vectors = torch.linalg.eigh((gradients @ gradients.mT).cpu().double())
    across = gradients.mT @ (vectors / values.sqrt()).to(gradients)
    return values.to(gradients) / len(gradients), across


def _on_gamma(objective: Objective, start: Tensor) -> Tensor:
    """Φ(start), [dim]."""
    count = number_of_components(objective)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = project_to_minimizers(objective, start, rank=count, progress=False)
    if not bool(found.converged):
        raise ValueError(
            "gradient flow from start does not reach a minimizer with a Hessian of rank "
            f"{count}: it ends with ‖∇L‖ = {float(found.gradient_norm):.2g}"
        )
    return found.x


def _flow(objective: Objective, times: Sequence[float], x: Tensor, evaluations: int) -> ChainFlow:
    values = torch.stack([_eigenpairs(component_slopes(objective, each))[0] for each in x])
    return ChainFlow(
        times=torch.tensor(times).to(x),
        x=x,
        trace=values.sum(dim=-1),
        top_eigenvalue=values[:, -1],
        gradient_norm=objective.gradient(x).norm(dim=-1),
        evaluations=evaluations,
    )
