"""Every argument of every public name is checked: what is wrong raises, says so, changes nothing.

The public names and their arguments are read off samlib itself, so that a new one without an entry
in the table (arguments/) is a failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from samlib.widgets import Explore
from tests.samlib.arguments.public import (
    ABSTRACT,
    CALLEES,
    NEEDS,
    PUBLIC,
    RESULTS,
    UNAVAILABLE,
    Callee,
)
from tests.samlib.arguments.results import MADE
from tests.samlib.arguments.rows import Row
from tests.samlib.arguments.table import TABLE
from tests.samlib.arguments.world import World

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def world() -> Iterator[World]:
    before = torch.get_rng_state()
    world = World()
    yield world
    if isinstance(world.instance, Explore):
        world.instance.close()
    plt.close("all")
    torch.set_rng_state(before)


def good(row: Row) -> dict[str, Any]:
    return {name: argument.good for name, argument in row.items()}


def prepare(world: World, callee: Callee) -> Row:
    """Make the instance whose method is called, with good arguments; return the method's row."""
    if (owner := callee.owner) is not None:
        name = next(name for name, thing in PUBLIC.items() if thing is owner)
        row = TABLE[name](world) if name in TABLE else {}
        world.instance = MADE[owner]() if owner in MADE else owner(**good(row))
        if isinstance(world.instance, Explore):
            world.instance.wait()
    return TABLE[callee.row](world)


def shows(value: Any, message: str) -> bool:
    """Whether the message shows the value or one in it, or of a tensor its shape or dtype."""
    inside: list[Any] = []
    forms = [repr(value), str(value)]
    if isinstance(value, (Tensor, np.ndarray)):
        forms = [str(tuple(value.shape)), str(list(value.shape)), str(value.dtype)]
        inside = [*value.shape[:1], *value.reshape(-1).tolist()]
    elif isinstance(value, dict):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple)):
        inside = list(value)
        forms += ["(0,)"] if not value else []
    shortest = (" ".join(form.split())[:11] for form in forms)  # long ones are cut short
    return any(form in message for form in shortest) or any(shows(v, message) for v in inside)


def assert_refused(world: World, callee: Callee, name: str, value: Any) -> None:
    row = TABLE[callee.row](world)  # anew, because some of what is given is used up
    argument, before = row[name], world.state()
    with pytest.raises((ValueError, TypeError)) as caught:
        callee.bound_to(world.instance)(**{**good(row), name: value})
    message = str(caught.value)
    assert re.search(rf"\b({argument.called or name})\b", message), f"which argument? {message}"
    assert re.search(argument.says, message), f"what is allowed? {message}"
    assert shows(value, message), f"what was given? {message}"
    assert world.state() == before, f"what failed has changed something: {message}"


def test_every_entry_is_of_a_public_name() -> None:
    assert set(TABLE) == {callee.row for callee in CALLEES}
    assert set(PUBLIC.values()) >= RESULTS | ABSTRACT
    assert set(NEEDS) | {name.rsplit(".", 1)[0] for name in UNAVAILABLE} <= set(PUBLIC)


# What a call is about, although it has a default; everything else with a default is an option.
SUBJECTS = {
    "samlib.problems.digits": {"train_rows"},
    "samlib.problems.mnist1d": {"train_rows"},
    "samlib.problems.resnet": {"depth"},
    ".step": {"k"},  # of rules that draw components
    "samlib.training.SharpnessMonitor": {"measure"},
    "explore.widget.Explore": {"loss_fn", "data"},
    "explore.explore.explore": {"loss_fn", "data"},
    "samlib.training.SAMEffect": {"measure"},
    "Explore.sweep": {"radii"},
    "Explore.wait": {"timeout"},
    "Explore.to_html": {"id"},
}


@pytest.mark.parametrize("callee", CALLEES, ids=lambda callee: callee.name)
def test_options_are_keyword_only(callee: Callee) -> None:
    if callee.name.startswith("samlib.optim."):
        pytest.skip("closure and scaler go by position, as torch's")
    subjects = {"x"}.union(*(names for end, names in SUBJECTS.items() if callee.name.endswith(end)))
    for name, parameter in callee.signature.parameters.items():
        by_position = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        assert not (by_position and parameter.default is not parameter.empty) or name in subjects


def test_results_check_nothing() -> None:
    for result in RESULTS:
        assert is_dataclass(result) or issubclass(result, tuple)
        assert not hasattr(result, "__post_init__")


def needs(callee: Callee) -> None:
    if callee.name in NEEDS:
        pytest.importorskip(NEEDS[callee.name])


@pytest.mark.parametrize("numbers", ["Python's", "NumPy's"])
@pytest.mark.parametrize("callee", CALLEES, ids=lambda callee: callee.name)
def test_every_argument_has_an_entry_and_what_is_right_is_accepted(
    callee: Callee, numbers: str, world: World
) -> None:
    assert callee.row in TABLE, f"add {callee.row} with its arguments to the table of this test"
    row = prepare(world, callee)
    assert set(row) == set(callee.signature.parameters), "the table and the signature differ"
    if callee.name in ("samlib.problems.mnist1d", "samlib.problems.cifar10"):
        pytest.skip("takes long, or files: see test_problems.py")
    needs(callee)
    arguments = good(row)
    if numbers == "NumPy's":
        kinds = {int: np.int64, float: np.float64, bool: np.bool_}
        arguments = {name: kinds.get(type(v), lambda v: v)(v) for name, v in arguments.items()}
    result = callee.bound_to(world.instance)(**arguments)
    if isinstance(result, Explore):
        result.close()


@pytest.mark.parametrize(
    ("callee", "name"),
    [(callee, name) for callee in CALLEES for name in callee.signature.parameters],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_what_is_wrong_is_refused(callee: Callee, name: str, world: World) -> None:
    if name == "train_rows":
        needs(callee)
    argument = prepare(world, callee)[name]
    for value in argument.bad:
        assert_refused(world, callee, name, value)
    if argument.drawn is not None:

        @settings(max_examples=5)
        @given(value=argument.drawn)
        def refuses(value: Any) -> None:
            assert_refused(world, callee, name, value)

        refuses()
