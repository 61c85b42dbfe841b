"""The figure TrainYourself in Python: its traits, its stored courses, its still and sentence."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sklearn.datasets import load_digits

from samlib.widgets import TrainYourself
from samlib.widgets.figures.train_yourself.courses import stored
from samlib.widgets.figures.train_yourself.model import PERTURBED, course_of
from samlib.widgets.figures.train_yourself.presets import DEFAULTS, PRESETS

from .conftest import Open
from .reading import assert_refused, readout


@pytest.fixture(scope="module")
def placeholder() -> str:
    """The figure's placeholder, as it opens."""
    return TrainYourself().to_html(id="figure")


def numbers_of(sentence: str) -> list[float]:
    """All numbers of a sentence, without the separators of thousands."""
    return [float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*\.?\d*", sentence)]


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_says_what_python_says_before_it_trains(open_page: Open, name: str) -> None:
    figure = TrainYourself.preset(name)
    said = readout(open_page(figure.to_html()))
    assert numbers_of(said) == numbers_of(figure.sentence())
    assert re.sub(r"[\d,.]+", "#", said) == re.sub(r"[\d,.]+", "#", figure.sentence())


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"rho": -0.1}, r"rho must be a finite number from 0 to 2, got -0.1"),
        ({"lr": 0}, r"lr must be a finite number from 0.001 to 10, got 0"),
        ({"rows": 49}, r"rows must be a whole number from 50 to 1500, got 49"),
        ({"rows": 1501}, r"rows must be a whole number from 50 to 1500, got 1501"),
        ({"shuffled": 1.1}, r"shuffled must be a finite number from 0 to 1, got 1.1"),
        ({"first": "adam"}, r"first must be one of 'gradient_descent', 'sgd', .*got 'adam'"),
        ({"network": "resnet"}, r"network must be one of 'perceptron', 'convolutional', got"),
        ({"width": 31}, r"width must be a whole number from 32 to 128, got 31"),
        ({"precision": "float16"}, r"precision must be one of 'float32', 'float64', got 'float16'"),
        ({"panels": ["all"]}, r"panels must be a list of words, some of 'loss', .*got \['all'\]"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(TrainYourself, traits, message)


def test_a_preset_has_a_name() -> None:
    opening = {**DEFAULTS, "panels": ()}
    assert TrainYourself.preset("edge").state() == TrainYourself().state() == opening
    assert TrainYourself.preset("switch").switch_step == 500
    with pytest.raises(ValueError, match="name must be one of 'edge', 'memorize', 'switch', got"):
        TrainYourself.preset("cliff")


def test_what_is_stored_is_what_samlib_computes() -> None:
    for name, preset in PRESETS.items():
        kept = stored()[name]
        again = course_of(preset, 60, 4)
        assert kept.steps[:5] == again.steps
        for quantity in ("top", "edge"):
            for run in (0, 1):
                ours = getattr(again, quantity)[run]
                assert getattr(kept, quantity)[run][:5] == pytest.approx(ours, rel=2e-3)


def test_the_stored_courses_show_what_the_text_says() -> None:
    edge = TrainYourself().to_dataframe().query("step > 1100").groupby("run")
    ratio = (edge.top_eigenvalue.mean() / edge.edge.mean()).to_dict()
    assert ratio == pytest.approx({"first": 1.0, "second": 1.0}, abs=0.08)
    switch = TrainYourself.preset("switch").to_dataframe().query("run == 'second'")
    before = switch[switch.step.between(300, 480)].top_eigenvalue.mean()
    after = switch[switch.step > 1000].top_eigenvalue.mean()
    assert after < 0.75 * before
    nonsense = TrainYourself.preset("memorize").course()
    assert min(nonsense.wrong) > 0.85 * nonsense.test_rows


def test_the_digits_that_are_misread_are_scikit_learns() -> None:
    images, labels = load_digits(return_X_y=True)
    label_of = dict(zip(map(tuple, images.tolist()), labels.tolist(), strict=True))
    for course in stored().values():
        for run in course.misread:
            assert len(run) == 34
            assert [digit.row for digit in run] == sorted({digit.row for digit in run})
            for _, pixels, answer in run:
                image = tuple(float(int(letter, 17)) for letter in pixels)
                assert label_of[image] != answer


@pytest.mark.parametrize(
    "traits",
    [
        {"rows": 50, "second": "one_sam", "lr": 0.01},
        {"rows": 50, "first": "m_sam", "batch": 20},
        {"rows": 50, "lr": 10.0, "second": "mini_batch"},
        {"rows": 50, "rho": 0.0},
        {"rows": 50, "switch_step": 20, "loss": "cross-entropy"},
    ],
)
def test_other_states_have_a_still_and_a_sentence(traits: dict[str, Any]) -> None:
    figure = TrainYourself(**traits)
    assert figure.still().startswith(b"\x89PNG")
    assert re.fullmatch(
        r"A perceptron with 2,410 weights on 50 digits, η = .*\.", figure.sentence()
    )
    assert "nan" not in figure.sentence()
    assert ("ρ =" in figure.sentence()) == (figure.second in PERTURBED)


def test_the_placeholder_carries_state_course_still_and_sentence(
    open_page: Open, placeholder: str
) -> None:
    assert placeholder == TrainYourself().to_html(id="figure")
    state = re.search(r'<script type="application/json">(.*?)</script>', placeholder)
    assert state is not None
    assert len(state[1].encode()) <= 12_000
    values = json.loads(state[1])
    assert (values["_figure"], values["rho"]) == ("TrainYourself", 0.1)
    assert len(values["_course"]["steps"]) == len(values["_course"]["top"][1]) == 101
    assert "_engine" not in values
    page = open_page(placeholder, scripts=False)
    assert page.locator("figcaption").inner_text() == TrainYourself().sentence()
    assert page.locator("figure img").evaluate("(i) => i.complete && i.naturalWidth > 500")


def test_a_notebook_gets_the_engine_when_its_page_asks() -> None:
    figure = TrainYourself()
    assert figure._engine == ""
    figure._on_message(figure, {"wish": "something else"}, [])
    figure._on_message(figure, None, [])
    assert figure._engine == ""
    figure._on_message(figure, {"wish": "engine"}, [])
    assert "samlibTraining" in figure._engine
