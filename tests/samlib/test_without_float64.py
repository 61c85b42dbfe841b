"""Devices that have no float64: what is measured there is what is measured on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import samlib
from samlib import rules
from samlib.flow import chain_drift, chain_flow, chain_spread
from samlib.landscapes import FourDimensional, Quadratic
from tests.samlib.without_float64 import OnMPS, WithMPS

FOUR = FourDimensional()
POINT = torch.tensor([[0.5, 0.5, 0.1, 0.2], [0.4, 0.6, 0.2, 0.1]])

LARGE = Quadratic(torch.cat([torch.tensor([5.0, 4.0]), torch.linspace(1, 2, 68)]))


def at_zero(x: Tensor) -> Tensor:
    return x.new_zeros(70)


MEASURED: dict[str, Callable[[Tensor], Any]] = {
    "ascent": lambda x: samlib.ascent_direction_sharpness(FOUR, x, 0.1).value,
    "worst": lambda x: samlib.worst_direction_sharpness(FOUR, x, 0.1, progress=False).value,
    "ascent of components": lambda x: (
        samlib.stochastic_sharpness(FOUR, x, 0.1, notion="ascent_direction").value
    ),
    "worst of components": lambda x: (
        samlib.stochastic_sharpness(FOUR, x, 0.1, notion="worst_direction", restarts=2).value
    ),
    "Φ": lambda x: samlib.project_to_minimizers(FOUR, x).x,
    "limiting flow": lambda x: samlib.limiting_flow(FOUR, x[0], "trace", [0.0, 0.1]).x,
    "drift of the chain": lambda x: (
        chain_drift(FOUR, x[0] * x.new_tensor([1, 1, 0, 0]), lr=0.01, samples=512).velocity
    ),
    "spread of the chain": lambda x: (
        chain_spread(FOUR, x[0], [0.01], lr=0.01, samples=512).covariance
    ),
    "flow of the chain": lambda x: chain_flow(FOUR, x[0], [0.01], lr=0.01, samples=512).x,
    "simulate": lambda x: (
        samlib.simulate(
            FOUR, rules.SAM(0.01, torch.tensor([0.1, 0.2]).double()), x, 20, record=("x",)
        ).x
    ),
    "simulate one by one": lambda x: (
        samlib.simulate(FOUR, rules.StochasticSAM(0.01, 0.1), x, 20, record=("loss",), seed=0).loss
    ),
    "ascent loss": lambda x: rules.AscentLossDescent(0.01, 0.1).step(FOUR, x),
    "Γ": lambda x: FOUR.minimizer_manifold.eigenvalues(x),
    "top eigenpairs": lambda x: samlib.top_eigenpairs(LARGE, at_zero(x), k=2).values,
    "top eigenpairs of few": lambda x: samlib.top_eigenpairs(FOUR, x, k=2).values,
    "smallest": lambda x: samlib.smallest_nonzero_eigenvalue(LARGE, at_zero(x)).values,
    "trace": lambda x: samlib.trace(LARGE, at_zero(x), rtol=0.001).value,
    "alignment": lambda x: samlib.alignment(LARGE, at_zero(x) + 1),
    "invariant set": lambda x: Quadratic([4.0, 3.0, 2.0, 1.0]).in_invariant_set(x, lr=0.1, rho=0.1),
}


@pytest.fixture(autouse=True)
def _mps() -> Iterator[None]:
    with WithMPS():
        yield


def test_the_device_refuses_float64_and_keeps_its_tensors() -> None:
    x = POINT.to("mps")
    assert x.device.type == (x + 1).device.type == torch.zeros(2, device=x.device).device.type
    assert x.device.type == "mps"
    assert x.cpu().device.type == "cpu"
    assert x.cpu().double().dtype == torch.float64
    for refused in (
        x.double,
        x.numpy,
        lambda: x.to(torch.float64),
        lambda: x.new_zeros(2, dtype=torch.float64),
        lambda: torch.zeros(2, dtype=torch.float64, device="mps"),
    ):
        with pytest.raises(TypeError):
            refused()


@pytest.mark.parametrize("name", MEASURED)
def test_what_is_measured_there_is_what_is_measured_on_the_cpu(name: str) -> None:
    expected = MEASURED[name](POINT)
    found = MEASURED[name](POINT.to("mps"))
    assert isinstance(found, OnMPS), "the result is where the point was"
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-5, atol=1e-6)
