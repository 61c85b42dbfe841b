"""What the figures' page has from Python: ``python -m samlib.widgets.schema`` writes it.

The names of the traits, which of them are whole numbers, and the constants that both sides need are
written once, in Python. They stand in src/schema.json, which the bundle includes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import samlib
from samlib import widgets
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.four_dimensional import PREFERRED
from samlib.widgets.core.names import NOTIONS
from samlib.widgets.core.traits import Whole
from samlib.widgets.figures.basin_map import formula as basin_formula
from samlib.widgets.figures.basin_map import model as basin_map
from samlib.widgets.figures.explicit_bias.model import ARRIVAL, ARRIVAL_STEPS, QUANTITIES
from samlib.widgets.figures.explore.model import REACH
from samlib.widgets.figures.explore.widget import Explore
from samlib.widgets.figures.limiting_flow import model as limiting_flow
from samlib.widgets.figures.one_loss.model import DESTINATIONS
from samlib.widgets.figures.opposite_drifts.widget import FAR
from samlib.widgets.figures.random_directions import model as random_directions
from samlib.widgets.figures.rescaling import model as rescaling
from samlib.widgets.figures.spectrum_in_training.model import RUNS
from samlib.widgets.figures.spectrum_in_training.widget import SHOWN
from samlib.widgets.figures.train_yourself import model as train_yourself

PATH = Path(__file__).parent / "src" / "schema.json"


def traits_of(figure: type[Figure]) -> dict[str, Any]:
    """The names of a figure's traits, of those that are whole numbers, and their defaults."""
    traits, names = figure.class_traits(), list(figure.state_names)
    return {
        "names": names,
        "whole": [name for name in names if isinstance(traits[name], Whole)],
        # One that shows a model of the reader's has none.
        "defaults": {} if figure is Explore else figure().state(),
    }


def basin_map_constants() -> dict[str, Any]:
    """What both sides call an end, and a place."""
    places = basin_map.places_of("double well")
    return {
        "spectra": basin_map.SPECTRA,
        "places": [vars(place) for place in places],
        "check": basin_map.CHECK,
        "far": basin_map.FAR,
        "rest": basin_map.REST,
        "floor": basin_map.FLOOR,
        "arrived": basin_map.ARRIVED,
        "sectors": basin_map.SECTORS,
        "within": basin_map.WITHIN,
        "side": basin_map.SIDE,
        "most": basin_map.MOST_PLACES,
        "reach": basin_map.REACH,
        "types": basin_map.TYPES,
        "functions": list(basin_formula.FUNCTIONS),
        "longest": basin_formula.LONGEST,
        "labels": {
            "slope": basin_map.SLOPE,
            "elsewhere": basin_map.ELSEWHERE,
            "left": basin_map.LEFT,
        },
    }


def limiting_flow_constants() -> dict[str, Any]:
    """The network that is trained, and how far."""
    problem = samlib.problems.interpolating_network().objective
    return {
        "features": problem.inputs.shape[1],
        "hidden": problem.dim // (problem.inputs.shape[1] + 2),
        "points": limiting_flow.POINTS,
        "checkpoints": limiting_flow.CHECKPOINTS,
        "most_steps": limiting_flow.MOST_STEPS,
        "samples": limiting_flow.SAMPLES,
        "far": limiting_flow.FAR,
        "fit": {
            "lr": limiting_flow.FIT_LR,
            "norm": limiting_flow.FIT_NORM,
            "most": limiting_flow.FIT_MOST,
        },
    }


def schema() -> dict[str, Any]:
    """All that the page is told."""
    figures = [getattr(widgets, name) for name in widgets.__all__ if name != "explore"]
    return {
        "traits": {figure.__name__: traits_of(figure) for figure in figures},
        "constants": {
            "notions": NOTIONS,
            "arrival": {**ARRIVAL, "steps": ARRIVAL_STEPS},
            "basin_map": basin_map_constants(),
            "preferred": PREFERRED,
            "quantities": {
                name: {"notion": notion, "symbol": symbol, "times": times}
                for name, (notion, symbol, times) in QUANTITIES.items()
            },
            "destinations": {
                method: {"descends": regularizer, "x": x}
                for method, (regularizer, x) in DESTINATIONS.items()
            },
            "explore": {"reach": REACH},
            "limiting_flow": limiting_flow_constants(),
            "opposite_drifts": {"far": FAR},
            "random_directions": {
                "directions": random_directions.DIRECTIONS,
                "most": random_directions.MOST,
            },
            "rescaling": rescaling.SIZES,
            "spectrum_in_training": {"runs": RUNS, "shown": SHOWN},
            "train_yourself": {
                "methods": train_yourself.METHODS,
                "channels": train_yourself.CHANNELS,
                "images": train_yourself.IMAGES,
            },
        },
    }


def written() -> str:
    """The file's text."""
    return json.dumps(schema(), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(written(), encoding="utf8")
