"""How a training may end: complete, interrupted or diverged, and nothing finished is lost."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samlib.training import History, SharpnessMonitor, fit
from tests.samlib.training_cases import MSE, network, rows, sam, sgd, weights

pytestmark = pytest.mark.usefixtures("one_thread")


def test_an_interrupt_loses_nothing_that_was_finished() -> None:
    def train(optimizer_of: Any, interrupt_at: int | None) -> tuple[nn.Module, History]:
        model, calls = network(), 0

        def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            if calls == interrupt_at:
                raise KeyboardInterrupt
            return MSE(outputs, targets)

        every_two = SharpnessMonitor("top_eigenvalue", every=2, loss_fn=MSE)
        epochs = 9 if interrupt_at else 3
        history = fit(
            model,
            rows(),
            optimizer_of(model),
            loss_fn=loss_fn,
            epochs=epochs,
            monitors=[every_two],
            progress=False,
        )
        return model, history

    # SAM evaluates twice a step: the eighth evaluation is at the perturbed weights of step 4.
    with pytest.warns(RuntimeWarning, match="interrupted after 3 steps"):
        model, history = train(sam, interrupt_at=8)
    undisturbed, complete = train(sam, interrupt_at=None)
    assert history.status == "interrupted"
    assert torch.equal(weights(model), weights(undisturbed)), "perturbed weights were put back"
    assert torch.equal(history.losses, complete.losses)
    assert history["top_eigenvalue"].steps.tolist() == [0, 2]
    assert "interrupted" in repr(history)
    assert model.training


def test_an_interrupt_during_a_reading_keeps_the_steps() -> None:
    def impatient(step: int, model: nn.Module) -> dict[str, float]:
        if step == 2:
            raise KeyboardInterrupt
        return {"step": step}

    model = network()
    with pytest.warns(RuntimeWarning, match="interrupted after 2 steps"):
        history = fit(
            model, rows(), sgd(model), loss_fn=MSE, epochs=9, monitors=[impatient], progress=False
        )
    assert len(history.losses) == 2
    assert history["step"].values.tolist() == [0, 1]
    assert model.training


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    model = network()
    with pytest.warns(RuntimeWarning, match="the loss is .* after .* steps"):
        history = fit(
            model, rows(), sgd(model, 1e6), loss_fn=nn.MSELoss(), epochs=1000, progress=False
        )
    assert history.status == "diverged"
    assert not history.losses[-1].isfinite()
    assert history.losses[:-1].isfinite().all()
    assert len(history.losses) < 1000
    assert len(history.epochs) == len(history.losses)


def test_an_error_in_the_training_is_not_swallowed() -> None:
    model = network()
    with pytest.raises(RuntimeError, match="shapes"):
        fit(
            model,
            (torch.ones(3, 5, dtype=torch.float64), torch.ones(3, 1)),
            sgd(model),
            loss_fn=MSE,
            epochs=1,
            progress=False,
        )


def test_a_progress_bar_can_be_switched_off(capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    fit(model, rows(), sgd(model), loss_fn=MSE, epochs=2, progress=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
