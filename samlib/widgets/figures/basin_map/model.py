"""Where a run ends: the losses of the figure, the places of each, and what is said of a start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samlib import rules
from samlib.dynamics import simulate
from samlib.dynamics.rules import Rule
from samlib.landscapes import DoubleWell, FourDimensional, Quadratic, TwoValleys
from samlib.objective import Objective
from samlib.widgets.core.runs import diverging_in_silence
from samlib.widgets.figures.basin_map.formula import read_formula

SPECTRA: Mapping[str, tuple[float, float]] = {
    "bowl": (2.0, 1.0),
    "ravine": (0.3, 6.0),
    "round bowl": (2.0, 2.0),
}

# What an end is told by: the critical point it lies at, the direction of the last gradient, or
# where along a valley it is.
KINDS: Mapping[str, str] = {
    "double well": "places",
    "bowl": "direction",
    "ravine": "direction",
    "round bowl": "direction",
    "two valleys": "valley",
    "four dimensions": "valley",
    "formula": "places",
}

RULES: Mapping[str, Callable[[float, float], Rule]] = {
    "sam": rules.SAM,
    "gradient_descent": lambda lr, rho: rules.GradientDescent(lr),
    "ascent_loss_descent": rules.AscentLossDescent,
}

# Every so many steps a run is looked at: at which place it is, and whether it has left.
CHECK = 10
# Farther than this from the origin a run has left.
FAR = 1000.0
# A run rests on a slope where the slope that it steps along is so small beside the slope under it.
REST = 1e-4
# Nearer than this to the floor a run is in the valley.
FLOOR = 0.1
# A run whose gradient is shorter has arrived; what it has of a direction would only be lost.
ARRIVED = 1e-12
# So many parts a half-turn has; a run has its direction from when it stays in one of them.
SECTORS = 36
# Critical points of a formula are looked for in |x|, |y| ≤ this, from so many points a side.
WITHIN, SIDE = 6.0, 25
MOST_PLACES = 12
# A place is asked for at most this far away.
REACH = 1.0

# What else can become of a run, beside the numbers of the places.
SLOPE, ELSEWHERE, LEFT = 100, 101, 102

TYPES = ("minimum", "saddle", "maximum")


@dataclass(frozen=True)
class Place:
    """A critical point: where it is, what it is, and up to which distance an end belongs to it."""

    x: tuple[float, float]
    type: str
    radius: float


@dataclass(frozen=True)
class Ends:
    """Where runs end.

    ``label`` [n] is the number of a place, or ``SLOPE``, ``ELSEWHERE`` or ``LEFT``; 0 for all ends
    of bowls and valleys that have not left. ``arrival`` [n] is the last step at which a run came
    to another place (to its direction, to the floor). ``where`` [n, 2] is the middle between the
    last iterate and the next, 0 of what has left; of bowls, the direction of the last gradient by
    the cosine and the sine of twice its angle.
    """

    label: Tensor
    arrival: Tensor
    where: Tensor


def make_objective(loss: str, formula: str = "") -> Objective:
    """The loss by its name."""
    if loss in SPECTRA:
        return Quadratic(SPECTRA[loss])
    if loss == "formula":
        return read_formula(formula)
    kinds: dict[str, type[Objective]] = {
        "double well": DoubleWell,
        "two valleys": TwoValleys,
        "four dimensions": FourDimensional,
    }
    return kinds[loss]()  # type: ignore[call-arg]


@lru_cache(maxsize=16)
def places_of(loss: str, formula: str = "") -> tuple[Place, ...]:
    """The critical points that an end may lie at; none where they are no single points."""
    if KINDS[loss] != "places":
        return ()
    found = critical_points(make_objective(loss, formula))
    return tuple(
        Place(x, kind, _radius(x, [other for other, _ in found if other != x])) for x, kind in found
    )


def kind_of(loss: str, formula: str = "") -> str:
    """What tells the ends of a loss apart; a formula without single critical points is a valley."""
    return "valley" if not places_of(loss, formula) and loss == "formula" else KINDS[loss]


def _radius(x: tuple[float, float], others: Sequence[tuple[float, float]]) -> float:
    """Half the way to the nearest of the others, and at most REACH."""
    return min([REACH, *(float(np.hypot(x[0] - o[0], x[1] - o[1])) / 2 for o in others)])


def critical_points(objective: Objective) -> list[tuple[tuple[float, float], str]]:
    """Where the gradient vanishes in |x|, |y| ≤ WITHIN, by Newton's method from a grid.

    Minima first, then saddles and maxima, each from left to right; none at all if one of them is
    flat in a direction, so that there may be a whole curve of them.
    """
    side = torch.linspace(-WITHIN, WITHIN, SIDE, dtype=torch.float64)
    x = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).reshape(-1, 2)
    for _ in range(60):
        gradient, hessian = objective.gradient(x), _hessians(objective, x)
        x = x - _solved(hessian, gradient)
        x = x[x.abs().amax(dim=-1) < 10 * WITHIN]
    slope = objective.gradient(x).norm(dim=-1)
    x = x[(slope < 1e-9) & (x.abs().amax(dim=-1) <= WITHIN)]
    found: list[Tensor] = []
    for point in x:
        if all(float((point - known).norm()) > 1e-4 for known in found):
            found.append(point)
    named = [(_tidy(point), _type_of(objective, point)) for point in found]
    if not named or any(kind == "flat" for _, kind in named):
        return []
    return sorted(named, key=lambda each: (TYPES.index(each[1]), each[0]))[:MOST_PLACES]


def _hessians(objective: Objective, x: Tensor) -> Tensor:
    """∇²L at points [n, 2] → [n, 2, 2]."""
    units = torch.eye(2, dtype=x.dtype)
    return torch.stack([objective.hessian_vector_product(x, e.expand_as(x)) for e in units], dim=-1)


def _solved(a: Tensor, b: Tensor) -> Tensor:
    """The solutions of a s = b, by Cramer's rule: without an end where a is singular."""
    det = a[:, 0, 0] * a[:, 1, 1] - a[:, 0, 1] * a[:, 1, 0]
    first = a[:, 1, 1] * b[:, 0] - a[:, 0, 1] * b[:, 1]
    second = a[:, 0, 0] * b[:, 1] - a[:, 1, 0] * b[:, 0]
    return torch.stack([first, second], dim=-1) / det[:, None]


