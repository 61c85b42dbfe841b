"""Accelerate gives the iterates of SAM written out by hand."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from page import recipe
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from truth import (
    CLOSE,
    RHO,
    Batch,
    Masks,
    batches,
    closure_of,
    in_steps,
    mse,
    network,
    sam_by_hand,
    weights,
)

from samlib.integrations.accelerate import BothPasses
from samlib.optim import GSAM, MSAM, SAM, EigenSAM, SharpnessAware

accelerate = pytest.importorskip("accelerate")
SECTION = "Accelerate"


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Leave nothing of the settings that all Accelerators of a process share."""
    yield
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()


def accelerator(accumulate: int = 1, **settings: Any) -> Any:
    return accelerate.Accelerator(cpu=True, gradient_accumulation_steps=accumulate, **settings)


def loader(data: list[Batch]) -> DataLoader[Any]:
    inputs, targets = (torch.cat(parts) for parts in zip(*data, strict=True))
    return DataLoader(TensorDataset(inputs, targets), batch_size=4)


def names(model: nn.Module, accumulate: int = 1, **settings: Any) -> dict[str, Any]:
    return {
        "model": model,
        "loader": loader(batches()),
        "loss_fn": nn.MSELoss(),
        "accelerator": accelerator(accumulate, **settings),
    }


@pytest.mark.parametrize("accumulate", [1, 2])
def test_with_radius_zero_the_loop_after_is_the_loop_before(accumulate: int) -> None:
    before, after = network(), network()
    recipe(SECTION, "Before").run(names(before, accumulate))
    recipe(SECTION).run(names(after, accumulate), rho=0.0)
    torch.testing.assert_close(weights(after), weights(before), **CLOSE)


@pytest.mark.parametrize("accumulate", [1, 2, 3])  # 3 leaves two for the last step
def test_the_recipe_is_sam_on_all_micro_batches(accumulate: int) -> None:
    model, hand = network(), network()
    scope = recipe(SECTION).run(names(model, accumulate))
    base = torch.optim.SGD(hand.parameters(), lr=0.1)
    steps = in_steps(batches(), accumulate)
    sam_by_hand(hand, steps, base, clip=0.1, divisor=accumulate)
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)
    torch.testing.assert_close(scope["loss"], mse_of_last(hand, scope), rtol=0.2, atol=0)
    assert not scope["loss"].requires_grad


def mse_of_last(model: nn.Module, scope: dict[str, Any]) -> Tensor:
    """Nearly what the last micro-batch had before the last step, of length .01."""
    return mse(model, (scope["inputs"], scope["targets"])).detach()


def train(
    run: Any, model: nn.Module, optimizer: SharpnessAware, data: list[Batch]
) -> tuple[Any, list[Tensor]]:
    """Train and return the prepared optimizer and the losses."""
    model, prepared, rows = run.prepare(model, optimizer, loader(data))
    passes, losses = BothPasses(run, model, prepared), []
    for batch in rows:
        with run.accumulate(model):
            losses.append(passes.backward(lambda *part: mse(model, part), *batch))
            prepared.step()
            prepared.zero_grad()
    return prepared, losses


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def test_the_losses_are_those_at_the_weights() -> None:
    model, hand = network(), network()
    run = accelerator(2)
    _, losses = train(run, model, SAM(model.parameters(), sgd(model), rho=RHO), batches())
    expected = sam_by_hand(hand, in_steps(batches(), 2), sgd(hand))
    means = [float(sum(pair) / 2) for pair in in_steps(losses, 2)]
    assert means == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["GSAM", "EigenSAM"])
@pytest.mark.filterwarnings("ignore:Using backward")
def test_other_optimizers(name: str) -> None:
    def make(model: nn.Module) -> SharpnessAware:
        if name == "GSAM":
            return GSAM(model.parameters(), sgd(model), rho=RHO, alpha=0.4)
        return EigenSAM(model.parameters(), sgd(model), rho=RHO, alpha=0.5, every=2)

    model, direct = network(), network()
    train(accelerator(2), model, make(model), batches())
    optimizer = make(direct)
    for step in in_steps(batches(), 2):

        def loss(step: Any = step) -> Tensor:
            return torch.stack([mse(direct, batch) for batch in step]).mean()

        def backward() -> Tensor:
            value = loss()
            value.backward()
            return value

        optimizer.step(loss if optimizer.takes_loss else backward)
    torch.testing.assert_close(weights(model), weights(direct), **CLOSE)


def scaled_run(accumulate: int) -> Any:
    """What Accelerate does in float16, which it does on GPUs only: scale, and step by a scaler."""
    run = accelerator(accumulate)
    run.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    run.native_amp = True  # as on a GPU
    return run


@pytest.mark.parametrize("accumulate", [1, 2])
def test_with_a_scaler(accumulate: int) -> None:
    model, hand = network(), network()
    run = scaled_run(accumulate)
    prepared, _ = train(run, model, SAM(model.parameters(), sgd(model), rho=RHO), batches())
    assert prepared.scaler is not None
    assert not prepared.step_was_skipped
    sam_by_hand(hand, in_steps(batches(), accumulate), sgd(hand))
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)


