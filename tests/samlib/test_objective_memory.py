"""How many points are evaluated together: as many as fit, of what one really allocates."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import samlib
from samlib import Objective
from samlib.objective import points
from samlib.objective.points import bytes_needed

MIB = 2**20


def test_bytes_are_those_of_the_tensors_that_live_at_a_time() -> None:
    x = torch.zeros(MIB // 4)  # a mebibyte

    def chain(x: Tensor) -> Tensor:
        for _ in range(5):
            x = x.sin()  # the one before is let go of
        return x.sum()

    assert bytes_needed(lambda: chain(x)) == 2 * MIB
    # Backwards, every sine needs what it was taken of; torch.func keeps the way back besides.
    assert 6 * MIB <= bytes_needed(lambda: torch.func.grad(chain)(x)) <= 15 * MIB
    assert bytes_needed(lambda: x.view(2, -1)[0]) == 0
    assert bytes_needed(lambda: 2 * x[:4]) == 16


class Wide(nn.Module):
    """Few inputs, many outputs: what the inputs hold says nothing of what an evaluation needs."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.outputs = outputs
        self.most = 0

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y + torch.zeros(self.outputs, dtype=x.dtype)


@pytest.mark.parametrize("evaluation", ["value", "gradient"])
def test_points_that_need_much_are_evaluated_in_small_groups(
    evaluation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "BYTES_AT_ONCE", MIB)
    data = torch.ones(1, 1), torch.ones(1, 1)
    objective = Objective.from_module(Wide(MIB // 256), lambda y, t: (y - t).square().mean(), data)
    x = torch.linspace(-1, 1, 200).reshape(100, 2)
    evaluate = getattr(objective, evaluation)
    evaluate(x[:2])  # measures, and looks at the loss
    gc.collect()
    together = bytes_needed(lambda: evaluate(x))
    one = bytes_needed(lambda: evaluate(x[0]))
    assert together <= 1.2 * MIB
    assert together >= 3 * one, "a mebibyte holds several"
    torch.testing.assert_close(evaluate(x), torch.stack([evaluate(point) for point in x]))


def adapted(words: int, device: str = "cpu") -> tuple[nn.Module, list[dict[str, Tensor]]]:
    """GPT-2 with a large vocabulary and adapters, and a batch of text."""
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": words, "n_embd": 64, "n_layer": 2, "n_head": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    base = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **ends))
    adapter = peft.LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True)
    ids = torch.randint(words, (2, 128))
    return peft.get_peft_model(base, adapter), [{"input_ids": ids, "labels": ids}]


@pytest.mark.parametrize("samples", [4, 32])
def test_the_average_direction_of_a_language_model_needs_little(samples: int) -> None:
    model, batches = adapted(20_000)
    objective = Objective.from_loss(model, lambda model, batch: model(**batch).loss, batches)
    x = objective.flat_parameters()
    options: dict[str, Any] = {"samples": samples, "progress": False}

    def measure() -> None:
        samlib.average_direction_sharpness(objective, x, 0.1, **options)

    # 256 words of text have 19.5 MiB of logits, and all points together would have `samples` times
    # that and more.
    assert bytes_needed(measure) <= 150 * MIB


def test_what_is_measured_is_remembered_by_the_shapes_of_a_batch() -> None:
    seen = []

    class Counting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.shape)
            return super().forward(x)

    batches = [(torch.ones(n, 2), torch.ones(n, 1)) for n in (3, 3, 5)]
    objective = Objective.from_module(Counting(2, 1), F.mse_loss, batches, check=False)
    x = torch.zeros(10, objective.dim)
    objective.value(x)
    assert len(seen) == 3 + 2, "a look at each shape, and all points at once for each batch"
    objective.value(x)
    assert len(seen) == 3 + 2 + 3
