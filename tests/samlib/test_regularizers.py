"""Stochastic sharpness and the limiting regularizers: what the notions become on Γ."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import samlib
from samlib import Objective
from samlib.landscapes import FourDimensional
from tests.samlib.sharpness_cases import DOUBLE, network


def test_stochastic_sharpness_is_the_mean_over_the_components() -> None:
    objective, x = network(rows=5)
    rho = 0.3
    assert objective.components is not None
    for notion, one in (
        ("worst_direction", samlib.worst_direction_sharpness),
        ("ascent_direction", samlib.ascent_direction_sharpness),
    ):
        each = [one(component, x, rho).value for component in objective.components]
        found = samlib.stochastic_sharpness(objective, x, rho, notion=notion)
        torch.testing.assert_close(found.value, torch.stack(each).mean(), rtol=1e-9, atol=0)
        assert found.notion == notion
        assert found.direction is None
    average = samlib.stochastic_sharpness(objective, x, rho, notion="average_direction", samples=64)
    assert average.value == samlib.average_direction_sharpness(objective, x, rho, samples=64).value


def test_near_the_manifold_the_three_stochastic_notions_are_the_trace() -> None:
    # Theorem 5.3, at a point of Γ moved by 1e-6: E_k R_k/ρ² → Tr/2, Tr/2 and Tr/(2D).
    landscape = FourDimensional()
    x = torch.tensor([[0.3, -0.2, 1e-6, -1e-6], [1.0, 1.0, 1e-6, 1e-6]], **DOUBLE)
    total = landscape.minimizer_manifold.trace(x)
    rho = 1e-3
    for notion, share in (
        ("worst_direction", 0.5),
        ("ascent_direction", 0.5),
        ("average_direction", 1 / 8),
    ):
        options = {"samples": 4000} if notion == "average_direction" else {}
        found = samlib.stochastic_sharpness(landscape, x, rho, notion=notion, **options)
        rtol = 0.05 if notion == "average_direction" else 3e-3
        torch.testing.assert_close(found.value / rho**2, share * total, rtol=rtol, atol=0)


def test_the_limiting_regularizers_are_those_of_definition_4_1(device: torch.device) -> None:
    landscape = FourDimensional()
    x = torch.tensor([[0.3, -0.2, 0, 0], [1.0, 1.0, 0, 0]], device=device, **DOUBLE)
    found = samlib.limiting_regularizers(landscape, x)
    manifold = landscape.minimizer_manifold
    torch.testing.assert_close(found.worst.value, manifold.top_eigenvalue(x) / 2)
    torch.testing.assert_close(found.ascent.value, manifold.smallest_nonzero_eigenvalue(x) / 2)
    torch.testing.assert_close(found.average.value, manifold.trace(x) / 8)
    low, high = found.ascent_band
    assert bool((low < high).all())


def test_the_sharpnesses_over_rho_squared_tend_to_the_regularizers() -> None:
    # Theorem 4.2's S: on Γ for the worst and the average direction; for the ascent direction every
    # value of the band [λ_M/2, λ₁/2] is reached, by approaching Γ along the eigenvectors.
    landscape = FourDimensional()
    x = torch.tensor([0.3, -0.2, 0.0, 0.0], **DOUBLE)
    limits = samlib.limiting_regularizers(landscape, x)
    rho = 1e-3
    worst = samlib.worst_direction_sharpness(landscape, x, rho)
    assert float(worst.value) / rho**2 == pytest.approx(float(limits.worst.value), rel=1e-4)
    average = samlib.average_direction_sharpness(landscape, x, rho, samples=8000)
    assert float(average.value) / rho**2 == pytest.approx(float(limits.average.value), rel=0.05)
    low, high = (float(limit) for limit in limits.ascent_band)
    for axis, limit in ((2, high), (3, low)):
        near = x.clone()
        near[axis] = 1e-7
        ascent = samlib.ascent_direction_sharpness(landscape, near, rho)
        assert float(ascent.value) / rho**2 == pytest.approx(limit, rel=1e-3)


def test_limiting_regularizers_of_an_interpolating_network_need_no_hessian() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    inputs = torch.randn(4, 3, **DOUBLE)
    objective = Objective.from_module(
        model, nn.MSELoss(), (inputs, model(inputs).detach())
    )  # the network as it is fits its own outputs: x lies on Γ, with M = 4
    x = objective.flat_parameters()
    assert objective.dim > 64
    spectrum = torch.linalg.eigvalsh(objective.hessian(x))
    assert int((spectrum > 1e-9).sum()) == 4
    for rank in (None, 4):
        found = samlib.limiting_regularizers(objective, x, rank=rank)
        assert float(found.worst.value) == pytest.approx(float(spectrum[-1]) / 2, rel=1e-5)
        assert float(found.ascent.value) == pytest.approx(float(spectrum[-4]) / 2, rel=1e-3)
        total = float(spectrum.sum()) / (2 * objective.dim)
        assert float(found.average.value) == pytest.approx(total, rel=0.04)
