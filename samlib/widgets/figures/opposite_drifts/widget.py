"""Opposite drifts: full-batch SAM goes one way along the minimizers, 1-SAM the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import traitlets
from torch import Tensor

from samlib.dynamics import rules, simulate
from samlib.flow import limiting_flow
from samlib.landscapes import TwoValleys
from samlib.widgets.core.draws import mulberry32
from samlib.widgets.core.names import METHOD_NAMES
from samlib.widgets.core.over_time import FigureOverTime
from samlib.widgets.core.runs import diverging_in_silence, record_stride
from samlib.widgets.core.traits import Real, Reals, Whole
from samlib.widgets.figures.opposite_drifts.still import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure as MatplotlibFigure

    from samlib.dynamics import Trajectory
    from samlib.dynamics.rules import Rule
    from samlib.flow import FlowPath

DEFAULTS: Mapping[str, Any] = {
    "start": (0.0, 0.1, 0.1),
    "rho": 0.1,
    "lr": 0.05,
    "batch_size": 2,
    "seed": 1,
    "steps": 40_000,
    "frame": 40_000,
}

# What a slider covers; the number field beside it takes anything within LIMITS.
SLIDERS: Mapping[str, tuple[float, float]] = {
    "rho": (0.01, 0.5),
    "lr": (0.005, 0.5),
    "batch_size": (1, 32),
    "steps": (100, 100_000),
}

LIMITS: Mapping[str, tuple[float, float]] = {
    "start": (-10.0, 10.0),
    "rho": (0.0, 10.0),
    "lr": (1e-6, 10.0),
}

# In this order the runs are told of.
_ORDER = ("sam", "mini_batch", "one_sam", "gradient_descent")

# A run that is so many times as high above the floor as it may begin has left the valleys.
FAR = 100


class OppositeDrifts(FigureOverTime):
    """Four methods from one start in the two valleys, and where they drift along the minimizers.

    On :class:`samlib.landscapes.TwoValleys` gradient descent stays where it arrives. Full-batch
    SAM drifts towards smaller λ₁ (Theorem 4.5), 1-SAM towards a smaller trace (Theorem 5.4), and
    these lie in opposite directions. What mini-batches of m > 1 do is an open question (Example
    5.8); here they go with the full batch, the more so the larger m is.

    Parameters
    ----------
    start
        Where all runs begin: (x, y₁, y₂), each from −10 to 10.
    rho, lr
        SAM's radius ρ ≥ 0 and the learning rate η > 0.
    batch_size
        How many of the two components a mini-batch draws, with replacement: 1 to 32.
    seed
        Fixes the draws, 0 to 2³¹ − 1. Batches of several sizes share their first draws.
    steps
        How many steps are run, 1 to 200,000.
    frame
        The step shown, 0 to ``steps``; without it the last. The last one stays the last when
        ``steps`` changes.
    panels
        What is open beside the picture: some of "place", x over time; "top" and "trace", λ₁ and the
        trace over time; and "settings".

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is not finite, out of range or
        of the wrong length. The message names the trait, the value and what is allowed.

    Notes
    -----
    The theorems are about small η and ρ. 1-SAM bounces at heights |y_k| of about ηλ_k ρ, so that
    the perturbed point is farther up in the sharper valley, which then pulls more. It drifts more
    slowly than its limiting flow, by a gap in proportion to η, and at η = 0.1 even the other way.

    Between about 3 and 10 components a step, runs are sensitive to rounding: the last bit grows
    to some hundredths of x on the way. There a page and Python agree in the drift but not, after
    the first hundreds of steps, in every digit.

    Examples
    --------
    >>> figure = OppositeDrifts(steps=30_000, seed=4)
    >>> ends = {name: float(run.x[0, -1, 0]) for name, run in figure.trajectories.items()}
    >>> ends["sam"] < -1 < ends["mini_batch"] < -0.3
    True
    >>> abs(ends["gradient_descent"]) < 0.01 and ends["one_sam"] > 0.5
    True
    """

    state_names = ("start", "rho", "lr", "batch_size", "seed", "steps", "frame", "panels")
    panel_names = ("place", "top", "trace", "settings")
    _defaults = DEFAULTS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("OppositeDrifts", read_only=True).tag(sync=True)
    start: Any = Reals(*LIMITS["start"], 3, 3).tag(sync=True)
    rho: Any = Real(*LIMITS["rho"]).tag(sync=True)
    lr: Any = Real(*LIMITS["lr"]).tag(sync=True)
    batch_size: Any = Whole(1, 32).tag(sync=True)
    seed: Any = Whole(0, 2**31 - 1).tag(sync=True)

    @property
    def trajectories(self) -> dict[str, Trajectory]:
        """The runs by :func:`samlib.simulate`: gradient_descent, sam, mini_batch and one_sam.

        x in float64, at every step up to 10,000 steps; beyond, every ⌈steps/10,000⌉ steps and at
        the last.
        """
        every = record_stride(self.steps)
        return {name: self._run(rule, every) for name, rule in self._rules().items()}

    @property
    def draws(self) -> Tensor:
        """The component, 0 or 1, of each draw of the mini-batches, [steps, 1, batch_size].

        Draw j of a step is bit j of a 32-bit word, one word per step, by the generator
        mulberry32. 1-SAM uses the first draw of each step.
        """
        return self._draws(self.batch_size)

    def limiting_flows(self, times: Tensor) -> dict[str, FlowPath] | None:
        """The flows that SAM and 1-SAM follow for small η and ρ, at times τ = ηρ²t.

        By :func:`samlib.flow.limiting_flow`, "top_eigenvalue" and "trace", from where gradient
        descent arrives; None where it does not arrive.
        """
        end = self._run(self._rules()["gradient_descent"], self.steps).x[0, -1]
        if self._diverged(end):
            return None
        objective = TwoValleys()
        floor = objective.minimizer_manifold.nearest(end)
        return {
            name: limiting_flow(objective, floor, name, times, progress=False)
            for name in ("top_eigenvalue", "trace")
        }

    def _rules(self) -> dict[str, Rule]:
        return {
            "gradient_descent": rules.GradientDescent(self.lr),
            "sam": rules.SAM(self.lr, self.rho),
            "mini_batch": rules.StochasticSAM(self.lr, self.rho, batch_size=self.batch_size),
            "one_sam": rules.StochasticSAM(self.lr, self.rho),
        }

    def _run(self, rule: Rule, every: int) -> Trajectory:
        draws = None
        if isinstance(rule, rules.StochasticSAM):
            draws = self._draws(rule.batch_size)
        with diverging_in_silence():
            return simulate(
                TwoValleys(),
                rule,
                torch.tensor(self.start, dtype=torch.float64),
                self.steps,
                every=every,
                record=("x",),
                draws=draws,
            )

    def _draws(self, size: int) -> Tensor:
        bits = mulberry32(self.seed, self.steps)[:, None] >> np.arange(size, dtype=np.uint32)
        return torch.from_numpy((bits & 1).astype(np.int64))[:, None]

    def _diverged(self, x: Tensor) -> bool:
        """Whether a run at x has left the valleys."""
        height = float(x[1:].norm())
        return not height <= FAR * (math.hypot(*self.start[1:]) + self.rho)

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        floor = TwoValleys().minimizer_manifold
        names = {**METHOD_NAMES, "mini_batch": f"SAM on batches of {self.batch_size}"}
        shown = [name for name in _ORDER if name != "mini_batch" or self.batch_size > 1]

        def sharpness(x: Tensor) -> str:
            return f"λ₁ = {float(floor.top_eigenvalue(x)):.3g}, trace {float(floor.trace(x)):.3g}"

        rules, parts = self._rules(), []
        for name in shown:
            said, end = names[name], self._run(rules[name], self.steps).x[0, -1]
            parts.append(
                f"{said} leaves the valleys, because η is too large for it"
                if self._diverged(end)
                else f"{said} ends at x = {float(end[0]):.3g} ({sharpness(end)})"
            )
        start = torch.tensor(self.start, dtype=torch.float64)
        return (
            f"After {self.steps:,} steps with η = {self.lr:g} and ρ = {self.rho:g} from "
            f"x = {self.start[0]:g} ({sharpness(start)}): {'; '.join(parts)}."
        ).replace("= -", "= −")

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self)
