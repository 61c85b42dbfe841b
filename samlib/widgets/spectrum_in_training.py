"""The spectrum in training: the Hessian of a network, by gradient descent, SAM and 1-SAM."""

from __future__ import annotations

import copy
import functools
import json
import math
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import traitlets

from samlib.widgets.base import Figure, InvalidTraitError, OneOf, Real, Whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

# What is computed: see samlib/widgets/_training_sweep.py, which writes this file.
DATA = Path(__file__).parent / "data" / "training_sweep.json"
METHODS = ("sam", "one_sam")
RHOS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
STEPS = tuple(round(6000 * (k / 40) ** 2) for k in range(41))

# So many of the largest eigenvalues are stored one by one. All are counted in bins, of equal width
# in sign(λ) log(1 + |λ|/unit): ten to a factor of ten; 0 is in the middle of a bin.
TOP = 10
BINS: Mapping[str, float] = {"unit": 1e-3, "width": math.log(10) / 10, "first": -31, "last": 39}

DEFAULTS: Mapping[str, Any] = {"rho": 0.2, "step": STEPS[-1], "method": "all"}

Array = npt.NDArray[np.float64]


class Sweep(NamedTuple):
    """What the file holds.

    Attributes
    ----------
    arrays
        By name, [method, ρ, checkpoint]: loss, test_accuracy, gradient_norm, trace, alignment
        (with v₁) and top_alignment (with the span of the ten top eigenvectors), rounded to
        float32; eigenvalues [..., 10], the largest first; counts [..., bins], exact.
    facts
        All else: provenance, settings and the values of another seed.
    """

    arrays: Mapping[str, Array]
    facts: Mapping[str, Any]


@functools.cache
def read_sweep() -> Sweep:
    """The runs that ship with samlib."""
    facts = json.loads(DATA.read_text(encoding="utf8"))
    return Sweep({name: _decode(text) for name, text in facts["arrays"].items()}, facts)


def _decode(text: Mapping[str, Any]) -> Array:
    if "float32" in text:
        values = np.frombuffer(b64decode(text["float32"]), dtype="<f4").astype(np.float64)
    else:
        values = np.array(_from_leb128(b64decode(text["leb128"])), dtype=np.float64)
    array: Array = values.reshape(text["shape"])
    array.flags.writeable = False
    return array


def _from_leb128(data: bytes) -> list[int]:
    """Unsigned integers, seven bits a byte, the lowest first; the eighth says that more follow."""
    numbers, value, shift = [], 0, 0
    for byte in data:
        value += (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value, shift = 0, 0
    return numbers


def bin_edges() -> Array:
    """The bins' edges, ascending."""
    places = BINS["width"] * (np.arange(BINS["first"], BINS["last"] + 2) - 0.5)
    edges: Array = np.sign(places) * BINS["unit"] * np.expm1(np.abs(places))
    return edges


def edge_of_stability(lr: float, rho: float, norm: float) -> float:
    """The λ at which a step of SAM along an eigenvector ceases to be stable; 2/η for ρ = 0.

    η λ (1 + ρλ/‖g‖) = 2, for a gradient of norm ‖g‖ (Long and Bartlett, 2024).
    """
    if rho == 0:
        return 2 / lr
    # The same as (‖g‖/2ρ)(√(1 + 8ρ/(η‖g‖)) − 1), without its cancellation for small ρ.
    return 4 / (lr * (1 + math.sqrt(1 + 8 * rho / (lr * norm))))


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

    _state_names = ("rho", "step", "method")
    _defaults = DEFAULTS

    _figure = traitlets.Unicode("SpectrumInTraining", read_only=True).tag(sync=True)
    rho: Any = Real(RHOS[0], RHOS[-1]).tag(sync=True)
    step: Any = Whole(STEPS[0], STEPS[-1]).tag(sync=True)
    method: Any = OneOf(("all", "gradient descent", "SAM", "1-SAM")).tag(sync=True)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per method, ρ and checkpoint: everything that was stored but the counts.

        ``method`` is "sam" or "one_sam"; with ``rho`` = 0 these are gradient descent and SGD.
        ``step`` is that of the full batch, ``own_step`` the method's own and ``time`` is ηt.
        ``edge`` is SAM's edge of stability, for full-batch methods.
        """
        arrays, facts = read_sweep()
        settings = facts["settings"]
        frames = []
        for i, method in enumerate(METHODS):
            for j, rho in enumerate(RHOS):
                steps, lr = np.array(STEPS), settings["lr"][method]
                columns = {name: a[i, j] for name, a in arrays.items() if a.ndim == 3}
                norms = columns["gradient_norm"]
                edges = [edge_of_stability(lr, rho, norm) for norm in norms]
                frames.append(
                    pd.DataFrame(
                        {
                            "method": method,
                            "rho": rho,
                            "step": steps,
                            "own_step": steps * settings["stride"][method],
                            "time": steps * settings["lr"]["sam"],
                            **columns,
                            "edge": edges if method == "sam" else np.nan,
                            **{
                                f"eigenvalue_{k + 1}": arrays["eigenvalues"][i, j, :, k]
                                for k in range(TOP)
                            },
                        }
                    )
                )
        return pd.concat(frames, ignore_index=True)

    def density(self) -> pd.DataFrame:
        """How many eigenvalues each bin holds at the step and ρ shown.

        One row per bin: low, high, then gradient_descent, sam and one_sam.
        """
        counts, edges, step = read_sweep().arrays["counts"], bin_edges(), STEPS.index(self.step)
        runs = {name: counts[i, j, step] for name, (i, j) in self._runs().items()}
        return pd.DataFrame({"low": edges[:-1], "high": edges[1:], **runs})

    @property
    def provenance(self) -> dict[str, Any]:
        """How the runs were computed: provenance, settings, and how much another seed changes."""
        names = ("provenance", "settings", "other_seed")
        return copy.deepcopy({name: read_sweep().facts[name] for name in names})

    def _runs(self) -> dict[str, tuple[int, int]]:
        """Where the three runs that are shown stand in the arrays."""
        rho = RHOS.index(self.rho)
        return {"gradient_descent": (0, 0), "sam": (0, rho), "one_sam": (1, rho)}

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
        arrays, facts = read_sweep()
        lr, stride = facts["settings"]["lr"]["sam"], facts["settings"]["stride"]["one_sam"]
        parts = []
        for name, (method, rho) in self._runs().items():
            if name == "sam" and self.rho == 0:  # it is gradient descent
                continue
            at = method, rho, STEPS.index(self.step)
            edge = edge_of_stability(lr, RHOS[rho], float(arrays["gradient_norm"][at]))
            said, aside = {
                "gradient_descent": ("gradient descent", f" (2/η = {edge:.3g})"),
                "sam": ("SAM", f" (its edge of stability: {edge:.3g})"),
                "one_sam": ("1-SAM" if self.rho > 0 else "SGD, as 1-SAM is then,", ""),
            }[name]
            own = f" after {self.step * stride:,} steps of one row each" * (name == "one_sam")
            parts.append(
                f"{said}{own} has λ₁ = {arrays['eigenvalues'][(*at, 0)]:.3g}{aside}, "
                f"trace {arrays['trace'][at]:.3g}, loss {arrays['loss'][at]:.3g}, "
                f"test accuracy {100 * arrays['test_accuracy'][at]:.3g} %"
            )
        return f"At step {self.step:,} with ρ = {self.rho:g}: {'; '.join(parts)}."

    def _draw_still(self) -> MatplotlibFigure:
        from samlib.widgets import _still_spectrum_in_training

        return _still_spectrum_in_training.draw(self)
