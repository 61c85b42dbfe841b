"""What samlib measures, as functions of a device: tensors that must be the same on every device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset

import samlib
from samlib import Objective, rules
from samlib.landscapes import CurvedValley, DoubleWell, FourDimensional, Quadratic, TwoValleys
from samlib.training import AccuracyMonitor, SharpnessMonitor, fit

Device = torch.device
Measure = Callable[[Device], Any]

FOUR = FourDimensional()
LARGE = Quadratic(torch.cat([torch.tensor([5.0, 4.0]), torch.linspace(1, 2, 68)]))
ROWS = 12


def double(*numbers: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def point(device: Device) -> Tensor:
    return double(0.5, 0.5, 0.1, 0.2).to(device)


def points(device: Device) -> Tensor:
    return torch.stack([point(device), point(device) / 2])


def rows(device: Device, *shape: int) -> tuple[Tensor, Tensor]:
    """Inputs, and labels of three classes, the same everywhere."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(ROWS, *shape, generator=generator, dtype=torch.float64)
    return inputs.to(device), (torch.arange(ROWS) % 3).to(device)


def perceptron(device: Device, width: int = 12) -> nn.Module:
    """More than 64 parameters at width 12, so that Lanczos sees them."""
    return samlib.networks.perceptron((4, width, 3), seed=0).to(device)


def convolutional(device: Device) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        layers = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(32, 3)).double().to(device)


def classifier(
    device: Device,
    loss_fn: Any = None,
    *,
    change: Callable[[Tensor], Tensor] = lambda labels: labels,
    images: bool = False,
    loads: bool = False,
    stays: bool = False,
    width: int = 12,
) -> tuple[samlib.ModuleObjective, Tensor]:
    """The loss of a small network on labels, and where it is; the data may stay on the CPU."""
    shape = (1, 6, 6) if images else (4,)
    inputs, labels = rows(torch.device("cpu") if stays else device, *shape)
    data: Any = inputs, change(labels)
    if loads:
        data = DataLoader(TensorDataset(*data), batch_size=5)
    model = convolutional(device) if images else perceptron(device, width)
    objective = Objective.from_module(model, loss_fn or nn.CrossEntropyLoss(), data)
    return objective, objective.flat_parameters()


def derivatives(objective: Objective, x: Tensor) -> list[Tensor]:
    """The loss and its derivatives, at one point and at many."""
    both = torch.stack([x, x / 2])
    return [
        objective.value(both),
        objective.gradient(both),
        objective.hessian_vector_product(both, both),
        objective.value(x),
        objective.gradient(x),
        objective.hessian_operator(x)(x),
    ]


def curvatures(objective: samlib.ModuleObjective, x: Tensor) -> list[Tensor]:
    """Products with the Gauss-Newton matrix and both Fisher matrices."""
    kinds = [samlib.gauss_newton(objective, x), samlib.fisher(objective, x)]
    return [kind @ x for kind in (*kinds, samlib.fisher(objective, x, labels="empirical"))]


def components(objective: Objective, x: Tensor) -> list[Tensor]:
    """The losses of single rows, also of one that is ignored."""
    k, both = torch.tensor([0, 5], device=x.device), torch.stack([x, x / 2])
    assert objective.components is not None
    return [
        objective.component_value(both, k),
        objective.component_gradient(both, k),
        objective.components[5].gradient(x),
        samlib.stochastic_sharpness(objective, x, 0.1, notion="ascent_direction").value,
    ]


def ignoring(labels: Tensor) -> Tensor:
    return torch.where(torch.arange(len(labels), device=labels.device) % 4 == 0, -100, labels)


def one_hot(labels: Tensor) -> Tensor:
    return F.one_hot(labels, 3).double()


def weights(device: Device) -> Tensor:
    return double(1, 2, 3).to(device)


def weighted(device: Device, **options: Any) -> nn.CrossEntropyLoss:
    return nn.CrossEntropyLoss(weight=weights(device), **options)


LOSSES: dict[str, Callable[[Device], tuple[samlib.ModuleObjective, Tensor]]] = {
    "cross-entropy": classifier,
    "ignored labels": lambda device: classifier(device, change=ignoring),
    "weights": lambda device: classifier(device, weighted(device)),
    "probabilities": lambda device: classifier(device, change=one_hot),
    "mean square": lambda device: classifier(device, nn.MSELoss(), change=one_hot),
    "binary": lambda device: classifier(
        device, nn.BCEWithLogitsLoss(pos_weight=weights(device)), change=one_hot
    ),
    "images": lambda device: classifier(device, images=True),
    "data on the CPU": lambda device: classifier(device, weighted(device), stays=True),
}


def of_loss(name: str) -> Measure:
    def measure(device: Device) -> list[Tensor]:
        objective, x = LOSSES[name](device)
        return [*derivatives(objective, x), *curvatures(objective, x), *components(objective, x)]

    return measure


def of_loader(**options: Any) -> Measure:
    def measure(device: Device) -> list[Tensor]:
        objective, x = classifier(device, loads=True, **options)
        return [*derivatives(objective, x), *curvatures(objective, x)]

    return measure


