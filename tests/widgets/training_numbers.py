"""What samlib expects of the classifier that a page trains: digits, starts, runs, curvature."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import samlib
from samlib.datasets import digits
from samlib.objective import ModuleObjective, Objective

STEPS = 50
ROWS = 60

# As the page names them; the losses are chosen so that each network meets both.
NETWORKS: dict[str, dict[str, Any]] = {
    "perceptron": {"kind": "perceptron", "width": 32},
    "narrow perceptron": {"kind": "perceptron", "width": 7},
    "convolutional": {"kind": "convolutional", "channels": 3},
}

Settings = dict[str, Any]


def settings_of(network: str, loss: str, **others: Any) -> Settings:
    default = {"rows": ROWS, "shuffled": 0.0, "seed": 3, "precision": "float64"}
    return {"network": NETWORKS[network], "loss": loss, **default, **others}


def module(settings: Settings) -> nn.Sequential:
    network, seed = settings["network"], settings["seed"]
    if network["kind"] == "perceptron":
        return samlib.problems.perceptron((64, network["width"], 10), seed=seed)
    channels = network["channels"]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, channels, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(32 * channels, 10),
        ).double()


def start_of(settings: Settings) -> Tensor:
    """The weights torch gives the network in float64; float64 draws differ from float32's."""
    model = module(settings)
    if settings["network"]["kind"] == "convolutional":
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(settings["seed"])
            for layer in model:
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    layer.reset_parameters()
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def problem(settings: Settings, labels: Tensor | None = None) -> ModuleObjective:
    """The loss on the training rows, with their own labels or with others."""
    data = digits(settings["rows"])
    targets = data.targets if labels is None else labels
    if settings["loss"] == "squared":
        hot = nn.functional.one_hot(targets, 10).to(data.inputs)
        return Objective.from_module(module(settings), half_squares, (data.inputs, hot))
    return Objective.from_module(module(settings), nn.CrossEntropyLoss(), (data.inputs, targets))


def half_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    """One half of the mean over rows of the squared distance."""
    return (outputs - targets).square().sum(dim=1).mean() / 2


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────

# Rules of samlib by the names that the page gives them, with a batch where one is drawn.
RULES: dict[str, tuple[samlib.rules.Rule, Settings]] = {
    "gradient_descent": (samlib.rules.GradientDescent(0.2), {"lr": 0.2}),
    "sam": (samlib.rules.SAM(0.2, 0.1), {"lr": 0.2, "rho": 0.1}),
    "sgd": (
        samlib.rules.StochasticSAM(0.1, 0.0, batch_size=8),
        {"lr": 0.1, "batch": 8},
    ),
    "mini_batch": (
        samlib.rules.StochasticSAM(0.1, 0.1, batch_size=8),
        {"lr": 0.1, "rho": 0.1, "batch": 8},
    ),
    "one_sam": (samlib.rules.StochasticSAM(0.02, 0.1), {"lr": 0.02, "rho": 0.1}),
}


def run_of(name: str, settings: Settings) -> dict[str, Any]:
    """Every iterate of a rule, and what was seen before each step."""
    objective, start = problem(settings), start_of(settings)
    rule, numbers = RULES[name]
    seed = {"seed": settings["seed"]} if rule.stochastic else {}
    run = samlib.simulate(objective, rule, start, STEPS, record=("x",), progress=False, **seed)
    x = run.x[0]
    told = {"settings": settings, "rule": {"name": name, **numbers}, "x": x.flatten()}
    if not rule.stochastic:
        told |= {"losses": objective.value(x), "norms": objective.gradient(x).norm(dim=1)}
    return told


MICRO = (1, 25, 60)


