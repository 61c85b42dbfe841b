"""The limiting flow: a real network trained by SAM, against the flows of the theorems."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import traitlets
from torch import Tensor

from samlib import rules
from samlib._validation import shown
from samlib.curvature import alignment
from samlib.problems import interpolating_network
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.names import METHOD_NAMES
from samlib.widgets.core.traits import OneOf, Real, Whole
from samlib.widgets.figures.limiting_flow.directions import Directions, directions_along, point_text
from samlib.widgets.figures.limiting_flow.model import (
    CHECKPOINTS,
    POINTS,
    checkpoint_steps,
    corrected_flow,
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
    "flow": "limit",
}

# Whole states that have a name.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "tie": {**DEFAULTS, "network": 39, "time": 6.0, "flow": "both", "panels": ("plane",)},
}

# What the flow of λ₁ is called with which the full batch is compared.
FLOW_NAMES: Mapping[str, str] = {
    "limit": "limiting flow of λ₁",
    "rate": "flow of λ₁ at this η",
    "both": "flow of λ₁ with both errors",
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
    The figure measures how well they do. What mini-batches between do is an open question. At a
    finite η and ρ/η full-batch SAM makes two errors that are known (:func:`~samlib.limiting_flow`):
    ``flow`` says with which flow of λ₁ it is compared. Where λ₁ meets λ₂ all of them go on, and
    the direction of the gradient swings in the plane of v₁ and v₂: ``panels=("plane",)`` shows it.

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
    flow
        The flow of λ₁ with which the full batch is compared: "limit" for the theorem's, as η → 0
        and ρ/η → 0; "rate" at this η as ρ/η → 0; "both" at this η and ρ, with the second error.
    panels
        What is open beside the picture: some of "trace" and "alignment", over time; "function",
        what the network computes between its data; "plane", the direction u of the full batch's
        gradient in the plane of v₁ and v₂; "distances", of this run and others to the flow; and
        "settings".
    panel
        One of them, as it was called before there were several.

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
    >>> LimitingFlow.preset("tie", frame=40)
    LimitingFlow(network=39, rho=0.05, lr=0.1, ..., flow='both', panels=('plane',))
    """

    state_names = (
        "network", "rho", "lr", "batch_size", "seed", "time", "frame", "flow", "panels",
    )  # fmt: skip
    parts = ("limiting-flow",)
    panel_names = ("trace", "alignment", "function", "plane", "distances", "settings")
    _panel_sizes: ClassVar[Mapping[str, str]] = {"distances": "wide"}
    _defaults = DEFAULTS
    _presets = PRESETS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("LimitingFlow", read_only=True).tag(sync=True)
    network: Any = Whole(0, 2**31 - 1).tag(sync=True)
    rho: Any = Real(*LIMITS["rho"]).tag(sync=True)
    lr: Any = Real(*LIMITS["lr"]).tag(sync=True)
    batch_size: Any = Whole(1, POINTS).tag(sync=True)
    seed: Any = Whole(0, 2**31 - 1).tag(sync=True)
    time: Any = Real(*LIMITS["time"]).tag(sync=True)
    frame: Any = Whole(0, CHECKPOINTS).tag(sync=True)
    flow: Any = OneOf(tuple(FLOW_NAMES)).tag(sync=True)

    def __init__(self, *, panel: str | None = None, **traits: Any) -> None:
        if panel is not None:
            traits = {**traits, "panels": (*traits.get("panels", ()), panel)}
        super().__init__(**traits)

    @classmethod
    def preset(cls, name: str, **traits: Any) -> LimitingFlow:
        """A state with a name: "tie", the network of seed 39, whose λ₁ and λ₂ meet.

        Parameters
        ----------
        name
            "tie". A page's link sets its figure so by ``preset=tie``.
        traits
            Others than the preset's.

        Raises
        ------
        ValueError
            If there is no such preset, or a trait has a value that it cannot have.
        """
        if not isinstance(name, str) or name not in cls._presets:
            raise ValueError(f"name must be one of {', '.join(cls._presets)}, got {shown(name)}")
        return cls(**{**cls._presets[name], **traits})

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

    def corrected_flow(self) -> Flow | None:
        """The flow of λ₁ that ``flow`` names, at the times of :meth:`limiting_flows`.

        Returns
        -------
        FlowPath or None
            By :func:`samlib.limiting_flow` with ``lr``, and for "both" with ``rho``. None for
            "limit", for smaller batches, whose errors are others, and where η ≥ 2/λ₁.
        """
        return None if self.flow == "limit" else self._corrected(both=self.flow == "both")

    def directions(self) -> Directions | None:
        """Where the full batch's gradient points in the plane of v₁ and v₂, and is to on average.

        Returns
        -------
        Directions or None
            The plane is that of the flow with both errors. None where there is no such flow.
        """
        flow = self._corrected(both=True)
        if flow is None:
            return None
        rule = rules.SAM(self.lr, self.rho)
        return directions_along(self.network, rule, tuple(self.steps.tolist()), flow)

    def _corrected(self, *, both: bool) -> Flow | None:
        if self.batch_size != POINTS:
            return None
        times = tuple(sorted(set(self.times.tolist())))
        return corrected_flow(self.network, self.lr, self.rho if both else None, times)

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
        parts = []
        for name in self.compared:
            short = "λ₁" if name == "top_eigenvalue" else "trace"
            parts.append(f"{short} = {curvature[name]:.3g}, {self._told_of_flow(name, tau)}")
        return opening + "; ".join(parts) + self._told_of_directions() + "."

    def _told_of_flow(self, name: str, tau: float) -> str:
        """What the flow that the run is compared with has at a time."""
        kind = self.flow if self.batch_size == POINTS else "limit"
        flow = self.limiting_flows()[name]
        called = "limiting flow of the trace" if name == "trace" else FLOW_NAMES[kind]
        if kind != "limit":
            corrected = self.corrected_flow()
            if corrected is None:
                return f"there is no {called}, since η is above 2/λ₁"
            flow = corrected
        value = float(flow.value[int((flow.times < tau).sum())])
        return f"the {called} " + ("has ended" if math.isnan(value) else f"has {value:.3g}")

    def _told_of_directions(self) -> str:
        """Where the gradient points on average, if that is shown."""
        directions = self.directions() if "plane" in self.panels else None
        if directions is None or not directions.tied[self.frame]:
            return ""
        s1, s2 = directions.mean(self.frame).tolist()
        if math.isnan(s1):
            return ""
        since = " since the tie" if directions.tied[self.frame] > 1 else ""
        predicted = point_text(float(directions.predicted[self.frame]), 0)
        return f"; on the circle its mean{since} is {point_text(s1, s2)}, the flow’s {predicted}"

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
