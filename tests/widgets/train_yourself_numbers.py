"""What samlib expects of the figure TrainYourself: two runs, step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy, one_hot

from samlib.curvature import top_eigenpairs
from samlib.dynamics.rules import SAM, GradientDescent, Rule, StochasticSAM
from samlib.widgets import TrainYourself
from samlib.widgets.figures.train_yourself.model import Problem, edge_of

STEPS = 8

# States whose two runs are compared; small, so that a test takes seconds.
STATES: dict[str, dict[str, Any]] = {
    "as it opens": {},
    "shuffled labels": {"rows": 61, "shuffled": 0.4, "seed": 7, "second": "one_sam", "lr": 0.05},
    "batches": {"rows": 60, "first": "sgd", "second": "mini_batch", "batch": 9, "lr": 0.1},
    "m-SAM": {"rows": 50, "first": "m_sam", "batch": 16, "lr": 0.2, "width": 40},
    "convolutional": {"rows": 50, "network": "convolutional", "loss": "cross-entropy", "lr": 0.1},
    "ρ moves": {"rows": 80, "rho": 0.05, "switch_step": 3, "switch_rho": 0.4, "seed": 2},
}


def rule_of(method: str, figure: TrainYourself, rho: float) -> Rule:
    """The rule that samlib has for a method; m-SAM is done by hand."""
    if method == "gradient_descent":
        return GradientDescent(figure.lr)
    if method == "sam":
        return SAM(figure.lr, rho)
    size = 1 if method == "one_sam" else figure.batch
    return StochasticSAM(figure.lr, 0.0 if method == "sgd" else rho, batch_size=size)


def step_of_m_sam(figure: TrainYourself, problem: Problem, x: torch.Tensor) -> torch.Tensor:
    """x − η times the mean over pieces of the rows of the gradient where each of them climbs."""
    inputs, labels = problem.data.inputs, problem.data.targets
    total = torch.zeros_like(x)
    for begin in range(0, len(labels), figure.batch):
        rows = slice(begin, begin + figure.batch)
        g = gradient(problem, x, inputs[rows], labels[rows], figure.loss)
        up = x + figure.rho * g / g.norm()
        total += len(labels[rows]) * gradient(problem, up, inputs[rows], labels[rows], figure.loss)
    return x - figure.lr * total / len(labels)


def gradient(
    problem: Problem, x: torch.Tensor, inputs: torch.Tensor, labels: torch.Tensor, loss: str
) -> torch.Tensor:
    """The gradient on some rows, by torch alone."""
    problem.objective.load_flat_parameters(x)
    outputs = problem.model(inputs)
    value = (
        (outputs - one_hot(labels, 10)).square().sum() / 2 / len(labels)
        if loss == "squared"
        else cross_entropy(outputs, labels)
    )
    return torch.cat(
        [g.reshape(-1) for g in torch.autograd.grad(value, problem.model.parameters())]
    )


def run(figure: TrainYourself, method: str) -> dict[str, Any]:
    """Loss, ‖∇L‖, λ₁, the edge and both accuracies at every step."""
    problem = figure.problem()
    objective, x = problem.objective, problem.start
    draws = torch.Generator().manual_seed(figure.seed)
    found: dict[str, list[float]] = {
        name: [] for name in ("loss", "norm", "top", "edge", "train", "test")
    }
    for t in range(STEPS + 1):
        moved = 0 < figure.switch_step <= t
        # A look shows the edge at the radius of the steps before it: ρ moves with the next one.
        seen = figure.switch_rho if 0 < figure.switch_step < t else figure.rho
        rho = figure.switch_rho if moved else figure.rho
        norm = float(objective.gradient(x).norm())
        found["loss"].append(float(objective.value(x)))
        found["norm"].append(norm)
        top = top_eigenpairs(objective, x, k=1, rtol=1e-6, progress=False).values[0]
        found["top"].append(float(top))
        found["edge"].append(edge_of(method, figure.lr, seen, norm))
        found["train"].append(accuracy(problem, x, problem.data.inputs, problem.data.targets))
        found["test"].append(
            accuracy(problem, x, problem.data.test_inputs, problem.data.test_targets)
        )
        if method == "m_sam":
            x = step_of_m_sam(figure, problem, x)
            continue
        rule = rule_of(method, figure, rho)
        k = None
        if isinstance(rule, StochasticSAM):
            k = torch.randint(figure.rows, (1, rule.batch_size), generator=draws)
        x = rule.step(objective, x[None], k)[0]
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


def accuracy(
    problem: Problem, x: torch.Tensor, inputs: torch.Tensor, labels: torch.Tensor
) -> float:
    """The share of rows that are read rightly."""
    problem.objective.load_flat_parameters(x)
    with torch.no_grad():
        return float((problem.model(inputs).argmax(dim=1) == labels).double().mean())


def expect_train_yourself() -> dict[str, Any]:
    """Both runs of each state; the page has them in float64."""
    expected = []
    for name, traits in STATES.items():
        figure = TrainYourself(precision="float64", **traits)
        runs = [run(figure, method) for method in (figure.first, figure.second)]
        expected.append({"name": name, "state": figure.state(), "steps": STEPS, "runs": runs})
    return {"states": expected}
