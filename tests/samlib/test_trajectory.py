"""samlib.Trajectory: what is recorded, and in what form."""

from __future__ import annotations

import copy
import pickle

import pandas as pd
import pytest
import torch

from samlib import rules, simulate
from samlib.landscapes import FourDimensional
from tests.samlib.simulation_cases import START, f1, f2, starts


@pytest.mark.parametrize(
    ("steps", "every", "recorded"),
    [
        (10, 5, [0, 5, 10]),
        (10, 3, [0, 3, 6, 9, 10]),
        (3, 10, [0, 3]),
        (2, 1, [0, 1, 2]),
        (0, 1, [0]),
        (0, 7, [0]),
    ],
)
def test_the_first_and_the_last_step_are_always_recorded(
    steps: int, every: int, recorded: list[int], device: torch.device
) -> None:
    rule, start = rules.SAM(0.02, 0.05), START.to(device)
    run = simulate(FourDimensional(), rule, start, steps, every=every)
    assert run.steps.tolist() == recorded
    assert run.steps.dtype == torch.int64
    dense = simulate(FourDimensional(), rule, start, steps)
    torch.testing.assert_close(run.x, dense.x[:, recorded], rtol=0, atol=0)
    assert torch.equal(run.x[0, 0], start)


def test_every_recordable_is_what_it_is_called(device: torch.device) -> None:
    objective = FourDimensional()
    names = ("x", "loss", "gradient", "alignment", "top_eigenvalue")
    start = starts(objective).to(device)
    run = simulate(objective, rules.SAM(0.02, 0.05), start, 9, every=4, record=names)
    hessian = torch.stack(
        [
            torch.autograd.functional.hessian(lambda z: f1(z) * z[2] ** 2 + f2(z) * z[3] ** 2, p)
            for p in run.x.reshape(-1, 4)
        ]
    )
    values, vectors = torch.linalg.eigh(hessian)
    gradient = objective.gradient(run.x)
    cosine = (gradient.reshape(-1, 4) * vectors[..., -1]).sum(-1).abs()
    cosine = cosine / gradient.reshape(-1, 4).norm(dim=-1)
    torch.testing.assert_close(run.loss, objective.value(run.x))
    torch.testing.assert_close(run.gradient, gradient)
    torch.testing.assert_close(run.top_eigenvalue.reshape(-1), values[:, -1])
    torch.testing.assert_close(run.alignment.reshape(-1), cosine)


def test_only_what_is_asked_for_is_recorded() -> None:
    run = simulate(FourDimensional(), rules.SAM(0.02, 0.05), START, 2, record="loss")
    assert list(run.data) == ["loss"]
    assert torch.equal(run["loss"], run.loss)
    with pytest.raises(KeyError, match="recorded: loss"):
        run["x"]
    with pytest.raises(AttributeError, match="recorded: loss"):
        _ = run.x


def test_a_trajectory_can_be_copied_and_pickled() -> None:
    run = simulate(FourDimensional(), rules.SAM(0.02, 0.05), START, 2)
    for twin in (copy.deepcopy(run), copy.copy(run), pickle.loads(pickle.dumps(run))):
        assert torch.equal(twin.x, run.x)
        assert repr(twin) == repr(run)


def test_to_dataframe_has_a_row_per_run_and_record() -> None:
    rho = torch.tensor([0.0, 0.1], dtype=torch.float64)
    run = simulate(
        FourDimensional(),
        rules.SAM(0.02, rho),
        START,
        5,
        every=2,
        record=("x", "loss", "alignment"),
    )
    table = run.to_dataframe()
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == [
        "run",
        "step",
        "lr",
        "rho",
        "x1",
        "x2",
        "x3",
        "x4",
        "loss",
        "alignment",
    ]
    assert table["run"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert table["step"].tolist() == [0, 2, 4, 5] * 2
    assert table["rho"].tolist() == [0.0] * 4 + [0.1] * 4
    row = table[(table["run"] == 1) & (table["step"] == 4)].iloc[0]
    assert row[["x1", "x2", "x3", "x4"]].tolist() == run.x[1, 2].tolist()
    assert row["loss"] == float(run.loss[1, 2])
    descent = simulate(FourDimensional(), rules.GradientDescent(0.02), START, 1)
    assert "rho" not in descent.to_dataframe().columns
    assert descent.rho is None