def _tidy(point: Tensor) -> tuple[float, float]:
    """A point to six decimals, without −0."""
    x, y = (round(value, 6) + 0.0 for value in point.tolist())
    return x, y


def _type_of(objective: Objective, point: Tensor) -> str:
    hessian = _hessians(objective, point[None])[0]
    det, size = float(torch.linalg.det(hessian)), float(hessian.square().sum())
    if abs(det) <= 1e-6 * size:
        return "flat"
    if det < 0:
        return "saddle"
    return "minimum" if float(hessian.trace()) > 0 else "maximum"


def starts_of_map(
    loss: str, center: Sequence[float], reach: float, across: Sequence[float], side: int
) -> Tensor:
    """The middles of side × side pixels, [side², D], rows from the bottom to the top."""
    part = (torch.arange(side, dtype=torch.float64) + 0.5) / side * 2 - 1
    second, first = torch.meshgrid(
        center[1] + reach * part, center[0] + reach * part, indexing="ij"
    )
    dim = make_objective(loss, "x").dim
    rest = [torch.full_like(first, value) for value in across[: dim - 2]]
    return torch.stack([first, second, *rest], dim=-1).reshape(-1, dim)


def ends(objective: Objective, kind: str, rule: Rule, x: Tensor, steps: int, places: Any) -> Ends:
    """Run a rule from x [n, D] and say where the runs end."""
    mark = _marker(objective, kind, places)
    marks = mark(x)
    arrival = torch.zeros(len(x), dtype=torch.float64)
    inside = torch.ones(len(x), dtype=torch.bool)
    done = torch.zeros(len(x), dtype=torch.bool)  # back at the same bits: nothing changes any more
    for step in range(0, steps, CHECK):
        count = min(CHECK, steps - step)
        if kind == "direction":
            done = done | (objective.gradient(x).abs().amax(dim=-1) < ARRIVED)
        under_way = inside & ~done
        if not under_way.any():
            break
        with diverging_in_silence():
            run = simulate(objective, rule, x[under_way], count, every=count, record=("x",))
        before, x = x, x.clone()
        x[under_way] = run.x[:, -1]
        if count % 2 == 0:
            done = done | (x == before).all(dim=-1)
        inside = inside & (x.square().sum(dim=-1) < FAR * FAR)  # false where it is not a number
        now = torch.where(inside, mark(x), -1)
        arrival[now != marks] = step + count
        marks = now
    label, where = _labels(objective, kind, rule, x, places)
    there = torch.where(inside[:, None], where, 0.0)
    return Ends(torch.where(inside, label, LEFT), arrival, there)


