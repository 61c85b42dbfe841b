"""The figure of chapter 2: three notions of sharpness at one point of a two-dimensional loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import traitlets

import samlib
from samlib.linalg import unit_direction
from samlib.plotting import COLOURS
from samlib.widgets.base import Figure, OneOf, Real, Reals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure
    from numpy.typing import NDArray

    from samlib.landscapes import Landscape

SPECTRA: Mapping[str, tuple[float, float]] = {"bowl": (2.0, 1.0), "ravine": (0.3, 6.0)}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "bowl": {"point": (0.15, 0.7), "rho": 0.6},
    "ravine": {"point": (1.2, 0.1), "rho": 0.4},
    "curved valley": {"point": (1.0, 0.6), "rho": 0.5},
    "saddle": {"point": (0.3, 0.2), "rho": 0.5},
}

SLIDERS: Mapping[str, tuple[float, float]] = {"rho": (0.01, 1.5)}

# Points of the circle for its mean: exact for polynomials of this degree less one.
_AROUND = 360

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

    _state_names = ("loss", "point", "rho")
    _preset_by = "loss"
    _presets = PRESETS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("ThreeNotions", read_only=True).tag(sync=True)
    loss: Any = OneOf(tuple(PRESETS)).tag(sync=True)
    point: Any = Reals(-10.0, 10.0, 2, 2).tag(sync=True)
    rho: Any = Real(0.0, 10.0).tag(sync=True)

    def __init__(self, loss: str = "bowl", **traits: Any) -> None:
        super().__init__(loss=loss, **traits)
        self._config = {**self._config, "spectra": SPECTRA}

    @property
    def objective(self) -> Landscape:
        """The loss, as samlib's other functions take it."""
        if self.loss in SPECTRA:
            return samlib.landscapes.Quadratic(SPECTRA[self.loss])
        if self.loss == "saddle":
            return samlib.landscapes.DoubleWell()
        return samlib.landscapes.CurvedValley()

    def sharpness(self) -> dict[str, float]:
        """R^Max, R^Asc and R^Avg as "worst", "ascent" and "average".

        The first by :func:`samlib.worst_direction_sharpness`; the average exactly, as the mean
        over equally spaced points of the circle.
        """
        x, objective = self._x(), self.objective
        if self.rho == 0:
            return dict.fromkeys(("worst", "ascent", "average"), 0.0)
        worst = samlib.worst_direction_sharpness(objective, x, self.rho, rtol=_RTOL)
        ascent = samlib.ascent_direction_sharpness(objective, x, self.rho)
        return {
            "worst": float(worst.value),
            "ascent": float(ascent.value),
            "average": float(self._rise(_angles()).mean()),
        }

    def predicted(self) -> dict[str, float]:
        """The same three of the second-order Taylor polynomial of L at x."""
        x, objective = self._x(), self.objective
        gradient, hessian = objective.gradient(x), objective.hessian(x)
        model = samlib.Objective(lambda v: v @ gradient + (v * (v @ hessian)).sum(-1) / 2, 2)
        at, zero = unit_direction(gradient) * self.rho, torch.zeros_like(x)
        if self.rho == 0:
            return dict.fromkeys(("worst", "ascent", "average"), 0.0)
        worst = samlib.worst_direction_sharpness(model, zero, self.rho, rtol=_RTOL)
        return {
            "worst": float(worst.value),
            "ascent": float(model.value(at)),
            "average": float(self.rho**2 * hessian.trace() / 4),
        }

    def _x(self) -> torch.Tensor:
        return torch.tensor(self.point, dtype=torch.float64)

    def _rise(self, angles: NDArray[np.float64]) -> torch.Tensor:
        """L(x + ρu) − L(x) at angles of u."""
        u = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], axis=-1))
        x, objective = self._x(), self.objective
        return objective.value(x + self.rho * u) - objective.value(x)

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
        from matplotlib.figure import Figure as MatplotlibFigure

        figure = MatplotlibFigure(figsize=(7.4, 3.7), dpi=100, layout="constrained")
        axes = figure.subplot_mosaic([["plane", "profile"], ["plane", "bars"]])
        self._draw_plane(axes["plane"])
        self._draw_profile(axes["profile"])
        self._draw_bars(axes["bars"])
        return figure

    def _draw_plane(self, axes: Axes) -> None:
        centre = np.array([0.0, 1.0] if self.loss == "curved valley" else [0.0, 0.0])
        x = np.array(self.point)
        reach = max(2.0, 1.05 * (np.abs(x - centre).max() + self.rho))
        grid = np.linspace(-reach, reach, 121)
        x1, x2 = np.meshgrid(grid + centre[0], grid + centre[1])
        values = self.objective.value(torch.from_numpy(np.stack([x1, x2], axis=-1))).numpy()
        levels = values.max() * 2.0 ** np.arange(-14, 0)
        axes.contour(x1, x2, values, levels, colors="#8b949e", linewidths=0.6, alpha=0.7)
        circle = x + self.rho * np.stack([np.cos(_angles()), np.sin(_angles())], axis=-1)
        axes.plot(*circle.T, color=COLOURS["average"], lw=2)
        for kind, end in self._ends().items():
            style = {"color": COLOURS[kind], "width": 1.5}
            axes.annotate("", tuple(x + end), tuple(x), arrowprops=style)
        axes.plot(*x, "o", color="#1f2328", ms=5)
        low, high = centre - reach, centre + reach
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        axes.set_xlabel("x₁", labelpad=1)
        axes.set_ylabel("x₂", labelpad=1)

    def _ends(self) -> dict[str, NDArray[np.float64]]:
        """ρ times the worst direction and that of the gradient."""
        gradient = self.objective.gradient(self._x())
        angles = _angles()
        worst = angles[int(self._rise(angles).argmax())]
        return {
            "worst": self.rho * np.array([math.cos(worst), math.sin(worst)]),
            "ascent": (self.rho * unit_direction(gradient)).numpy(),
        }

    def _draw_profile(self, axes: Axes) -> None:
        angles = _angles()
        rise = self._rise(angles).numpy()
        axes.plot(np.degrees(angles), rise, color="#1f2328", lw=1.6)
        axes.axhline(rise.mean(), color=COLOURS["average"], ls="--", lw=1.6)
        for kind, end in self._ends().items():
            angle = math.atan2(end[1], end[0]) % (2 * math.pi)
            height = float(self._rise(np.array([angle])))
            marker = "o" if kind == "worst" else "s"
            axes.plot(math.degrees(angle), height, marker, color=COLOURS[kind], ms=7)
        axes.set(xlim=(0, 360), xticks=[0, 90, 180, 270, 360])
        axes.set_title("L(x + ρu) − L(x) by the angle of u", loc="left", size=10)
        axes.spines[["top", "right"]].set_visible(False)

    def _draw_bars(self, axes: Axes) -> None:
        values, predicted = self.sharpness(), self.predicted()
        for row, (kind, value) in enumerate(values.items()):
            axes.barh(row, value, height=0.5, color=COLOURS[kind])
            axes.plot([predicted[kind]] * 2, [row - 0.38, row + 0.38], color="#1f2328", lw=2)
            axes.annotate(
                f" {value:.3g}", (max(value, predicted[kind], 0), row), va="center", size=10
            )
        axes.set_yticks(range(3), ["$R^{Max}$", "$R^{Asc}$", "$R^{Avg}$"])
        axes.margins(x=0.16)
        axes.invert_yaxis()
        axes.set_title("sharpness; ticks: to second order", loc="left", size=10)
        axes.spines[["top", "right"]].set_visible(False)


def _angles() -> NDArray[np.float64]:
    return np.linspace(0, 2 * math.pi, _AROUND, endpoint=False, dtype=np.float64)
