"""The figure of the three notions: which minimizers each of them prefers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from samlib.flow import REGULARIZERS
from samlib.landscapes import FourDimensional
from samlib.sharpness import LimitingRegularizers, ascent_direction_sharpness
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.four_dimensional import PREFERRED
from samlib.widgets.core.traits import OneOf, Real, Reals, Whole
from samlib.widgets.figures.explicit_bias.model import (
    ARRIVAL_STEPS,
    QUANTITIES,
    REGION,
    Arrival,
    arrivals_from,
    least_regularizer,
    on_manifold,
    regularizers_at,
    side_direction,
)
from samlib.widgets.figures.explicit_bias.still import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

SLIDERS: Mapping[str, tuple[float, float]] = {"approach": (0.0, 90.0)}

DEFAULTS: Mapping[str, Any] = {"point": (0.5, 0.5), "approach": 75.0, "frame": ARRIVAL_STEPS}


class ExplicitBias(Figure):
    """The valley of minimizers Γ of ``FourDimensional``, as each notion of sharpness sees it.

    Γ is the plane of (x₁, x₂). A map of it is coloured by λ₁, λ_M or the trace, with the point
    that each notion prefers; at a point x that the reader moves, the limiting regularizers of
    Definition 4.1 are drawn on one axis. S^Asc is a band: what R^Asc/ρ² tends to depends on the
    side from which a point x′ comes close to x, which the reader moves too.

    Parameters
    ----------
    quantity
        What colours the map: "top_eigenvalue" (λ₁), "smallest_nonzero_eigenvalue" (λ_M) or
        "trace".
    point
        (x₁, x₂), each from −0.5 to 1.25.
    approach
        The side from which x′ approaches: the angle of its (x₃, x₄), in degrees from 0 (along
        x₃) to 90 (along x₄).
    frame
        How many steps of the runs from x′ to Γ are shown, from 0 to 40.
    panels
        What is open beside the picture: some of "bars", the three limiting regularizers at
        ``point``; "bowl", L across Γ there, with x′; "arrival", the runs of gradient descent
        and of SAM from x′ to Γ, which turn u to the flat wall and to the steep one; and
        "settings".

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is not finite, out of range or
        of the wrong length. The message names the trait, the value and what is allowed.

    Examples
    --------
    >>> figure = ExplicitBias(point=(0.5, 0.5), approach=90)
    >>> figure.regularizers()
    LimitingRegularizers(worst=9.75, ascent=2.25, average=3)
    >>> figure.approached()  # along x₄, the direction of λ_M
    2.25
    >>> {notion: round(above, 3) for notion, above in figure.excess().items()}
    {'worst': 1.75, 'ascent': 1.25, 'average': 0.336}
    """

    state_names = ("quantity", "point", "approach", "frame", "panels")
    panel_names = ("bars", "bowl", "arrival", "settings")
    _panel_sizes: ClassVar[Mapping[str, str]] = {"bowl": "tall", "arrival": "tall"}
    _defaults = DEFAULTS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("ExplicitBias", read_only=True).tag(sync=True)
    quantity: Any = OneOf(REGULARIZERS).tag(sync=True)
    point: Any = Reals(*REGION, 2, 2).tag(sync=True)
    approach: Any = Real(0.0, 90.0).tag(sync=True)
    frame: Any = Whole(0, ARRIVAL_STEPS).tag(sync=True)

    def regularizers(self) -> LimitingRegularizers:
        """S^Max, S^Asc (a band, see its ``ascent_band``) and S^Avg at the point."""
        return regularizers_at(self.point)

    def excess(self) -> dict[str, float]:
        """How far each limiting regularizer at the point is above its least value on Γ."""
        here = self.regularizers()
        return {
            notion: float(getattr(here, notion).value) - least_regularizer(notion)
            for notion in PREFERRED
        }

    def approached(self) -> float:
        """½uᵀ∇²L u, what R^Asc/ρ² tends to from this side: u is the direction of ∇L at x′."""
        objective, x = FourDimensional(), on_manifold(self.point)
        gradient = objective.hessian_vector_product(x, side_direction(self.approach))
        u = gradient / gradient.norm()
        return float(u @ objective.hessian_vector_product(x, u) / 2)

    def arrivals(self) -> dict[str, Arrival]:
        """The runs of "gradient_descent" and of "sam" from x′ to Γ, at η = 0.02 and ρ = 0.01.

        >>> runs = ExplicitBias(point=(0.5, 0.5), approach=75).arrivals()
        >>> {method: round(float(run.half_curvature[-1]), 2) for method, run in runs.items()}
        {'gradient_descent': 2.25, 'sam': 9.75}
        """
        return arrivals_from(self.point, self.approach)

    def ascent_sharpness(self, rho: float = 1e-3, distance: float = 1e-9) -> float:
        """R^Asc/ρ² at x′, at a finite distance ‖x′ − x‖ ≪ ρ² from Γ and a finite ρ."""
        nearby = on_manifold(self.point) + distance * side_direction(self.approach)
        objective = FourDimensional()
        sharpness = ascent_direction_sharpness(objective, nearby, rho)
        return float(sharpness.value) / rho**2

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        here = self.regularizers()
        low, high = (_number(float(value)) for value in here.ascent_band)
        side = f"{_number(self.approached())} with x′ at {_number(self.approach)}°"
        band = f"Sᴬˢᶜ between {low} and {high} ({side})"
        if low == high:
            band = f"Sᴬˢᶜ = {low} from every side"
        x1, x2 = map(_number, self.point)
        return (
            f"At x₁ = {x1}, x₂ = {x2}: Sᴹᵃˣ = λ₁/2 = {high}, {band}, "
            f"Sᴬᵛᵍ = Tr/8 = {_number(float(here.average.value))}; {self._verdict(here)}."
            f"{self._arrived()}"
        )

    def _arrived(self) -> str:
        """What the runs from x′ have come to, where they are shown."""
        if "arrival" not in self.panels:
            return ""
        values = {
            method: _number(float(run.half_curvature[self.frame]))
            for method, run in self.arrivals().items()
        }
        steps = f"{self.frame} step{'' if self.frame == 1 else 's'}"
        return (
            f" After {steps} from x′, ½uᵀ∇²L u is {values['gradient_descent']} under gradient "
            f"descent and {values['sam']} under SAM."
        )

    def _verdict(self, here: LimitingRegularizers) -> str:
        """How far the quantity that colours the map is from its least value."""
        notion, symbol, times = QUANTITIES[self.quantity]
        value = times * float(getattr(here, notion).value)
        least = times * least_regularizer(notion)
        if value - least < 1e-3:
            return f"{symbol} is within 0.001 of {_number(least, 4)}, its least value on Γ"
        a, b = map(_number, PREFERRED[notion])
        return (
            f"{symbol} = {_number(value, 4)} could still fall by {_number(value - least)}, "
            f"to {_number(least, 4)} at ({a}, {b})"
        )

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self)


def _number(value: float, digits: int = 3) -> str:
    """So many significant digits, as the page writes them."""
    return f"{value:.{digits}g}".replace("-", "−")