def at_network(measure: Callable[[Objective, Tensor], Any]) -> Measure:
    return lambda device: measure(*classifier(device))


def of_a_function(device: Device) -> list[Tensor]:
    objective = Objective(lambda x: (x.sin() * x).sum() + x.prod(), 3)
    return derivatives(objective, double(1, 2, 3).to(device))


def by_name(device: Device) -> list[Tensor]:
    """A model that computes its loss, of batches on the CPU whose entries have names."""

    class WithLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = perceptron(device)

        def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(self.network(inputs), labels)

    inputs, labels = rows(torch.device("cpu"), 4)
    data = [{"inputs": inputs[i : i + 5], "labels": labels[i : i + 5]} for i in (0, 5)]
    objective = Objective.from_loss(WithLoss(), lambda model, batch: model(**batch), data)
    return derivatives(objective, objective.flat_parameters())


def training(device: Device) -> list[Tensor]:
    """On batches from the CPU, and watched."""
    model, (inputs, labels) = perceptron(device), rows(torch.device("cpu"), 4)
    sam = samlib.optim.SAM(model.parameters(), torch.optim.Adam(model.parameters()), rho=0.1)
    data = DataLoader(TensorDataset(inputs, labels), batch_size=5)
    sharpness = SharpnessMonitor(("ascent_direction", "average_direction"), rho=0.1)
    watched = (sharpness, AccuracyMonitor(data))
    loss_fn, options = nn.CrossEntropyLoss(), {"seed": 0, "progress": False}
    history = fit(model, data, sam, loss_fn=loss_fn, epochs=2, monitors=watched, **options)
    readings = [history[name].values for name in ("accuracy", *sharpness.measure)]
    return [history.losses, *readings, *(p.detach() for p in model.parameters())]


def of_landscapes(device: Device) -> list[Tensor]:
    manifold = FOUR.minimizer_manifold
    x, k = points(device), torch.tensor([0, 1], device=device)
    mine = [
        *(manifold.nearest(x), manifold.distance(x), manifold.eigenvalues(x)),
        *(FOUR.component_value(x, k), FOUR.component_gradient(x, k)),
        *(FOUR.components[1].value(x), Quadratic([4, 3, 2, 1]).in_invariant_set(x, lr=0.1, rho=1)),
    ]
    for landscape in (FOUR, TwoValleys(), CurvedValley(), DoubleWell()):
        mine += derivatives(landscape, x[0, : landscape.dim])
    network, start = samlib.problems.interpolating_network(device=str(device))
    return mine + derivatives(network, start)


def of_operators(device: Device) -> list[Tensor]:
    matrix, kept = samlib.hessian(FOUR, point(device)), torch.tensor([True, False, True, True])
    parts = (matrix.restricted(kept), matrix.restricted(kept.to(device)), 2 * matrix + matrix)
    return [part.to_dense() for part in parts]


def of_rules(device: Device) -> list[Tensor]:
    here = {"lr": double(0.1, 0.2), "rho": double(0.1, 0.2).to(device)}  # on either device
    chosen = torch.tensor([[0], [1]], device=device)
    return [
        rules.unit_direction(point(device)),
        *(rule(**here).step(FOUR, points(device)) for rule in (rules.SAM, rules.AscentLossDescent)),
        rules.StochasticSAM(**here).step(FOUR, points(device), chosen),
    ]


RULES: dict[str, Callable[[Device], rules.Rule]] = {
    "GradientDescent": lambda device: rules.GradientDescent(0.01),
    "SAM": lambda device: rules.SAM(0.01, double(0.1, 0.2)),
    "UnnormalizedSAM": lambda device: rules.UnnormalizedSAM(0.01, double(0.1, 0.2).to(device)),
    "AscentLossDescent": lambda device: rules.AscentLossDescent(double(0.01, 0.02).to(device), 0.1),
    "StochasticSAM": lambda device: rules.StochasticSAM(0.01, 0.1, batch_size=2),
}


def simulated(name: str, of: Callable[[Device], tuple[Objective, Tensor]]) -> Measure:
    def measure(device: Device) -> list[Tensor]:
        objective, start = of(device)
        rule = RULES[name](device)
        record = ("x", "loss", "gradient", "alignment", "top_eigenvalue")
        run = samlib.simulate(objective, rule, start, 6, every=3, record=record, seed=0)
        return [run.steps, run.lr, *run.data.values()]

    return measure


def with_draws(device: Device) -> Tensor:
    draws = torch.arange(12).reshape(6, 2) % 2
    rule = rules.StochasticSAM(0.01, 0.1)
    return samlib.simulate(FOUR, rule, points(device), 6, draws=draws).x


def flow(regularizer: Any) -> Measure:
    """Near Γ and with coarse tolerances, because the host integrates, in many small steps."""

    def measure(device: Device) -> list[Tensor]:
        start = double(0.5, 0.5, 1e-3, 2e-3).to(device)
        times = double(0, 0.1).to(device)
        path = samlib.limiting_flow(FOUR, start, regularizer, times, rtol=1e-3, atol=1e-3)
        return [path.x, path.value, path.trace, path.eigengap]

    return measure


