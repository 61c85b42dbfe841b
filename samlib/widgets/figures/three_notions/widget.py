"""The figure of chapter 2: three notions of sharpness at one point of a two-dimensional loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import traitlets

from samlib.linalg import unit_direction
from samlib.objective import Objective
from samlib.sharpness import ascent_direction_sharpness, worst_direction_sharpness
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.names import NOTIONS
from samlib.widgets.core.traits import OneOf, Real, Reals
from samlib.widgets.figures.three_notions.model import SPECTRA, angles_around, make_loss, rise
from samlib.widgets.figures.three_notions.still import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure as MatplotlibFigure

    from samlib.landscapes import Landscape

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "bowl": {"point": (0.15, 0.7), "rho": 0.6},
    "ravine": {"point": (1.2, 0.1), "rho": 0.4},
    "curved valley": {"point": (1.0, 0.6), "rho": 0.5},
    "saddle": {"point": (0.3, 0.2), "rho": 0.5},
}

SLIDERS: Mapping[str, tuple[float, float]] = {"rho": (0.01, 1.5)}

# The page finds its maximum to rounding, and so do we.
_RTOL = 1e-12


class ThreeNotions(Figure):
    """The worst direction, the gradient's and the average over a circle of radius ρ around x.

    On each of the four losses the largest value in a ball lies on its boundary, so the three
    notions of sharpness of Definitions 1, 2 and 4 are seen on the circle: R^Max, the largest rise
    of L on it; R^Asc, the rise in the direction of the gradient; R^Avg, the mean rise.

    Parameters
    ----------
    loss
        "bowl" (eigenvalues 2 and 1), "ravine" (0.3 and 6), "curved valley" or "saddle":
        :class:`samlib.landscapes.Quadratic`, :class:`samlib.landscapes.CurvedValley` and
        :class:`samlib.landscapes.DoubleWell`. Changing it sets ``point`` and ``rho`` to its
        defaults.
    point
        x, two numbers from −10 to 10.
    rho
        The radius ρ, from 0 to 10.
    panels
        What is open beside the picture: some of "profile", L around the circle; "bars", the three
        sharpnesses; and "settings".

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is not finite or out of range.
        The message names the trait, the value and what is allowed.

    Examples
    --------
    >>> figure = ThreeNotions(loss="bowl", point=(1, 0), rho=0.5)
    >>> figure.sharpness()
    {'worst': 1.25, 'ascent': 1.25, 'average': 0.1875}
    >>> figure.predicted()["average"]  # ρ² Tr ∇²L / (2D)
    0.1875
    """

    state_names = ("loss", "point", "rho", "panels")
    panel_names = ("profile", "bars", "settings")
    _preset_by = "loss"
    _presets = PRESETS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("ThreeNotions", read_only=True).tag(sync=True)
    loss: Any = OneOf(tuple(PRESETS)).tag(sync=True)
    point: Any = Reals(-10.0, 10.0, 2, 2).tag(sync=True)
    rho: Any = Real(0.0, 10.0).tag(sync=True)

    def __init__(self, *, loss: str = "bowl", **traits: Any) -> None:
        super().__init__(loss=loss, **traits)
        self._config = {**self._config, "spectra": SPECTRA}

    @property
    def objective(self) -> Landscape:
        """The loss, as samlib's other functions take it."""
        return make_loss(self.loss)

    def sharpness(self) -> dict[str, float]:
        """R^Max, R^Asc and R^Avg as "worst", "ascent" and "average".

        The first by :func:`samlib.worst_direction_sharpness`; the average exactly, as the mean
        over equally spaced points of the circle.
        """
        x, objective = self._x(), self.objective
        if self.rho == 0:
            return dict.fromkeys(NOTIONS, 0.0)
        worst = worst_direction_sharpness(objective, x, self.rho, rtol=_RTOL)
        ascent = ascent_direction_sharpness(objective, x, self.rho)
        return {
            "worst": float(worst.value),
            "ascent": float(ascent.value),
            "average": float(rise(objective, x, self.rho, angles_around()).mean()),
        }

    def predicted(self) -> dict[str, float]:
        """The same three of the second-order Taylor polynomial of L at x."""
        x, objective = self._x(), self.objective
        gradient, hessian = objective.gradient(x), objective.hessian(x)
        model = Objective(lambda v: v @ gradient + (v * (v @ hessian)).sum(-1) / 2, 2)
        at, zero = unit_direction(gradient) * self.rho, torch.zeros_like(x)
        if self.rho == 0:
            return dict.fromkeys(NOTIONS, 0.0)
        worst = worst_direction_sharpness(model, zero, self.rho, rtol=_RTOL)
        return {
            "worst": float(worst.value),
            "ascent": float(model.value(at)),
            "average": float(self.rho**2 * hessian.trace() / 4),
        }

    def _x(self) -> torch.Tensor:
        return torch.tensor(self.point, dtype=torch.float64)

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        worst, ascent, average = self.sharpness().values()
        x = ", ".join(f"{value:.3g}" for value in self.point)
        return (
            f"On the {self.loss} at x = ({x}), within ρ = {self.rho:.3g}, the worst direction "
            f"raises L by {worst:.3g}, the gradient's by {ascent:.3g}, and the average over the "
            f"circle is {average:.3g}."
        )

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self)
