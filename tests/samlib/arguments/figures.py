"""The table for plots, claims and the interactive figure."""

from __future__ import annotations

import math
from collections.abc import Callable

import matplotlib.pyplot as plt

from tests.samlib.arguments.kinds import (
    NO_NUMBERS,
    NOT_FINITE,
    WORDS,
    Argument,
    count,
    free,
    instance,
    non_negative,
    one_of,
    seed,
    text,
)
from tests.samlib.arguments.losses import CURVATURES
from tests.samlib.arguments.results import density, flow, history, layers, trajectory
from tests.samlib.arguments.rows import Row, chosen, either_loss, samples
from tests.samlib.arguments.world import World


def axes(w: World) -> Argument:
    return Argument(None, (3, "axes", [], plt, object()), "axes of matplotlib")


def style() -> Argument:
    return free({"color": "#444444"}, "matplotlib's plot takes it, and says what is wrong with it")


def of_history(w: World) -> Row:
    names = Argument(["loss"], (3, [], "nonsense", ["loss", "nonsense"], [3]), "loss|not be empty")
    return {"names": names, "ax": axes(w), "style": style()}


def of_trajectory(w: World) -> Row:
    return {"name": one_of("x1", "x1", "x2", "x3", "x4", "loss"), "ax": axes(w), "style": style()}


def of_flow(w: World) -> Row:
    return {"name": one_of("trace", *CURVATURES).or_none(), "ax": axes(w), "style": style()}


def explored(w: World) -> Row:
    rho = Argument(0.1, (*NO_NUMBERS, *NOT_FINITE, 0, -1, 1e4), "finite number from", WORDS)
    return {
        **either_loss(w),
        **chosen(),
        "rho": rho,
        "k": count(2),
        "samples": samples(),
        "seed": seed(),
    }


OF_FIGURES: dict[str, Callable[[World], Row]] = {
    # ── plotting
    "samlib.plotting.plot_history": lambda w: {
        "history": instance(history(), "fit returns"),
        **of_history(w),
    },
    "samlib.plotting.plot_spectral_density": lambda w: {
        "density": instance(density(), "spectral_density returns"),
        "ax": axes(w),
    },
    "samlib.plotting.plot_trajectory": lambda w: {
        "trajectory": instance(trajectory(), "simulate returns"),
        **of_trajectory(w),
    },
    "samlib.plotting.plot_limiting_flow": lambda w: {
        "flow": instance(flow(), "limiting_flow returns"),
        **of_flow(w),
    },
    "samlib.plotting.plot_layers": lambda w: {"layers": instance(layers(), "layerwise returns")},
    # ── claims
    "samlib.claims.check": lambda w: {
        "identifier": text("root-two", "", "A", "a b", "-a", "a_b", "é"),
        **{
            name: Argument(
                [1.0, 2.0],
                (None, "one", 1j, [], 1.0, [1.0], [[1.0, 2.0], [3.0]], [True, False], w.x * 1j),
                "shape|numbers",
            )
            for name in ("predicted", "measured")
        },
        "rtol": non_negative().or_none(),
        "atol": non_negative().or_none(),
        "source": text("arithmetic", ""),
        "statement": text("They are equal.", ""),
    },
    # ── the interactive figure
    "samlib.widgets.figures.explore.explore.explore": explored,
    "samlib.widgets.figures.explore.widget.Explore": explored,
    "samlib.widgets.figures.explore.widget.Explore.sweep": lambda w: {
        "radii": Argument(
            [0.1],
            (None, 3, "12", [None], ["1"], [True], [0.0], [-1.0], [math.nan], [1e4]),
            "numbers|finite number from",
            called="radii|rho",
        )
    },
    "samlib.widgets.figures.explore.widget.Explore.wait": lambda w: {
        "timeout": non_negative(30.0).or_none()
    },
    "samlib.widgets.figures.explore.widget.Explore.set_state": lambda w: {
        "sync_data": free({}, "the protocol of ipywidgets sends it")
    },
    "samlib.widgets.core.figure.Figure.to_html": lambda w: {"id": text("here").or_none()},
}
