"""The spectrum in training: the Hessian of a network, by gradient descent, SAM and 1-SAM."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import traitlets

from samlib.widgets.core.figure import Figure
from samlib.widgets.core.traits import InvalidTraitError, OneOf, Real, Whole
from samlib.widgets.figures.spectrum_in_training.model import (
    METHODS,
    RHOS,
    RUNS,
    STEPS,
    TOP,
    bin_edges,
    edge_of_stability,
    read_sweep,
    row_of,
)
from samlib.widgets.figures.spectrum_in_training.still import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

DEFAULTS: Mapping[str, Any] = {"rho": 0.2, "step": STEPS[-1], "method": "all"}

# What the reader can have shown, and the runs that this is.
SHOWN: Mapping[str, tuple[str, ...]] = {
    "all": RUNS,
    "gradient descent": ("gradient_descent",),
    "SAM": ("sam",),
    "1-SAM": ("one_sam",),
}


class SpectrumInTraining(Figure):
    """The Hessian's spectrum while gradient descent, SAM and 1-SAM train a network on digits.

    All that is shown was computed by samlib and ships with it: nothing is trained in the page, so
    that ρ and the step can only be those that were computed. Full-batch gradient descent climbs
    to λ₁ = 2/η and stays there; SAM stays at its own edge of stability, the lower the larger ρ
    is; 1-SAM presses the trace, which full-batch SAM does far less.

    Parameters
    ----------
    rho
        SAM's and 1-SAM's radius: 0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3 or 0.5. For ρ = 0 SAM is
        gradient descent and 1-SAM is stochastic gradient descent (SGD).
    step
        The full-batch step shown, one of 41 checkpoints from 0 to 6,000, denser at first.
    method
        "all", or one of "gradient descent", "SAM" and "1-SAM", which is then shown alone, with
        its ten top eigenvalues.
    panels
        What is open beside the picture: some of "density", all eigenvalues at the step shown;
        "radii", λ₁ and the trace for every ρ; "trace", "gradient" (its part in the directions of
        the largest eigenvalues), "loss" and "accuracy", over time; and "settings".

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is none of these. The message
        names the trait, the value and what is allowed.

    Notes
    -----
    The network is :func:`samlib.problems.perceptron` with 64, 16 and 10 units: small enough, with
    1,210 weights, that every eigenvalue of its exact Hessian is computed at every checkpoint, and
    neither the density nor the trace is an estimate. It has 1,000 training rows and the loss
    ½‖f(x) − y‖² against one-hot targets. These are 10,000 residuals, more than there are weights:
    the loss falls but does not reach zero.

    Gradient descent and SAM use η = 0.5, 1-SAM η = 0.05. Runs are compared at the same ηt, the
    clock of gradient flow and of the paper's drift: 1-SAM takes ten steps of one row each for one
    step over all rows.

    A larger ρ also slows training, and the trace grows while the loss falls, so that a part of what
    1-SAM does to the trace at a given time is lag. At the same training loss its trace for ρ = 0.2
    is about a fifth below that of SGD. For ρ = 0.5 1-SAM does not learn at all.

    From other initial weights, with other draws, λ₁ and trace at the end change by up to 3 % for
    gradient descent, for SAM and for 1-SAM with ρ = 0.2, the test accuracy by up to 2.4 percentage
    points, but λ₁ of SGD from 4.3 to 3.3: it still grows (see ``provenance``).

    In the ten biases of the output the loss is quadratic with curvature 1, so that the ten largest
    eigenvalues are never below 1.

    Examples
    --------
    >>> figure = SpectrumInTraining(rho=0.1)
    >>> table = figure.to_dataframe()
    >>> end = table[(table.step == 6000) & (table.rho == 0)].set_index("method")
    >>> bool(abs(end.eigenvalue_1["sam"] * 0.5 - 2) < 0.1)  # gradient descent: ηλ₁ ≈ 2
    True
    """

    state_names = ("rho", "step", "method", "panels")
    panel_names = ("density", "radii", "trace", "gradient", "loss", "accuracy", "settings")
    _panel_sizes: ClassVar[Mapping[str, str]] = {"density": "tall", "radii": "wide"}
    _defaults = DEFAULTS

    _figure = traitlets.Unicode("SpectrumInTraining", read_only=True).tag(sync=True)
    rho: Any = Real(RHOS[0], RHOS[-1]).tag(sync=True)
    step: Any = Whole(STEPS[0], STEPS[-1]).tag(sync=True)
    method: Any = OneOf(tuple(SHOWN)).tag(sync=True)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per method, ρ and checkpoint: everything that was stored but the counts.

        ``method`` is "sam" or "one_sam"; with ``rho`` = 0 these are gradient descent and SGD.
        ``step`` is that of the full batch, ``own_step`` the method's own and ``time`` is ηt.
        ``edge`` is SAM's edge of stability, for full-batch methods.
        """
        runs = [(method, rho) for method in METHODS for rho in RHOS]
        return pd.concat([_table_of(*run) for run in runs], ignore_index=True)

    def density(self) -> pd.DataFrame:
        """How many eigenvalues each bin holds at the step and ρ shown.

        One row per bin: low, high, then gradient_descent, sam and one_sam.
        """
        counts, edges, step = read_sweep().arrays["counts"], bin_edges(), STEPS.index(self.step)
        runs = {run: counts[(*row_of(run, self.rho), step)] for run in RUNS}
        return pd.DataFrame({"low": edges[:-1], "high": edges[1:], **runs})

    @property
    def provenance(self) -> dict[str, Any]:
        """How the runs were computed: provenance, settings, and how much another seed changes."""
        names = ("provenance", "settings", "other_seed")
        return copy.deepcopy({name: read_sweep().facts[name] for name in names})

    def _shipped(self) -> Mapping[str, Any]:
        facts = read_sweep().facts
        names = ("settings", "rhos", "steps", "bins", "arrays")
        return {"sweep": {name: facts[name] for name in names}}

    @traitlets.validate("rho")
    def _rho_was_computed(self, proposal: Any) -> float:
        rho: float = proposal["value"]
        nearest = min(RHOS, key=lambda value: abs(value - rho))
        if not math.isclose(rho, nearest, rel_tol=1e-6):  # as 0.2 is in single precision
            computed = ", ".join(f"{value:g}" for value in RHOS)
            raise InvalidTraitError(
                f"rho must be one of {computed}, for which runs were computed, got {rho!r}"
            )
        return nearest

    @traitlets.validate("step")
    def _step_was_computed(self, proposal: Any) -> int:
        step: int = proposal["value"]
        if step not in STEPS:
            near = [max(t for t in STEPS if t < step), min(t for t in STEPS if t > step)]
            raise InvalidTraitError(
                f"step must be one of the {len(STEPS)} checkpoints, got {step}; the nearest are "
                f"{near[0]} and {near[1]}"
            )
        return step

    # ── The page without scripts ─────────────────────────────────────────────────────────────────

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        parts = [
            self._say(run)
            for run in RUNS
            if run != "sam" or self.rho > 0  # else it is gradient descent
        ]
        return f"At step {self.step:,} with ρ = {self.rho:g}: {'; '.join(parts)}."

    def _say(self, run: str) -> str:
        """What a run has come to."""
        arrays, facts = read_sweep()
        settings, at = facts["settings"], (*row_of(run, self.rho), STEPS.index(self.step))
        rho = 0.0 if run == "gradient_descent" else self.rho
        edge = edge_of_stability(settings["lr"]["sam"], rho, float(arrays["gradient_norm"][at]))
        own = self.step * settings["stride"]["one_sam"]
        said, aside = {
            "gradient_descent": ("gradient descent", f" (2/η = {edge:.3g})"),
            "sam": ("SAM", f" (its edge of stability: {edge:.3g})"),
            "one_sam": (
                f"{'1-SAM' if self.rho > 0 else 'SGD, as 1-SAM is then,'} "
                f"after {own:,} steps of one row each",
                "",
            ),
        }[run]
        return (
            f"{said} has λ₁ = {arrays['eigenvalues'][(*at, 0)]:.3g}{aside}, "
            f"trace {arrays['trace'][at]:.3g}, loss {arrays['loss'][at]:.3g}, "
            f"test accuracy {100 * arrays['test_accuracy'][at]:.3g} %"
        )

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self, SHOWN[self.method])


def _table_of(method: str, rho: float) -> pd.DataFrame:
    """What is stored of one run, a row for each checkpoint."""
    arrays, facts = read_sweep()
    settings, steps = facts["settings"], np.array(STEPS)
    i, j = METHODS.index(method), RHOS.index(rho)
    columns = {name: a[i, j] for name, a in arrays.items() if a.ndim == 3}
    lr = settings["lr"][method]
    edges = [edge_of_stability(lr, rho, norm) for norm in columns["gradient_norm"]]
    return pd.DataFrame(
        {
            "method": method,
            "rho": rho,
            "step": steps,
            "own_step": steps * settings["stride"][method],
            "time": steps * settings["lr"]["sam"],
            **columns,
            "edge": edges if method == "sam" else np.nan,
            **{f"eigenvalue_{k + 1}": arrays["eigenvalues"][i, j, :, k] for k in range(TOP)},
        }
    )
