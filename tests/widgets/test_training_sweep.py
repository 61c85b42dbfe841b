"""The runs that the figure SpectrumInTraining shows: what they hold, and how they are computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import samlib
from samlib.widgets import SpectrumInTraining
from samlib.widgets.figures.spectrum_in_training import training_sweep as training
from samlib.widgets.figures.spectrum_in_training.model import (
    METHODS,
    RHOS,
    STEPS,
    TOP,
    bin_edges,
    decode,
    edge_of_stability,
    from_leb128,
    read_sweep,
)


def end(name: str, method: str, *index: int) -> Any:
    """A quantity at the last checkpoint, for every ρ or for one."""
    return read_sweep().arrays[name][METHODS.index(method), :, -1][index or ...]


def test_the_file_says_what_it_holds() -> None:
    arrays, facts = read_sweep()
    assert (facts["methods"], facts["rhos"], facts["steps"]) == (
        list(METHODS), list(RHOS), list(STEPS)
    )  # fmt: skip
    assert facts["settings"]["lr"] == training.LR
    assert facts["settings"]["stride"] == training.STRIDE
    assert facts["settings"]["dim"] == training.make_problem(0).objective.dim == 1210
    assert set(facts["provenance"]) >= {"samlib", "torch", "seed", "device", "dtype"}
    assert arrays["eigenvalues"].shape == (2, len(RHOS), len(STEPS), TOP)
    assert (arrays["counts"].sum(axis=-1) == 1210).all()
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert (np.diff(arrays["eigenvalues"], axis=-1) <= 0).all()
    # Those of the output's biases are 1.
    assert arrays["eigenvalues"].min() >= 1 - training.LOG_UNIT
    # The ten largest are in the bins where the counts have them.
    top = np.histogram(arrays["eigenvalues"][1, 3, 20], bin_edges())[0]
    assert (top <= arrays["counts"][1, 3, 20]).all()
    # All runs begin at one point.
    assert all((array[:, :, 0] == array[0, 0, 0]).all() for array in arrays.values())


@pytest.mark.parametrize("method", METHODS)
def test_samlib_computes_again_what_the_file_holds(method: str) -> None:
    """The first checkpoints of two runs of each method, to the file's rounding and a little.

    Rounding in another order (another machine, another size of the batch) is amplified by
    training, at first slowly; later runs are chaotic, and are not compared.
    """
    arrays, numbers = read_sweep().arrays, (0, 5)
    rtol = training.LOG_UNIT / 2 + 1e-5
    problem = training.make_problem(training.SEED)
    x = problem.start.expand(len(numbers), -1)
    for k in range(3):
        if k > 0:
            rhos = [RHOS[j] for j in numbers]
            x = training.advance(problem, method, x, rhos, STEPS[k - 1], STEPS[k], training.SEED)
        for j, point in zip(numbers, x, strict=True):
            if k < 2 and j != 5:
                continue
            found = training.measure(problem, point)
            at = METHODS.index(method), j, k
            for name in training.SCALARS:
                assert found[name] == pytest.approx(arrays[name][at], rel=rtol), name
            values = found["eigenvalues"]
            np.testing.assert_allclose(values[:TOP], arrays["eigenvalues"][at], rtol=rtol)
            # An eigenvalue on the edge of a bin may fall to either side.
            counts = np.histogram(values, bin_edges())[0]
            assert np.abs(np.cumsum(counts - arrays["counts"][at])).max() <= 1


def test_what_is_measured_is_what_samlib_calls_by_these_names() -> None:
    problem = training.make_problem(3)
    x = training.advance(problem, "sam", problem.start[None], [0.1], 0, 4, 3)[0]
    found, objective = training.measure(problem, x), problem.objective
    top = samlib.top_eigenpairs(objective, x, k=TOP, rtol=1e-6, progress=False)
    torch.testing.assert_close(torch.from_numpy(found["eigenvalues"][:TOP].copy()), top.values)
    for k, name in ((1, "alignment"), (TOP, "top_alignment")):
        cosine = float(samlib.alignment(objective, x, k=k, rtol=1e-6, progress=False))
        assert found[name] == pytest.approx(cosine, abs=1e-5)
    trace = samlib.trace(objective, x, rtol=0.05, progress=False)
    assert abs(found["trace"] - float(trace.value)) < 4 * float(trace.error)
    assert found["gradient_norm"] == pytest.approx(float(objective.gradient(x).norm()), rel=1e-12)
    quadrature = samlib.spectral_density(objective, x, probes=8, steps=50, progress=False)
    share = (quadrature.weights * (quadrature.nodes > 0.1)).sum(dim=-1)
    error = float(share.std()) / np.sqrt(len(share))
    exact = float((found["eigenvalues"] > 0.1).mean())
    assert abs(float(share.mean()) - exact) < 4 * error + 0.005


def test_an_interrupted_sweep_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(problem: Any, x: torch.Tensor) -> dict[str, Any]:
        return {"loss": float(problem.objective.value(x)), "first": float(x[0])}

    monkeypatch.setattr(training, "measure", quick)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    wanted = list(training.sweep(whole, 0, "one_sam", (0.0, 0.2), (0, 4, 15)))
    interrupted = training.sweep(parts, 0, "one_sam", (0.0, 0.2), (0, 4, 15))
    next(interrupted)
    next(interrupted)
    interrupted.close()
    (parts / "one_sam-seed0-00015.part").write_text("half a file")
    before = {file: file.stat().st_mtime_ns for file in parts.glob("*.npz")}
    assert len(before) == 2
    assert list(training.sweep(parts, 0, "one_sam", (0.0, 0.2), (0, 4, 15))) == wanted
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())


def test_the_integers_of_the_file_have_any_size() -> None:
    numbers = np.array([0, 1, 127, 128, 129, 300, 16_383, 16_384, 2**40])
    assert from_leb128(training.to_leb128(numbers)) == numbers.tolist()


def test_an_array_comes_back_to_half_a_unit_and_counts_to_the_last() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 1000, (2, 3, 4, 5))
    np.testing.assert_array_equal(decode(training.encode(counts)), counts)
    values = np.exp(rng.normal(0, 5, (2, 3, 4)))
    numbers = np.rint(np.log(values) / training.LOG_UNIT).astype(int)
    found = decode({**training.encode(numbers), "log": training.LOG_UNIT})
    np.testing.assert_allclose(found, values, rtol=1.001 * training.LOG_UNIT / 2)


def test_eigenvalues_outside_of_all_bins_are_refused() -> None:
    row = {"eigenvalues": np.linspace(0, 20, 30), **dict.fromkeys(training.SCALARS, 0.5)}
    with pytest.raises(ValueError, match="eigenvalues reach from 0 to 20"):
        training.pack([[[row]], [[row]]])


def test_the_edge_of_stability_is_where_a_step_of_sam_ceases_to_be_stable() -> None:
    for lr, rho, norm in ((0.5, 0.2, 0.1), (0.5, 0.02, 1e-3), (0.1, 0.5, 2.0)):
        edge = edge_of_stability(lr, rho, norm)
        assert lr * edge * (1 + rho * edge / norm) == pytest.approx(2, rel=1e-12)
        formula = norm / (2 * rho) * (np.sqrt(1 + 8 * rho / (lr * norm)) - 1)
        assert edge == pytest.approx(formula, rel=1e-10)
    assert edge_of_stability(0.5, 0, 0.1) == 4 == pytest.approx(edge_of_stability(0.5, 1e-12, 0.1))


def test_gradient_descent_sits_at_two_over_eta_and_sam_at_its_own_edge() -> None:
    arrays = read_sweep().arrays
    late = slice(STEPS.index(2160), None)
    descent = arrays["eigenvalues"][0, 0, late, 0]
    assert np.abs(descent.mean() - 4) < 0.1
    for j, rho in enumerate(RHOS[1:], start=1):
        norms = arrays["gradient_norm"][0, j, late]
        edges = [edge_of_stability(training.LR["sam"], rho, norm) for norm in norms]
        top = arrays["eigenvalues"][0, j, late, 0]
        assert np.mean(top / edges) == pytest.approx(1, abs=0.1), rho


def test_larger_rho_means_smaller_top_eigenvalue_and_trace() -> None:
    for method in METHODS:
        assert (np.diff(end("trace", method)) < 0).all()
    assert (np.diff(end("eigenvalues", "sam")[:, 0]) < 0).all()
    # λ₁ of 1-SAM is noisy; but ρ ≥ 0.1 makes it half of what it is for SGD.
    top = end("eigenvalues", "one_sam")[:, 0]
    assert (top[RHOS.index(0.1) :] < top[0] / 2).all()
    # 1-SAM presses the trace, SAM does so far less.
    trace = {method: end("trace", method) for method in METHODS}
    two = RHOS.index(0.2)
    assert trace["one_sam"][two] < 0.5 * trace["one_sam"][0]
    assert 0.7 * trace["sam"][0] < trace["sam"][two] < 0.85 * trace["sam"][0]


def test_the_trace_of_one_sam_is_lower_at_the_same_training_loss_too() -> None:
    arrays = read_sweep().arrays
    loss, trace = arrays["loss"][1], arrays["trace"][1]
    falling = -np.minimum.accumulate(loss[0])
    shares = {}
    for rho in (0.1, 0.15, 0.2, 0.3):
        j = RHOS.index(rho)
        earlier = np.interp(-loss[j, -1], falling, trace[0])  # SGD's, when it had this loss
        shares[rho] = trace[j, -1] / earlier
    assert max(shares.values()) < 0.9
    assert shares[0.2] == pytest.approx(0.8, abs=0.03)


def test_another_seed_changes_as_much_as_is_said() -> None:
    for run, pairs in SpectrumInTraining().provenance["other_seed"]["at_the_end"].items():
        for name in ("top_eigenvalue", "trace"):
            first, second = pairs[name]
            if "one_sam" not in run or "0.2" in run:
                assert abs(second / first - 1) < 0.031, (run, name)
        accuracy = pairs["test_accuracy"]
        assert abs(accuracy[0] - accuracy[1]) < 0.0245, run
    top = SpectrumInTraining().provenance["other_seed"]["at_the_end"]["one_sam, rho = 0"]
    assert [round(value, 1) for value in top["top_eigenvalue"]] == [4.3, 3.3]
