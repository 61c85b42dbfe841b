"""Train it yourself: a classifier of digits in the page, by two methods side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import traitlets

from samlib.widgets.core.figure import STATIC, Figure
from samlib.widgets.core.traits import OneOf, Real, Whole
from samlib.widgets.figures.train_yourself.courses import course_for, rounded
from samlib.widgets.figures.train_yourself.model import METHODS, PERTURBED, Problem, problem_of
from samlib.widgets.figures.train_yourself.presets import DEFAULTS, PRESETS
from samlib.widgets.figures.train_yourself.still import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure as MatplotlibFigure

    from samlib.widgets.figures.train_yourself.model import Course

# What a slider covers; the number field beside it takes anything the trait allows.
SLIDERS: Mapping[str, tuple[float, float]] = {
    "rho": (0.0, 0.5),
    "lr": (0.02, 2.0),
    "batch": (1, 512),
    "rows": (50, 1500),
    "shuffled": (0.0, 1.0),
    "width": (32, 128),
}

# What can be shown below the large picture.
PANELS = ("loss", "gradient", "spectrum", "trace", "alignment", "profile", "settings")

ENGINE = STATIC / "samlib-training.js"


class TrainYourself(Figure):
    """A network that learns to read digits in the page, by two methods side by side.

    Nothing is stored but scikit-learn's digits: the page itself trains, without a kernel, and while
    it trains η, ρ, the batch and the methods may be moved. The large picture shows λ₁ of both runs.
    Gradient descent climbs to 2/η and is thrown back, SAM stays at an edge of its own.

    Parameters
    ----------
    rho, lr
        SAM's radius ρ, 0 to 2, and the learning rate η, 0.001 to 10, of both runs.
    first, second
        The methods: "gradient_descent", "sgd", "sam", "m_sam", "mini_batch" (SAM on one batch a
        step) or "one_sam".
    batch
        m, 1 to 1,500: how many rows SGD and mini-batch SAM draw for a step, with replacement, and
        into how many rows m-SAM cuts the data.
    rows
        How many of the 1,797 digits to train on, 50 to 1,500; the others are for testing.
    shuffled
        The share of training rows whose labels are shuffled, 0 to 1.
    network
        "perceptron", 64–width–10 with tanh, or "convolutional", two layers of 3 × 3 with tanh.
    width
        Hidden units of the perceptron, 32 to 128: 75·width + 10 weights.
    loss
        "squared", the mean over rows of ½‖f(x) − y‖², or "cross-entropy".
    seed
        Fixes the initial weights, the labels that are shuffled, and the batches, 0 to 2³¹ − 1.
    precision
        The arithmetic of the page: "float32", fast, or "float64", which has samlib's iterates.
    panels
        What is open under the picture: "loss", "gradient", "spectrum", "trace", "alignment",
        "profile", "settings".
    switch_step, switch_rho
        At this step, 0 to 100,000, ρ moves by itself to ``switch_rho``, 0 to 2; 0 for never.

    Raises
    ------
    InvalidTraitError
        A ``traitlets.TraitError`` and a ``ValueError``: if a value is not finite or out of range.
        The message names the trait, the value and what is allowed.

    Notes
    -----
    States with a name: ``TrainYourself.preset("edge")`` as it opens, ``"memorize"`` for labels that
    mean nothing, ``"switch"`` for a ρ that moves at step 500 and shows who answers first.

    Beside them, the still shows a shorter course, computed when it is asked for, in seconds.

    Examples
    --------
    >>> table = TrainYourself().to_dataframe()
    >>> end = table[table.step == table.step.max()].set_index("method")
    >>> bool(end.top_eigenvalue["sam"] < 2 < end.top_eigenvalue["gradient_descent"])
    True
    """

    state_names = (*DEFAULTS, "panels")
    panel_names = PANELS
    parts = ("train-yourself",)
    _panel_sizes: ClassVar[Mapping[str, str]] = {
        "loss": "wide",
        "spectrum": "wide",
        "alignment": "wide",
    }
    _defaults = DEFAULTS
    _presets = PRESETS
    _sliders = SLIDERS

    _figure = traitlets.Unicode("TrainYourself", read_only=True).tag(sync=True)
    # The script that trains, for a notebook whose page asks for it.
    _engine = traitlets.Unicode("").tag(sync=True)
    # What samlib computed of this state, which the page shows before it trains by itself.
    _course: Any = traitlets.Dict().tag(sync=True)
    rho: Any = Real(0.0, 2.0).tag(sync=True)
    lr: Any = Real(1e-3, 10.0).tag(sync=True)
    first: Any = OneOf(tuple(METHODS)).tag(sync=True)
    second: Any = OneOf(tuple(METHODS)).tag(sync=True)
    batch: Any = Whole(1, 1500).tag(sync=True)
    rows: Any = Whole(50, 1500).tag(sync=True)
    shuffled: Any = Real(0.0, 1.0).tag(sync=True)
    network: Any = OneOf(("perceptron", "convolutional")).tag(sync=True)
    width: Any = Whole(32, 128).tag(sync=True)
    loss: Any = OneOf(("squared", "cross-entropy")).tag(sync=True)
    seed: Any = Whole(0, 2**31 - 1).tag(sync=True)
    precision: Any = OneOf(("float32", "float64")).tag(sync=True)
    switch_step: Any = Whole(0, 100_000).tag(sync=True)
    switch_rho: Any = Real(0.0, 2.0).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(self._on_message)

    @classmethod
    def preset(cls, name: str) -> TrainYourself:
        """A state that has a name: "edge", "memorize" or "switch".

        Examples
        --------
        >>> TrainYourself.preset("memorize").shuffled
        1.0
        """
        if name not in PRESETS:
            raise ValueError(f"name must be one of {', '.join(map(repr, PRESETS))}, got {name!r}")
        return cls(**PRESETS[name])

    def problem(self) -> Problem:
        """What the page trains, for samlib: the model, the objective, the start and the digits.

        Examples
        --------
        >>> model, objective, start, data = TrainYourself().problem()
        >>> objective.dim, round(float(objective.value(start)), 3)
        (2410, 0.558)
        """
        return problem_of(self.state())

    def to_dataframe(self) -> pd.DataFrame:
        """What the still shows: step, method, λ₁ as ``top_eigenvalue``, and the method's ``edge``.

        The edge is NaN for methods of which none is known.
        """
        course = self.course()
        return pd.concat(
            [
                pd.DataFrame({"step": course.steps, "run": name, "method": getattr(self, name),
                              "top_eigenvalue": course.top[i], "edge": course.edge[i]})
                for i, name in enumerate(("first", "second"))
            ],
            ignore_index=True,
        )  # fmt: skip

    def course(self) -> Course:
        """What samlib computes of both runs: stored for states with a name, else in seconds."""
        return course_for(self.state())

    # ── The page ─────────────────────────────────────────────────────────────────────────────────

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        """A notebook's page asks for the script that trains."""
        if isinstance(content, dict) and content.get("wish") == "engine":
            self._engine = ENGINE.read_text("utf8")

    def _page_state(self) -> dict[str, Any]:
        self._course = rounded(self.course())
        return {**self.state(), "_course": self._course}

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        course = self.course()
        said = [self._say(i, course) for i in (0, 1)]
        return (
            f"{self._network_said()}, η = {self.lr:g}: after {course.steps[-1]:,} steps "
            f"{said[0]}; {said[1]}."
        )

    def _network_said(self) -> str:
        if self.network == "perceptron":
            what = f"A perceptron with {75 * self.width + 10:,} weights"
        else:
            what = "A convolutional network"
        mixed = f", {100 * self.shuffled:.3g} % of their labels shuffled" if self.shuffled else ""
        return f"{what} on {self.rows:,} digits{mixed}"

    def _say(self, run: int, course: Course) -> str:
        """What has become of a run."""
        method = getattr(self, ("first", "second")[run])
        rho = self._radius_said() if method in PERTURBED else ""
        top = course.top[run][-1]
        if top != top:
            return f"{METHODS[method]}{rho} has diverged"
        wrong = f"{course.wrong[run]:,} of {course.test_rows:,} test digits"
        return f"{METHODS[method]}{rho} has λ₁ = {top:.2g} and misreads {wrong}"

    def _radius_said(self) -> str:
        moves = self.switch_step > 0 and self.switch_rho != self.rho
        then = f", {self.switch_rho:g} from step {self.switch_step:,}" if moves else ""
        return f" with ρ = {self.rho:g}{then}"

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self.state(), self.course())
