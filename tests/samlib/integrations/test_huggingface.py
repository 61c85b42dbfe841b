"""Hugging Face's Trainer with the mixin gives the iterates of SAM written out by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from page import recipe
from torch import Tensor, nn
from truth import RHO, Masks, in_steps, sam_by_hand, weights

from samlib.optim import MSAM, SAM, EigenSAM

# Losses in float32, of micro-batches or of all rows, over eight steps.
CLOSE = {"rtol": 0.0, "atol": 1e-6}

transformers = pytest.importorskip("transformers")
SECTION = "Hugging Face's Trainer"
AFTER, LR, TOKENS = recipe(SECTION), 0.1, 6


def language_model(seed: int = 0, dropout: float = 0.0, dtype: torch.dtype = torch.float64) -> Any:
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=11,
        n_positions=TOKENS,
        n_embd=8,
        n_layer=1,
        n_head=2,
        resid_pdrop=dropout,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = transformers.GPT2LMHeadModel(config).to(dtype)
    model.loss_type = "ForCausalLM"  # else the Trainer counts a label that nothing predicts
    return model


def rows(count: int = 16) -> list[dict[str, Tensor]]:
    """Sequences of which some tokens are not counted, more of them in some than in others."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for i in range(count):
        tokens = torch.randint(11, (TOKENS,), generator=generator)
        labels = tokens.clone()
        labels[: i % (TOKENS - 1)] = -100
        found.append({"input_ids": tokens, "labels": labels})
    return found


def arguments(folder: Path, accumulate: int = 1, **settings: Any) -> Any:
    return transformers.TrainingArguments(
        **{
            "output_dir": str(folder),
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": accumulate,
            "num_train_epochs": 1,
            "learning_rate": LR,
            "lr_scheduler_type": "constant",
            "optim": "sgd",
            "max_grad_norm": 0.0,
            "logging_steps": 1,
            "use_cpu": True,
            "report_to": [],
            "save_strategy": "no",
            "disable_tqdm": True,
            "train_sampling_strategy": "sequential",
            **settings,
        }
    )


def names(folder: Path, model: nn.Module, **settings: Any) -> dict[str, Any]:
    return {"model": model, "arguments": arguments(folder, **settings), "data": rows()}


def loss_over_tokens(model: nn.Module, given: list[dict[str, Tensor]]) -> Tensor:
    """The mean over all counted tokens of a step; in float32, as transformers has it."""
    tokens, labels = (torch.stack([row[key] for row in given]) for key in ("input_ids", "labels"))
    logits = model(input_ids=tokens).logits.float()
    return nn.functional.cross_entropy(logits[:, :-1].reshape(-1, 11), labels[:, 1:].reshape(-1))


def by_hand(model: nn.Module, rows_a_step: int, **given: Any) -> list[float]:
    base = given.pop("base", None) or torch.optim.SGD(model.parameters(), lr=LR)
    steps = [[step] for step in in_steps(rows(), rows_a_step)]
    return sam_by_hand(model, steps, base, loss=loss_over_tokens, **given)


def logged(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_with_radius_zero_the_trainer_after_is_the_trainer_before(
    accumulate: int, tmp_path: Path
) -> None:
    before, after = language_model(), language_model()
    recipe(SECTION, "Before").run(names(tmp_path, before, accumulate=accumulate))
    AFTER.run(names(tmp_path, after, accumulate=accumulate), rho=0.0)
    torch.testing.assert_close(weights(after), weights(before), **CLOSE)
    assert float((weights(after) - weights(language_model())).norm()) > 1e-2


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("accumulate", [1, 2, 3])  # 3 leaves two for the last step
def test_the_recipe_is_sam_over_all_tokens_of_a_step(
    accumulate: int, clip: float | None, tmp_path: Path
) -> None:
    model, hand = language_model(), language_model()
    settings = {"accumulate": accumulate, "max_grad_norm": clip or 0.0}
    scope = AFTER.run(names(tmp_path, model, **settings))
    losses = by_hand(hand, 2 * accumulate, clip=clip)
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)
    assert scope["trainer"].state.global_step == len(losses)
    # The Trainer sums up in float32 and rounds what it logs.
    assert logged(scope["trainer"]) == pytest.approx(losses, abs=1e-4)


def test_bfloat16(tmp_path: Path) -> None:
    model, hand = (language_model(dtype=torch.float32) for _ in range(2))
    AFTER.run(names(tmp_path, model, accumulate=2, bf16=True))
    by_hand(hand, 4)
    # Bfloat16 rounds to 4e-3; the weights have moved by .15.
    torch.testing.assert_close(weights(model), weights(hand), rtol=0, atol=5e-3)
    start = weights(language_model(dtype=torch.float32))
    assert float((weights(model) - start).norm()) > 10 * float(
        (weights(model) - weights(hand)).norm()
    )


