"""samlib.integrations.lightning: the losses that Lightning logs are those of the network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from samlib.integrations.lightning import LogsUnperturbed
from samlib.optim import SAM

lightning = pytest.importorskip("lightning.pytorch")  # the tests of old versions do without
Logger = lightning.loggers.Logger

ROWS, LR, RHO = 16, 0.1, 0.5


class Kept(Logger):
    """Keeps what it is given."""

    name, version = "kept", 0

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.losses += [metrics["loss"]] if "loss" in metrics else []

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: there are none."""


class Regression(lightning.LightningModule):
    """A linear regression, whose SAM steps can be repeated by hand."""

    def __init__(self, sharpness_aware: bool = True) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        with torch.no_grad():
            self.layer.weight.fill_(1.0)
            self.layer.bias.fill_(-1.0)
        self._sharpness_aware = sharpness_aware

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        inputs, targets = batch
        loss = (self.layer(inputs) - targets).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=False)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        base = torch.optim.SGD(self.parameters(), lr=LR)
        return SAM(self.parameters(), base, rho=RHO) if self._sharpness_aware else base


class Unperturbed(LogsUnperturbed, Regression):
    """The same, with a log of the network's own losses."""


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(ROWS, 3, generator=generator)
    return TensorDataset(inputs, inputs.sum(dim=1, keepdim=True))


def logged(module: lightning.LightningModule) -> list[float]:
    """The losses that are logged in six steps."""
    logger = Kept()
    trainer = lightning.Trainer(
        max_epochs=3,
        logger=logger,
        log_every_n_steps=1,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, DataLoader(data(), batch_size=ROWS // 2))
    return logger.losses


def by_hand(rho: float) -> tuple[list[float], list[float]]:
    """The losses at the weights of each SAM step, and at the perturbed weights, in closed form."""
    inputs, targets = data().tensors
    rows = torch.cat([inputs, torch.ones(ROWS, 1)], dim=1).double()
    weights = torch.tensor([1.0, 1.0, 1.0, -1.0], dtype=torch.float64)
    here, there = [], []
    for step in range(6):
        part = slice(0, ROWS // 2) if step % 2 == 0 else slice(ROWS // 2, ROWS)
        x, y = rows[part], targets[part, 0].double()

        def gradient(w: Tensor, x: Tensor = x, y: Tensor = y) -> Tensor:
            return 2 * x.T @ (x @ w - y) / len(y)

        slope = gradient(weights)
        perturbed = weights + rho * slope / slope.norm()
        here.append(float((x @ weights - y).square().mean()))
        there.append(float((x @ perturbed - y).square().mean()))
        weights = weights - LR * gradient(perturbed)
    return here, there


@pytest.mark.filterwarnings("ignore")
def test_the_log_holds_the_losses_at_the_weights() -> None:
    here, there = by_hand(RHO)
    assert logged(Unperturbed()) == pytest.approx(here, rel=1e-5)
    assert max(abs(a - b) for a, b in zip(here, there, strict=True)) > 0.5, "the other is seen"


@pytest.mark.filterwarnings("ignore")
def test_without_it_lightning_shows_the_loss_of_the_last_pass() -> None:
    """If Lightning comes to log otherwise, the mixin has had its day."""
    here, _ = by_hand(RHO)
    assert logged(Regression()) != pytest.approx(here, rel=1e-2)


@pytest.mark.filterwarnings("ignore")
def test_another_optimizer_is_logged_as_ever() -> None:
    plain, _ = by_hand(0.0)
    assert logged(Unperturbed(sharpness_aware=False)) == pytest.approx(plain, rel=1e-5)
