"""samlib.dynamics.compiled: the kernels, called as simulate calls them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from samlib import Objective, problems, rules, simulate
from samlib.landscapes import FourDimensional, Landscape, Quadratic, TwoValleys

pytest.importorskip("numba")

from samlib.dynamics import compiled, jit

ROOT = Path(__file__).parents[2]
NETWORK = problems.interpolating_network().objective
LANDSCAPES = [Quadratic([3.0, 1.0, 0.5]), TwoValleys(), FourDimensional(), NETWORK]


@pytest.mark.parametrize("landscape", LANDSCAPES, ids=lambda landscape: type(landscape).__name__)
def test_compiled_formulas_have_the_values_of_the_torch_ones(landscape: Landscape) -> None:
    gradient, product = compiled.compile_formulas(landscape.formulas)
    random = np.random.default_rng(0)
    x, v = random.normal(size=(2, landscape.dim, 5))
    w = random.normal(size=(landscape.terms, 5))
    p, g, h = np.array(landscape.parameters), np.empty_like(x), np.empty_like(x)
    gradient(x, w, p, g)
    product(x, v, w, p, h)
    expected_g, expected_h = [None] * landscape.dim, [None] * landscape.dim
    x, v, w = torch.tensor(x), torch.tensor(v), torch.tensor(w)
    landscape.formulas.gradient(x, w, landscape.parameters, expected_g)
    landscape.formulas.hessian_vector_product(x, v, w, landscape.parameters, expected_h)
    torch.testing.assert_close(torch.tensor(g), torch.stack(expected_g), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(torch.tensor(h), torch.stack(expected_h), rtol=1e-13, atol=1e-13)


def test_formulas_are_compiled_once() -> None:
    first = compiled.compile_formulas(FourDimensional.formulas)
    assert compiled.compile_formulas(FourDimensional().formulas) is first


@pytest.mark.parametrize(
    "rule",
    [
        rules.GradientDescent,
        rules.SAM,
        rules.UnnormalizedSAM,
        rules.AscentLossDescent,
        rules.StochasticSAM,
    ],
)
def test_every_rule_names_a_kernel_that_advances_in_place(rule: type[rules.Rule]) -> None:
    assert rule.kernel is not None
    landscape = FourDimensional()
    x = np.array([[0.5, 0.0], [0.5, 0.0], [0.1, 0.0], [0.2, 0.0]])  # the second is stationary
    before = torch.tensor(x.T.copy())
    records = np.zeros((2, 4, 2))
    draws = np.array([[0, 1]] if rule.stochastic else np.empty((0, 2)), dtype=np.int64)
    compiled.advance(
        getattr(compiled, rule.kernel),
        compiled.compile_formulas(landscape.formulas),
        np.array(landscape.parameters),
        np.ones((2, 2)),
        x,
        np.array([0.02, 0.03]),
        np.array([0.05, 0.1]),
        4,
        1,
        draws,
        5,
        records,
    )
    lr = torch.tensor([0.02, 0.03], dtype=torch.float64)
    rho = torch.tensor([0.05, 0.1], dtype=torch.float64)
    radius = {} if rule is rules.GradientDescent else {"rho": rho}
    expected = rule(lr, **radius).step(landscape, before, torch.tensor([0, 1]))
    torch.testing.assert_close(torch.tensor(x.T), expected, rtol=0, atol=1e-15)
    assert np.array_equal(records[0], x), "this was the fifth step"
    assert not records[1].any()


def test_a_rule_that_steps_otherwise_than_its_parent_does_not_run_its_parents_kernel() -> None:
    class Halving(rules.SAM):
        def step(self, objective: Objective, x: Tensor, k: Tensor | None = None) -> Tensor:
            return x / 2

    run = simulate(Quadratic([2.0, 1.0]), Halving(0.1, 0.1), torch.ones(2).double(), steps=3)
    assert run.x[0, -1].tolist() == [0.125, 0.125]


def test_a_run_enters_its_kernel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    advance = compiled.advance
    monkeypatch.setattr(compiled, "advance", lambda *args: (calls.append(1), advance(*args)))
    simulate(FourDimensional(), rules.SAM(0.02, 0.05), torch.ones(4).double(), 1000, every=3)
    assert len(calls) == 1


@pytest.mark.slow  # compiles everything twice
def test_a_broken_cache_is_compiled_again(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "import samlib.dynamics.compiled"]
    subprocess.run(command, env=environment, check=True)
    kept = sorted(tmp_path.rglob("compiled._*.nb[ci]"))
    assert {path.suffix for path in kept} == {".nbi", ".nbc"}
    assert all(jit.is_whole(path) for path in kept)
    # an index and a piece of code, broken in three ways
    broken = kept[:6]
    for path, content in zip(broken, (b"", b"nonsense", b"\x80\x04K\x01.") * 2, strict=True):
        path.write_bytes(content)
        assert not jit.is_whole(path)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(jit.is_whole(path) for path in tmp_path.rglob("compiled.*.nb[ci]"))
