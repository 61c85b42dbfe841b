"""LogsEffect, the callbacks that log SAMEffect's numbers, for Lightning and for transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from samlib.optim import SAM, SharpnessAware
from samlib.training import SAMEffect

LR, RHO, ROWS, STEPS = 0.05, 0.2, 8, 6
NAMES = {f"sam_{n}" for n in ("difference", "ratio", "cosine", "curvature", "curvature_error")}
EDGES = {f"sam_{n}" for n in ("edge_along", "edge_along_error", "edge_limit")}

pytestmark = pytest.mark.filterwarnings("ignore")


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(ROWS, 3, generator=generator)
    return TensorDataset(inputs, inputs.sum(dim=1, keepdim=True))


def layer() -> nn.Linear:
    made = nn.Linear(3, 1)
    with torch.no_grad():
        made.weight.fill_(0.3)
        made.bias.fill_(-1.0)
    return made


def optimizer_of(model: nn.Module, sharpness_aware: bool = True) -> torch.optim.Optimizer:
    base = torch.optim.SGD(model.parameters(), lr=LR)
    return SAM(model.parameters(), base, rho=RHO) if sharpness_aware else base


def by_hand(every: int) -> list[dict[str, float]]:
    """What the monitor reads in a loop of one's own."""
    model = layer()
    optimizer = optimizer_of(model)
    effect, found = SAMEffect(optimizer), []
    inputs, targets = data().tensors

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (model(inputs) - targets).square().mean()
        loss.backward()
        return loss

    for i in range(1, STEPS + 1):
        optimizer.step(closure)
        if i % every == 0 or i == STEPS:
            found.append(effect(i, model))
    return found


