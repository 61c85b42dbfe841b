"""Lightning with the mixin gives the iterates of SAM written out by hand."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_runs import Outputs, fit, half_precision, lightning, loader, net_of, trainer
from page import recipe
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler
from truth import (
    CLOSE,
    RHO,
    Batch,
    Masks,
    batches,
    by_hand,
    in_steps,
    mse,
    network,
    sam_by_hand,
    weights,
)

from samlib.optim import MSAM, SAM, DiametricalRisk, EigenSAM, LookSAM, UnnormalizedSAM

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice
AFTER = recipe("Lightning").run({})


def test_with_radius_zero_the_module_after_is_the_module_before() -> None:
    before, after = network(), network()
    fit(net_of(recipe("Lightning", "Before").run({}), before))
    fit(net_of(recipe("Lightning").run({}, rho=0.0), after))
    torch.testing.assert_close(weights(after), weights(before), **CLOSE)


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("accumulate", [1, 2, 3])  # 3 leaves two for the last step
def test_accumulation_and_clipping(accumulate: int, clip: float | None) -> None:
    model, hand, outputs = network(), network(), Outputs()
    run = fit(
        net_of(AFTER, model),
        accumulate_grad_batches=accumulate,
        gradient_clip_val=clip,
        callbacks=[outputs],
    )
    base, steps = torch.optim.SGD(hand.parameters(), lr=0.1), in_steps(batches(), accumulate)
    losses = sam_by_hand(hand, steps, base, clip=clip, divisor=accumulate)
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)
    assert run.global_step == len(steps)
    # What Lightning reports is the loss at the weights: of each micro-batch, over their number.
    reported = [sum(part) for part in in_steps(outputs.losses, accumulate)]
    assert reported == pytest.approx(losses, rel=1e-12)


def in_bfloat16(model: nn.Module, batch: Batch) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return nn.functional.mse_loss(model(batch[0]), batch[1])


def in_float16(model: nn.Module, batch: Batch) -> Tensor:
    with torch.autocast("cpu", torch.float16):
        return nn.functional.mse_loss(model(batch[0]), batch[1])


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_mixed_precision(precision: str, accumulate: int, clip: float | None) -> None:
    data = batches(dtype=torch.float32)
    model, hand = network(dtype=torch.float32), network(dtype=torch.float32)
    plugin = half_precision() if precision == "16-mixed" else None
    given = {"plugins": [plugin]} if plugin else {"precision": precision}
    settings = {"accumulate_grad_batches": accumulate, "gradient_clip_val": clip, **given}
    run = fit(net_of(AFTER, model), data, **settings)
    base = torch.optim.SGD(hand.parameters(), lr=0.1)
    loss = in_float16 if plugin else in_bfloat16
    sam_by_hand(hand, in_steps(data, accumulate), base, clip=clip, loss=loss)
    # A scale that is a power of two rounds nothing; added up are gradients in half precision.
    torch.testing.assert_close(weights(model), weights(hand), rtol=0, atol=1e-5)
    assert run.global_step == 8 // accumulate
    assert plugin is None or plugin.scaler.get_scale() == 2.0**8


@pytest.mark.parametrize("spoiled", [1, 2])  # the pass that overflows
def test_an_infinity_in_either_pass_skips_the_step(spoiled: int) -> None:
    model, calls = network(dtype=torch.float32), []

    def training_step(self: Any, batch: Batch, batch_idx: int) -> Tensor:
        calls.append(1)
        return mse(self.model, batch) * (torch.inf if len(calls) == spoiled else 1.0)

    plugin, before = half_precision(), weights(model)
    data = batches(1, dtype=torch.float32)
    run = fit(net_of(AFTER, model, training_step=training_step), data, plugins=[plugin])
    assert torch.equal(weights(model), before)
    assert not run.optimizers[0].perturbed
    assert plugin.scaler.get_scale() == 2.0**7, "it backs off"


def adamw(self: Any) -> Any:
    base = torch.optim.AdamW(self.parameters(), lr=0.01)
    optimizer = SAM(self.parameters(), base, rho=RHO)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=16)
    return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def test_a_scheduler_and_resuming_from_a_checkpoint(tmp_path: Path) -> None:
    hand, part, resumed = network(), network(), network(seed=5)
    base = torch.optim.AdamW(hand.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(base, T_max=16)
    steps = in_steps(batches(), 2) * 2
    sam_by_hand(hand, steps, base, after=scheduler.step)
    settings = {"accumulate_grad_batches": 2}
    first = fit(net_of(AFTER, part, configure_optimizers=adamw), **settings)
    first.save_checkpoint(tmp_path / "half.ckpt")
    second = trainer(max_epochs=2, **settings)
    net = net_of(AFTER, resumed, configure_optimizers=adamw)
    second.fit(net, loader(), ckpt_path=tmp_path / "half.ckpt")
    torch.testing.assert_close(weights(resumed), weights(hand), **CLOSE)
    assert second.global_step == 8


def half_of_the_rows(self: Any) -> DataLoader[Any]:
    """Of each four rows two for either process."""
    rows = loader().dataset
    sampler = DistributedSampler(rows, 2, self.trainer.global_rank, shuffle=False)
    return DataLoader(rows, batch_size=2, sampler=sampler)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_are_one(accumulate: int) -> None:
    model = network()
    run = trainer(
        strategy="ddp_fork",
        devices=2,
        use_distributed_sampler=False,
        accumulate_grad_batches=accumulate,
    )
    run.fit(net_of(AFTER, model, train_dataloader=half_of_the_rows))
    hand = by_hand(network(), batches(), accumulate)
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)


@pytest.mark.parametrize("plugins", [[], [half_precision()]], ids=["32", "16"])
def test_the_gradient_that_perturbs_is_not_clipped(plugins: list[Any]) -> None:
    """With UnnormalizedSAM its length matters."""

    def configure(self: Any) -> UnnormalizedSAM:
        base = torch.optim.SGD(self.parameters(), lr=0.1)
        return UnnormalizedSAM(self.parameters(), base, rho=0.2)

    data = batches(dtype=torch.float32)
    model, hand = network(dtype=torch.float32), network(dtype=torch.float32)
    net, given = net_of(AFTER, model, configure_optimizers=configure), copy.deepcopy(plugins)
    fit(net, data, gradient_clip_val=0.1, plugins=given)
    optimizer = configure(hand)
    for batch in data:
        mse(hand, batch).backward()
        optimizer.first_step()
        mse(hand, batch).backward()
        nn.utils.clip_grad_norm_(hand.parameters(), 0.1)
        optimizer.second_step()
        optimizer.zero_grad()
    # Eight steps of length .01, in float16 each within a few 1e-3 of its length.
    torch.testing.assert_close(weights(model), weights(hand), rtol=0, atol=1e-4)


def test_optimizers_that_perturb_now_and_then() -> None:
    model, hand, data = network(), network(), batches()

    def look(self: Any) -> LookSAM:
        base = torch.optim.SGD(self.parameters(), lr=0.1)
        return LookSAM(self.parameters(), base, rho=RHO, alpha=0.7, every=2)

    settings = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.1}
    fit(net_of(AFTER, model, configure_optimizers=look), **settings)
    optimizer = look(hand)
    for step in in_steps(data, 2):
        for _ in range(optimizer.ascents + 1):
            for batch in step:
                (mse(hand, batch) / 2).backward()
            if not optimizer.perturbed and optimizer.ascents:
                optimizer.first_step()
        nn.utils.clip_grad_norm_(hand.parameters(), 0.1)
        optimizer.second_step()
        optimizer.zero_grad()
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)


@pytest.mark.parametrize("plugins", [[], [half_precision()]], ids=["32", "16"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_equal_masks_of_dropout(accumulate: int, plugins: list[Any]) -> None:
    def configure(self: Any) -> SAM:
        base = torch.optim.SGD(self.parameters(), lr=0.1)
        return SAM(self.parameters(), base, rho=RHO, same_masks=True)

    def draws(self: Any, *_: Any) -> None:  # as augmentation does, between two micro-batches
        torch.rand(1)

    model, data = network(dropout=0.5, dtype=torch.float32), batches(dtype=torch.float32)
    masks = Masks(model)
    net = net_of(AFTER, model, configure_optimizers=configure, on_train_batch_end=draws)
    fit(net, data, accumulate_grad_batches=accumulate, plugins=copy.deepcopy(plugins))
    masks.assert_each_drawn_in_both_passes(accumulate)


@pytest.mark.parametrize("plugins", [[], [half_precision()]], ids=["32", "16"])
def test_an_error_leaves_the_weights_as_they_were(plugins: list[Any]) -> None:
    model, calls = network(dtype=torch.float32), []

    def training_step(self: Any, batch: Batch, batch_idx: int) -> Tensor:
        calls.append(1)
        if len(calls) == 3:
            assert not torch.equal(weights(model), before), "at the perturbed weights"
            raise KeyError("stop")
        return mse(self.model, batch)

    before, data = weights(model), batches(dtype=torch.float32)
    net = net_of(AFTER, model, training_step=training_step)
    with pytest.raises(KeyError, match="stop"):
        fit(net, data, accumulate_grad_batches=2, plugins=copy.deepcopy(plugins))
    assert torch.equal(weights(model), before)


def test_a_hook_that_hides_the_micro_batches_is_noticed() -> None:
    def hides(self: Any, batch: Batch, batch_idx: int) -> None:
        pass

    net = net_of(AFTER, network(), on_train_batch_start=hides)
    with pytest.raises(RuntimeError, match=r"super\(\)\.on_train_batch_start"):
        fit(net, accumulate_grad_batches=2)


def test_without_the_mixin_accumulation_is_refused() -> None:
    plain = recipe("Lightning", "Before").run({})
    net = net_of(plain, network(), configure_optimizers=lambda self: adamw(self)[0])
    with pytest.raises(RuntimeError, match=r"samlib\.integrations"):
        fit(net, accumulate_grad_batches=2)


def test_without_the_mixin_16_bits_are_refused() -> None:
    plain = recipe("Lightning", "Before").run({})
    model = network(dtype=torch.float32)
    net = net_of(plain, model, configure_optimizers=lambda self: adamw(self)[0])
    with pytest.raises(ValueError, match=r"samlib\.integrations\.lightning"):
        fit(net, batches(dtype=torch.float32), plugins=[half_precision()])
    assert torch.equal(weights(model), weights(network(dtype=torch.float32)))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(EigenSAM, {"alpha": 0.1}), (MSAM, {"m": 2}), (DiametricalRisk, {})],
    ids=["EigenSAM", "MSAM", "DiametricalRisk"],
)
def test_what_needs_manual_optimization_says_so(kind: Any, settings: dict[str, Any]) -> None:
    def configure(self: Any) -> Any:
        base = torch.optim.SGD(self.parameters(), lr=0.1)
        return kind(self.parameters(), base, rho=RHO, **settings)

    with pytest.raises(TypeError, match=r"self\.manual_step\(closure\)"):
        fit(net_of(AFTER, network(), configure_optimizers=configure))


def test_another_optimizer_trains_as_ever() -> None:
    model, plain = network(), network()
    of = recipe("Lightning", "Before").run({})["Net"].configure_optimizers
    settings = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.1}
    fit(net_of(AFTER, model, configure_optimizers=of), **settings)
    fit(net_of(recipe("Lightning", "Before").run({}), plain), **settings)
    assert torch.equal(weights(model), weights(plain))


def test_a_step_that_takes_no_index_and_returns_a_dictionary() -> None:
    class Net(AFTER["BothPasses"], lightning.LightningModule):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Batch) -> dict[str, Tensor]:
            return {"loss": mse(self.model, batch)}

        configure_optimizers = AFTER["Net"].configure_optimizers

    model = network()
    fit(Net(model), accumulate_grad_batches=2)
    torch.testing.assert_close(weights(model), weights(by_hand(network(), batches(), 2)), **CLOSE)
