"""samlib.training: fit is the plain loop, monitors only look, and nothing finished is lost."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

import samlib
from samlib import Objective, problems
from samlib.training import AccuracyMonitor, History, SharpnessMonitor, fit

ALL = (
    "top_eigenvalue",
    "trace",
    "alignment",
    "worst_direction",
    "ascent_direction",
    "average_direction",
)
CHEAP = ("top_eigenvalue", "trace", "alignment", "ascent_direction")


def rows(device: torch.device | str = "cpu", count: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return inputs.to(device), torch.sin(inputs.sum(dim=1, keepdim=True)).to(device)


def network(device: torch.device | str = "cpu") -> nn.Sequential:
    return problems.perceptron((4, 6, 1), seed=0, device=str(device))


def sgd(model: nn.Module, lr: float = 0.1, **more: Any) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr, **more)


def sam(model: nn.Module, rho: float = 0.1) -> samlib.optim.SAM:
    return samlib.optim.SAM(model.parameters(), sgd(model), rho=rho)


def weights(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


MSE = nn.MSELoss()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks as small as these gain nothing from threads, which a busy machine makes slow."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ------------------------------------------------------------------------------------------- fit
def test_full_batch_training_is_gradient_descent(device: torch.device) -> None:
    model, data = network(device), rows(device)
    objective = Objective.from_module(model, MSE, data)
    x, losses = objective.flat_parameters(), []
    for _ in range(7):
        losses.append(objective.value(x))
        x = x - 0.1 * objective.gradient(x)
    history = fit(model, data, sgd(model), loss_fn=MSE, epochs=7, progress=False)
    torch.testing.assert_close(weights(model), x)
    torch.testing.assert_close(history.losses, torch.stack(losses).cpu())
    assert history.losses.device.type == "cpu"
    assert history.epochs.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert history.status == "complete"


def test_with_sam_it_is_the_rule_on_the_flattened_network(device: torch.device) -> None:
    model, data = network(device), rows(device)
    objective = Objective.from_module(model, MSE, data)
    x = objective.flat_parameters()[None]
    before = objective.value(x[0])
    for _ in range(5):
        x = samlib.rules.SAM(0.1, 0.1).step(objective, x)
    history = fit(model, data, sam(model), loss_fn=MSE, epochs=5, progress=False)
    torch.testing.assert_close(weights(model), x[0])
    torch.testing.assert_close(history.losses[0], before.cpu())  # not that at the perturbed weights


def around_sgd(name: str, **more: Any) -> Callable[[list[Any]], Any]:
    return lambda p: getattr(samlib.optim, name)(p, torch.optim.SGD(p, lr=0.1), rho=0.05, **more)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.Adam(p, lr=0.02),
        lambda p: torch.optim.LBFGS(p, max_iter=5),
        lambda p: samlib.optim.SAM(p, torch.optim.AdamW(p, lr=0.02), rho=0.05),
        *(around_sgd(name) for name in ("SAM", "UnnormalizedSAM", "ASAM", "AWP")),
        around_sgd("MSAM", m=5),
        around_sgd("GSAM", alpha=0.1),
        around_sgd("LookSAM", alpha=0.5),
        around_sgd("AMP", inner_steps=2),
        around_sgd("EigenSAM", alpha=0.1, every=3),
        around_sgd("DiametricalRisk", directions=3),
    ],
)
def test_any_optimizer_lowers_the_loss(make: Callable[[list[Any]], Any]) -> None:
    model, data = network(), rows()
    before = Objective.from_module(model, MSE, data).value(weights(model))
    history = fit(
        model, data, make(list(model.parameters())), loss_fn=MSE, epochs=30, progress=False
    )
    torch.testing.assert_close(history.losses[0], before)
    assert history.losses[-1] < 0.7 * history.losses[0]


def test_batches_go_through_every_row_once_an_epoch() -> None:
    data = (torch.arange(10.0)[:, None], torch.zeros(10, 1))
    seen: list[list[float]] = []

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append(outputs.detach()[:, 0].tolist())
        return outputs.mean()

    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    history = fit(
        model,
        data,
        sgd(model, 0.0),
        loss_fn=loss_fn,
        epochs=3,
        batch_size=4,
        seed=0,
        progress=False,
    )
    assert [len(batch) for batch in seen] == [4, 4, 2] * 3
    epochs = [[*seen[i], *seen[i + 1], *seen[i + 2]] for i in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert history.epochs.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    expected = (
        torch.tensor([sum(batch) / len(batch) for batch in seen]).double().reshape(3, 3).mean(dim=1)
    )
    torch.testing.assert_close(history.epoch_losses, expected)


def test_a_data_loader_trains_as_a_hand_written_loop() -> None:
    inputs, targets = rows()
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=5)
    ours, theirs = network(), network()
    history = fit(ours, loader, sgd(ours), loss_fn=MSE, epochs=3, progress=False)
    optimizer, losses = sgd(theirs), []
    for _ in range(3):
        for x, y in loader:
            optimizer.zero_grad()
            loss = MSE(theirs(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert torch.equal(weights(ours), weights(theirs))
    assert history.losses.tolist() == losses


def noisy_network() -> nn.Sequential:
    body = network()
    return nn.Sequential(body[0], nn.Dropout(0.5), *body[1:])


@pytest.mark.parametrize("kind", ["pair", "loader"])
def test_with_a_seed_it_is_the_same_each_time_and_leaves_the_global_state(kind: str) -> None:
    inputs, targets = rows()

    def train(seed: int) -> tuple[Tensor, Tensor]:
        model = noisy_network()
        if kind == "pair":
            data, size = (inputs, targets), 5
        else:
            data, size = DataLoader(TensorDataset(inputs, targets), 5, shuffle=True), None
        history = fit(
            model,
            data,
            sam(model),
            loss_fn=MSE,
            epochs=4,
            batch_size=size,
            seed=seed,
            progress=False,
        )
        return weights(model), history.losses

    torch.manual_seed(1)
    first = train(0)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = train(0)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[1], train(1)[1])


def test_without_a_seed_it_follows_the_global_state() -> None:
    def train() -> Tensor:
        model = network()
        fit(model, rows(), sgd(model), loss_fn=MSE, epochs=3, batch_size=5, progress=False)
        return weights(model)

    torch.manual_seed(0)
    first, other = train(), train()
    torch.manual_seed(0)
    assert torch.equal(train(), first)
    assert not torch.equal(other, first)


def test_a_scheduler_is_stepped_once_an_epoch() -> None:
    model = network()
    optimizer = sam(model)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    rates: list[float] = []

    def watch(step: int, model: nn.Module) -> dict[str, float]:
        rates.append(optimizer.base_optimizer.param_groups[0]["lr"])
        return {}

    watch.every = 1  # type: ignore[attr-defined]
    fit(
        model,
        rows(),
        optimizer,
        loss_fn=MSE,
        epochs=3,
        batch_size=6,
        scheduler=scheduler,
        monitors=[watch],
        progress=False,
    )
    assert rates == [0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025]


def test_a_plateau_scheduler_gets_the_mean_loss() -> None:
    model = network()
    optimizer = sgd(model, 0.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.1)
    history = fit(
        model, rows(), optimizer, loss_fn=MSE, epochs=3, scheduler=scheduler, progress=False
    )
    assert scheduler.best == pytest.approx(float(history.losses[0]))
    assert scheduler.num_bad_epochs + scheduler.cooldown_counter >= 0
    assert scheduler.last_epoch == 3


def test_modes_are_as_before() -> None:
    model = noisy_network()
    model.eval()
    model[1].train()
    in_train_mode: list[bool] = []
    model[3].register_forward_pre_hook(lambda module, _: in_train_mode.append(module.training))
    fit(model, rows(), sgd(model), loss_fn=MSE, epochs=2, progress=False)
    assert in_train_mode == [True, True]
    assert [m.training for m in model.modules()] == [m is model[1] for m in model.modules()]


def test_no_step_waits_for_the_device() -> None:
    class Waits(TorchDispatchMode):
        """Counts what would make a host wait for its accelerator."""

        count = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func._schema.name in ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal"):
                Waits.count += 1
            return func(*args, **(kwargs or {}))

    def waits(epochs: int) -> int:
        Waits.count = 0
        model = network()
        with Waits():
            fit(
                model,
                rows(),
                sam(model),
                loss_fn=MSE,
                epochs=epochs,
                batch_size=4,
                seed=0,
                progress=False,
            )
        return Waits.count

    assert waits(20) == waits(2)


def test_an_interrupt_loses_nothing_that_was_finished() -> None:
    def train(optimizer_of: Any, interrupt_at: int | None) -> tuple[nn.Module, History]:
        model, calls = network(), 0

        def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            if calls == interrupt_at:
                raise KeyboardInterrupt
            return MSE(outputs, targets)

        every_two = SharpnessMonitor("top_eigenvalue", every=2, loss_fn=MSE)
        epochs = 9 if interrupt_at else 3
        history = fit(
            model,
            rows(),
            optimizer_of(model),
            loss_fn=loss_fn,
            epochs=epochs,
            monitors=[every_two],
            progress=False,
        )
        return model, history

    # SAM evaluates twice a step: the eighth evaluation is at the perturbed weights of step 4.
    with pytest.warns(RuntimeWarning, match="interrupted after 3 steps"):
        model, history = train(sam, interrupt_at=8)
    undisturbed, complete = train(sam, interrupt_at=None)
    assert history.status == "interrupted"
    assert torch.equal(weights(model), weights(undisturbed)), "perturbed weights were put back"
    assert torch.equal(history.losses, complete.losses)
    assert history["top_eigenvalue"].steps.tolist() == [0, 2]
    assert "interrupted" in repr(history)
    assert model.training


def test_an_interrupt_during_a_reading_keeps_the_steps() -> None:
    def impatient(step: int, model: nn.Module) -> dict[str, float]:
        if step == 2:
            raise KeyboardInterrupt
        return {"step": step}

    model = network()
    with pytest.warns(RuntimeWarning, match="interrupted after 2 steps"):
        history = fit(
            model, rows(), sgd(model), loss_fn=MSE, epochs=9, monitors=[impatient], progress=False
        )
    assert len(history.losses) == 2
    assert history["step"].values.tolist() == [0, 1]
    assert model.training


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    model = network()
    with pytest.warns(RuntimeWarning, match="the loss is .* after .* steps"):
        history = fit(
            model, rows(), sgd(model, 1e6), loss_fn=nn.MSELoss(), epochs=1000, progress=False
        )
    assert history.status == "diverged"
    assert not history.losses[-1].isfinite()
    assert history.losses[:-1].isfinite().all()
    assert len(history.losses) < 1000
    assert len(history.epochs) == len(history.losses)


def test_an_error_in_the_training_is_not_swallowed() -> None:
    model = network()
    with pytest.raises(RuntimeError, match="shapes"):
        fit(
            model,
            (torch.ones(3, 5, dtype=torch.float64), torch.ones(3, 1)),
            sgd(model),
            loss_fn=MSE,
            epochs=1,
            progress=False,
        )


def test_a_progress_bar_can_be_switched_off(capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    fit(model, rows(), sgd(model), loss_fn=MSE, epochs=2, progress=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "epochs"),
        ({"epochs": 1.5}, TypeError, "epochs"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 13}, ValueError, "batch_size .* 12 rows, got 13"),
        ({"seed": -1}, ValueError, "seed"),
        ({"data": iter([rows()])}, TypeError, "only once"),
        ({"data": 3}, TypeError, "data must be a pair .* got 3"),
        ({"data": []}, ValueError, "no batch"),
        ({"data": [rows()], "batch_size": 3}, ValueError, "already comes in batches"),
        ({"data": (rows()[0], rows()[1][:5])}, ValueError, "12 and 5"),
        ({"optimizer": sgd(network())}, ValueError, "none of the parameters"),
    ],
)
def test_fit_refuses_wrong_arguments(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = network()
    call = {"data": rows(), "optimizer": sgd(model), "loss_fn": MSE, "epochs": 1, **arguments}
    with pytest.raises(error, match=message):
        fit(model, progress=False, **call)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs two devices")
def test_fit_does_not_move_data() -> None:
    model = network("cuda")
    with pytest.raises(ValueError, match="model is on cuda:0, the inputs on cpu"):
        fit(model, rows("cpu"), sgd(model), loss_fn=MSE, epochs=1, progress=False)


# --------------------------------------------------------------------------------------- History
@pytest.fixture(scope="module")
def history() -> History:
    model, data = network(), rows()
    monitors = [
        SharpnessMonitor(("top_eigenvalue", "trace"), every=3),
        AccuracyMonitor((data[0], torch.zeros(12, dtype=torch.int64))),
    ]
    return fit(
        model, data, sgd(model), loss_fn=MSE, epochs=2, batch_size=6, seed=0,
        monitors=monitors, progress=False,
    )  # fmt: skip


def test_monitors_read_at_the_start_when_due_and_at_the_end(history: History) -> None:
    assert history["top_eigenvalue"].steps.tolist() == [0, 3, 4]
    assert history["accuracy"].steps.tolist() == [0, 2, 4], "at the end of each epoch"
    assert history["accuracy"].errors is None
    assert history["accuracy"].values.tolist() == [1.0, 1.0, 1.0]
    assert history["top_eigenvalue"].errors is not None
    assert "top_eigenvalue_error" not in history.readings
    with pytest.raises(KeyError, match="'lambda' was not read; there is top_eigenvalue, trace"):
        history["lambda"]


def test_a_history_becomes_a_data_frame(history: History) -> None:
    table = history.to_dataframe()
    assert table["step"].tolist() == [0, 1, 2, 3, 4]
    assert table["epoch"].tolist() == [1, 1, 2, 2, 2]
    assert table["loss"][:4].tolist() == history.losses.tolist()
    assert table["loss"].isna().tolist() == [False] * 4 + [True]
    read = table["top_eigenvalue"].notna()
    assert table["step"][read].tolist() == [0, 3, 4]
    assert table["top_eigenvalue"][read].tolist() == history["top_eigenvalue"].values.tolist()
    assert table["trace_error"].notna().tolist() == read.tolist()


def test_a_history_says_what_it_is_and_can_be_kept(history: History) -> None:
    lines = repr(history).split("\n")
    assert lines[0] == "History: 4 steps, 2 epochs, complete"
    first, last = history.epoch_losses
    assert lines[1] == f"  loss = {first:.4g} → {last:.4g}"
    assert lines[2].startswith("  top_eigenvalue = ")
    again = pickle.loads(pickle.dumps(history))
    assert repr(again) == repr(history)


def test_no_epochs_make_an_empty_history() -> None:
    model = network()
    before = weights(model)
    empty = fit(model, rows(), sgd(model), loss_fn=MSE, epochs=0, progress=False)
    assert torch.equal(weights(model), before)
    assert len(empty.losses) == len(empty.epoch_losses) == len(empty.to_dataframe()) == 0
    assert repr(empty) == "History: 0 steps, 0 epochs, complete"


# -------------------------------------------------------------------------------------- monitors
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


# ----------------------------------------------------------------------------------- following λ₁
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

        def forward(self, scales: Tensor) -> Tensor:
            return scales * self.x**2 / 2

    bulk = torch.linspace(-0.05, 0.5, 398, dtype=torch.float64)
    model, target = Valley(), torch.zeros(1, dtype=torch.float64)
    monitor = SharpnessMonitor("top_eigenvalue")
    worst = 0.0
    for step in range(40):
        second = 0.8 + 0.02 * step
        scales = torch.cat([torch.tensor([1.0, second], dtype=torch.float64), bulk])
        monitor._measured = ((scales[None], target), lambda out, _: out.sum())
        value = monitor(step, model)["top_eigenvalue"]
        worst = max(worst, 1 - value / max(1.0, second))
    # Where the two are within a few residuals of each other, either may be found.
    assert worst < 0.05