def of_a_process(folder: str, perturb_with: str, accumulate: int) -> None:
    """Train in one of two processes, on its batches; save the weights."""
    run = accelerator(accumulate)
    model, rows = run.prepare(network(), loader(batches()))
    given = {"model": model, "perturb_with": "local"} if perturb_with == "local" else {}
    base = torch.optim.SGD(model.parameters(), lr=0.1)
    prepared = run.prepare(SAM(model.parameters(), base, rho=RHO, **given))
    passes = BothPasses(run, model, prepared)
    for batch in rows:
        with run.accumulate(model):
            passes.backward(lambda *part: mse(model, part), *batch)
            prepared.step()
            prepared.zero_grad()
    assert run.num_processes == 2
    torch.save(weights(run.unwrap_model(model)), f"{folder}/{run.process_index}.pt")


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("perturb_with", ["averaged", "local"])
def test_two_processes(perturb_with: str, accumulate: int, tmp_path: Path) -> None:
    arguments = (str(tmp_path), perturb_with, accumulate)
    accelerate.debug_launcher(of_a_process, arguments, num_processes=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.equal(first, second)
    hand = network()
    if perturb_with == "averaged":
        sam_by_hand(hand, in_steps(batches(), 2 * accumulate), sgd(hand))
    else:  # either process has every other batch, and perturbs by the gradient on those of a step
        optimizer = MSAM(hand.parameters(), sgd(hand), rho=RHO, m=4 * accumulate)
        for step in in_steps(batches(), 2 * accumulate):
            ordered = [*step[0::2], *step[1::2]]
            inputs, targets = (torch.cat([batch[i] for batch in ordered]) for i in (0, 1))
            optimizer.step(lambda *part: closure_of(hand, part)(), inputs, targets)
    torch.testing.assert_close(first, weights(hand), **CLOSE)


def test_save_state_and_load_state(tmp_path: Path) -> None:
    def sam(model: nn.Module) -> SAM:
        base = torch.optim.AdamW(model.parameters(), lr=0.01)
        return SAM(model.parameters(), base, rho=RHO)

    part, resumed, hand = network(), network(seed=5), network()
    run = accelerator(2)
    train(run, part, sam(part), batches()[:4])
    run.save_state(tmp_path)
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()
    again = accelerator(2)
    model, prepared, rows = again.prepare(resumed, sam(resumed), loader(batches()[4:]))
    again.load_state(tmp_path)
    passes = BothPasses(again, model, prepared)
    for batch in rows:
        with again.accumulate(model):
            passes.backward(lambda *part: mse(model, part), *batch)
            prepared.step()
            prepared.zero_grad()
    base = torch.optim.AdamW(hand.parameters(), lr=0.01)
    sam_by_hand(hand, in_steps(batches(), 2), base)
    torch.testing.assert_close(weights(resumed), weights(hand), **CLOSE)


def test_equal_masks_of_dropout() -> None:
    model = network(dropout=0.5)
    masks = Masks(model)
    optimizer = SAM(model.parameters(), sgd(model), rho=RHO, same_masks=True)
    train(accelerator(2), model, optimizer, batches())
    masks.assert_each_drawn_in_both_passes(2)


def test_an_error_in_the_second_pass_leaves_the_weights() -> None:
    model, calls = network(), []

    def failing(*batch: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == 4:
            assert not torch.equal(weights(model), before), "at the perturbed weights"
            raise KeyError("stop")
        return mse(model, batch)

    before, run = weights(model), accelerator(2)
    optimizer = SAM(model.parameters(), sgd(model), rho=RHO)
    prepared_model, prepared, rows = run.prepare(model, optimizer, loader(batches()))
    passes = BothPasses(run, prepared_model, prepared)
    with pytest.raises(KeyError, match="stop"):  # noqa: PT012
        for batch in rows:
            with run.accumulate(prepared_model):
                passes.backward(failing, *batch)
    assert torch.equal(weights(model), before)


def test_a_closure_that_loses_micro_batches_is_warned_of_at_the_second_step() -> None:
    model = network()
    run = accelerator(2)
    optimizer = SAM(model.parameters(), sgd(model), rho=RHO)
    prepared_model, prepared, rows = run.prepare(model, optimizer, loader(batches()[:4]))

    def step(batch: Batch) -> None:
        def closure() -> Tensor:
            prepared.zero_grad()
            return closure_of(prepared_model, batch)()

        with run.accumulate(prepared_model):
            if run.sync_gradients:
                prepared.step(closure)
            else:
                closure()

    first, second, third, fourth = rows
    step(first)
    step(second)
    step(third)
    with pytest.warns(RuntimeWarning, match="micro-batches of the step, they are lost"):
        step(fourth)


def test_what_cannot_be_done_is_refused() -> None:
    model, run = network(), accelerator()
    base = sgd(model)
    optimizer = MSAM(model.parameters(), copy.copy(base), rho=RHO, m=2)
    with pytest.raises(TypeError, match="step in two, got MSAM"):
        BothPasses(run, model, run.prepare(optimizer))
    with pytest.raises(TypeError, match=r"one of samlib\.optim"):
        BothPasses(run, model, run.prepare(base))
    passes = BothPasses(run, model, run.prepare(SAM(model.parameters(), sgd(model), rho=RHO)))
    with pytest.raises(TypeError, match="loss_of must be callable"):
        passes.backward(torch.ones(1))