class TestLightning:
    @pytest.fixture
    def lightning(self) -> Any:
        return pytest.importorskip("lightning.pytorch")  # the tests of old versions do without

    def module(self, lightning: Any, sharpness_aware: bool = True) -> Any:
        class Regression(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer()

            def forward(self, inputs: Tensor) -> Tensor:
                return self.layer(inputs)

            def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
                assert self.training
                return (self(batch[0]) - batch[1]).square().mean()

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return optimizer_of(self, sharpness_aware)

        return Regression()

    def train(self, lightning: Any, module: Any, effect: Any, **options: Any) -> tuple[Any, Any]:
        class Kept(lightning.loggers.Logger):
            name, version = "kept", 0

            def __init__(self) -> None:
                super().__init__()
                self.found: list[tuple[int, dict[str, float]]] = []

            def log_metrics(self, metrics: dict[str, float], step: int = 0) -> None:
                self.found += [(step, metrics)] if "sam_ratio" in metrics else []

            def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
                """Nothing: there are none."""

        logger = Kept()
        trainer = lightning.Trainer(
            max_epochs=STEPS, logger=logger, callbacks=[effect], accelerator="cpu",
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            **options,
        )  # fmt: skip
        trainer.fit(module, DataLoader(data(), batch_size=ROWS))
        return trainer, logger.found

    def test_it_logs_what_the_monitor_reads(self, lightning: Any) -> None:
        from samlib.integrations.lightning import LogsEffect

        effect = LogsEffect(every=4)
        assert effect.summary() == "Nothing has been read yet."
        trainer, found = self.train(lightning, self.module(lightning), effect)
        assert [at for at, _ in found] == [4, 6], "and what is left, at the end"
        for (_, got), want in zip(found, by_hand(4), strict=True):
            assert set(got) == NAMES | EDGES
            assert got == pytest.approx(want, rel=1e-5)
        last = found[-1][1]["sam_ratio"]
        assert float(trainer.callback_metrics["sam_ratio"]) == pytest.approx(last)
        assert effect.summary().startswith("SAM acts")

    def test_products_are_taken_where_asked_for(self, lightning: Any) -> None:
        from samlib.integrations.lightning import LogsEffect

        inputs, targets = data().tensors
        effect = LogsEffect(
            every=6, measure="top_eigenvalue", prefix="my_",
            data=(inputs, targets), loss_fn=nn.MSELoss(),
        )  # fmt: skip
        trainer, _ = self.train(lightning, self.module(lightning), effect)
        rows = torch.cat([inputs, torch.ones(ROWS, 1)], dim=1).double()
        top = float(torch.linalg.eigvalsh(2 * rows.T @ rows / ROWS)[-1])
        read = float(trainer.callback_metrics["my_top_eigenvalue"])
        assert read == pytest.approx(top, rel=1e-5)

    def test_clipped_gradients_are_not_compared(self, lightning: Any) -> None:
        from samlib.integrations.lightning import LogsEffect

        module = self.module(lightning)
        _, found = self.train(lightning, module, effect := LogsEffect(), gradient_clip_val=0.1)
        assert not found
        assert "In 1 step a gradient was clipped" in effect.summary()
        by_value = {"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value"}
        with pytest.raises(ValueError, match="gradient_clip_algorithm='value'"):
            self.train(lightning, module, LogsEffect(), **by_value)

    def test_without_sam_it_refuses(self, lightning: Any) -> None:
        from samlib.integrations.lightning import LogsEffect

        with pytest.raises(ValueError, match=r"needs an optimizer of samlib\.optim"):
            self.train(lightning, self.module(lightning, False), LogsEffect())


class TestTransformers:
    @pytest.fixture
    def transformers(self) -> Any:
        return pytest.importorskip("transformers")

    def train(
        self,
        transformers: Any,
        folder: Path,
        effect: Any,
        sharpness_aware: bool = True,
        max_grad_norm: float = 0.0,
    ) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
        """What stands in the Trainer's history, and what a reporter is told."""

        class Regression(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer()

            def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
                outputs = self.layer(inputs)
                return {"loss": (outputs - labels).square().mean(), "logits": outputs}

        class InTwoSteps(transformers.Trainer):
            def training_step(self, model: nn.Module, inputs: Any, *args: Any) -> Tensor:
                loss = super().training_step(model, inputs, *args)
                optimizer = self.optimizer
                while not isinstance(optimizer, SharpnessAware):
                    optimizer = optimizer.optimizer
                optimizer.first_step()
                super().training_step(model, inputs, *args)
                return loss

        class Reporter(transformers.TrainerCallback):
            def __init__(self) -> None:
                self.told: list[dict[str, float]] = []

            def on_log(self, *args: Any, logs: Any = None, **others: Any) -> None:
                self.told.append(dict(logs))

        model, (inputs, labels) = Regression(), data().tensors
        optimizer, reporter = optimizer_of(model, sharpness_aware), Reporter()
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
        examples = [{"inputs": inputs[i], "labels": labels[i]} for i in range(ROWS)]
        arguments = transformers.TrainingArguments(
            output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=ROWS,
            logging_steps=3, max_grad_norm=max_grad_norm, report_to=[], save_strategy="no",
            use_cpu=True, disable_tqdm=True,
        )  # fmt: skip
        trainer = InTwoSteps(
            model, arguments, train_dataset=examples, optimizers=(optimizer, scheduler),
            callbacks=[effect, reporter],
        )  # fmt: skip
        trainer.train()
        return [log for log in trainer.state.log_history if "loss" in log], reporter.told

    def test_it_logs_what_the_monitor_reads(self, transformers: Any, tmp_path: Path) -> None:
        from samlib.integrations.huggingface import LogsEffect

        effect = LogsEffect()
        logs, told = self.train(transformers, tmp_path, effect)
        assert [log["step"] for log in logs] == [3, 6]
        for log, report, want in zip(logs, told, by_hand(3), strict=False):
            assert {name for name in log if name.startswith("sam_")} == NAMES | EDGES
            for name, value in want.items():
                assert log[name] == report[name] == pytest.approx(value, rel=1e-5), name
        assert effect.summary().startswith("SAM acts")

    def test_clipped_gradients_are_not_compared(self, transformers: Any, tmp_path: Path) -> None:
        from samlib.integrations.huggingface import LogsEffect

        logs, _ = self.train(transformers, tmp_path, effect := LogsEffect(), max_grad_norm=0.1)
        assert not any("sam_ratio" in log for log in logs)
        assert "In 2 steps a gradient was clipped" in effect.summary()

    def test_without_sam_it_refuses(self, transformers: Any, tmp_path: Path) -> None:
        from samlib.integrations.huggingface import LogsEffect

        with pytest.raises(ValueError, match=r"needs an optimizer of samlib\.optim"):
            self.train(transformers, tmp_path, LogsEffect(), sharpness_aware=False)