def tied_flow(device: Device) -> list[Any]:
    """λ₁ = 2F₂ meets 2F₁ at τ = 0.044, and leaves it behind at 0.135."""
    start, times = double(-1, -1, 0, 0).to(device), double(0, 0.08, 0.2).to(device)
    coarse = {"rtol": 1e-4, "atol": 1e-4}
    rates = {"lr": 0.01, "rho": 0.001}
    path = samlib.limiting_flow(FOUR, start, "top_eigenvalue", times, **rates, **coarse)
    assert path.mixture is not None
    shares = torch.linalg.eigvalsh(path.mixture.cpu())
    return [path.x, path.value, path.multiplicity, shares.to(device)]


def tables(device: Device) -> list[Any]:
    """Whatever shows results to people, who are not on the device."""
    x = points(device)
    results = [
        samlib.top_eigenpairs(FOUR, x),
        samlib.spectral_density(FOUR, x[0]),
        samlib.ascent_direction_sharpness(FOUR, x, 0.1),
        samlib.simulate(FOUR, rules.SAM(0.01, double(0.1, 0.2).to(device)), x, 4),
    ]
    shown = [samlib.trace(FOUR, x), samlib.limiting_regularizers(FOUR, 0 * x), *results]
    frames = [result.to_dataframe().select_dtypes("number") for result in results]
    return [*(torch.tensor(frame.to_numpy("float64")) for frame in frames), *map(repr, shown)]


MEASURED: dict[str, Measure] = {
    **{f"the loss: {name}": of_loss(name) for name in LOSSES},
    "the loss: batches": of_loader(),
    "the loss: batches on the CPU": of_loader(stays=True),
    "the loss: batches by name": by_name,
    "training": training,
    "the loss: batches with ignored labels": of_loader(change=ignoring),
    "the loss: batches of images": of_loader(images=True),
    "the loss: batches with weights": lambda device: of_loader(loss_fn=weighted(device))(device),
    "the loss: smoothed labels": lambda device: derivatives(
        *classifier(device, weighted(device, label_smoothing=0.1))
    ),
    "a function": of_a_function,
    "landscapes": of_landscapes,
    "operators": of_operators,
    "top eigenpairs": at_network(lambda o, x: samlib.top_eigenpairs(o, x, k=2, rtol=1e-9).values),
    "top eigenpairs of few": lambda device: samlib.top_eigenpairs(FOUR, points(device), k=2).values,
    "top eigenpairs from a guess": at_network(
        lambda o, x: samlib.top_eigenpairs(o, x, rtol=1e-9, guess=x).values
    ),
    "smallest": lambda device: (
        samlib.smallest_nonzero_eigenvalue(
            LARGE, torch.zeros(70, dtype=torch.float64, device=device)
        ).values
    ),
    "trace": at_network(lambda o, x: samlib.trace(o, x, rtol=0.1).value),
    "trace in single precision": lambda device: samlib.trace(FOUR, points(device).float()).value,
    "spectral density": at_network(
        lambda o, x: samlib.spectral_density(o, x, probes=2, steps=10).density
    ),
    "alignment": at_network(lambda o, x: samlib.alignment(o, x, rtol=1e-9)),
    "alignment with an operator": at_network(
        lambda o, x: samlib.alignment(samlib.gauss_newton(o, x), o.gradient(x), rtol=1e-9)
    ),
    "ascent": at_network(lambda o, x: samlib.ascent_direction_sharpness(o, x, 0.1).value),
    "average": at_network(lambda o, x: samlib.average_direction_sharpness(o, x, 0.1).value),
    "worst": at_network(lambda o, x: samlib.worst_direction_sharpness(o, x, 0.1, restarts=2).value),
    "worst of few": lambda device: (
        samlib.worst_direction_sharpness(FOUR, points(device), double(0.1, 0.2)).value
    ),
    "worst of components": lambda device: (
        samlib.stochastic_sharpness(
            FOUR, point(device), 0.1, notion="worst_direction", restarts=2
        ).value
    ),
    "rules": of_rules,
    **{f"simulate {name}": simulated(name, lambda d: (FOUR, points(d))) for name in RULES},
    **{
        f"simulate {name} of a network": simulated(
            name, lambda d: (lambda o, x: (o, torch.stack([x, x / 2])))(*classifier(d, width=3))
        )
        for name in RULES
    },
    "simulate with draws": with_draws,
    "Φ": lambda device: (
        samlib.project_to_minimizers(
            FOUR, points(device) * double(1, 1, 0.1, 0.1).to(device), rtol=1e-3, atol=1e-3
        ).x
    ),
    "limiting flow of the trace": flow("trace"),
    "limiting flow of a function": flow(lambda x: x.square().sum()),
    "limiting flow through a tie": tied_flow,
    "tables": tables,
}
