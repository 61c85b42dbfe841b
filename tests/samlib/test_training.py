"""samlib.training.fit: it is the plain loop, with any optimizer, data, seed and scheduler."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import samlib
from samlib import Objective
from samlib.training import AccuracyMonitor, fit
from tests.samlib.training_cases import MSE, network, noisy_network, rows, sam, sgd, weights

pytestmark = pytest.mark.usefixtures("one_thread")


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


def old_weight_norm(model: nn.Sequential) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for layer in (model[0], model[2]):
            nn.utils.weight_norm(layer)
    return model


def new_weight_norm(model: nn.Sequential) -> nn.Module:
    for layer in (model[0], model[2]):
        nn.utils.parametrizations.weight_norm(layer)
    return model


@pytest.mark.parametrize("optimizer_of", [sgd, sam])
@pytest.mark.parametrize(
    ("wrapped", "plain"),
    [(old_weight_norm, new_weight_norm), (nn.DataParallel, lambda model: model)],
    ids=["weight_norm", "DataParallel"],
)
def test_a_wrapped_network_trains_as_the_plain_one(
    wrapped: Callable[[nn.Sequential], nn.Module],
    plain: Callable[[nn.Sequential], nn.Module],
    optimizer_of: Callable[[nn.Module], torch.optim.Optimizer],
) -> None:
    def train(model: nn.Module) -> Tensor:
        optimizer = optimizer_of(model)
        accuracy = AccuracyMonitor((rows()[0], torch.zeros(12, dtype=torch.int64)), every=2)
        history = fit(
            model, rows(), optimizer, loss_fn=MSE, epochs=6, monitors=[accuracy], progress=False
        )
        assert history["accuracy"].steps.tolist() == [0, 2, 4, 6]
        return history.losses

    torch.testing.assert_close(train(wrapped(network())), train(plain(network())))