def micro_batches(settings: Settings, m: int) -> dict[str, Any]:
    """m-SAM by samlib's optimizer, on all training rows."""
    model, data, lr, rho = module(settings), digits(settings["rows"]), 0.3, 0.1
    nn.utils.vector_to_parameters(start_of(settings), model.parameters())
    optimizer = samlib.optim.MSAM(
        model.parameters(), torch.optim.SGD(model.parameters(), lr=lr), rho=rho, m=m
    )

    def closure(inputs: Tensor, targets: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    points = [start_of(settings)]
    for _ in range(STEPS):
        optimizer.zero_grad()
        optimizer.step(closure, data.inputs, data.targets)
        points.append(nn.utils.parameters_to_vector(model.parameters()).detach().clone())
    rule = {"name": "m_sam", "lr": lr, "rho": rho, "batch": m}
    return {"settings": settings, "rule": rule, "x": torch.cat(points)}


def switched(settings: Settings) -> dict[str, Any]:
    """A run whose rule, η and ρ change on the way."""
    objective, x, parts, points = problem(settings), start_of(settings), [], []
    for name, lr, rho, steps in (
        ("gradient_descent", 0.5, 0.0, 10),
        ("sam", 0.5, 0.3, 15),
        ("sam", 0.2, 0.05, 15),
    ):
        rule = samlib.rules.SAM(lr, rho) if rho else samlib.rules.GradientDescent(lr)
        path = samlib.simulate(objective, rule, x, steps, record=("x",), progress=False).x[0]
        points.append(path if not points else path[1:])
        x = path[-1]
        parts.append({"rule": {"name": name, "lr": lr, "rho": rho}, "steps": steps})
    return {"settings": settings, "parts": parts, "x": torch.cat(points).flatten()}


def answers(settings: Settings) -> dict[str, Any]:
    """Accuracies at the start, and the test rows that are read wrongly."""
    model, data = module(settings), digits(settings["rows"])
    nn.utils.vector_to_parameters(start_of(settings), model.parameters())
    with torch.no_grad():
        train, test = model(data.inputs).argmax(1), model(data.test_inputs).argmax(1)
    wrong = (test != data.test_targets).nonzero()[:, 0]
    return {
        "settings": settings,
        "train": float((train == data.targets).double().mean()),
        "test": float((test == data.test_targets).double().mean()),
        "wrong": wrong.tolist(),
        "answers": test[wrong].tolist(),
        "labels": data.test_targets[wrong].tolist(),
    }


# ── Data ─────────────────────────────────────────────────────────────────────────────────────────


def raw_digits() -> dict[str, Any]:
    """scikit-learn's own numbers, in the order of samlib's split."""
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).numpy()
    return {"images": images[order].ravel(), "labels": labels[order].astype(np.float64)}


def centred(rows: int) -> dict[str, Any]:
    data = digits(rows)
    return {"rows": rows, "inputs": torch.cat([data.inputs, data.test_inputs]).flatten()}


def expect_training() -> dict[str, Any]:
    both = (("perceptron", "squared"), ("convolutional", "cross-entropy"))
    runs = [run_of(rule, settings_of(*each)) for each in both for rule in RULES]
    return {
        "digits": raw_digits(),
        "centred": [centred(50), centred(1500)],
        "runs": runs,
        "microBatches": [
            *(micro_batches(settings_of("narrow perceptron", "cross-entropy"), m) for m in MICRO),
            # Of more rows than a page goes through at once.
            micro_batches(settings_of("convolutional", "cross-entropy", rows=300), 160),
        ],
        "switched": switched(settings_of("narrow perceptron", "squared")),
        "answers": [answers(settings_of(name, "squared", rows=500)) for name in NETWORKS],
    }


# ── Curvature ────────────────────────────────────────────────────────────────────────────────────


