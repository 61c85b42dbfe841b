"""samlib.training.History: what was read, when, and in what form."""

from __future__ import annotations

import pickle

import pytest
import torch

from samlib.training import AccuracyMonitor, History, SharpnessMonitor, fit
from tests.samlib.training_cases import MSE, network, rows, sgd, weights

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def history() -> History:
    model, data = network(), rows()
    monitors = [
        SharpnessMonitor(("top_eigenvalue", "trace"), every=3),
        AccuracyMonitor((data[0], torch.zeros(12, dtype=torch.int64))),
    ]
    return fit(
        model, data, sgd(model), loss_fn=MSE, epochs=2, batch_size=6, seed=0,
        monitors=monitors, progress=False,
    )  # fmt: skip


def test_monitors_read_at_the_start_when_due_and_at_the_end(history: History) -> None:
    assert history["top_eigenvalue"].steps.tolist() == [0, 3, 4]
    assert history["accuracy"].steps.tolist() == [0, 2, 4], "at the end of each epoch"
    assert history["accuracy"].errors is None
    assert history["accuracy"].values.tolist() == [1.0, 1.0, 1.0]
    assert history["top_eigenvalue"].errors is not None
    assert "top_eigenvalue_error" not in history.readings
    with pytest.raises(KeyError, match="'lambda' was not read; there is top_eigenvalue, trace"):
        history["lambda"]


def test_a_history_becomes_a_data_frame(history: History) -> None:
    table = history.to_dataframe()
    assert table["step"].tolist() == [0, 1, 2, 3, 4]
    assert table["epoch"].tolist() == [1, 1, 2, 2, 2]
    assert table["loss"][:4].tolist() == history.losses.tolist()
    assert table["loss"].isna().tolist() == [False] * 4 + [True]
    read = table["top_eigenvalue"].notna()
    assert table["step"][read].tolist() == [0, 3, 4]
    assert table["top_eigenvalue"][read].tolist() == history["top_eigenvalue"].values.tolist()
    assert table["trace_error"].notna().tolist() == read.tolist()


def test_a_history_says_what_it_is_and_can_be_kept(history: History) -> None:
    lines = repr(history).split("\n")
    assert lines[0] == "History: 4 steps, 2 epochs, complete"
    first, last = history.epoch_losses
    assert lines[1] == f"  loss = {first:.4g} → {last:.4g}"
    assert lines[2].startswith("  top_eigenvalue = ")
    again = pickle.loads(pickle.dumps(history))
    assert repr(again) == repr(history)


def test_no_epochs_make_an_empty_history() -> None:
    model = network()
    before = weights(model)
    empty = fit(model, rows(), sgd(model), loss_fn=MSE, epochs=0, progress=False)
    assert torch.equal(weights(model), before)
    assert len(empty.losses) == len(empty.epoch_losses) == len(empty.to_dataframe()) == 0
    assert repr(empty) == "History: 0 steps, 0 epochs, complete"
