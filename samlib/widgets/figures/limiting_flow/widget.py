"""The limiting flow: a real network trained by SAM, against the flows of the theorems."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import traitlets
from torch import Tensor

from samlib import rules
from samlib.curvature import alignment
from samlib.problems import interpolating_network
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.names import METHOD_NAMES
from samlib.widgets.core.traits import Real, Whole
from samlib.widgets.figures.limiting_flow.model import (
    CHECKPOINTS,
    POINTS,
    checkpoint_steps,
    curvature_on_gamma,
    fitted_weights,
    flow_from_fit,
    is_near,
    weights_along,
)
from samlib.widgets.figures.limiting_flow.still import draw

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

    state_names = ("network", "rho", "lr", "batch_size", "seed", "time", "frame")
    _defaults = DEFAULTS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("LimitingFlow", read_only=True).tag(sync=True)
    network: Any = Whole(0, 2**31 - 1).tag(sync=True)
    rho: Any = Real(*LIMITS["rho"]).tag(sync=True)
    lr: Any = Real(*LIMITS["lr"]).tag(sync=True)
    batch_size: Any = Whole(1, POINTS).tag(sync=True)
    seed: Any = Whole(0, 2**31 - 1).tag(sync=True)
    time: Any = Real(*LIMITS["time"]).tag(sync=True)
    frame: Any = Whole(0, CHECKPOINTS).tag(sync=True)

    @property
    def problem(self) -> InterpolatingNetwork:
        """The network with its data, and its initial weights."""
        return interpolating_network(seed=self.network)

    @property
    def fitted(self) -> Tensor:
        """Where gradient descent (η = 0.1, until ‖∇L‖ < 10⁻⁴) leaves the weights, [50]."""
        return fitted_weights(self.network)

    @property
    def steps(self) -> Tensor:
        """The steps at the checkpoints, [61]."""
        return checkpoint_steps(self.time, self.lr, self.rho)

    @property
    def times(self) -> Tensor:
        """τ = ηρ² · step at the checkpoints, [61]."""
        times: Tensor = self.steps.double() * self.lr * self.rho * self.rho
        return times

    @property
    def x(self) -> Tensor:
        """The weights at the checkpoints of the run, by :func:`samlib.simulate`, [61, 50]."""
        x: Tensor = weights_along(self.network, self._rule(), self.seed, tuple(self.steps.tolist()))
        return x

    def on_gamma(self) -> dict[str, Tensor]:
        """λ₁ and the trace of ∇²L at the point of Γ beside each checkpoint, [61].

        By :func:`samlib.flow.project_to_minimizers`; NaN where that does not arrive.

        Returns
        -------
        dict
            ``top_eigenvalue`` and ``trace``.
        """
        return curvature_on_gamma(self.network, self._rule(), self.seed, tuple(self.steps.tolist()))

    @property
    def alignment(self) -> Tensor:
        """|cos∠(∇L, v₁)| at the checkpoints, [61]; NaN where the run has diverged."""
        x = self.x
        near = is_near(x)
        result = x.new_full((len(x),), torch.nan)
        result[near] = alignment(self.problem.objective, x[near], progress=False)
        return result

    def limiting_flows(self) -> dict[str, Flow]:
        """Both limiting flows at the checkpoints' times, by :func:`samlib.flow.limiting_flow`.

        Returns
        -------
        dict
            ``top_eigenvalue`` and ``trace``, each a :class:`samlib.FlowPath`. They begin
            where gradient flow from the fitted weights ends, and go on through ties of λ₁.
        """
        times = tuple(sorted(set(self.times.tolist())))  # some coincide if there are few steps
        return {
            name: flow_from_fit(self.network, name, times) for name in ("top_eigenvalue", "trace")
        }

    def _rule(self) -> Rule:
        if self.batch_size == POINTS:
            return rules.SAM(self.lr, self.rho)
        return rules.StochasticSAM(self.lr, self.rho, batch_size=self.batch_size)

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        who = METHOD_NAMES.get(self.method, f"SAM on batches of {self.batch_size}")
        n, tau = self.frame, float(self.times[self.frame])
        opening = (
            f"A network of 50 weights, fitted to five points, after {int(self.steps[n]):,} steps "
            f"of {who} with η = {self.lr:g} and ρ = {self.rho:g} (τ = {tau:.3g}): "
        )
        if not is_near(self.x)[n]:
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
    def method(self) -> str:
        """What SAM on batches of this size is: "one_sam", "mini_batch" or "sam"."""
        return {1: "one_sam", POINTS: "sam"}.get(self.batch_size, "mini_batch")

    @property
    def compared(self) -> tuple[str, ...]:
        """The flows that the run is compared with: for 1 < m < 5 both, as no theorem says."""
        if self.batch_size == 1:
            return ("trace",)
        return ("top_eigenvalue",) if self.batch_size == POINTS else ("top_eigenvalue", "trace")

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self)