def _marker(objective: Objective, kind: str, places: Sequence[Place]) -> Callable[[Tensor], Tensor]:
    """What changes when a run comes to another place, to another direction, to the floor."""
    if kind == "direction":
        return lambda x: _sector(objective.gradient(x))
    if kind == "places":
        return lambda x: _place_at(x, places)
    if objective.dim == 2:  # a formula has no floor that is known
        return lambda x: torch.zeros(len(x), dtype=torch.int64)
    first = objective.dim - 2 if objective.dim == 4 else 1
    return lambda x: (x[:, first:].square().sum(dim=-1) < FLOOR * FLOOR).long()


def _sector(gradient: Tensor) -> Tensor:
    """In which part of the half-turn a direction lies; ±g are the same."""
    angle = torch.atan2(gradient[:, 1], gradient[:, 0]) * (SECTORS / torch.pi)
    return torch.floor(angle + 0.5).nan_to_num().long() % SECTORS


def _place_at(x: Tensor, places: Sequence[Place]) -> Tensor:
    """The number of the place nearest to each point; ELSEWHERE if none is near."""
    distance, nearest = _distances(x, places).min(dim=-1)
    near = distance < torch.tensor([place.radius for place in places], dtype=x.dtype)[nearest]
    return torch.where(near, nearest, ELSEWHERE)


def _distances(x: Tensor, places: Sequence[Place]) -> Tensor:
    known = torch.tensor([place.x for place in places], dtype=x.dtype)
    distances: Tensor = (x[:, None, :2] - known).norm(dim=-1)
    return distances


def _labels(
    objective: Objective, kind: str, rule: Rule, x: Tensor, places: Sequence[Place]
) -> tuple[Tensor, Tensor]:
    """The labels of ends x, and where they are."""
    gradient, after = objective.gradient(x), rule.step(objective, x)
    zero = torch.zeros(len(x), dtype=torch.int64)
    if kind == "direction":
        g1, g2 = (gradient / gradient.abs().amax(dim=-1, keepdim=True)).unbind(dim=-1)
        square = g1 * g1 + g2 * g2
        return zero, torch.stack([(g1 * g1 - g2 * g2) / square, 2 * g1 * g2 / square], dim=-1)
    middle = (x + after) / 2
    where = middle[:, :2].clone()
    if objective.dim == 3:
        where[:, 1] = 0.0
    if kind == "valley":
        return zero, where
    label = _place_at(middle, places)
    slope = gradient.norm(dim=-1)
    rests = (x - after).norm(dim=-1) < REST * float(rule.lr) * slope
    return torch.where(rests & (slope > REST), SLOPE, label), where
