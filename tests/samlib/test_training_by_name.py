"""Training and watching networks that take their inputs by name and compute their loss."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import samlib
from samlib import Objective
from samlib.training import SharpnessMonitor, fit
from tests.samlib.language_models import gpt2, own_loss, padded

BATCHES = [padded(3, seed=0), padded(3, seed=1)]


def sam(model: nn.Module, kind: str) -> torch.optim.Optimizer:
    base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    if kind == "MSAM":
        return samlib.optim.MSAM(model.parameters(), base, rho=0.05, m=2)
    if kind == "DiametricalRisk":
        return samlib.optim.DiametricalRisk(model.parameters(), base, rho=0.05, directions=2)
    return samlib.optim.SAM(model.parameters(), base, rho=0.05) if kind == "SAM" else base


def steps_by_hand(model: nn.Module, optimizer: Any, kind: str) -> list[float]:
    """One pass over the batches, in a loop of one's own."""
    model.train()
    losses = []
    names = list(BATCHES[0])
    for batch in BATCHES:

        def closure(*parts: Tensor, batch: dict[str, Tensor] = batch) -> Tensor:
            some = dict(zip(names, parts, strict=True)) if parts else batch
            loss: Tensor = model(**some).loss
            optimizer.zero_grad()
            if kind != "DiametricalRisk":
                loss.backward()
            return loss

        own = tuple(batch.values()) if kind == "MSAM" else ()
        losses.append(float(optimizer.step(closure, *own).detach()))
    return losses


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["SGD", "SAM", "MSAM", "DiametricalRisk"])
def test_fit_takes_the_steps_of_a_loop_of_ones_own(kind: str) -> None:
    model = gpt2(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    other = copy.deepcopy(model)
    torch.manual_seed(0)
    losses = steps_by_hand(other, sam(other, kind), kind)
    torch.manual_seed(0)
    history = fit(model, BATCHES, sam(model, kind), loss=own_loss, epochs=1, progress=False)
    expected = torch.tensor(losses).to(history.losses)
    torch.testing.assert_close(history.losses, expected, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_monitor_reads_what_the_functions_give() -> None:
    model = gpt2()
    monitor = SharpnessMonitor(
        ("top_eigenvalue", "ascent_direction"), rho=0.1, every=1, rtol=1e-3, parameters="*attn*"
    )
    optimizer = sam(model, "SAM")
    options: dict[str, Any] = {"epochs": 1, "monitors": [monitor], "progress": False}
    history = fit(model, BATCHES, optimizer, loss=own_loss, **options)
    objective = Objective.from_loss(model, own_loss, BATCHES, parameters="*attn*")
    x = objective.flat_parameters()
    pairs = samlib.top_eigenpairs(objective, x, rtol=1e-4, progress=False)
    last = history["top_eigenvalue"].values[-1]
    assert abs(float(last - pairs.values[0])) <= 2e-3 * float(pairs.values[0])
    ascent = samlib.ascent_direction_sharpness(objective, x, 0.1)
    read = history["ascent_direction"].values[-1]
    torch.testing.assert_close(read, ascent.value.to(read), rtol=1e-5, atol=1e-6)
    assert not any(p.grad is None for p in model.parameters()), "the training's own are left alone"


def test_one_batch_by_name_may_be_drawn_from() -> None:
    batch = {name: torch.cat([part[name] for part in BATCHES]) for name in BATCHES[0]}
    model = gpt2()
    seen: list[list[int]] = []

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        seen.append(batch["input_ids"][:, 0].tolist())
        return own_loss(model, batch)

    optimizer = sam(model, "SGD")
    fit(model, batch, optimizer, loss=loss, epochs=2, batch_size=4, seed=0, progress=False)
    assert [len(rows) for rows in seen] == [4, 2, 4, 2]
    firsts = sorted(batch["input_ids"][:, 0].tolist())
    assert sorted(seen[0] + seen[1]) == firsts == sorted(seen[2] + seen[3])


def test_a_monitor_alone_takes_a_loss_of_model_and_batch() -> None:
    model = gpt2()
    monitor = SharpnessMonitor("trace", data=BATCHES, loss=own_loss)
    objective = Objective.from_loss(model, own_loss, BATCHES)
    trace = samlib.trace(objective, objective.flat_parameters(), rtol=0.05, progress=False)
    reading = monitor(0, model)
    error = reading["trace_error"] + float(trace.error)
    assert abs(reading["trace"] - float(trace.value)) <= 5 * error
    with pytest.raises(ValueError, match="needs data= and loss_fn= or loss="):
        SharpnessMonitor("trace", data=BATCHES)(0, model)


def test_explore_measures_a_language_model() -> None:
    model = gpt2()
    chosen: dict[str, Any] = {"parameters": "*ln*", "k": 1, "samples": 8}
    figure = samlib.widgets.explore(model, loss=own_loss, data=BATCHES, **chosen)
    try:
        figure.wait(120)
        objective = Objective.from_loss(model, own_loss, BATCHES, parameters="*ln*")
        x = objective.flat_parameters()
        assert figure.parameters == objective.dim
        ascent = samlib.ascent_direction_sharpness(objective, x, figure.rho)
        measured = figure.sharpness["ascent"].value
        torch.testing.assert_close(measured, ascent.value, rtol=1e-5, atol=1e-7)
    finally:
        figure.close()
