"""What the figure TrainYourself trains, the methods, and the course of a run by samlib's numbers.

The page trains the same network from the same start: with float64 it has these iterates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from samlib.curvature import top_eigenpairs
from samlib.datasets import Digits, digits
from samlib.linalg import unit_direction
from samlib.networks import perceptron
from samlib.objective import ModuleObjective, Objective
from samlib.widgets.core.draws import mulberry32
from samlib.widgets.core.runs import diverging_in_silence

Settings = Mapping[str, Any]

# Every method by the name that a reader sees.
METHODS: Mapping[str, str] = {
    "gradient_descent": "gradient descent",
    "sgd": "SGD",
    "sam": "SAM",
    "m_sam": "m-SAM",
    "mini_batch": "mini-batch SAM",
    "one_sam": "1-SAM",
}

# Those that have a radius ρ.
PERTURBED = ("sam", "m_sam", "mini_batch", "one_sam")

# All digits: those that are not trained on are for testing.
IMAGES = 1797

# The channels of the convolutional network's first layer.
CHANNELS = 8

# Keeps the words that shuffle labels apart from others with the same seed.
_FOR_LABELS = 0x5EED

# A course has so many steps, fewer for what takes long, and so many looks at the curvature.
STEPS, LOOKS = 400, 20

# So many of the digits that are misread are shown: as many as a line of them holds.
MISREAD = 34

# A letter for each value of a pixel.
PIXELS = "0123456789abcdefg"

# A run whose loss is larger has diverged.
FAR = 1e6


class Problem(NamedTuple):
    """A network on the training rows: its loss L, and the weights at which it starts."""

    model: nn.Sequential
    objective: ModuleObjective
    start: Tensor
    data: Digits


class Misread(NamedTuple):
    """A test row that is read wrongly: its number, its 64 pixels from 0 to g, and the answer."""

    row: int
    pixels: str
    answer: int


class Course(NamedTuple):
    """What two runs went through, first and second: a number for each look.

    ``top`` is λ₁ and ``edge`` where the method ceases to be stable, NaN where that is not known;
    ``wrong`` counts the test rows that are read wrongly at the end, of ``test_rows``, and
    ``misread`` holds the first of them.
    """

    steps: tuple[int, ...]
    top: tuple[tuple[float, ...], ...]
    edge: tuple[tuple[float, ...], ...]
    wrong: tuple[int, ...]
    misread: tuple[tuple[Misread, ...], ...]
    test_rows: int


def problem_of(settings: Settings) -> Problem:
    """The network, the training rows and the loss that the settings name."""
    data = digits(settings["rows"])
    labels = shuffled(data.targets, settings["shuffled"], settings["seed"])
    data = data._replace(targets=labels)
    model = _network(settings)
    if settings["loss"] == "squared":
        targets = nn.functional.one_hot(labels, 10).to(data.inputs)
        objective = Objective.from_module(model, _half_squares, (data.inputs, targets))
    else:
        objective = Objective.from_module(model, nn.CrossEntropyLoss(), (data.inputs, labels))
    return Problem(model, objective, objective.flat_parameters(), data)


def _half_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum() / 2 / len(targets)


def _network(settings: Settings) -> nn.Sequential:
    if settings["network"] == "perceptron":
        return perceptron((64, settings["width"], 10), seed=settings["seed"])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings["seed"])
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, CHANNELS, 3, 1, padding=1, dtype=torch.float64),
            nn.Tanh(),
            nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, 2, padding=1, dtype=torch.float64),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(32 * CHANNELS, 10, dtype=torch.float64),
        )


def shuffled(labels: Tensor, share: float, seed: int) -> Tensor:
    """The labels after a share of the rows, in a random order, passed theirs on to the next one.

    The last one passes its label to the first: labels keep their frequencies, and about one in ten
    stays right by chance.
    """
    words = mulberry32(seed ^ _FOR_LABELS, len(labels))
    order = torch.from_numpy(np.argsort(words, kind="stable"))
    chosen = order[: math.floor(share * len(labels) + 0.5)]
    mixed = labels.clone()
    mixed[chosen.roll(-1)] = labels[chosen]
    return mixed


class Run:
    """One network on its way: ``x`` is where it is, and each call of :meth:`step` takes it on."""

    def __init__(self, problem: Problem, method: str, settings: Settings) -> None:
        self.x = problem.start.clone()
        self._problem, self._method, self._settings = problem, method, settings
        self._draws = torch.Generator().manual_seed(settings["seed"])

    def step(self, rho: float) -> None:
        """One step with this radius."""
        self.x = self.x - self._settings["lr"] * self._direction(rho)

    def _direction(self, rho: float) -> Tensor:
        method, batch = self._method, self._settings["batch"]
        count = len(self._problem.data.targets)
        if method == "m_sam":
            pieces = [torch.arange(count)[k : k + batch] for k in range(0, count, batch)]
            directions = [self._on(piece, rho) * len(piece) / count for piece in pieces]
            return torch.stack(directions).sum(dim=0)
        if method in ("gradient_descent", "sam"):
            return self._on(None, rho if method == "sam" else None)
        size = 1 if method == "one_sam" else batch
        drawn = torch.randint(count, (size,), generator=self._draws)
        return self._on(drawn, None if method == "sgd" else rho)

    def _on(self, rows: Tensor | None, rho: float | None) -> Tensor:
        """The gradient on some rows, or all, at x or where SAM climbs to from there."""
        g = self._gradient(self.x, rows)
        return g if rho is None else self._gradient(self.x + rho * unit_direction(g), rows)

    def _gradient(self, x: Tensor, rows: Tensor | None) -> Tensor:
        objective = self._problem.objective
        if rows is None:
            return objective.gradient(x)
        return objective.component_gradient(x.expand(len(rows), -1), rows).mean(dim=0)


def edge_of(method: str, lr: float, rho: float, norm: float) -> float:
    """The λ at which a step of a full-batch method ceases to be stable, NaN for the others.

    η λ (1 + ρλ/‖g‖) = 2, for a gradient of norm ‖g‖ (Long and Bartlett, 2024); 2/η for ρ = 0.
    """
    if method not in ("gradient_descent", "sam"):
        return math.nan
    reach = rho / norm if method == "sam" and norm > 0 else 0.0
    return 4 / (lr * (1 + math.sqrt(1 + 8 * reach / lr)))


def course_of(settings: Settings, steps: int | None = None, looks: int = LOOKS) -> Course:
    """Train both runs by samlib and look at the curvature at evenly spaced steps."""
    problem = problem_of(settings)
    last = shorter(settings, problem) if steps is None else steps
    at = tuple(sorted({round(n * last / looks) for n in range(looks + 1)}))
    with diverging_in_silence():
        runs = [_along(problem, settings[run], settings, at) for run in ("first", "second")]
    top, edge, wrong, misread = zip(*runs, strict=True)
    return Course(at, top, edge, wrong, misread, len(problem.data.test_targets))


def shorter(settings: Settings, problem: Problem) -> int:
    """How many steps take seconds: STEPS, or fewer for many rows and weights."""
    size: float = settings["rows"] * problem.objective.dim / (500 * 2410)
    return max(40, round(STEPS / max(1.0, size)))


def _along(
    problem: Problem, method: str, settings: Settings, steps: tuple[int, ...]
) -> tuple[tuple[float, ...], tuple[float, ...], int, tuple[Misread, ...]]:
    """λ₁ and the edge at these steps, and which test rows are read wrongly at the last."""
    run, top, edge = Run(problem, method, settings), [], []
    for t in range(steps[-1] + 1):
        rho = rho_at(t, settings)
        if t in steps:
            top.append(_top(problem, run.x))
            norm = float(problem.objective.gradient(run.x).norm())
            edge.append(edge_of(method, settings["lr"], rho, norm))
        if t < steps[-1]:
            run.step(rho)
    answers = _answers(problem, run.x)
    wrong = (answers != problem.data.test_targets).nonzero()[:, 0]
    rows, pixels = wrong[:MISREAD], _pixels(problem.data)
    misread = tuple(
        Misread(row, "".join(PIXELS[v] for v in pixels[row]), int(answers[row]))
        for row in rows.tolist()
    )
    return tuple(top), tuple(edge), len(wrong), misread


def rho_at(step: int, settings: Settings) -> float:
    """The radius at a step: it may move by itself once."""
    at = settings["switch_step"]
    rho: float = settings["switch_rho"] if 0 < at <= step else settings["rho"]
    return rho


def _top(problem: Problem, x: Tensor) -> float:
    """λ₁, or NaN where the run has diverged."""
    if not bool(problem.objective.value(x) < FAR):
        return math.nan
    found = top_eigenpairs(problem.objective, x, k=1, rtol=1e-3, progress=False)
    return float(found.values[0])


def _answers(problem: Problem, x: Tensor) -> Tensor:
    """What the network takes each test row for."""
    model, objective, data = problem.model, problem.objective, problem.data
    objective.load_flat_parameters(x)
    with torch.no_grad():
        answers: Tensor = model(data.test_inputs).argmax(dim=1)
    return answers


def _pixels(data: Digits) -> list[list[int]]:
    """The pixels of the test rows, from 0 to 16: each of the 64 is 0 in some row."""
    lowest = torch.cat([data.inputs, data.test_inputs]).min(dim=0).values
    pixels: list[list[int]] = (16 * (data.test_inputs - lowest)).round().int().tolist()
    return pixels
