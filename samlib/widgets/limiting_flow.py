"""The limiting flow: a real network trained by SAM, against the flows of the theorems."""

from __future__ import annotations

import functools
import math
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import traitlets
from torch import Tensor

import samlib
from samlib.widgets._draws import mulberry32
from samlib.widgets.base import Figure, Real, Whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure as MatplotlibFigure

    from samlib.dynamics.rules import Rule
    from samlib.flow import FlowPath as Flow
    from samlib.problems import InterpolatingNetwork

DEFAULTS: Mapping[str, Any] = {
    "network": 0,
    "rho": 0.05,
    "lr": 0.1,
    "batch_size": 5,
    "seed": 1,
    "time": 4.0,
    "frame": 60,
}

# What a slider covers; the number field beside it takes anything within LIMITS.
SLIDERS: Mapping[str, tuple[float, float]] = {
    "rho": (0.01, 0.5),
    "lr": (0.01, 1.0),
    "batch_size": (1, 5),
    "time": (0.5, 10.0),
}

LIMITS: Mapping[str, tuple[float, float]] = {
    "rho": (1e-3, 10.0),
    "lr": (1e-3, 10.0),
    "time": (0.01, 20.0),
}

CHECKPOINTS = 60
MOST_STEPS = 600_000

# Gradient descent fits the network with this learning rate, until ‖∇L‖ is below that.
_FIT_LR, _FIT_NORM, _FIT_MOST = 0.1, 1e-4, 100_000
_POINTS = 5
# A run that is farther away than so many times the length of the weights has diverged.
_FAR = 100


