"""Monitors: they read what the functions give, follow λ₁, and only look."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import samlib
from samlib import Objective, problems
from samlib.training import AccuracyMonitor, History, SharpnessMonitor, fit
from tests.samlib.training_cases import MSE, network, noisy_network, rows, sam, sgd, weights

ALL = (
    "top_eigenvalue",
    "trace",
    "alignment",
    "worst_direction",
    "ascent_direction",
    "average_direction",
)

CHEAP = ("top_eigenvalue", "trace", "alignment", "ascent_direction")

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_readings_are_those_of_the_functions(device: torch.device) -> None:
    model, data = problems.perceptron((4, 20, 1), seed=0, device=device.type), rows(device)
    objective = Objective.from_module(model, MSE, data)
    x, rho = objective.flat_parameters(), 0.3
    hessian = objective.hessian(x)
    values, vectors = torch.linalg.eigh(hessian)
    gradient = objective.gradient(x)
    monitor = SharpnessMonitor(ALL, rho=rho, data=data, loss_fn=MSE, rtol=1e-6)
    got = monitor(0, model)
    assert got["top_eigenvalue"] == pytest.approx(float(values[-1]), rel=1e-5)
    assert abs(got["trace"] - float(hessian.trace())) <= 4 * got["trace_error"] + 1e-9
    cosine = float((vectors[:, -1] @ gradient).abs() / gradient.norm())
    assert got["alignment"] == pytest.approx(cosine, abs=1e-4)
    rise = objective.value(x + rho * gradient / gradient.norm()) - objective.value(x)
    assert got["ascent_direction"] == pytest.approx(float(rise), rel=1e-9)
    assert got["worst_direction"] >= got["ascent_direction"] - 1e-12
    average = samlib.average_direction_sharpness(objective, x, rho, samples=20_000, seed=5)
    spread = got["average_direction_error"] + float(average.error)
    assert abs(got["average_direction"] - float(average.value)) < 5 * spread
    assert set(got) == {*ALL, *(f"{name}_error" for name in ALL), "products"}
    assert got["products"] > 2


def test_the_error_of_the_alignment_covers_the_truth() -> None:
    # A coarse residual: the eigenvector found is several degrees away from v₁.
    scales = torch.linspace(0.0, 1.0, 300, dtype=torch.float64)
    scales[:2] = torch.tensor([1.5, 1.3])
    data = (torch.diag(scales.sqrt()) * 300**0.5, torch.zeros(300, 1, dtype=torch.float64))
    wrong = 0
    for seed in range(8):
        model = nn.Linear(300, 1, bias=False, dtype=torch.float64)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            model.weight.copy_(torch.randn(1, 300, generator=generator, dtype=torch.float64))
            model.weight[0, :2] *= 20
        gradient = 2 * scales * model.weight.detach()[0]
        truth = float(gradient[0].abs() / gradient.norm())
        got = SharpnessMonitor("alignment", data=data, loss_fn=MSE, rtol=0.1)(0, model)
        off = abs(got["alignment"] - truth)
        assert off <= got["alignment_error"] < 0.1
        wrong += off > got["alignment_error"] / 2
    assert wrong >= 3, "the error is of the right size"


@pytest.mark.parametrize("kind", ["pair", "loader"])
def test_a_monitor_leaves_everything_alone(device: torch.device, kind: str) -> None:
    model = nn.Sequential(
        nn.Linear(4, 12), nn.BatchNorm1d(12), nn.Dropout(0.5), nn.Tanh(), nn.Linear(12, 1)
    ).double().to(device)  # fmt: skip
    model.train()
    model[1].eval()
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    inputs, targets = rows(device)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=5, shuffle=True)
    data, measure = ((inputs, targets), ALL) if kind == "pair" else (loader, CHEAP)
    cpu_state = torch.get_rng_state()
    gpu_state = torch.cuda.get_rng_state() if device.type == "cuda" else None
    monitor = SharpnessMonitor(measure, rho=0.1, data=data, loss_fn=MSE)
    first, second = monitor(0, model), monitor(1, model)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), cpu_state)
    assert gpu_state is None or torch.equal(torch.cuda.get_rng_state(), gpu_state)
    assert first["ascent_direction"] == pytest.approx(second["ascent_direction"])


def test_training_is_the_same_with_monitors_and_without() -> None:
    def careless(step: int, model: nn.Module) -> dict[str, float]:
        model.train()
        torch.manual_seed(step)
        return {"noise": float(torch.rand(()))}

    def train(*monitors: Any) -> Tensor:
        torch.manual_seed(0)
        model = noisy_network()
        fit(
            model,
            rows(),
            sam(model),
            loss_fn=MSE,
            epochs=5,
            batch_size=5,
            monitors=monitors,
            progress=False,
        )
        return weights(model)

    assert torch.equal(train(careless, SharpnessMonitor(ALL, rho=0.1, every=2)), train())


def test_users_write_their_own_monitors() -> None:
    def norm(step: int, model: nn.Module) -> dict[str, Any]:
        return {"norm": weights(model).norm(), "norm_error": 0.5, "training": model.training}

    model = network()
    history = fit(model, rows(), sgd(model), loss_fn=MSE, epochs=2, monitors=[norm], progress=False)
    assert history["norm"].steps.tolist() == [0, 1, 2]
    assert history["norm"].errors.tolist() == [0.5] * 3
    assert history["norm"].values[-1] == pytest.approx(float(weights(model).norm()))
    assert history["training"].values.tolist() == [0, 0, 0], "monitors find eval mode"


def test_two_monitors_cannot_use_one_name() -> None:
    def train(prefix: str) -> History:
        model = network()
        other = (rows()[0], rows()[1] + 1)
        monitors = [
            SharpnessMonitor("top_eigenvalue"),
            SharpnessMonitor("top_eigenvalue", data=other, prefix=prefix),
        ]
        return fit(
            model, rows(), sgd(model), loss_fn=MSE, epochs=1, monitors=monitors, progress=False
        )

    with pytest.raises(ValueError, match="two monitors give 'top_eigenvalue'"):
        train("")
    history = train("test_")
    assert not torch.equal(history["top_eigenvalue"].values, history["test_top_eigenvalue"].values)


def test_accuracy_counts_rows_not_batches() -> None:
    outputs = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0], [0.0, 1.0], [0.0, 5.0]])
    targets = torch.tensor([0, 1, 0, 1, 0])
    assert AccuracyMonitor((outputs, targets))(0, nn.Identity()) == {"accuracy": 0.8}
    loader = DataLoader(TensorDataset(outputs, targets), batch_size=4)
    assert AccuracyMonitor(loader, name="test")(0, nn.Identity()) == {"test": 0.8}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"measure": "sharpness"}, ValueError, "measure must be among top_eigenvalue, trace"),
        ({"measure": "worst_direction"}, ValueError, "rho must be given .* worst_direction"),
        ({"measure": ALL, "rho": -1.0}, ValueError, "rho"),
        ({"every": 0}, ValueError, "every"),
        ({"rtol": 0.0}, ValueError, "rtol"),
    ],
)
def test_a_sharpness_monitor_refuses_wrong_arguments(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SharpnessMonitor(**arguments)


def test_a_sharpness_monitor_alone_needs_a_loss() -> None:
    with pytest.raises(ValueError, match="needs data= and loss_fn="):
        SharpnessMonitor("top_eigenvalue")(0, network())


def test_following_the_top_eigenvalue_costs_at_most_four_products_a_step() -> None:
    inputs, targets, *_ = problems.digits(500, dtype=torch.float32)
    model = problems.perceptron((64, 128, 128, 10), seed=0, dtype=torch.float32)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = samlib.optim.SAM(model.parameters(), sgd(model, 0.1), rho=0.05)
    truth: list[float] = []

    def exact(step: int, model: nn.Module) -> dict[str, float]:
        objective = Objective.from_module(model, loss_fn, (inputs, targets))
        pairs = samlib.top_eigenpairs(objective, objective.flat_parameters(), rtol=1e-5)
        truth.append(float(pairs.values[0]))
        return {}

    fit(model, (inputs, targets), optimizer, loss_fn=loss_fn, epochs=150, progress=False)
    history = fit(
        model,
        (inputs, targets),
        optimizer,
        loss_fn=loss_fn,
        epochs=60,
        monitors=[SharpnessMonitor("top_eigenvalue"), exact],
        progress=False,
    )
    found, errors = history["top_eigenvalue"].values, history["top_eigenvalue"].errors
    exact_values = torch.tensor(truth).double()
    assert len(found) == 61
    assert float(history["products"].values.median()) <= 4
    assert bool(((found - exact_values).abs() <= 0.01 * exact_values).all())
    assert bool(((found - exact_values).abs() <= errors + 1e-5).all()), "λ₁ lies within its error"


def test_a_second_eigenvalue_that_overtakes_the_first_is_noticed() -> None:
    # The eigenvectors stay where they are, so that the old v₁ remains an eigenvector.
    class Valley(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.full((400,), 0.1, dtype=torch.float64))
            self.register_buffer("scales", torch.linspace(-0.05, 0.5, 400, dtype=torch.float64))
            self.scales[0] = 1.0

        def forward(self, rows: Tensor) -> Tensor:
            return (self.scales * self.x**2 / 2).sum() + 0 * rows

    model, row = Valley(), torch.zeros(1, dtype=torch.float64)
    monitor = SharpnessMonitor("top_eigenvalue", data=(row, row), loss_fn=lambda out, _: out.sum())
    worst = 0.0
    for step in range(40):
        second = 0.8 + 0.02 * step
        model.scales[1] = second
        value = monitor(step, model)["top_eigenvalue"]
        worst = max(worst, 1 - value / max(1.0, second))
    # Where the two are within a few residuals of each other, either may be found.
    assert worst < 0.05
