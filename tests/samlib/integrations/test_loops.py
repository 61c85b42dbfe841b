"""The recipes for a loop of one's own, as the page shows them, against SAM written out by hand."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from page import recipe
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from truth import (
    CLOSE,
    RHO,
    Batch,
    batches,
    by_hand,
    closure_of,
    in_steps,
    network,
    sam_by_hand,
    weights,
)

from samlib.optim import SAM

SAME_LOOPS = [
    "One batch a step",
    "Gradient accumulation",
    "Gradient clipping and schedulers",
    "Mixed precision",
    "Averages of weights",
    "Several base optimizers in one ball",
    "Schedule-free optimizers",
]


def names(model: nn.Module, loader: list[Batch] | None = None) -> dict[str, Any]:
    loader = batches() if loader is None else loader
    given = {"model": model, "loader": loader, "loss_fn": nn.MSELoss()}
    return {**given, "device": "cpu", "averaging": None}


@pytest.mark.parametrize("section", SAME_LOOPS)
def test_with_radius_zero_the_loop_after_is_the_loop_before(section: str) -> None:
    if section == "Schedule-free optimizers":
        pytest.importorskip("schedulefree")
    if section == "Several base optimizers in one ball" and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    before, after, start = network(), network(), network()
    recipe(section, "Before").run(names(before))
    recipe(section, "After").run(names(after), rho=0.0)
    # Float16 rounds what is added up in another order
    close = {"rtol": 0.0, "atol": 1e-3} if section == "Mixed precision" else CLOSE
    torch.testing.assert_close(weights(after), weights(before), **close)
    assert float((weights(after) - weights(start)).norm()) > 1e-2
    other = network()
    recipe(section, "After").run(names(other))
    assert float((weights(other) - weights(before)).norm()) > 1e-4, "the radius matters"


def test_the_plain_loop_is_sam() -> None:
    model = network()
    recipe("One batch a step").run(names(model))
    torch.testing.assert_close(weights(model), weights(by_hand(network(), batches())), **CLOSE)


def test_accumulated_gradients_are_those_of_all_micro_batches_in_both_passes() -> None:
    model = network()
    recipe("Gradient accumulation").run(names(model))
    together = by_hand(network(), batches(), 4)
    torch.testing.assert_close(weights(model), weights(together), **CLOSE)


def test_clipping_and_a_scheduler() -> None:
    model, hand = network(), network()
    recipe("Gradient clipping and schedulers").run(names(model))
    base = torch.optim.AdamW(hand.parameters(), lr=0.01)
    scheduler = CosineAnnealingLR(base, T_max=8)
    sam_by_hand(hand, in_steps(batches()), base, clip=0.1, after=scheduler.step)
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)


def quarter(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """A loss so small that 2¹⁶ times its gradients are finite in float16."""
    return nn.functional.mse_loss(outputs, targets) / 4


def half(model: nn.Module, batch: Batch) -> torch.Tensor:
    with torch.autocast("cpu", torch.float16):
        return quarter(model(batch[0]), batch[1])


def test_mixed_precision_with_clipping() -> None:
    data = batches(dtype=torch.float32)
    model, hand = network(dtype=torch.float32), network(dtype=torch.float32)
    scope = recipe("Mixed precision").run({**names(model, data), "loss_fn": quarter})
    assert scope["scaler"].get_scale() == 2.0**16, "no step was skipped"
    base = torch.optim.SGD(hand.parameters(), lr=0.1)
    sam_by_hand(hand, in_steps(data), base, clip=0.1, loss=half)
    # A scale that is a power of two rounds nothing; a step has the length .01.
    torch.testing.assert_close(weights(model), weights(hand), rtol=0, atol=1e-6)
    plain = by_hand(network(dtype=torch.float32), data, clip=0.1, rho=0.0, loss=half)
    assert float((weights(model) - weights(plain)).norm()) > 1e-3


def test_training_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    data, path = batches(), tmp_path / "checkpoint.pt"
    whole, part, resumed = network(), network(), network(seed=5)

    def train(model: nn.Module, optimizer: SAM, loader: list[Batch]) -> None:
        for batch in loader:
            optimizer.step(closure_of(model, batch))

    def sam(model: nn.Module) -> SAM:
        base = torch.optim.AdamW(model.parameters(), lr=0.01)
        return SAM(model.parameters(), base, rho=0.2)

    train(whole, sam(whole), data)
    optimizer = sam(part)
    train(part, optimizer, data[:4])
    recipe("Checkpoints", "Save").run({"model": part, "optimizer": optimizer, "path": path})
    scope = recipe("Checkpoints", "Resume").run({"model": resumed, "path": path})
    assert scope["optimizer"].param_groups[0]["rho"] == 0.2
    train(resumed, scope["optimizer"], data[4:])
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.parametrize("averaging", [None, get_ema_multi_avg_fn(0.9)], ids=["SWA", "EMA"])
def test_averages_of_weights(averaging: Any) -> None:
    def normalized() -> nn.Sequential:
        model = network()
        return nn.Sequential(model[0], nn.BatchNorm1d(5).double(), *model[1:])

    model, hand = normalized(), normalized()
    scope = recipe("Averages of weights").run({**names(model), "averaging": averaging})
    base = torch.optim.SGD(hand.parameters(), lr=0.1)
    average = AveragedModel(hand, multi_avg_fn=averaging)
    statistics = copy.deepcopy(hand[1])
    sam_by_hand(
        hand, in_steps(batches()), base, after=lambda: average.update_parameters(hand), rho=RHO
    )
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)
    assert not torch.equal(hand[1].running_mean, statistics.running_mean)
    update_bn(batches(), average)
    for ours, theirs in zip(
        scope["average"].state_dict().values(), average.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def schedule(tab: str, optimizer: SAM, **given: Any) -> None:
    recipe("A radius that changes", tab).run({"optimizer": optimizer, **given})


def test_a_radius_that_follows_the_learning_rate_or_warms_up() -> None:
    model = network()
    base = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer = SAM(model.parameters(), base, rho=1.0)
    scheduler = CosineAnnealingLR(optimizer, T_max=4)
    for expected in (1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0.0):  # (1 + cos(tπ/4))/2
        schedule("With the learning rate", optimizer)
        assert optimizer.param_groups[0]["rho"] == pytest.approx(0.05 * expected, abs=1e-15)
        assert base.param_groups[0]["rho"] == optimizer.param_groups[0]["rho"]
        optimizer.step(closure_of(model, batches()[0]))
        scheduler.step()
    for step, expected in ((0, 0.0), (250, 0.0125), (1000, 0.05), (5000, 0.05)):
        schedule("Warm-up", optimizer, step=step)
        assert optimizer.param_groups[0]["rho"] == expected


def test_a_radius_set_in_the_group_is_that_of_the_step() -> None:
    model, data = network(), batches()
    optimizer = SAM(model.parameters(), torch.optim.SGD(model.parameters(), lr=0.1), rho=1.0)
    hand = network()
    for step, batch in enumerate(data):
        schedule("Warm-up", optimizer, step=200 * step)
        optimizer.step(closure_of(model, batch))
        hand = by_hand(hand, [batch], rho=0.05 * min(1.0, 0.2 * step))
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)
    optimizer.param_groups[0]["rho"] = -0.1
    with pytest.raises(ValueError, match="rho of a group must be finite and ≥ 0"):
        optimizer.step(closure_of(model, batch))


def test_sam_in_the_last_epochs_only() -> None:
    model, data, calls = network(), batches(), []
    base = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer = SAM(model.parameters(), base, rho=RHO)
    for epoch, batch in zip(range(4, 12), data, strict=True):

        def closure(batch: Batch = batch) -> torch.Tensor:
            calls.append(1)
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(batch[0]), batch[1])
            loss.backward()
            return loss

        schedule("Last epochs only", optimizer, closure=closure, epoch=epoch)
    hand = by_hand(by_hand(network(), data[:4], rho=0.0), data[4:])
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)
    assert len(calls) == 4 + 2 * 4


def test_equal_masks_of_dropout() -> None:
    data = batches()
    model, hand = network(dropout=0.5), network(dropout=0.5)
    base = torch.optim.SGD(model.parameters(), lr=0.1)
    scope = recipe("Dropout", "").run({"model": model, "base": base, "SAM": SAM})
    torch.manual_seed(3)
    for batch in data:
        scope["optimizer"].step(closure_of(model, batch))
    goes_on = torch.rand(1)

    def loss(network: nn.Module, batch: Batch) -> torch.Tensor:  # the n-th batch has the mask n
        torch.manual_seed(0)
        torch.set_rng_state(states[next(i for i, each in enumerate(data) if each is batch)])
        return nn.functional.mse_loss(network(batch[0]), batch[1])

    torch.manual_seed(3)
    states = []
    for batch in data:
        states.append(torch.get_rng_state())
        hand(batch[0])
    assert torch.equal(goes_on, torch.rand(1)), "as after one pass for each batch"
    sam_by_hand(hand, in_steps(data), torch.optim.SGD(hand.parameters(), lr=0.1), loss=loss)
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)


def test_the_popular_loop_is_refused_and_what_to_write_instead_is_sam() -> None:
    model, section = network(), "From the popular one-file SAM"
    with pytest.raises(TypeError, match=r"base = torch.optim.SGD\(model.parameters\(\), lr=0.1\)"):
        recipe(section, "Before").run({**names(model), "SAM": SAM, "torch": torch})
    recipe(section, "After").run(names(model))
    torch.testing.assert_close(weights(model), weights(by_hand(network(), batches())), **CLOSE)