class LimitingFlow(Figure):
    """A network with 50 parameters, trained by SAM on the page, and the limiting flows beside it.

    The network of :func:`samlib.problems.interpolating_network` is fitted to its five data points
    by gradient descent; then SAM goes on from there. Full-batch SAM is to follow the limiting flow
    of λ₁ (Theorem 4.5), 1-SAM that of the trace (Theorem 5.4), the better the smaller η and ρ are.
    The figure measures how well they do. What mini-batches between do is an open question.

    Parameters
    ----------
    network
        The seed of the data and the initial weights, 0 to 2³¹ − 1.
    rho, lr
        SAM's radius ρ and the learning rate η, both from 0.001 to 10.
    batch_size
        m, 1 to 5: the first m of the five points in an order drawn anew at every step. 5 is the
        full batch.
    seed
        Fixes the mini-batches, 0 to 2³¹ − 1. Batches of several sizes share their orders.
    time
        τ = ηρ² · steps at the end, 0.01 to 20. A run stops after 600,000 steps.
    frame
        Which of the 61 evenly spaced checkpoints is shown, 0 to 60; the last unless told.

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is not finite or out of range.
        The message names the trait, the value and what is allowed.

    Notes
    -----
    The runs of batches of 2 to 4 amplify rounding: a page and Python agree in what they do but
    not, after the first thousand steps, in every digit. For some networks the full batch does so,
    too, where ρ > η; 1-SAM does not.

    Examples
    --------
    >>> figure = LimitingFlow(time=0.5)
    >>> curvature = figure.on_gamma()
    >>> flow = figure.limiting_flows()["top_eigenvalue"]
    >>> error = (curvature["top_eigenvalue"] - flow.top_eigenvalue).abs() / flow.top_eigenvalue
    >>> bool(error.max() < 0.01)
    True
    """

    _state_names = ("network", "rho", "lr", "batch_size", "seed", "time", "frame")
    _defaults = DEFAULTS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("LimitingFlow", read_only=True).tag(sync=True)
    network: Any = Whole(0, 2**31 - 1).tag(sync=True)
    rho: Any = Real(*LIMITS["rho"]).tag(sync=True)
    lr: Any = Real(*LIMITS["lr"]).tag(sync=True)
    batch_size: Any = Whole(1, _POINTS).tag(sync=True)
    seed: Any = Whole(0, 2**31 - 1).tag(sync=True)
    time: Any = Real(*LIMITS["time"]).tag(sync=True)
    frame: Any = Whole(0, CHECKPOINTS).tag(sync=True)

    @property
    def problem(self) -> InterpolatingNetwork:
        """The network with its data, and its initial weights."""
        return samlib.problems.interpolating_network(seed=self.network)

    @property
    def fitted(self) -> Tensor:
        """Where gradient descent (η = 0.1, until ‖∇L‖ < 10⁻⁴) leaves the weights, [50]."""
        return _fitted(self.network)

    @property
    def steps(self) -> Tensor:
        """The steps at the checkpoints, [61]."""
        # The factor is for a quotient that rounding has put below the whole number that it is.
        steps = math.floor((self.time / (self.lr * self.rho * self.rho)) * (1 + 1e-12))
        last = min(max(steps, 1), MOST_STEPS)
        steps_at: Tensor = torch.arange(CHECKPOINTS + 1) * last // CHECKPOINTS
        return steps_at

    @property
    def times(self) -> Tensor:
        """τ = ηρ² · step at the checkpoints, [61]."""
        times: Tensor = self.steps.double() * self.lr * self.rho * self.rho
        return times

    @property
    def x(self) -> Tensor:
        """The weights at the checkpoints of the run, by :func:`samlib.simulate`, [61, 50]."""
        x: Tensor = _run(self.network, self._rule(), self.seed, tuple(self.steps.tolist()))
        return x

    def on_gamma(self) -> dict[str, Tensor]:
        """λ₁ and the trace of ∇²L at the point of Γ beside each checkpoint, [61].

        By :func:`samlib.flow.project_to_minimizers`; NaN where that does not arrive.

        Returns
        -------
        dict
            ``top_eigenvalue`` and ``trace``.
        """
        return _on_gamma(self.network, self._rule(), self.seed, tuple(self.steps.tolist()))

    @property
    def alignment(self) -> Tensor:
        """|cos∠(∇L, v₁)| at the checkpoints, [61]; NaN where the run has diverged."""
        x = self.x
        near = _near(x)
        result = x.new_full((len(x),), torch.nan)
        result[near] = samlib.alignment(self.problem.objective, x[near], progress=False)
        return result

    def limiting_flows(self) -> dict[str, Flow]:
        """Both limiting flows at the checkpoints' times, by :func:`samlib.flow.limiting_flow`.

        Returns
        -------
        dict
            ``top_eigenvalue`` and ``trace``, each a :class:`samlib.FlowPath`. They begin
            where gradient flow from the fitted weights ends.
        """
        times = tuple(sorted(set(self.times.tolist())))  # some coincide if there are few steps
        return {name: _flow(self.network, name, times) for name in ("top_eigenvalue", "trace")}

    def _rule(self) -> Rule:
        if self.batch_size == _POINTS:
            return samlib.rules.SAM(self.lr, self.rho)
        return samlib.rules.StochasticSAM(self.lr, self.rho, batch_size=self.batch_size)

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        who = {1: "1-SAM", _POINTS: "full-batch SAM"}.get(
            self.batch_size, f"SAM on batches of {self.batch_size}"
        )
        n, tau = self.frame, float(self.times[self.frame])
        opening = (
            f"A network of 50 weights, fitted to five points, after {int(self.steps[n]):,} steps "
            f"of {who} with η = {self.lr:g} and ρ = {self.rho:g} (τ = {tau:.3g}): "
        )
        if not _near(self.x)[n]:
            return opening + "the run diverges, because η is too large for it."
        curvature = {name: float(values[n]) for name, values in self.on_gamma().items()}
        if math.isnan(curvature["trace"]):
            return opening + "it is too far from Γ for a comparison with the limiting flows."
        flows = self.limiting_flows()
        place = int((flows["trace"].times < tau).sum())
        said = {"top_eigenvalue": ("λ₁", "λ₁"), "trace": ("trace", "the trace")}
        parts = []
        for name in self.compared:
            flow = float(flows[name].value[place])
            short, long = said[name]
            has = "has ended" if math.isnan(flow) else f"has {flow:.3g}"
            parts.append(f"{short} = {curvature[name]:.3g}, the limiting flow of {long} {has}")
        return opening + "; ".join(parts) + "."

    @property
    def compared(self) -> tuple[str, ...]:
        """The flows that the run is compared with: for 1 < m < 5 both, as no theorem says."""
        if self.batch_size == 1:
            return ("trace",)
        return ("top_eigenvalue",) if self.batch_size == _POINTS else ("top_eigenvalue", "trace")

    def _draw_still(self) -> MatplotlibFigure:
        from samlib.widgets import _still_limiting_flow

        return _still_limiting_flow.draw(self)


