"""The figure of chapter 5: under SAM the gradient turns towards the top eigenvector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import traitlets

from samlib import rules
from samlib.curvature import alignment
from samlib.dynamics import simulate
from samlib.landscapes import Quadratic
from samlib.widgets.core.over_time import FigureOverTime
from samlib.widgets.core.runs import diverging_in_silence, record_stride
from samlib.widgets.core.traits import InvalidTraitError, OneOf, Real, Reals, Switch
from samlib.widgets.figures.alignment.model import (
    cycle_radius,
    gradient_shares,
    make_loss,
    nearest_top_eigenvalue,
)
from samlib.widgets.figures.alignment.still import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure
    from torch import Tensor

    from samlib.dynamics import Trajectory
    from samlib.landscapes import Landscape

LANDSCAPES = ("quadratic", "four-dimensional")

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "quadratic": {
        "eigenvalues": (3.0, 1.0),
        "start": (0.3, 0.85),
        "rho": 0.4,
        "lr": 0.3,
        "steps": 100,
        "frame": 3,
    },
    "four-dimensional": {
        "eigenvalues": (3.0, 1.0),
        "start": (0.5, 0.5, 0.1, 0.2),
        "rho": 0.05,
        "lr": 0.02,
        "steps": 60_000,
        "frame": 8,
    },
}

# What a slider covers; the number field beside it takes anything within LIMITS.
SLIDERS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "quadratic": {
        "rho": (0.001, 2.0),
        "lr": (0.005, 1.0),
        "eigenvalues": (0.1, 10.0),
        "dimension": (2, 10),
        "steps": (10, 100_000),
    },
    "four-dimensional": {"rho": (0.001, 0.5), "lr": (0.001, 0.15), "steps": (100, 100_000)},
}

LIMITS: Mapping[str, tuple[float, float]] = {
    "rho": (0.0, 1e3),
    "lr": (1e-6, 1e3),
    "eigenvalues": (1e-6, 1e6),
    "start": (-1e6, 1e6),
    "steps": (1, 200_000),
}


class Alignment(FigureOverTime):
    """SAM and gradient descent from one start, and the angle between ∇L and v₁ along the way.

    On a quadratic, SAM's gradient aligns with the top eigenvector v₁ and ‖x‖ tends to
    ηρλ₁/(2 − ηλ₁) (Theorem 4.8); on the four-dimensional loss of Figure 1 the aligned gradient
    makes it drift along the minimizers towards smaller λ₁ (Theorem 4.5).

    Parameters
    ----------
    landscape
        "quadratic" or "four-dimensional". Changing it sets ``start``, ``rho``, ``lr``, ``steps``
        and ``frame`` to the defaults of the new one.
    eigenvalues
        The λ_i > 0 of the quadratic, 2 to 10 of them in any order. A change of their number cuts
        ``start`` or continues it with its last entry.
    start
        Where both runs begin: one number per eigenvalue, or the four of (x₁, x₂, x₃, x₄).
    rho, lr
        SAM's radius ρ ≥ 0 and the learning rate η > 0.
    steps
        How many steps are run, 1 to 200,000.
    frame
        The step shown, 0 to ``steps``.
    zoom
        Is the plane magnified to the two-cycle?
    invariant
        Is the invariant set of the proof of Theorem 4.8 drawn, and the step named at which SAM
        enters it?
    panels
        What is open beside the picture: some of "spectrum", the eigenvalues, to be dragged;
        "angle", between ∇L and v₁; "distance", to the minimum or to Γ; "shares", of the gradient
        along each eigenvector; "sharpness", λ₁ over time; and "settings".

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is not finite, out of range or
        of the wrong length. The message names the trait, the value and what is allowed.

    Examples
    --------
    >>> figure = Alignment(eigenvalues=(4, 1), rho=0.2, lr=0.2)
    >>> figure.predicted_limit()
    0.13333333333333336
    >>> run = figure.trajectory  # samlib's, with the traits as they are now
    >>> float(run.x[0, -1].norm())
    0.13333333333333333
    """

    state_names = (
        "landscape", "eigenvalues", "start", "rho", "lr", "steps", "frame", "zoom", "invariant",
        "panels",
    )  # fmt: skip
    panel_names = ("spectrum", "angle", "distance", "shares", "sharpness", "settings")
    _preset_by = "landscape"
    _presets = PRESETS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("Alignment", read_only=True).tag(sync=True)
    landscape: Any = OneOf(LANDSCAPES).tag(sync=True)
    eigenvalues: Any = Reals(*LIMITS["eigenvalues"], 2, 10).tag(sync=True)
    start: Any = Reals(*LIMITS["start"], 2, 10).tag(sync=True)
    rho: Any = Real(*LIMITS["rho"]).tag(sync=True)
    lr: Any = Real(*LIMITS["lr"]).tag(sync=True)
    zoom: Any = Switch().tag(sync=True)
    invariant: Any = Switch().tag(sync=True)

    def __init__(self, *, landscape: str = "quadratic", **traits: Any) -> None:
        super().__init__(landscape=landscape, **traits)

    def _preset(self, choice: str, traits: Mapping[str, Any]) -> dict[str, Any]:
        preset = super()._preset(choice, traits)
        if choice == "quadratic":
            preset["eigenvalues"] = traits.get(
                "eigenvalues", self.eigenvalues if self._following else preset["eigenvalues"]
            )
            preset["start"] = _resized(preset["start"], len(preset["eigenvalues"]))
        elif self._following:
            preset.pop("eigenvalues", None)
        if "steps" in traits and "frame" not in traits:
            preset["frame"] = min(preset.get("frame", 0), traits["steps"])
        return preset

    @property
    def trajectory(self) -> Trajectory:
        """SAM's run with the current traits, by :func:`samlib.simulate`.

        x, loss and alignment in float64, at every step up to 10,000 steps; beyond, every
        ⌈steps/10,000⌉ steps and at the last.
        """
        every = record_stride(self.steps)
        return self._run(rules.SAM(self.lr, self.rho), every, ("x", "loss", "alignment"))

    def predicted_limit(self) -> float:
        """ηρλ₁/(2 − ηλ₁), where Theorem 4.8 sees ‖x‖ end; infinite beyond ηλ₁ = 2.

        For the four-dimensional loss λ₁ is that at the minimizer nearest to the start.
        """
        return cycle_radius(self.lr, self.rho, self._sharpness(self.start))

    def gradient_shares(self) -> Tensor:
        """(∇L·v_i)²/‖∇L‖² along :attr:`trajectory`, [records, dim], on the quadratic.

        Column i belongs to the eigenvector along x_i, with the i-th of ``eigenvalues``; a row sums
        to 1, and is NaN where the gradient is zero. Under SAM all but the top one die out.

        Raises
        ------
        ValueError
            For the four-dimensional loss, whose eigenvectors turn along the run.
        """
        self._quadratic("gradient_shares")
        return gradient_shares(self._objective(), self.trajectory.x[0])

    def invariant_since(self) -> int | None:
        """The first step at which SAM is in the invariant set of the proof of Theorem 4.8.

        The set is described at :meth:`samlib.landscapes.Quadratic.in_invariant_set`. None if SAM
        does not reach it in ``steps`` steps, or if ηλ₁ ≥ 1 or ρ = 0, where there is no such set.

        Raises
        ------
        ValueError
            For the four-dimensional loss, which Theorem 4.8 is not about.
        """
        quadratic = self._quadratic("invariant_since")
        if self.lr * max(self.eigenvalues) >= 1 or self.rho == 0:
            return None
        x = self._run(rules.SAM(self.lr, self.rho), 1, ("x",)).x[0]
        inside = quadratic.in_invariant_set(x, lr=self.lr, rho=self.rho)
        return int(inside.int().argmax()) if bool(inside.any()) else None

    def _quadratic(self, method: str) -> Quadratic:
        objective = self._objective()
        if not isinstance(objective, Quadratic):
            raise ValueError(f"{method}() is for landscape='quadratic', not {self.landscape!r}")
        return objective

    def _sharpness(self, x: Any) -> float:
        return nearest_top_eigenvalue(self._objective(), x)

    def _objective(self) -> Landscape:
        return make_loss(self.landscape, self.eigenvalues)

    def _run(self, rule: rules.Rule, every: int, record: tuple[str, ...]) -> Trajectory:
        start = torch.tensor(self.start, dtype=torch.float64)
        with diverging_in_silence():
            return simulate(self._objective(), rule, start, self.steps, every=every, record=record)

    # ── Traits that depend on each other ─────────────────────────────────────────────────────────

    @traitlets.validate("start")
    def _start_fits(self, proposal: Any) -> tuple[float, ...]:
        start: tuple[float, ...] = proposal["value"]
        if self.landscape == "quadratic":
            dim, reason = len(self.eigenvalues), "one for each of eigenvalues"
        else:
            dim, reason = 4, "x₁ to x₄"
        if len(start) != dim:
            raise InvalidTraitError(
                f"start must have {dim} numbers, {reason}, got {len(start)}: {start}"
            )
        return start

    @traitlets.observe("eigenvalues")
    def _resize_start(self, change: Any) -> None:
        if self._following and self.landscape == "quadratic":
            self.start = _resized(self.start, len(change["new"]))

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        objective = self._objective()
        end = self._run(rules.SAM(self.lr, self.rho), self.steps, ("x",)).x[0, -1]
        opening = self._opening()
        if not bool(end.isfinite().all()) or self.lr * self._sharpness(self.start) > 2:
            return f"{opening} diverges, because ηλ₁ is more than 2."
        where = "‖x‖" if self.landscape == "quadratic" else "the distance to Γ"
        distance = float(objective.minimizer_manifold.distance(end))
        limit = cycle_radius(self.lr, self.rho, self._sharpness(end))
        return (
            f"{opening}: at the end {_angle(float(alignment(objective, end)))} and "
            f"{where} is {distance:.3g}, where ηρλ₁/(2 − ηλ₁) = {limit:.3g} is predicted"
            f"{self._addition(end)}."
        )

    def _opening(self) -> str:
        opening = f"SAM with η = {self.lr:g} and ρ = {self.rho:g} for {self.steps:,} steps on"
        if self.landscape != "quadratic":
            return f"{opening} the four-dimensional loss"
        spectrum = ", ".join(f"{value:g}" for value in self.eigenvalues)
        return f"{opening} the quadratic with eigenvalues {spectrum}"

    def _addition(self, end: Tensor) -> str:
        """When SAM came into the invariant set, or how far λ₁ has gone."""
        if self.landscape == "four-dimensional":
            first, last = self._sharpness(self.start), self._sharpness(end)
            return f"; λ₁ has gone from {first:.3g} to {last:.3g}"
        since = self.invariant_since() if self.invariant else None
        return "" if since is None else f"; it is inside the invariant set since step {since:,}"

    def _draw_still(self) -> MatplotlibFigure:
        methods = {
            "sam": rules.SAM(self.lr, self.rho),
            "gradient_descent": rules.GradientDescent(self.lr),
        }
        return draw(self, {name: self._run(rule, 1, ("x",)).x[0] for name, rule in methods.items()})

    def _placeholder(self) -> Mapping[str, str]:
        invariant = {"invariant": "true"} if self.invariant else {}
        return {"landscape": self.landscape, **invariant}


def _angle(cosine: float) -> str:
    if math.isnan(cosine):
        return "the gradient is zero"  # where gradient descent, or SAM with ρ = 0, has arrived
    return f"the gradient is {math.degrees(math.acos(cosine)):.1f}° from the top eigenvector v₁"


def _resized(start: tuple[float, ...], dim: int) -> tuple[float, ...]:
    """``start`` with ``dim`` entries: cut, or continued with its last one."""
    return (*start[:dim], *(start[-1],) * (dim - len(start)))
