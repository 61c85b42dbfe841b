"""The figure of chapter 5 that shows why the length of SAM's gradient finds its own place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import traitlets
from torch import Tensor

from samlib import rules
from samlib._validation import shown
from samlib.dynamics import simulate
from samlib.widgets.core.over_time import FigureOverTime
from samlib.widgets.core.runs import diverging_in_silence
from samlib.widgets.core.still import subscript
from samlib.widgets.core.traits import Real, Reals, Whole
from samlib.widgets.figures.thermostat.model import (
    QuadraticForm,
    balance,
    first_point,
    multiplier,
    ranks,
)
from samlib.widgets.figures.thermostat.still import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from samlib.dynamics import Trajectory

DEFAULTS: Mapping[str, Any] = {
    "eigenvalues": (1.8, 1.2, 0.6, 0.25),
    "start": (0.3, 0.5, 0.8, 1.0),
    "norm": 0.8,
    "rho": 0.1,
    "lr": 0.5,
    "steps": 40,
    "frame": 0,
}

# What is not said is as the figure opens.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "opening": DEFAULTS,
    "near-tie": {**DEFAULTS, "eigenvalues": (1.8, 1.65, 0.6, 0.25)},
    "tie": {**DEFAULTS, "eigenvalues": (1.8, 1.8, 0.6, 0.25)},
    "large-step": {**DEFAULTS, "eigenvalues": (3.4, 1.8, 0.6, 0.25)},
    "saddle": {**DEFAULTS, "eigenvalues": (1.2, 0.6, 0.25, -0.9), "norm": 0.07},
}

MOST_STEPS = 2000

# The eigenvalues that there is room for, and the lengths that the slider covers.
RANGE = (-2.5, 4.5)
SLIDERS: Mapping[str, tuple[float, float]] = {"norm": (0.01, 10.0)}


class Thermostat(FigureOverTime):
    """The multipliers of a step of SAM on a quadratic, and the run that they make.

    A step multiplies the gradient's component along an eigenvector with eigenvalue λ by
    m(λ) = 1 − ηλ − ηρλ²/‖∇L‖. The figure draws m over λ, with the eigenvalues as handles on the
    curve. As ‖∇L‖ falls, the curve bends down, until m(λ₁) < −1 and the component along v₁ grows
    again: ‖∇L‖ settles where m(λ₁) = −1, at ηρλ₁²/(2 − ηλ₁). Beside it are the lengths of the
    gradient's components in a run of SAM.

    Parameters
    ----------
    eigenvalues
        Those of the Hessian, four numbers from −2.5 to 4.5 in any order; a negative one makes a
        saddle.
    start
        The direction from the stationary point to where the run begins, in coordinates along the
        eigenvectors: four numbers from −10 to 10. How far it is follows from ``norm``.
    norm
        ‖∇L‖ where the run begins, from 0.0001 to 1,000.
    rho, lr
        SAM's radius ρ ≥ 0 and the learning rate η > 0.
    steps
        How many steps are run, 1 to 2,000.
    frame
        The step shown, 0 to ``steps``; without it the first. The last one stays the last when
        ``steps`` changes.

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is not finite, out of range or
        of the wrong length. The message names the trait, the value and what is allowed.

    Notes
    -----
    If the gradient is zero at every multiple of ``start``, the run begins at ``start`` itself.

    Examples
    --------
    >>> figure = Thermostat(frame=40)
    >>> round(figure.balance, 4), round(float(figure.gradient_norms()[-1]), 4)
    (0.1473, 0.1473)
    >>> [round(m, 2) + 0.0 for m in figure.multipliers()[-1].tolist()]
    [-1.0, -0.09, 0.58, 0.85]
    >>> figure = Thermostat.preset("saddle", frame=40)  # SAM stays at a saddle
    >>> bool((figure.multipliers()[-1, 1:].abs() < 1).all())
    True
    """

    state_names = ("eigenvalues", "start", "norm", "rho", "lr", "steps", "frame")
    parts = ("thermostat",)
    _defaults = DEFAULTS
    _presets = PRESETS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("Thermostat", read_only=True).tag(sync=True)
    eigenvalues: Any = Reals(*RANGE, 4, 4).tag(sync=True)
    start: Any = Reals(-10.0, 10.0, 4, 4).tag(sync=True)
    norm: Any = Real(1e-4, 1e3).tag(sync=True)
    rho: Any = Real(0.0, 10.0).tag(sync=True)
    lr: Any = Real(1e-3, 10.0).tag(sync=True)
    steps: Any = Whole(1, MOST_STEPS).tag(sync=True)
    frame: Any = Whole(0, MOST_STEPS).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**{"frame": DEFAULTS["frame"], **traits})

    @classmethod
    def preset(cls, name: str, **traits: Any) -> Thermostat:
        """A state with a name: "opening", "near-tie", "tie", "large-step" or "saddle".

        Parameters
        ----------
        name
            A page's link sets its figure so by ``preset=tie``, for example.
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
    def trajectory(self) -> Trajectory:
        """The run by :func:`samlib.simulate`: x in float64 at every step, [1, steps + 1, 4]."""
        first = first_point(self.eigenvalues, self.start, self.norm)
        rule = rules.SAM(self.lr, self.rho)
        with diverging_in_silence():
            return simulate(QuadraticForm(self.eigenvalues), rule, first, self.steps, record=("x",))

    @property
    def balance(self) -> float:
        """The ‖∇L‖ at which m(λ₁) = −1; NaN if λ₁ ≤ 0 or ηλ₁ ≥ 2, where there is none."""
        return balance(max(self.eigenvalues), lr=self.lr, rho=self.rho)

    def gradients(self) -> Tensor:
        """The components of ∇L along the eigenvectors at every step, [steps + 1, 4]."""
        x: Tensor = self.trajectory.x[0]
        return x * x.new_tensor(self.eigenvalues)

    def gradient_norms(self) -> Tensor:
        """‖∇L‖ at every step, [steps + 1]."""
        norms: Tensor = self.gradients().norm(dim=-1)
        return norms

    def multipliers(self) -> Tensor:
        """What the next step multiplies each component of ∇L by, at every step, [steps + 1, 4]."""
        norms = self.gradient_norms()[:, None]
        return multiplier(norms.new_tensor(self.eigenvalues), norms, lr=self.lr, rho=self.rho)

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        opening = f"Step {self.frame:,} of SAM on a quadratic"
        norm = float(self.gradient_norms()[self.frame])
        if not (math.isfinite(norm) and norm > 0):
            gone = "zero" if norm == 0 else "beyond all floating-point numbers"
            return f"{opening}: the gradient is {gone}."
        m = self.multipliers()[self.frame].tolist()
        names = [f"v{subscript(rank)}" for rank in ranks(self.eigenvalues)]
        grown = [
            f"{name} (m = {_signed(value)})"
            for name, value in sorted(zip(names, m, strict=True))
            if abs(value) > 1.005
        ]
        rest = f"it grows along {' and '.join(grown)}" if grown else "it grows along no eigenvector"
        where = (
            f"its balance, where m(λ₁) = −1, is {self.balance:.3g}"
            if self.balance > 0
            else "there is no balance"
        )
        return f"{opening}: the gradient has the length {norm:.3g}, {where}; {rest}."

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self)


def _signed(value: float) -> str:
    return f"{value:.3g}".replace("-", "−").replace("inf", "∞")
