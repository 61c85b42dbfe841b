"""Random values for the traits: each is taken, within its documented limits, or refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samlib.widgets import Alignment, LimitingFlow
from samlib.widgets.core.figure import Figure

from .conftest import FIGURES
from .documented import (
    DOCUMENTED,
    TRAITS,
    Wire,
    anything,
    assert_consistent,
    assert_named,
    assert_taken_or_refused,
    assert_told,
    make,
    near,
    refusal,
)

# The same examples every time; a figure is made anew for each of them.
fuzz = settings(
    max_examples=25, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
fuzz_long = settings(fuzz, max_examples=120)

# ── One trait, set in each way that there is ─────────────────────────────────────────────────────


@pytest.mark.parametrize(("figure_name", "name"), TRAITS)
@fuzz
@given(data=st.data())
def test_any_value_is_taken_or_refused(figure_name: str, name: str, data: st.DataObject) -> None:
    figure = make(figure_name)
    value = data.draw(near(figure, name) | anything)
    try:
        if assert_taken_or_refused(figure, lambda: setattr(figure, name, value), {name}):
            assert_told(figure)
    finally:
        figure.close()


@pytest.mark.parametrize(("figure_name", "name"), [t for t in TRAITS if t[0] != "Explore"])
@fuzz
@given(data=st.data())
def test_a_new_figure_takes_or_refuses_any_value(
    figure_name: str, name: str, data: st.DataObject
) -> None:
    value = data.draw(near(make(figure_name), name) | anything)
    made: list[Figure] = []
    message = refusal(lambda: made.append(FIGURES[figure_name](**{name: value})))
    if message is None:
        assert_consistent(made[0])
    else:
        assert_named(message, {name})


@pytest.mark.parametrize("lr", [5.1154352395959055, 10.0])
def test_a_network_that_diverges_is_told(lr: float) -> None:
    """Also where the weights are still numbers, but the loss no longer is."""
    assert (
        LimitingFlow(lr=lr).sentence().endswith("the run diverges, because η is too large for it.")
    )


@pytest.mark.parametrize("name", FIGURES)
def test_extremes_have_a_still(name: str) -> None:
    if name == "LimitingFlow":
        return
    figure = FIGURES[name]()
    for trait in ("steps", "rho", "lr"):
        if trait in figure.state():
            setattr(figure, trait, figure.traits()[trait].high)
    assert "data-samlib-widget" in figure.to_html()


# ── Several at once ──────────────────────────────────────────────────────────────────────────────

some_figure = st.sampled_from(sorted(FIGURES))


def some_changes(figure: Figure) -> st.SearchStrategy[list[tuple[str, Any]]]:
    """A few traits with values that they may have, most often."""
    change = st.sampled_from(figure.state_names).flatmap(
        lambda name: st.tuples(st.just(name), near(figure, name) | near(figure, name) | anything)
    )
    return st.lists(change, min_size=1, max_size=6)


@fuzz_long
@given(data=st.data())
def test_changes_in_one_bundle_are_all_taken_or_none(data: st.DataObject) -> None:
    figure = make(data.draw(some_figure))
    before = figure.state()
    changes = data.draw(some_changes(figure))
    forced = data.draw(st.booleans())

    def change() -> None:
        with figure.hold_trait_notifications():
            for name, value in changes:
                if forced:
                    figure.set_trait(name, value)
                else:
                    setattr(figure, name, value)

    names = {name for name, _ in changes} | ({"frame"} if "frame" in before else set())
    if assert_taken_or_refused(figure, change, names):
        # What was given another value has it; the others may have followed.
        for name, value in dict(changes).items():
            held = figure.traits()[name].validate(figure, value)
            assert held == before[name] or getattr(figure, name) == held, name


@fuzz_long
@given(data=st.data())
def test_one_change_after_the_other_keeps_it_consistent(data: st.DataObject) -> None:
    figure = make(data.draw(some_figure))
    for name, value in data.draw(some_changes(figure)):
        assert_taken_or_refused(figure, lambda n=name, v=value: setattr(figure, n, v), {name})


@pytest.mark.parametrize("figure_name", FIGURES)
def test_a_bundle_that_fails_for_another_reason_changes_nothing(figure_name: str) -> None:
    figure = make(figure_name)
    before = figure.state()

    def fail() -> None:
        with figure.hold_trait_notifications():
            for name, trait in figure.traits().items():
                if name in ("landscape", "loss", "method", "quantity"):
                    setattr(figure, name, trait.choices[-1])
                elif name == "start":
                    figure.start = [1.0] * trait.longest
            raise KeyError(name)

    with pytest.raises(KeyError):
        fail()
    assert figure.state() == before


def test_a_frame_that_is_set_with_the_steps_stays() -> None:
    figure = Alignment()
    with figure.hold_trait_notifications():
        figure.steps, figure.frame = 200, 100  # the last step of the run before
    assert (figure.steps, figure.frame) == (200, 100)


def test_a_choice_and_back_in_one_bundle_changes_nothing() -> None:
    figure = Alignment(rho=0.7)
    with figure.hold_trait_notifications():
        figure.landscape = "four-dimensional"
        figure.landscape = "quadratic"
    assert figure.rho == 0.7


# ── What a page may send ─────────────────────────────────────────────────────────────────────────

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


HIDDEN = (
    "_config",
    "_figure",
    "_esm",
    "_css",
    "_model_name",
    "_view_module",
    "layout",
    "__class__",
)


def hidden(figure: Figure) -> dict[str, Any]:
    return {name: getattr(figure, name) for name in HIDDEN}


@fuzz_long
@given(data=st.data())
def test_a_page_may_send_anything(data: st.DataObject) -> None:
    figure = make(data.draw(some_figure))
    names = st.sampled_from([*figure.state_names, *HIDDEN, "nonsense", ""])
    sent = {
        **dict(data.draw(some_changes(figure))),
        **data.draw(st.dictionaries(names, json_values, max_size=4)),
    }
    sent = {name: value for name, value in sent.items() if is_json(value)}
    before, rest = figure.state(), hidden(figure)
    comm = Wire(figure)
    figure.set_state(sent)
    assert_consistent(figure)
    assert hidden(figure) == rest
    if figure.state() != before:  # all of it was taken
        for name in set(sent) & set(before):
            assert getattr(figure, name) == figure.traits()[name].validate(figure, sent[name])
    # The page knows the state as it is, by what it sent itself or by the answer.
    page = {**before, **{name: sent[name] for name in sent if name in before}, **comm.told()}
    for name, held in figure.state().items():
        assert figure.traits()[name].validate(figure, page[name]) == held
    # And figure and page go on as ever.
    figure.set_state(before)
    assert figure.state() == before


@pytest.mark.parametrize(
    "sent", [None, [], "rho", 3, [["rho", 0.1]], {"rho": {"rho": 0.1}}, {3: 4}]
)
@pytest.mark.parametrize("figure_name", DOCUMENTED)
def test_a_message_that_is_no_state_is_ignored(figure_name: str, sent: Any) -> None:
    figure = make(figure_name)
    before = figure.state()
    figure.set_state(sent)
    assert figure.state() == before
    figure.close()


def test_a_refused_message_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    figure = Alignment()
    wire = Wire(figure)
    figure.set_state({"lr": 0.2, "rho": -1})
    assert "rho must be a finite number from 0 to 1000, got -1" in caplog.text
    assert (figure.lr, figure.rho) == (0.3, 0.4)
    assert (wire.told()["lr"], wire.told()["rho"]) == (0.3, 0.4)


@pytest.mark.parametrize(
    "sent", [{"steps": 5}, {"eigenvalues": [1, 2, 3]}, {"landscape": "four-dimensional"}]
)
def test_half_of_what_belongs_together_is_refused(sent: dict[str, Any]) -> None:
    figure = Alignment(frame=50)
    before = figure.state()
    figure.set_state(sent)
    assert figure.state() == before
