"""Trainings with Lightning on a tiny network, quiet and on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from truth import Batch, batches

lightning = pytest.importorskip("lightning.pytorch")  # the tests of old versions do without


class Outputs(lightning.Callback):
    """Keeps the losses that Lightning reports for each micro-batch."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *others: Any) -> None:
        self.losses.append(float(outputs["loss"]))


def trainer(**settings: Any) -> Any:
    return lightning.Trainer(
        **{
            "max_epochs": 1,
            "logger": False,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            **settings,
        }
    )


def loader(data: list[Batch] | None = None, rows: int = 4) -> DataLoader[Any]:
    """The rows of the batches, in order."""
    data = batches() if data is None else data
    inputs, targets = (torch.cat(parts) for parts in zip(*data, strict=True))
    return DataLoader(TensorDataset(inputs, targets), batch_size=rows)


def fit(net: Any, data: list[Batch] | None = None, rows: int = 4, **settings: Any) -> Any:
    """Train, and return the trainer."""
    run = trainer(**settings)
    run.fit(net, loader(data, rows))
    return run


def net_of(scope: dict[str, Any], model: nn.Module, **others: Any) -> Any:
    """The LightningModule of a recipe, with other methods where they are given."""
    of = type("Net", (scope["Net"],), others)
    return of(model, nn.MSELoss())


def half_precision(scale: float = 2.0**8) -> Any:
    """Lightning's 16-bit precision, which it has for the CPU only if it is asked like this."""
    from lightning.pytorch.plugins import MixedPrecision

    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))
