"""What the figures' docstrings say of their traits, and values to try them with."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from samlib.widgets import Alignment, BasinMap, LimitingFlow, SpectrumInTraining, TrainYourself
from samlib.widgets import explore as explore_network
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.traits import InvalidTraitError
from samlib.widgets.figures.basin_map.formula import read_formula
from samlib.widgets.figures.spectrum_in_training.model import RHOS, STEPS

from .conftest import FIGURES

# ── What the class docstrings say ────────────────────────────────────────────────────────────────

Check = Callable[[Any], bool]
SEED = 2**31 - 1


def real(low: float, high: float) -> Check:
    return lambda value: type(value) is float and low <= value <= high


def whole(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def one_of(*values: Any) -> Check:
    return lambda value: type(value) is type(values[0]) and value in values


def reals(low: float, high: float, *lengths: int) -> Check:
    each = real(low, high)
    return lambda value: (
        type(value) is tuple and len(value) in lengths and all(each(entry) for entry in value)
    )


def some_of(names: tuple[str, ...]) -> Check:
    """Some of the names, each once and in their order."""
    return lambda value: (
        type(value) is tuple and value == tuple(name for name in names if name in value)
    )


LOSSES = (
    "double well", "bowl", "ravine", "round bowl", "two valleys", "four dimensions", "formula",
)  # fmt: skip
RULES = ("gradient_descent", "sgd", "sam", "m_sam", "mini_batch", "one_sam")
OVER_TIME = {"steps": whole(1, 200_000), "frame": whole(0, 200_000)}
DOCUMENTED: dict[str, dict[str, Check]] = {
    "Alignment": {
        "landscape": one_of("quadratic", "four-dimensional"),
        "eigenvalues": reals(1e-6, 1e6, *range(2, 11)),
        "start": reals(-1e6, 1e6, *range(2, 11)),
        "rho": real(0, 1e3),
        "lr": real(1e-6, 1e3),
        "zoom": one_of(True, False),
        "invariant": one_of(True, False),
        **OVER_TIME,
    },
    "BasinMap": {
        "loss": one_of(*LOSSES),
        "method": one_of("sam", "gradient_descent", "ascent_loss_descent"),
        "rho": real(0, 10),
        "lr": real(1e-4, 10),
        "steps": whole(1, 20_000),
        "start": reals(-10, 10, 2),
        "across": reals(-3, 3, 2),
        "center": reals(-10, 10, 2),
        "reach": real(1e-3, 10),
        "formula": lambda value: type(value) is str and read_formula(value).dim == 2,
    },
    "ExplicitBias": {
        "quantity": one_of("top_eigenvalue", "smallest_nonzero_eigenvalue", "trace"),
        "point": reals(-0.5, 1.25, 2),
        "approach": real(0, 90),
        "frame": whole(0, 40),
    },
    "LimitingFlow": {
        "network": whole(0, SEED),
        "rho": real(1e-3, 10),
        "lr": real(1e-3, 10),
        "batch_size": whole(1, 5),
        "seed": whole(0, SEED),
        "time": real(0.01, 20),
        "frame": whole(0, 60),
        "flow": one_of("limit", "rate", "both"),
    },
    "OneLossThreeDestinations": {
        "start": reals(-3, 3, 4),
        "rho": real(0, 10),
        "lr": real(1e-6, 10),
        "seed": whole(0, SEED),
        "turn": whole(0, 360),
        **OVER_TIME,
    },
    "OppositeDrifts": {
        "start": reals(-10, 10, 3),
        "rho": real(0, 10),
        "lr": real(1e-6, 10),
        "batch_size": whole(1, 32),
        "seed": whole(0, SEED),
        **OVER_TIME,
    },
    "RandomDirections": {"dimension": whole(2, 1210), "seed": whole(0, 2**32 - 1)},
    "Rescaling": {"alpha": real(0.03, 30)},
    "SpectrumInTraining": {
        "rho": one_of(*RHOS),
        "step": one_of(*STEPS),
        "method": one_of("all", "gradient descent", "SAM", "1-SAM"),
    },
    "TrainYourself": {
        "rho": real(0, 2),
        "lr": real(1e-3, 10),
        "first": one_of(*RULES),
        "second": one_of(*RULES),
        "batch": whole(1, 1500),
        "rows": whole(50, 1500),
        "shuffled": real(0, 1),
        "network": one_of("perceptron", "convolutional"),
        "width": whole(32, 128),
        "loss": one_of("squared", "cross-entropy"),
        "seed": whole(0, SEED),
        "precision": one_of("float32", "float64"),
        "switch_step": whole(0, 100_000),
        "switch_rho": real(0, 2),
    },
    "Thermostat": {
        "eigenvalues": reals(-2.5, 4.5, 4),
        "start": reals(-10, 10, 4),
        "norm": real(1e-4, 1e3),
        "rho": real(0, 10),
        "lr": real(1e-3, 10),
        "steps": whole(1, 2000),
        "frame": whole(0, 2000),
    },
    "ThreeNotions": {
        "loss": one_of("bowl", "ravine", "curved valley", "saddle"),
        "point": reals(-10, 10, 2),
        "rho": real(0, 10),
    },
    "Explore": {"rho": real(1e-6, 1e3)},
}
PANELS: dict[str, tuple[str, ...]] = {
    "Alignment": ("spectrum", "angle", "distance", "shares", "sharpness", "settings"),
    "ExplicitBias": ("bars", "bowl", "arrival", "settings"),
    "LimitingFlow": ("trace", "alignment", "function", "plane", "distances", "settings"),
    "OneLossThreeDestinations": ("bowls", "top", "smallest", "trace", "settings"),
    "OppositeDrifts": ("place", "top", "trace", "settings"),
    "SpectrumInTraining": (
        "density", "radii", "trace", "gradient", "loss", "accuracy", "settings",
    ),
    "ThreeNotions": ("profile", "bars", "settings"),
    "RandomDirections": ("settings",),
    "BasinMap": ("settings",),
    "TrainYourself": (
        "loss", "gradient", "spectrum", "trace", "alignment", "profile", "settings",
    ),
    "Explore": ("numbers", "profile", "spectrum", "cosines"),
}  # fmt: skip
for _figure, _names in PANELS.items():
    DOCUMENTED[_figure]["panels"] = some_of(_names)
TRAITS = [(name, trait) for name, traits in DOCUMENTED.items() for trait in traits]


def assert_consistent(figure: Figure) -> None:
    """Every trait is what the docstring says, and they fit together."""
    state = figure.state()
    assert set(state) == set(DOCUMENTED[type(figure).__name__])
    for name, allowed in DOCUMENTED[type(figure).__name__].items():
        assert allowed(state[name]), (name, state[name])
    if "frame" in state and "steps" in state:
        assert state["frame"] <= state["steps"]
    if isinstance(figure, Alignment):
        flat = figure.landscape == "quadratic"
        assert len(figure.start) == (len(figure.eigenvalues) if flat else 4)
    json.dumps(state, allow_nan=False)


def assert_told(figure: Figure) -> None:
    """The figure has a sentence of numbers; where it takes long to compute, see below."""
    if isinstance(figure, (BasinMap, LimitingFlow, TrainYourself)):
        return
    sentence = figure.sentence()
    assert sentence.endswith(".")
    assert not re.search(r"\bnan\b|\binf\b|None|tensor", sentence), sentence


# ── Values ───────────────────────────────────────────────────────────────────────────────────────

FORMULAS = ["x", "x^2 + y^2", " x*y", "0", "-x^-2", "1/0", "x +", "x*", "((x)", "2x", "y" * 201]
DTYPES = [torch.float16, torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64]

numbers = st.one_of(
    st.floats(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), 10**5000, 2**31, 2**53 + 1, 0, 1, -0.0, 5e-324, 1e308]),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    st.booleans(),
)


def as_numpy(value: Any) -> Any:
    return np.asarray(value)[()]


def as_tensor(value: Any) -> Any:
    try:
        return torch.tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return value


foreign = st.one_of(
    st.floats().map(np.float64),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.booleans().map(np.bool_),
    st.text(max_size=5).map(np.str_),
    st.complex_numbers().map(np.complex128),
    st.integers(0, 100).map(lambda n: np.timedelta64(n, "s")),
    st.floats(-10, 10).map(lambda x: np.array(x)),
    st.floats(-10, 10).map(lambda x: torch.tensor(x, requires_grad=True)),
    st.sampled_from(DTYPES).map(lambda dtype: torch.ones((), dtype=dtype)),
    st.sampled_from(DTYPES).map(lambda dtype: torch.ones(2, dtype=dtype)),
    st.sampled_from([(0,), (1,), (2, 2), (3, 0)]).map(np.zeros),
    st.sampled_from([(0,), (1,), (2, 1), (3, 0)]).map(torch.zeros),
    st.just(torch.ones((), device="meta")),
)
junk = st.one_of(
    st.text(),
    st.text(min_size=1, max_size=1).map(lambda letter: letter * 10_000),
    st.sampled_from(["quadratic\n", "SAM ", "QUADRATIC", "trace,", "__proto__", "nan", "1", "0.1"]),
    st.binary(max_size=12),
    st.binary(max_size=12).map(bytearray),
    st.binary(max_size=12).map(memoryview),
    st.none(),
    st.builds(object),
    st.sampled_from(
        [float, len, Ellipsis, NotImplemented, math.nan, Figure, range(3), range(10**9)]
    ),
    st.builds(itertools.count),
    st.builds(lambda: iter([0.5, 0.5])),
    st.dictionaries(st.floats(0, 1), st.none(), max_size=4),
    st.sets(st.floats(0, 1), max_size=4),
)
lists = st.lists(st.one_of(numbers, foreign, junk), max_size=12)
anything = st.one_of(
    numbers, foreign, junk, lists, lists.map(tuple), st.lists(lists, max_size=4),
    st.just([0.5] * 10**5), st.lists(st.floats(-1, 1), max_size=12).map(np.array),
)  # fmt: skip


def near(figure: Figure, name: str) -> st.SearchStrategy[Any]:
    """Values that the trait may have, most often, of any library."""
    trait = figure.traits()[name]
    if name == "panels":
        return st.lists(st.sampled_from(figure.panel_names)).flatmap(
            lambda names: st.sampled_from([names, tuple(names), np.array(names or [""])])
        )
    if hasattr(trait, "choices"):
        plain: st.SearchStrategy[Any] = st.sampled_from(trait.choices)
    elif name == "formula":
        return st.sampled_from(FORMULAS) | st.text() | st.sampled_from(FORMULAS).map(np.str_)
    elif hasattr(trait, "longest"):
        entry = st.floats(trait.low, trait.high) | st.sampled_from([trait.low, trait.high, 0])
        plain = st.lists(entry, min_size=trait.shortest, max_size=trait.longest)
        plain |= st.lists(
            entry, min_size=len(getattr(figure, name)), max_size=len(getattr(figure, name))
        )
    elif isinstance(getattr(figure, name), bool):
        return st.booleans() | st.booleans().map(np.bool_) | st.booleans().map(torch.tensor)
    elif isinstance(getattr(figure, name), int):
        plain = st.integers(trait.low, trait.high)
        if isinstance(figure, SpectrumInTraining):
            plain |= st.sampled_from(STEPS)
    else:
        ends = st.sampled_from([trait.low, trait.high, Fraction(1, 3), Decimal("0.25")])
        plain = st.floats(trait.low, trait.high) | ends
        if isinstance(figure, SpectrumInTraining):
            plain |= st.sampled_from(RHOS)
    return plain | plain.map(as_numpy) | plain.map(as_tensor)


def make(name: str) -> Figure:
    if name == "Explore":
        model = torch.nn.Linear(2, 1)
        data = (torch.eye(2), torch.ones(2, 1))
        return explore_network(model, torch.nn.MSELoss(), data, k=1, samples=4)
    return FIGURES[name]()


class Wire:
    """Listens to what a figure sends to its page."""

    def __init__(self, figure: Figure) -> None:
        self._updates: list[dict[str, Any]] = []
        figure._send = self._hear

    def _hear(self, message: dict[str, Any], buffers: Any = None) -> None:
        if message["method"] == "update":
            self._updates.append(message["state"])

    def told(self) -> dict[str, Any]:
        """The traits that were sent, as they were sent last."""
        return {name: value for update in self._updates for name, value in update.items()}


def refusal(change: Callable[[], Any]) -> str | None:
    """With which words a change is refused, if it is."""
    try:
        change()
    except InvalidTraitError as error:
        return str(error)
    return None


def assert_taken_or_refused(figure: Figure, change: Callable[[], Any], names: set[str]) -> bool:
    """A change is taken, or refused with an error that names one of the traits, and undone."""
    before = figure.state()
    heard: list[str] = []
    figure.observe(lambda event: heard.append(event["name"]), names=list(figure.state_names))
    message = refusal(change)
    if message is None:
        assert_consistent(figure)
        return True
    assert_named(message, names)
    assert figure.state() == before
    assert heard == []
    return False


def assert_named(message: str, names: set[str]) -> None:
    assert any(message.startswith(f"{name} must ") for name in names), message
    assert len(message) < 500
