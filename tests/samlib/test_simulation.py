"""samlib.simulate: batches, precision, divergence and wrong use."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from samlib import Objective, Trajectory, rules, simulate
from samlib.landscapes import FourDimensional
from tests.samlib.simulation_cases import START, starts, without_numba


@pytest.mark.parametrize("torch_path", [False, True])
def test_a_batch_over_rho_and_lr_equals_single_runs(
    torch_path: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch_path:
        without_numba(monkeypatch)
    start = starts(FourDimensional(), 4).to(device)
    lr = torch.tensor([0.005, 0.01, 0.02, 0.03], dtype=torch.float64, device=device)
    rho = torch.tensor([0.0, 0.05, 0.1, 0.2], dtype=torch.float64, device=device)
    run = simulate(FourDimensional(), rules.SAM(lr, rho), start, 40)
    assert run.x.shape == (4, 41, 4)
    assert run.loss.shape == run.alignment.shape == (4, 41)
    for i in range(4):
        single = simulate(FourDimensional(), rules.SAM(float(lr[i]), float(rho[i])), start[i], 40)
        torch.testing.assert_close(run.x[i], single.x[0], rtol=0, atol=1e-14)
        torch.testing.assert_close(run.alignment[i], single.alignment[0])
    assert run.lr.tolist() == lr.tolist()
    assert run.rho is not None
    assert run.rho.tolist() == rho.tolist()


def test_one_start_serves_a_batch_of_radii_and_is_not_changed(device: torch.device) -> None:
    start = START.to(device).clone().requires_grad_()
    rho = torch.linspace(0, 0.1, 5, requires_grad=True)  # of another dtype, and tracked
    run = simulate(FourDimensional(), rules.SAM(0.02, rho), start, 5)
    assert run.x.shape == (5, 6, 4)
    assert not run.x.requires_grad
    assert run.x.dtype == torch.float64
    assert torch.equal(start.detach(), START.to(device))
    assert len(run.to_dataframe()) == 30


@pytest.mark.parametrize(
    ("lr", "rho", "batch"), [(3, 4, 1), (1, 3, 2), (2, 1, 3)], ids=["lr-rho", "rho", "lr"]
)
def test_batches_that_do_not_match_are_refused(lr: int, rho: int, batch: int) -> None:
    rule = rules.SAM(torch.full((lr,), 0.1), torch.full((rho,), 0.1))
    with pytest.raises(ValueError, match="batch size"):
        simulate(FourDimensional(), rule, START.expand(batch, 4), 1)


def test_float32_stays_float32_and_agrees_with_float64(device: torch.device) -> None:
    single = simulate(FourDimensional(), rules.SAM(0.02, 0.05), START.float().to(device), 100)
    double = simulate(FourDimensional(), rules.SAM(0.02, 0.05), START.to(device), 100)
    for name in ("x", "loss", "alignment"):
        assert single[name].dtype == torch.float32
        assert single[name].device.type == device.type
        torch.testing.assert_close(single[name].double(), double[name], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("torch_path", [False, True])
def test_divergence_warns_and_is_recorded_as_what_it_is(
    torch_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch_path:
        without_numba(monkeypatch)
    lr = torch.tensor([0.05, 5.0], dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match="1 of 2 runs diverged") as caught:
        run = simulate(FourDimensional(), rules.SAM(lr, 0.05), START, 100, every=10)
    assert caught[0].filename == __file__
    assert bool(run.x[0].isfinite().all())
    assert not bool(run.x[1, -1].isfinite().all())
    assert bool(run.alignment[1, -1].isnan())
    assert bool(run.alignment[0].isfinite().all())


def test_divergence_in_many_dimensions_warns_too() -> None:
    # Above 64 dimensions the alignment is measured by Lanczos.
    objective = Objective(lambda x: (x**4).sum(), 70)
    with pytest.warns(RuntimeWarning, match="diverged"):
        run = simulate(objective, rules.GradientDescent(1.0), 2 * torch.ones(70), 12, every=6)
    assert bool(run.alignment[0, -1].isnan())


def test_a_run_that_converges_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate(FourDimensional(), rules.SAM(0.02, 0.05), START, 100, every=10)


def good(**changes: object) -> Trajectory:
    arguments: dict[str, object] = {
        "objective": FourDimensional(),
        "rule": rules.SAM(0.02, 0.05),
        "start": START,
        "steps": 1,
    }
    return simulate(**{**arguments, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"start": torch.ones(3)}, ValueError, "start must have shape"),
        ({"start": torch.ones(2, 3, 4)}, ValueError, "start must have shape"),
        ({"start": torch.ones(4, 1)}, ValueError, "start must have shape"),
        ({"start": torch.ones(4, dtype=torch.int64)}, TypeError, r"start\.double\(\)"),
        ({"start": [0.5, 0.5, 0.1, 0.2]}, TypeError, "start must be a torch.Tensor"),
        ({"start": torch.tensor([1.0, 1.0, math.nan, 1.0])}, ValueError, "loss at start"),
        ({"steps": -1}, ValueError, "steps"),
        ({"steps": 1.5}, TypeError, "steps"),
        ({"steps": True}, TypeError, "steps"),
        ({"every": 0}, ValueError, "every"),
        ({"record": ("x", "los")}, ValueError, "'los'"),
        ({"objective": Objective(lambda x: x, 4)}, ValueError, "scalar"),
        ({"objective": Objective(lambda x: x.sum() * math.nan, 4)}, ValueError, "finite"),
        ({"objective": Objective(lambda x: x.sum() / 0, 4)}, ValueError, "finite"),
        ({"rule": rules.StochasticSAM(0.1, 0.1), "seed": -1}, ValueError, "seed"),
        ({"rule": rules.StochasticSAM(0.1, 0.1), "seed": 0.5}, TypeError, "seed"),
    ],
)
def test_wrong_use_is_answered_with_the_argument_that_is_wrong(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    good()
    with pytest.raises(error, match=message):
        good(**changes)


def test_numpy_integers_are_integers() -> None:
    import numpy as np

    run = good(
        steps=np.int64(3), every=np.int32(2), rule=rules.StochasticSAM(0.1, 0.1), seed=np.int64(1)
    )
    assert run.steps.tolist() == [0, 2, 3]