def _near(x: Tensor) -> Tensor:
    """Which of the points of a run have not diverged."""
    near: Tensor = x.norm(dim=-1) <= _FAR * x[0].norm()
    return near


def _draws(rule: Rule, seed: int, first: int, last: int) -> Tensor | None:
    """The points in the batches of steps first … last − 1, [steps, 1, batch_size]."""
    if not isinstance(rule, samlib.rules.StochasticSAM):
        return None
    words = mulberry32(seed, (last - first) * _POINTS, first * _POINTS)
    order = np.argsort(words.reshape(-1, _POINTS), axis=-1, kind="stable")
    return torch.from_numpy(order[:, None, : rule.batch_size].copy())


@functools.lru_cache(maxsize=16)
def _run(network: int, rule: Rule, seed: int, steps: tuple[int, ...]) -> Tensor:
    """The weights at these steps, [steps, 50]."""
    objective = samlib.problems.interpolating_network(seed=network).objective
    points = [_fitted(network)]
    for first, last in pairwise(steps):
        x, count = points[-1], last - first
        if count:
            draws = _draws(rule, seed, first, last)
            with warnings.catch_warnings():
                # A diverging run is shown as one; the figure itself says so.
                warnings.simplefilter("ignore", RuntimeWarning)
                run = samlib.simulate(
                    objective,
                    rule,
                    x,
                    count,
                    every=count,
                    record=("x",),
                    progress=False,
                    draws=draws,
                )
            x = run.x[0, -1]
            if not bool(x.isfinite().all()) or not bool(objective.value(x).isfinite()):
                points += [torch.full_like(x, torch.nan)] * (len(steps) - len(points))
                break
        points.append(x)
    return torch.stack(points)


@functools.lru_cache(maxsize=16)
def _on_gamma(network: int, rule: Rule, seed: int, steps: tuple[int, ...]) -> dict[str, Tensor]:
    """λ₁ and the trace at the points of Γ beside a run."""
    objective = samlib.problems.interpolating_network(seed=network).objective
    x = _run(network, rule, seed, steps)
    near = _near(x)
    values = x.new_full((2, len(x)), torch.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = samlib.flow.project_to_minimizers(objective, x[near], progress=False)
    spectrum = torch.linalg.eigvalsh(objective.hessian(found.x))
    curvatures = torch.stack([spectrum[:, -1], spectrum.sum(dim=-1)])
    values[:, near] = torch.where(found.converged, curvatures, torch.nan)
    return {"top_eigenvalue": values[0], "trace": values[1]}


@functools.cache
def _fitted(network: int) -> Tensor:
    objective, x = samlib.problems.interpolating_network(seed=network)
    rule = samlib.rules.GradientDescent(_FIT_LR)
    for _ in range(_FIT_MOST // 1000):
        run = samlib.simulate(objective, rule, x, 1000, record=("x", "gradient"), progress=False)
        there = (run.gradient[0].norm(dim=-1) < _FIT_NORM).nonzero()
        x = run.x[0, int(there[0]) if len(there) else -1]
        if len(there):
            break
    return x


@functools.lru_cache(maxsize=64)
def _flow(network: int, name: Any, times: tuple[float, ...]) -> Flow:
    objective = samlib.problems.interpolating_network(seed=network).objective
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a flow that ends early is shown so
        return samlib.flow.limiting_flow(objective, _fitted(network), name, times, progress=False)
