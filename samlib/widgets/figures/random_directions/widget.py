"""The figure that shows why random directions do not find the worst one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import traitlets
from torch import Tensor

from samlib.landscapes import Quadratic
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.traits import Whole
from samlib.widgets.figures.random_directions.model import (
    DIRECTIONS,
    MOST,
    average_share,
    directions,
    shares,
    spectrum,
)
from samlib.widgets.figures.random_directions.still import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

DEFAULTS: Mapping[str, Any] = {"dimension": 3, "seed": 0}

SLIDERS: Mapping[str, tuple[int, int]] = {"dimension": (2, MOST)}


class RandomDirections(Figure):
    """A thousand random directions at the bottom of a bowl: how far L rises along each.

    The bowl has D dimensions and the eigenvalues λ_i = λ₁/i. The worst direction, v₁, stays as
    bad as it is while D grows. The average over all directions sinks as Tr ∇²L/(Dλ₁), and even the
    worst of a thousand draws is not much worse than that.

    Parameters
    ----------
    dimension
        D, from 2 to 1210. More dimensions add coordinates to the directions and change none.
    seed
        Fixes the directions, a whole number below 2³².
    panels
        What is open under the picture: "settings".

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is none of these. The message
        names the trait, the value and what is allowed.

    Examples
    --------
    >>> figure = RandomDirections(dimension=1210)
    >>> {name: round(share, 3) for name, share in figure.shares().items()}
    {'worst': 1.0, 'best draw': 0.015, 'average': 0.006}
    """

    state_names = ("dimension", "seed", "panels")
    panel_names = ("settings",)
    _defaults = DEFAULTS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("RandomDirections", read_only=True).tag(sync=True)
    dimension: Any = Whole(2, MOST).tag(sync=True)
    seed: Any = Whole(0, 2**32 - 1).tag(sync=True)

    @property
    def objective(self) -> Quadratic:
        """The bowl, as samlib's other functions take it."""
        return Quadratic(spectrum(self.dimension).tolist())

    def directions(self) -> Tensor:
        """The directions, as the page draws them: unit vectors in float64, [1000, D].

        Examples
        --------
        >>> RandomDirections(dimension=2).directions().norm(dim=-1)[:3].round(decimals=6)
        tensor([1., 1., 1.], dtype=torch.float64)
        """
        drawn = torch.from_numpy(directions(self.dimension, self.seed))
        units: Tensor = drawn / drawn.norm(dim=-1, keepdim=True)
        return units

    def shares(self) -> dict[str, float]:
        """The rise of L along the worst direction, the best draw and on average, over the first."""
        drawn = shares(self.dimension, self.seed)
        return {
            "worst": 1.0,
            "best draw": float(drawn.max()),
            "average": average_share(self.dimension),
        }

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        found = self.shares()
        return (
            f"In D = {self.dimension:,} dimensions a random direction raises L by "
            f"{100 * found['average']:.3g} % of the most possible on average, and the best of "
            f"{DIRECTIONS:,} draws by {100 * found['best draw']:.3g} %."
        )

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self.dimension, self.seed)
