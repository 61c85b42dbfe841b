"""What samlib expects of the figure BasinMap on a page: maps, paths, and formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import samlib
from samlib.widgets import BasinMap
from samlib.widgets.figures.basin_map.formula import read_formula
from samlib.widgets.figures.basin_map.model import RULES, Ends, kind_of, places_of

SIDE = 32

# States whose maps are compared start by start.
MAPS: dict[str, dict[str, Any]] = {
    "as it opens": {},
    "double well, gradient descent": {"method": "gradient_descent"},
    "double well, all at the saddle": {"rho": 0.95},
    "double well, between": {"rho": 0.9},
    "double well, at rest on slopes": {"rho": 1.3},
    "double well, some leave": {"lr": 0.4},
    "double well, steps that are no multiple of ten": {"steps": 337, "rho": 0.2},
    "double well, a corner of it": {"center": (-0.4, 0.9), "reach": 0.3},
    "double well, exact descent": {"method": "ascent_loss_descent", "rho": 0.2},
    "bowl": {"loss": "bowl", "steps": 300},
    "bowl, gradient descent": {"loss": "bowl", "method": "gradient_descent"},
    "bowl, exact descent above one half": {
        "loss": "bowl", "method": "ascent_loss_descent", "lr": 0.27,
    },
    "ravine": {"loss": "ravine"},
    "round bowl": {"loss": "round bowl"},
    "two valleys": {"loss": "two valleys", "across": (-0.3, 0.0)},
    "two valleys, gradient descent": {"loss": "two valleys", "method": "gradient_descent"},
    "two valleys, exact descent": {
        "loss": "two valleys", "method": "ascent_loss_descent", "lr": 0.02, "steps": 30,
    },
    "four dimensions": {"loss": "four dimensions"},
    "four dimensions, exact descent": {
        "loss": "four dimensions", "method": "ascent_loss_descent", "lr": 0.002, "steps": 600,
    },
    "a formula": {"loss": "formula", "steps": 400},
    "a formula that is a valley": {
        "loss": "formula", "formula": "(x*y - 1)^2/2", "reach": 2, "steps": 300,
    },
    "a formula with functions": {
        "loss": "formula", "formula": "log(1 + x^2) + sqrt(1 + y^2) + cos(3*x)/4", "reach": 3,
        "rho": 0.2,
    },
}  # fmt: skip

FORMULAS = (
    "(x^2 - 1)^2/4 + y^2/2",
    "((x^2 + y - 11)^2 + (x + y^2 - 7)^2)/100",
    "(x*y - 1)^2",
    "sin(x)*cos(y) - 2*tanh(x - y)",
    "log(1 + x^2)*exp(-y^2/3) + sqrt(4 + x)",
    "abs(x - 3)^1.5 + atan(y)^3 - cosh(x/4)*sinh(y/4)",
    "tan(x/9) + x^-2*pi - e^(x/5) + (2 + y^2)^(x/7)",
    "-x^2 + +y^2",
)


def away_from_borders(ends: Ends, kind: str, side: int = SIDE) -> NDArray[np.bool_]:
    """The starts whose eight neighbors end as they do: at a border a hair's breadth decides.

    So does it where neighbors arrive at very different times: there runs are amplified.
    """
    arrival = ends.arrival.numpy()
    parts = [ends.label.numpy()]
    if kind == "places":
        parts.append(np.round(np.log1p(arrival)))
    else:
        parts += [np.round(column / 0.2) for column in ends.where.numpy().T]
    trusted = np.ones((side, side), dtype=bool)
    for part in parts:
        square = np.pad(part.reshape(side, side).astype(float), 1, mode="edge")
        for i in range(3):
            for j in range(3):
                near = np.abs(square[i : i + side, j : j + side] - square[1:-1, 1:-1])
                trusted &= near <= (0 if part is parts[0] else 1)
    return trusted


def described(name: str) -> tuple[BasinMap, dict[str, Any]]:
    """A figure, and what a page is told of it."""
    figure = BasinMap(**MAPS[name])
    ends = figure.ends(SIDE)
    kind = kind_of(figure.loss, figure.formula)
    return figure, {
        "name": name,
        "state": figure.state(),
        "side": SIDE,
        "label": ends.label.double(),
        "arrival": ends.arrival,
        "where": ends.where,
        "trusted": away_from_borders(ends, kind).astype(float),
    }


def path(name: str) -> dict[str, Any]:
    """The first steps from the chosen start."""
    figure = BasinMap(**{**MAPS[name], "steps": 200})
    objective = figure.objective
    start = torch.tensor([*figure.start, *figure.across][: objective.dim], dtype=torch.float64)
    rule = RULES[figure.method](figure.lr, figure.rho)
    x = samlib.simulate(objective, rule, start, 200, record=("x",)).x[0]
    return {"name": name, "state": figure.state(), "x": x}


def formula(text: str) -> dict[str, Any]:
    """A formula and its derivatives, by automatic differentiation, at some points."""
    objective = read_formula(text)
    points = torch.rand(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    points = 3 * points + 0.1  # where all functions are defined
    units = torch.eye(2, dtype=torch.float64)
    rows = [objective.hessian_vector_product(points, e.expand_as(points)) for e in units]
    return {
        "text": text,
        "points": points,
        "value": objective.value(points),
        "gradient": objective.gradient(points),
        "hessian": torch.stack(rows, dim=-1),
        "places": [vars(place) for place in places_of("formula", text)],
    }


def expect_basin_map() -> dict[str, Any]:
    """All of it."""
    quiet = [name for name in MAPS if "exact" not in name and "leave" not in name]
    return {
        "maps": [described(name)[1] for name in MAPS],
        "runs": [path(name) for name in quiet],
        "formulas": [formula(text) for text in FORMULAS],
    }
