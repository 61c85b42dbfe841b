"""The Python side of the figure: traits, errors, what it computes, its placeholder."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
import traitlets

import samlib
from samlib.widgets import Alignment


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"rho": -0.1}, r"rho must be a finite number from 0 to 1000, got -0.1"),
        ({"rho": float("nan")}, r"rho must be a finite number .*, got nan"),
        ({"rho": "0.1"}, r"rho must be a finite number .*, got '0.1'"),
        ({"lr": 0}, r"lr must be a finite number from 1e-06 to 1000, got 0"),
        ({"lr": float("inf")}, r"lr must be .* got inf"),
        ({"lr": True}, r"lr must be .* got True"),
        ({"eigenvalues": (1.0,)}, r"eigenvalues must be 2 to 10 finite numbers.*got 1 of them"),
        ({"eigenvalues": [1.0] * 11}, r"eigenvalues must be 2 to 10 .*got 11 of them"),
        ({"eigenvalues": (2.0, -1.0)}, r"eigenvalues must be .*got -1.0 in it"),
        ({"eigenvalues": (2.0, float("nan"))}, r"eigenvalues must be .*got nan in it"),
        ({"eigenvalues": 3.0}, r"eigenvalues must be .*got 3.0"),
        ({"start": (1.0, 2.0, 3.0)}, r"start must have 2 numbers, one for each of eigenvalues"),
        (
            {"start": (1.0, 2.0), "landscape": "four-dimensional"},
            r"start must have 4 numbers, x₁ to x₄, got 2",
        ),
        ({"start": (1.0, float("inf"))}, r"start must be .*got inf in it"),
        ({"steps": 0}, r"steps must be a whole number from 1 to 200000, got 0"),
        ({"steps": 2.5}, r"steps must be a whole number .*got 2.5"),
        ({"frame": 101}, r"frame must be from 0 to steps = 100, got 101"),
        ({"frame": -1}, r"frame must be a whole number from 0 .*got -1"),
        ({"landscape": "cubic"}, r"landscape must be one of 'quadratic', 'four-d.*got 'cubic'"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Alignment(**traits)
    figure = Alignment()
    landscape = traits.pop("landscape", None)
    if landscape == "four-dimensional":
        figure.landscape = landscape
    elif landscape is not None:
        traits = {"landscape": landscape}
    before = figure.state()
    (name, value) = next(iter(traits.items()))
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(figure, name, value)
    assert figure.state() == before


def test_an_unknown_trait_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Alignment has no trait radius; it has landscape, eig"):
        Alignment(radius=0.1)


def test_numbers_of_other_libraries_are_welcome() -> None:
    figure = Alignment(
        rho=np.float32(0.5),
        lr=torch.tensor(0.25),
        eigenvalues=np.array([4, 2, 1]),
        start=torch.tensor([1.0, 2.0, 3.0]),
        steps=np.int64(10),
    )
    assert figure.state() == {
        "landscape": "quadratic",
        "eigenvalues": (4.0, 2.0, 1.0),
        "start": (1.0, 2.0, 3.0),
        "rho": 0.5,
        "lr": 0.25,
        "steps": 10,
        "frame": 3,
        "zoom": False,
        "invariant": False,
        "panels": (),
    }


def test_dependent_traits_follow() -> None:
    figure = Alignment()
    figure.eigenvalues = (1.0, 2.0, 3.0)
    assert figure.start == (0.3, 0.85, 0.85)
    figure.eigenvalues = (1.0, 2.0)
    assert figure.start == (0.3, 0.85)
    figure.frame = 100
    figure.steps = 20
    assert figure.frame == 20
    figure.rho = 0.123
    figure.landscape = "four-dimensional"
    assert figure.start == (0.5, 0.5, 0.1, 0.2)
    assert (figure.rho, figure.lr, figure.steps) == (0.05, 0.02, 60_000)
    figure.landscape = "quadratic"
    assert (figure.start, figure.rho, figure.lr) == ((0.3, 0.85), 0.4, 0.3)


def test_what_is_set_with_the_loss_stays_as_it_was_set() -> None:
    figure = Alignment()
    with figure.hold_trait_notifications():
        figure.rho = 0.07
        figure.landscape = "four-dimensional"
        figure.start = (0.1, 0.2, 0.3, 0.4)
    assert (figure.rho, figure.start) == (0.07, (0.1, 0.2, 0.3, 0.4))
    assert (figure.lr, figure.steps) == (0.02, 60_000)
    with figure.hold_trait_notifications():
        figure.landscape = "quadratic"
        figure.eigenvalues = (4.0, 2.0, 1.0)
        figure.steps = 2
    assert (figure.rho, figure.lr, figure.start) == (0.4, 0.3, (0.3, 0.85, 0.85))
    assert (figure.eigenvalues, figure.steps, figure.frame) == ((4.0, 2.0, 1.0), 2, 2)
    before = figure.state()

    def set_badly() -> None:
        with figure.hold_trait_notifications():
            figure.landscape = "four-dimensional"
            figure.start = (1.0, 2.0, 3.0)

    with pytest.raises(traitlets.TraitError, match="start must have 4 numbers"):
        set_badly()
    assert figure.state() == before
    figure.landscape = "four-dimensional"  # and alone it brings its defaults as ever
    assert (figure.rho, figure.steps) == (0.05, 60_000)


def test_what_a_page_sends_is_taken_as_it_is() -> None:
    figure = Alignment()
    figure.set_state(
        {
            "landscape": "four-dimensional",
            "start": [0.1, 0.2, 0.3, 0.4],
            "rho": 0.07,
            "lr": 0.01,
            "steps": 500,
            "frame": 7,
        }
    )
    assert figure.start == (0.1, 0.2, 0.3, 0.4)
    assert (figure.rho, figure.lr, figure.steps, figure.frame) == (0.07, 0.01, 500, 7)
    figure.landscape = "quadratic"
    assert figure.start == (0.3, 0.85)


@pytest.mark.parametrize(
    ("eigenvalues", "lr", "rho"), [((3, 1), 0.3, 0.4), ((1, 6, 2), 0.1, 0.02), ((9, 2), 0.05, 1.3)]
)
def test_the_trajectory_ends_in_the_two_cycle(
    eigenvalues: tuple[float, ...], lr: float, rho: float
) -> None:
    figure = Alignment(eigenvalues=eigenvalues, lr=lr, rho=rho, steps=3000)
    run = figure.trajectory
    assert isinstance(run, samlib.Trajectory)
    assert run.x.dtype == torch.float64
    assert int(run.steps[-1]) == 3000
    lambda1 = max(eigenvalues)
    assert figure.predicted_limit() == pytest.approx(lr * rho * lambda1 / (2 - lr * lambda1))
    assert float(run.x[0, -1].norm()) == pytest.approx(figure.predicted_limit(), rel=1e-8)
    assert float(run.alignment[0, -1]) == pytest.approx(1, abs=1e-12)


def test_all_directions_but_the_top_one_die_out() -> None:
    figure = Alignment(eigenvalues=(1, 6, 2, 0.5), lr=0.1, steps=400)
    shares = figure.gradient_shares()
    run = figure.trajectory
    assert shares.shape == (401, 4)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(401, dtype=torch.float64))
    # cos²∠(∇L, v₁) is the share of v₁, the second coordinate.
    torch.testing.assert_close(shares[:, 1], run.alignment[0] ** 2)
    assert float(shares[-1, 1]) == pytest.approx(1, abs=1e-12)
    assert float(shares[0].max()) < 0.95
    assert bool(Alignment(start=(0, 0)).gradient_shares()[0].isnan().all())


@pytest.mark.parametrize(
    "traits",
    [{}, {"eigenvalues": (1, 6, 2), "lr": 0.1}, {"eigenvalues": (2, 2), "lr": 0.4, "rho": 0.05}],
)
def test_the_invariant_set_is_entered_once(traits: dict[str, Any]) -> None:
    figure = Alignment(**traits)
    since = figure.invariant_since()
    assert since is not None
    assert since > 0
    quadratic = samlib.landscapes.Quadratic(figure.eigenvalues)
    inside = quadratic.in_invariant_set(figure.trajectory.x[0], lr=figure.lr, rho=figure.rho)
    assert inside.tolist() == [t >= since for t in range(101)]
    figure.steps = since - 1
    assert figure.invariant_since() is None


@pytest.mark.parametrize("traits", [{"lr": 0.34}, {"rho": 0}])
def test_beyond_the_theorem_there_is_no_invariant_set(traits: dict[str, Any]) -> None:
    figure = Alignment(**traits, invariant=True)
    assert figure.invariant_since() is None
    assert "invariant" not in figure.sentence()
    assert figure.still() == Alignment(**traits).still()


def test_the_still_shows_the_invariant_set() -> None:
    with_set, without = Alignment(invariant=True), Alignment()
    assert with_set.still() != without.still()
    assert with_set.sentence() == (
        without.sentence()[:-1]
        + f"; it is inside the invariant set since step {with_set.invariant_since()}."
    )


def test_the_quadratics_methods_refuse_the_other_loss() -> None:
    figure = Alignment(landscape="four-dimensional")
    for method in (figure.gradient_shares, figure.invariant_since):
        with pytest.raises(ValueError, match=r"\(\) is for landscape='quadratic', not 'four-d"):
            method()


def test_there_is_no_limit_where_it_diverges() -> None:
    figure = Alignment(lr=0.7)
    assert figure.predicted_limit() == float("inf")
    assert "diverges" in figure.sentence()
    assert figure.still().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "traits",
    [
        {"rho": 0, "steps": 5000},
        {"start": (0, 0)},
        {"steps": 1},
        {"eigenvalues": (2, 2)},
        {"landscape": "four-dimensional", "lr": 0.15},
        {"landscape": "four-dimensional", "start": (-3, 4, 0, 0)},
        {"eigenvalues": range(1, 11), "invariant": True},
        {"rho": 0, "invariant": True},
        {"lr": 0.7, "invariant": True},
    ],
)
def test_odd_corners_have_a_still_and_a_sentence(traits: dict[str, Any]) -> None:
    figure = Alignment(**traits)
    assert figure.still().startswith(b"\x89PNG")
    assert re.fullmatch(r"SAM with η = .*\.", figure.sentence())
    assert "nan" not in figure.sentence()


@pytest.mark.parametrize("landscape", ["quadratic", "four-dimensional"])
def test_the_placeholder_is_the_same_every_time(landscape: str) -> None:
    first, second = (Alignment(landscape=landscape).to_html() for _ in range(2))
    assert first == second
    state = re.search(r'<script type="application/json">(.*?)</script>', first)
    assert state is not None
    values = json.loads(state[1])
    assert values["_figure"] == "Alignment"
    assert values["landscape"] == landscape
    assert 'data-samlib-widget="Alignment"' in first
    assert re.search(r'<img src="data:image/png;base64,[\w+/=]+" alt="SAM with', first)
    assert len(first) < 200_000


def test_two_different_figures_have_two_ids() -> None:
    ids = {
        re.search(r'id="([^"]+)"', Alignment(**traits).to_html())[1]  # type: ignore[index]
        for traits in ({}, {"rho": 0.1}, {"landscape": "four-dimensional"})
    }
    assert len(ids) == 3
    assert 'id="mine"' in Alignment().to_html(id="mine")


def test_it_displays_live_and_as_a_placeholder_with_a_stable_text() -> None:
    figure = Alignment(rho=0.2)
    data, _ = figure._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == figure.model_id
    assert data["text/html"] == figure.to_html()
    assert data["text/plain"] == (
        "Alignment(landscape='quadratic', eigenvalues=(3.0, 1.0), start=(0.3, 0.85), rho=0.2, "
        "lr=0.3, steps=100, frame=3, zoom=False, invariant=False, panels=())"
    )


def test_traits_link_and_observe_as_those_of_any_widget() -> None:
    first, second = Alignment(), Alignment()
    traitlets.link((first, "rho"), (second, "rho"))
    seen = []
    second.observe(lambda change: seen.append(change["new"]), "rho")
    first.rho = 0.77
    assert second.rho == 0.77
    assert seen == [0.77]
