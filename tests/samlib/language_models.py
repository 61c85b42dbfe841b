"""Small language models: of transformers and peft, and an LSTM; random weights in float64."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

WORDS, LENGTH = 13, 6


def tokens(rows: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2, WORDS, (rows, LENGTH), generator=generator)


def padded(rows: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """A batch by name: rows of different lengths, whose labels are ignored beyond them."""
    ids = tokens(rows, seed)
    lengths = LENGTH - torch.arange(rows) % 3
    mask = (torch.arange(LENGTH) < lengths[:, None]).long()
    return {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "labels": torch.where(mask == 1, ids, -100),
    }


def images(rows: int = 3, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(rows, 3, 8, 8, generator=generator, dtype=torch.float64)
    return {"pixel_values": pixels, "labels": torch.arange(rows) % 3}


def _made(name: str, config: str, **options: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = getattr(transformers, config)(**options)
    model: nn.Module = getattr(transformers, name)(settings)
    return model.double()


NO_WORDS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}


def gpt2(**options: Any) -> nn.Module:
    sizes = {"vocab_size": WORDS, "n_embd": 4, "n_layer": 1, "n_head": 2, "n_positions": 8}
    return _made("GPT2LMHeadModel", "GPT2Config", **sizes, **NO_WORDS, **options)


SMALL = {
    "vocab_size": WORDS,
    "hidden_size": 4,
    "intermediate_size": 5,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 8,
}


def _of_llama(name: str, **options: Any) -> nn.Module:
    grouped = {"num_key_value_heads": 1}  # one key for two queries
    settings = {**SMALL, **NO_WORDS, **grouped, **options}
    return _made(f"{name}ForCausalLM", f"{name}Config", **settings)


def llama() -> nn.Module:
    return _of_llama("Llama")


def mixtral() -> nn.Module:
    in_float64 = {"experts_implementation": "eager"}
    return _of_llama("Mixtral", num_local_experts=2, num_experts_per_tok=1, **in_float64)


def bert() -> nn.Module:
    return _made("BertForMaskedLM", "BertConfig", **SMALL, pad_token_id=0)


def vit() -> nn.Module:
    image = {"image_size": 8, "patch_size": 4, "num_labels": 3}
    sizes = {n: size for n, size in SMALL.items() if n.startswith(("hidden", "inter", "num"))}
    return _made("ViTForImageClassification", "ViTConfig", **sizes, **image)


class RecurrentForCausalLM(nn.Module):
    """An LSTM that takes its inputs by name and computes its loss, as those above do."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, 4)
        self.cells = nn.LSTM(4, 4, batch_first=True)
        self.last = nn.Linear(4, WORDS)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None
    ) -> SimpleNamespace:
        hidden = self.words(input_ids) * attention_mask[..., None]
        logits = self.last(self.cells(hidden)[0])
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return SimpleNamespace(loss=loss, logits=logits)


def lstm() -> nn.Module:
    torch.manual_seed(0)
    return RecurrentForCausalLM().double()


def lora() -> nn.Module:
    """GPT-2 with adapters: only these are trainable."""
    peft = pytest.importorskip("peft")
    base = gpt2()
    config = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    model: nn.Module = peft.get_peft_model(base, config).double()  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():  # one of the two factors begins at 0
        if "lora_B" in name:
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.data = 0.3 * values
    return model


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], dict[str, Tensor]]]] = {
    "GPT-2": (gpt2, padded),
    "Llama": (llama, padded),
    "Mixtral": (mixtral, padded),
    "BERT": (bert, padded),
    "ViT": (vit, images),
    "LSTM": (lstm, padded),
    "LoRA": (lora, padded),
}


def own_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The loss that the model computes itself."""
    loss: Tensor = model(**batch).loss
    return loss