def test_its_own_groups_scheduler_and_resuming(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "accumulate": 2,
        "optim": "adamw_torch",
        "learning_rate": 0.01,
        "weight_decay": 0.1,
        "lr_scheduler_type": "linear",
        "save_strategy": "steps",
        "save_steps": 2,
    }
    whole, resumed = language_model(), language_model(seed=5)
    AFTER.run(names(tmp_path, whole, **settings))
    start = AFTER.code.replace("trainer.train()", "")
    scope = names(tmp_path, resumed, **settings)
    exec(start, scope)
    scope["trainer"].train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    torch.testing.assert_close(weights(resumed), weights(whole), **CLOSE)
    optimizer = scope["trainer"].optimizer.optimizer
    assert isinstance(optimizer, SAM)
    assert sorted(g["weight_decay"] for g in optimizer.param_groups) == [0.0, 0.1]
    hand = language_model()
    decays = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    by_name = {name: decays[p] for name, p in resumed.named_parameters()}
    groups = [{"params": [p], "weight_decay": by_name[name]} for name, p in hand.named_parameters()]
    base = torch.optim.AdamW(groups, lr=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(base, lambda step: 1 - step / 4)
    by_hand(hand, 4, base=base, after=scheduler.step)
    torch.testing.assert_close(weights(whole), weights(hand), **CLOSE)


def train(folder: Path, model: nn.Module, accumulate: int = 2, **given: Any) -> Any:
    kind = AFTER.run(names(folder, language_model()))["SAMTrainer"]
    trainer = kind(model, arguments(folder, accumulate), train_dataset=rows(), **given)
    trainer.train()
    return trainer


def test_an_optimizer_of_ones_own(tmp_path: Path) -> None:
    model, hand = language_model(), language_model()
    base = torch.optim.SGD(model.parameters(), lr=LR)
    train(tmp_path, model, optimizers=(SAM(model.parameters(), base, rho=RHO), None))
    by_hand(hand, 4)
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)


def test_equal_masks_of_dropout(tmp_path: Path) -> None:
    model = language_model(dropout=0.5)
    masks = Masks(model.transformer.h[0].mlp)
    base = torch.optim.SGD(model.parameters(), lr=LR)
    sam = SAM(model.parameters(), base, rho=RHO, same_masks=True)
    train(tmp_path, model, optimizers=(sam, None))
    masks.assert_each_drawn_in_both_passes(2)


@pytest.mark.parametrize("kind", ["none", "MSAM"])
def test_what_cannot_be_done_is_refused(kind: str, tmp_path: Path) -> None:
    model = language_model()
    base = torch.optim.SGD(model.parameters(), lr=LR)
    msam = MSAM(model.parameters(), base, rho=RHO, m=2)
    given = {} if kind == "none" else {"optimizers": (msam, None)}
    with pytest.raises(TypeError, match=r"one of samlib\.optim that can step in two"):
        train(tmp_path, model, **given)


def test_eigensam_is_refused(tmp_path: Path) -> None:
    model = language_model()
    eigen = EigenSAM(
        model.parameters(), torch.optim.SGD(model.parameters(), lr=LR), rho=RHO, alpha=0.1
    )
    with pytest.raises(ValueError, match=r"create_graph=optimizer\.refreshes"):
        train(tmp_path, model, optimizers=(eigen, None))
    assert torch.equal(weights(model), weights(language_model()))


def test_an_error_in_the_second_pass_leaves_the_weights(tmp_path: Path) -> None:
    model, calls = language_model(), []

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            assert not torch.equal(weights(model), before), "at the perturbed weights"
            raise KeyError("stop")

    before = weights(model)
    model.register_forward_pre_hook(fail)
    base = torch.optim.SGD(model.parameters(), lr=LR)
    with pytest.raises(KeyError, match="stop"):
        train(tmp_path, model, optimizers=(SAM(model.parameters(), base, rho=RHO), None))
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("of_its_own", [True, False])
def test_after_an_interrupt_training_starts_over(of_its_own: bool, tmp_path: Path) -> None:
    model, hand, calls = language_model(), language_model(), []

    def interrupt(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 2:  # the second micro-batch of the first step
            raise KeyboardInterrupt

    hook = model.register_forward_pre_hook(interrupt)
    given: dict[str, Any] = {"sharpness_aware": partial(SAM, rho=RHO)}
    if of_its_own:
        base = torch.optim.SGD(model.parameters(), lr=LR)
        given = {"optimizers": (SAM(model.parameters(), base, rho=RHO), None)}
    kind = AFTER.run(names(tmp_path, language_model()))["SAMTrainer"]
    trainer = kind(model, arguments(tmp_path, 2), train_dataset=rows(), **given)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    hook.remove()
    trainer.train()
    by_hand(hand, 4)
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)