def curvature_of(settings: Settings) -> dict[str, Any]:
    """After some steps of SAM: the dense Hessian, and what follows from it."""
    objective = problem(settings)
    rule = samlib.rules.SAM(0.2, 0.1)
    run = samlib.simulate(objective, rule, start_of(settings), 30, record=("x",), progress=False)
    x = run.x[0, -1]
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(objective.dim, generator=generator, dtype=torch.float64)
    hessian = objective.hessian(x)
    values, vectors = torch.linalg.eigh(hessian)
    g = objective.gradient(x)
    parts = vectors.mT @ g / g.norm()
    top = vectors[:, -1] * torch.sign(parts[-1])
    reach = torch.linspace(-0.5, 0.5, 11, dtype=torch.float64)
    return {
        "settings": settings,
        "rule": {"name": "sam", "lr": 0.2, "rho": 0.1},
        "steps": 30,
        "loss": float(objective.value(x)),
        "gradient": g,
        "v": v,
        "product": objective.hessian_vector_product(x, v),
        "eigenvalues": values.flip(0)[:10],
        "trace": float(hessian.trace()),
        "alignment": float(parts[-1].abs()),
        "alignmentTop": float(parts[-10:].norm()),
        "reach": reach,
        "profile": objective.value(x + reach[:, None] * top),
    }


def large_spectrum() -> dict[str, Any]:
    """The ten largest eigenvalues of a network with 2,410 weights by samlib's own iteration."""
    settings = settings_of("perceptron", "cross-entropy", rows=500)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "next to the last eigenvalue the spectrum is crowded")
        found = samlib.top_eigenpairs(
            problem(settings), start_of(settings), k=10, rtol=1e-9, progress=False
        )
    return {"settings": settings, "eigenvalues": found.values}


def small_matrices() -> list[dict[str, Any]]:
    """Symmetric matrices with their eigenvalues: random, tied, zero, of one row."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for n in (1, 2, 3, 24, 52):
        a = torch.randn(n, n, generator=generator, dtype=torch.float64)
        q = torch.linalg.qr(a).Q
        tied = q @ torch.diag((torch.arange(n) // 3).double()) @ q.mT
        for matrix in (a + a.mT, (tied + tied.mT) / 2, torch.zeros(n, n).double(), 1e-9 * a @ a.mT):
            values = torch.linalg.eigvalsh(matrix).flip(0)
            found.append({"n": n, "matrix": matrix.flatten(), "values": values})
    return found


def expect_curvature() -> dict[str, Any]:
    return {
        "points": [
            curvature_of(settings_of("narrow perceptron", "squared")),
            curvature_of(settings_of("narrow perceptron", "cross-entropy")),
            curvature_of(settings_of("convolutional", "cross-entropy")),
            curvature_of(settings_of("convolutional", "squared", rows=150)),
        ],
        "large": large_spectrum(),
        "matrices": small_matrices(),
    }


# ── Effects ──────────────────────────────────────────────────────────────────────────────────────


def beside(name: str, loss: str, steps: int) -> dict[str, Any]:
    """samlib's numbers in float64 after some hundred steps, for a run of the page in float32."""
    settings = settings_of("perceptron", loss, rows=100, seed=0, precision="float32")
    objective = problem(settings)
    rule, numbers = RULES[name]
    seed = {"seed": settings["seed"]} if rule.stochastic else {}
    run = samlib.simulate(
        objective, rule, start_of(settings), steps, every=steps, record=("x",), progress=False,
        **seed,
    )  # fmt: skip
    x, data, model = run.x[0, -1], digits(settings["rows"]), module(settings)
    nn.utils.vector_to_parameters(x, model.parameters())
    with torch.no_grad():
        right = model(data.test_inputs).argmax(1) == data.test_targets
    top = samlib.top_eigenpairs(objective, x, k=1, rtol=1e-6, progress=False).values
    return {
        "settings": settings,
        "rule": {"name": name, **numbers},
        "steps": steps,
        "loss": float(objective.value(x)),
        "norm": float(objective.gradient(x).norm()),
        "top": float(top[0]),
        "test": float(right.double().mean()),
    }


def expect_effects() -> dict[str, Any]:
    return {
        "beside": [
            beside("gradient_descent", "squared", 400),
            beside("sam", "squared", 400),
            beside("sam", "cross-entropy", 400),
            beside("one_sam", "squared", 400),
        ]
    }
