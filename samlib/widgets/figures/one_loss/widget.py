"""Figure 1 of the paper, alive: one loss, one start, three destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
import traitlets
from torch import Tensor

from samlib import rules
from samlib.dynamics import simulate
from samlib.flow import limiting_flow, project_to_minimizers
from samlib.landscapes import FourDimensional
from samlib.widgets.core.draws import mulberry32
from samlib.widgets.core.over_time import FigureOverTime
from samlib.widgets.core.runs import diverging_in_silence, record_stride
from samlib.widgets.core.traits import Real, Reals, Whole
from samlib.widgets.figures.one_loss.model import DESTINATIONS
from samlib.widgets.figures.one_loss.still import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure as MatplotlibFigure

    from samlib.dynamics import Trajectory
    from samlib.flow import FlowPath

DEFAULTS: Mapping[str, Any] = {
    "start": (0.5, 0.5, 0.1, 0.2),
    "rho": 0.2,
    "lr": 0.001,
    "steps": 60_000,
    "seed": 1,
    "frame": 60_000,
    "turn": 30,
}

SLIDERS: Mapping[str, tuple[float, float]] = {
    "rho": (0.01, 0.5),
    "lr": (0.0002, 0.05),
    "steps": (100, 100_000),
    "turn": (0, 360),
}


class OneLossThreeDestinations(FigureOverTime):
    """SAM, 1-SAM and gradient descent on L^Asc from one start, on the loss of Figure 1.

    Along the minimizers Γ of :class:`samlib.landscapes.FourDimensional` SAM drifts to where λ₁ is
    least (Theorem 4.5) and 1-SAM to where the trace is (Theorem 5.4). Gradient descent on L^Asc
    itself should end where λ_M is least (Theorem 4.2), and comes near it for small η only.

    Parameters
    ----------
    start
        Where all runs begin: (x₁, x₂, x₃, x₄), each from −3 to 3.
    rho, lr
        SAM's radius ρ ≥ 0 and the learning rate η > 0.
    steps
        How many steps are run, 1 to 200,000.
    seed
        Fixes the components that 1-SAM draws, 0 to 2³¹ − 1.
    frame
        The step shown, 0 to ``steps``; without it the last.
    turn
        By how much the bowls are turned, in degrees from 0 to 360.
    panels
        What is open beside the picture: some of "bowls", L across Γ where each run is; "top",
        "smallest" and "trace", λ₁, λ_M and the trace over time; and "settings".

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is not finite, out of range or
        of the wrong length. The message names the trait, the value and what is allowed.

    Examples
    --------
    >>> figure = OneLossThreeDestinations()
    >>> {name: run.x[0, -1, :2].round(decimals=1).tolist()
    ...  for name, run in figure.trajectories.items()}
    {'sam': [0.0, 0.0], 'one_sam': [0.8, 0.1], 'ascent_loss_descent': [0.9, 0.2]}
    """

    state_names = ("start", "rho", "lr", "steps", "seed", "frame", "turn", "panels")
    panel_names = ("bowls", "top", "smallest", "trace", "settings")
    _panel_sizes: ClassVar[Mapping[str, str]] = {"bowls": "tall"}
    _defaults = DEFAULTS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("OneLossThreeDestinations", read_only=True).tag(sync=True)
    start: Any = Reals(-3.0, 3.0, 4, 4).tag(sync=True)
    rho: Any = Real(0.0, 10.0).tag(sync=True)
    lr: Any = Real(1e-6, 10.0).tag(sync=True)
    seed: Any = Whole(0, 2**31 - 1).tag(sync=True)
    turn: Any = Whole(0, 360).tag(sync=True)

    @property
    def trajectories(self) -> dict[str, Trajectory]:
        """The runs by :func:`samlib.simulate`: sam, one_sam and ascent_loss_descent.

        x in float64, at every step up to 10,000 steps; beyond, every ⌈steps/10,000⌉ steps and at
        the last.
        """
        return self._runs(record_stride(self.steps))

    @property
    def draws(self) -> Tensor:
        """The component, 0 or 1, that 1-SAM draws at each step, [steps, 1]: as on a page."""
        words = mulberry32(self.seed, self.steps)
        return torch.from_numpy((words & 1).astype(np.int64))[:, None]

    def landing(self) -> Tensor:
        """Φ(start), where gradient flow arrives on Γ, by :func:`samlib.project_to_minimizers`."""
        start = torch.tensor(self.start, dtype=torch.float64)
        return project_to_minimizers(self._objective(), start, progress=False).x

    def limiting_flows(self, times: Tensor) -> dict[str, FlowPath]:
        """The three limiting flows from Φ(start) at times τ = ηρ²t, by method."""
        landing = self.landing()
        return {
            name: limiting_flow(self._objective(), landing, regularizer, times, progress=False)
            for name, (regularizer, _) in DESTINATIONS.items()
        }

    def _objective(self) -> FourDimensional:
        return FourDimensional()

    def _runs(self, every: int) -> dict[str, Trajectory]:
        start = torch.tensor(self.start, dtype=torch.float64)
        methods = {
            "sam": rules.SAM(self.lr, self.rho),
            "one_sam": rules.StochasticSAM(self.lr, self.rho),
            "ascent_loss_descent": rules.AscentLossDescent(self.lr, self.rho),
        }
        draws = {"one_sam": self.draws}
        with diverging_in_silence():
            return {
                name: simulate(
                    self._objective(),
                    rule,
                    start,
                    self.steps,
                    every=every,
                    record=("x",),
                    draws=draws.get(name),
                )
                for name, rule in methods.items()
            }

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        said = {"sam": "SAM", "one_sam": "1-SAM", "ascent_loss_descent": "gradient descent on Lᴬˢᶜ"}
        parts = []
        for name, run in self._runs(self.steps).items():
            end = run.x[0, -1]
            away = not bool(end.norm() < 1e3)
            x1, x2 = (f"{float(v):.2f}".replace("-", "−") for v in end[:2])
            parts.append(f"{said[name]} {'diverges' if away else f'ends at ({x1}, {x2})'}")
        return (
            f"After {self.steps:,} steps with η = {self.lr:g} and ρ = {self.rho:g} from "
            f"(x₁, x₂) = ({self.start[0]:g}, {self.start[1]:g}): {', '.join(parts)}; "
            "least are λ₁ at (0, 0), the trace at (0.80, 0.14), λ_M at (1, 1)."
        )

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self)
