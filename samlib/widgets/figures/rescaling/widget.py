"""The figure of chapter 1 that writes one function with other weights, as sharp as one likes."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import traitlets
from torch import Tensor

from samlib.curvature import top_eigenpairs
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.traits import Real
from samlib.widgets.figures.rescaling import model
from samlib.widgets.figures.rescaling.still import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from samlib.objective import Objective

RANGE = (0.03, 30.0)


class Rescaling(Figure):
    """One network with other weights: the same answers, another sharpness.

    A network with ReLU units stays the same function if the first layer's weights and biases are
    multiplied by α and the second layer's weights divided by α. The figure shows the training loss
    along the top eigenvector of the rescaled network's Hessian, λ₁ and the trace, and what the
    network answers to twelve digits that it has not seen.

    Parameters
    ----------
    alpha
        α, from 0.03 to 30.

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if α is not a number in its range. The
        message names it and what is allowed.

    Notes
    -----
    The network has 64 inputs, 16 units and 10 outputs, 1,210 weights. It was trained on 100 of
    scikit-learn's digits with half the squared error as its loss, as chapter 1 does, and ships
    with samlib in single precision; all else is computed in double precision from these weights,
    in Python and in a page alike.

    Where a step along the eigenvector changes which units are on, the loss is no parabola.

    Examples
    --------
    >>> figure = Rescaling(alpha=0.05)
    >>> bool((figure.answers() == Rescaling().answers()).all())
    True
    >>> round(figure.top_eigenvalue() / Rescaling().top_eigenvalue())
    273
    """

    state_names = ("alpha",)
    parts = ("rescaling",)
    _defaults: ClassVar[Mapping[str, Any]] = {"alpha": 1.0}
    _presets: ClassVar[Mapping[str, Any]] = {"sharp": {"alpha": 0.05}}
    _sliders: ClassVar[Mapping[str, Any]] = {"alpha": RANGE}

    _figure = traitlets.Unicode("Rescaling", read_only=True).tag(sync=True)
    alpha: Any = Real(*RANGE).tag(sync=True)

    @property
    def objective(self) -> Objective:
        """The training loss as a function of the 1,210 weights."""
        return model.objective()

    def weights(self) -> Tensor:
        """W₁, b₁, W₂ and b₂ of the rescaled network in one vector, [1210]."""
        return model.scaling(self.alpha) * model.read_trained().weights

    def top_eigenvalue(self) -> float:
        """λ₁ of the rescaled network's Hessian, by :func:`samlib.top_eigenpairs`."""
        return _top(self.alpha)[0]

    def trace(self) -> float:
        """The trace of the rescaled network's Hessian, from the exact diagonal at α = 1."""
        return float((model.curvatures() / model.scaling(self.alpha).square()).sum())

    def profile(self) -> Tensor:
        """The loss along the top eigenvector, [121], at :func:`distances` from the network.

        Of the eigenvector's two signs it is the one towards which the loss is higher at the end.
        """
        return _profile(self.alpha)

    def outputs(self) -> Tensor:
        """The ten outputs for each of the twelve digits, [12, 10]."""
        return model.outputs(self.weights())

    def answers(self) -> Tensor:
        """What the network takes the twelve digits for, [12]."""
        answers: Tensor = self.outputs().argmax(dim=1)
        return answers

    def _shipped(self) -> Mapping[str, Any]:
        return {"network": json.loads(model.DATA.read_text(encoding="utf8"))}

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        opening, plain = Rescaling(), model.plain
        top, trace = self.top_eigenvalue(), self.trace()
        if self.alpha == 1:
            return f"The network as it was trained, α = 1: λ₁ = {plain(top)}, trace {plain(trace)}."
        same = int((self.answers() == opening.answers()).sum())
        return (
            f"With the first layer times α = {self.alpha:g} and the second divided by α the "
            f"network gives the same answers to {same} of 12 digits; λ₁ = {plain(top)}, "
            f"{plain(top / opening.top_eigenvalue())} times as large as for α = 1, and the trace "
            f"{plain(trace)}, {plain(trace / opening.trace())} times."
        )

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self, Rescaling())


@functools.lru_cache(maxsize=256)
def _top(alpha: float) -> tuple[float, Tensor]:
    """λ₁ and its eigenvector, with the sign towards which the loss is higher."""
    x = model.scaling(alpha) * model.read_trained().weights
    pair = top_eigenpairs(model.objective(), x, progress=False)
    v = pair.vectors[:, 0]
    ends = model.objective().value(x + model.REACH * torch.stack([v, -v]))
    return float(pair.values[0]), v if ends[0] >= ends[1] else -v


@functools.lru_cache(maxsize=256)
def _profile(alpha: float) -> Tensor:
    x, (_, v) = model.scaling(alpha) * model.read_trained().weights, _top(alpha)
    values: Tensor = model.objective().value(x + model.distances()[:, None] * v)
    return values
