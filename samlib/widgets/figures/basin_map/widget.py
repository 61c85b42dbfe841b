"""Where every start goes: each point of the map is a start, its color where SAM takes it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from samlib._validation import shown
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.names import METHOD_NAMES
from samlib.widgets.core.traits import InvalidTraitError, OneOf, Real, Reals, Text, Whole
from samlib.widgets.figures.basin_map.formula import LONGEST, read_formula
from samlib.widgets.figures.basin_map.model import (
    ELSEWHERE,
    KINDS,
    LEFT,
    RULES,
    SLOPE,
    Ends,
    Place,
    ends,
    kind_of,
    make_objective,
    places_of,
    starts_of_map,
)
from samlib.widgets.figures.basin_map.still import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure as MatplotlibFigure

    from samlib.dynamics.rules import Rule
    from samlib.objective import Objective

FORMULA = "((x^2 + y - 11)^2 + (x + y^2 - 7)^2)/100"

_WHOLE = {"center": (0.0, 0.0), "reach": 2.0, "across": (0.1, 0.2), "steps": 2000}

# The defaults that go with each loss.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "double well": {**_WHOLE, "rho": 0.5, "lr": 0.02, "start": (0.55, 1.2)},
    "bowl": {**_WHOLE, "rho": 0.4, "lr": 0.1, "start": (0.5, 1.5)},
    "ravine": {**_WHOLE, "rho": 0.4, "lr": 0.05, "start": (1.5, 0.7)},
    "round bowl": {**_WHOLE, "rho": 0.4, "lr": 0.1, "start": (1.2, 0.7)},
    "two valleys": {**_WHOLE, "rho": 0.15, "lr": 0.1, "start": (0.8, 1.0)},
    "four dimensions": {
        **_WHOLE, "center": (0.5, 0.5), "reach": 0.75, "rho": 0.06, "lr": 0.02, "start": (0.8, 0.9),
    },
    "formula": {**_WHOLE, "reach": 6.0, "rho": 0.5, "lr": 0.1, "start": (-1.0, 1.0)},
}  # fmt: skip

# Whole states that have a name: the loss's defaults with these.
NAMED: Mapping[str, Mapping[str, Any]] = {
    "saddle": {"loss": "double well", "rho": 0.95},
    "slope": {"loss": "double well", "rho": 1.3, "start": (1.5, 0.9)},
    "tie": {"loss": "round bowl"},
    "half": {"loss": "bowl", "method": "ascent_loss_descent", "lr": 0.27},
}

# What a slider covers; the number field beside it takes anything within the trait's limits.
SLIDERS: Mapping[str, tuple[float, float]] = {
    "rho": (0.0, 2.0),
    "lr": (0.002, 0.5),
    "steps": (10, 20_000),
}

# How many starts a side the still has.
STILL_SIDE = 96


class BasinMap(Figure):
    """A map of starts: the color of each says where SAM, run from there, comes to in the end.

    On the double well that is a minimum, the saddle between them, or a place on a slope where SAM
    rests. On a bowl it is the direction of the last gradient, in a valley a place along its floor.

    Parameters
    ----------
    loss
        "double well" (:class:`samlib.landscapes.DoubleWell`), "bowl" (eigenvalues 2 and 1),
        "ravine" (0.3 and 6), "round bowl" (2 and 2), "two valleys", "four dimensions" (the loss of
        the paper's Figure 1) or "formula". Changing it sets all traits but ``method`` and
        ``formula`` to its defaults.
    method
        "sam", "gradient_descent" or "ascent_loss_descent", named as in :mod:`samlib.rules`.
    rho, lr
        The radius ρ, from 0 to 10, and the learning rate η, from 10⁻⁴ to 10.
    steps
        How many steps are run from each start, 1 to 20,000.
    start
        The start whose path is drawn: its two coordinates on the map, each from −10 to 10.
    across
        The coordinates of all starts that the map does not show, each from −3 to 3: y₂ of the two
        valleys (the first number), x₃ and x₄ in four dimensions.
    center, reach
        The middle of the map, two numbers from −10 to 10, and how far it reaches from there, 0.001
        to 10.
    formula
        The loss of the name "formula": text in x and y with + - * / ^, parentheses, pi, e, and
        abs, atan, cos, cosh, exp, log, sin, sinh, sqrt, tan, tanh.
    panels
        What is open under the map: "settings".

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is not finite, out of range or
        of the wrong length, or a formula cannot be read. The message names the trait, the value
        and what is allowed.

    Notes
    -----
    A page computes the map in single precision where it has WebGL 2. It differs from
    :meth:`ends` for starts near the border of two colors, and nowhere else.

    Examples
    --------
    >>> figure = BasinMap(rho=0.3)
    >>> {name: round(share, 2) for name, share in figure.shares(side=64).items()}
    {'minimum (-1, 0)': 0.45, 'minimum (1, 0)': 0.45, 'saddle (0, 0)': 0.1}
    >>> BasinMap.preset("saddle").shares(side=32)
    {'saddle (0, 0)': 1.0}
    """

    state_names = (
        "loss", "method", "rho", "lr", "steps", "start", "across", "center", "reach", "formula",
        "panels",
    )  # fmt: skip
    panel_names = ("settings",)
    parts = ("basin-map", "formulas")
    _preset_by = "loss"
    _presets = PRESETS
    _sliders = SLIDERS
    _defaults: ClassVar[Mapping[str, Any]] = {"formula": FORMULA}

    _figure = traitlets.Unicode("BasinMap", read_only=True).tag(sync=True)
    loss: Any = OneOf(tuple(KINDS)).tag(sync=True)
    method: Any = OneOf(tuple(RULES)).tag(sync=True)
    rho: Any = Real(0.0, 10.0).tag(sync=True)
    lr: Any = Real(1e-4, 10.0).tag(sync=True)
    steps: Any = Whole(1, 20_000).tag(sync=True)
    start: Any = Reals(-10.0, 10.0, 2, 2).tag(sync=True)
    across: Any = Reals(-3.0, 3.0, 2, 2).tag(sync=True)
    center: Any = Reals(-10.0, 10.0, 2, 2).tag(sync=True)
    reach: Any = Real(1e-3, 10.0).tag(sync=True)
    formula: Any = Text(FORMULA, LONGEST).tag(sync=True)

    def __init__(self, *, loss: str = "double well", **traits: Any) -> None:
        super().__init__(loss=loss, **traits)
        named = {name: {**PRESETS[preset["loss"]], **preset} for name, preset in NAMED.items()}
        for preset in named.values():
            preset.setdefault("method", "sam")
        self._config = {**self._config, "named": named, "longest": LONGEST}

    @classmethod
    def preset(cls, name: str, **traits: Any) -> BasinMap:
        """A state with a name. A page's link sets its figure so by ``preset=`` and the name.

        Parameters
        ----------
        name
            "saddle", the double well at the ρ from which on the saddle takes every start; "slope",
            where SAM rests on slopes; "tie", a bowl with two equal eigenvalues; "half", gradient
            descent on L^Asc with ηλ₁ > ½.
        traits
            Others than the preset's.

        Raises
        ------
        ValueError
            If there is no such preset, or a trait has a value that it cannot have.
        """
        if not isinstance(name, str) or name not in NAMED:
            raise ValueError(f"name must be one of {', '.join(NAMED)}, got {shown(name)}")
        return cls(**{**NAMED[name], **traits})

    @traitlets.validate("formula")
    def _formula_can_be_read(self, proposal: Any) -> str:
        text: str = proposal["value"]
        try:
            read_formula(text)
        except ValueError as problem:
            raise InvalidTraitError(
                f"formula must be a loss in x and y, got {shown(text)}, which {problem}"
            ) from None
        return text

    @property
    def objective(self) -> Objective:
        """The loss, as samlib's other functions take it."""
        return make_objective(self.loss, self.formula)

    @property
    def places(self) -> tuple[Place, ...]:
        """The critical points that an end may lie at, numbered as in :meth:`ends`."""
        return places_of(self.loss, self.formula)

    def ends(self, side: int) -> Ends:
        """Where the starts at the middles of side × side pixels of the map end.

        Parameters
        ----------
        side
            How many pixels the map has along each side.

        Returns
        -------
        Ends
            ``label``, ``arrival`` and ``where``, a row for each start: rows of the map from the
            bottom to the top, each from left to right.
        """
        window = (self.center, self.reach, self.across)
        formula = self.formula if self.loss == "formula" else ""
        rule = RULES[self.method](self.lr, self.rho)
        return _ends_of_map(self.loss, formula, rule, self.steps, window, side)

    def shares(self, *, side: int) -> dict[str, float]:
        """Which share of the starts of :meth:`ends` ends where; nothing is said of what has none.

        Parameters
        ----------
        side
            How many pixels the map has along each side.

        Returns
        -------
        dict
            Shares by name: "minimum (1, 0)" and so on, "slope", "elsewhere", "left". On bowls and
            in valleys, whose ends differ by degrees, all that have not left are "inside".
        """
        found = self.ends(side)
        names = {
            k: f"{place.type} ({', '.join(f'{v:.4g}' for v in place.x)})"
            for k, place in enumerate(self.places)
        } or {0: "inside"}
        names |= {SLOPE: "slope", ELSEWHERE: "elsewhere", LEFT: "left"}
        shares = {name: float((found.label == k).double().mean()) for k, name in names.items()}
        return {name: share for name, share in shares.items() if share > 0}

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        said = {**METHOD_NAMES, "sam": "SAM", "ascent_loss_descent": "gradient descent on Lᴬˢᶜ"}
        radius = "" if self.method == "gradient_descent" else f"ρ = {self.rho:g} and "
        told = {"slope": "at rest on a slope", "elsewhere": "at none of these", "left": "far away"}
        parts = [
            f"{100 * share:.0f} % {told.get(name, f'at the {name}')}"
            for name, share in self.shares(side=STILL_SIDE).items()
            if name != "inside"
        ]
        where = {"direction": "the direction of its last gradient", "valley": "where it ends"}
        colored = where.get(kind_of(self.loss, self.formula), "where it ends")
        ended = ": " + ", ".join(parts).replace("-", "−") if parts else ""
        return (
            f"Each point of the map is a start, colored by {colored} after {self.steps:,} steps of "
            f"{said[self.method]} with {radius}η = {self.lr:g} on the {self.loss}{ended}."
        )

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self, self.ends(STILL_SIDE), STILL_SIDE)


@lru_cache(maxsize=4)
def _ends_of_map(
    loss: str, formula: str, rule: Rule, steps: int, window: tuple[Any, float, Any], side: int
) -> Ends:
    """Where the starts of a map end: the still and its sentence ask for the same."""
    center, reach, across = window
    x = starts_of_map(loss, center, reach, across, side)
    objective, places = make_objective(loss, formula), places_of(loss, formula)
    return ends(objective, kind_of(loss, formula), rule, x, steps, places)
