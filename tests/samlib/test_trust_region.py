"""samlib.linalg.trust_region: against SciPy, closed forms and the conditions of optimality."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import Tensor

from samlib.linalg.trust_region import maximize_quadratic


def problem(dim: int, seed: int, shift: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    linear = torch.randn(dim, generator=generator, dtype=torch.float64)
    return (matrix + matrix.T) / 2 + shift * torch.eye(dim), linear


def require_optimal(hessian: Tensor, linear: Tensor, v: Tensor, atol: float = 1e-9) -> None:
    """The necessary and sufficient conditions: (μ − H)v = b, μ ≥ max(λ₁, 0), μ(1 − ‖v‖) = 0."""
    slope = linear + hessian @ v
    norm = float(v.norm())
    assert norm <= 1 + 1e-12
    if norm < 1 - 1e-9:
        torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=atol)
        assert float(torch.linalg.eigvalsh(hessian)[-1]) <= atol
        return
    mu = float(slope @ v)
    torch.testing.assert_close(slope, mu * v, rtol=0, atol=atol)
    assert mu >= max(0.0, float(torch.linalg.eigvalsh(hessian)[-1])) - atol


@given(
    dim=st.integers(1, 8),
    seed=st.integers(0, 10_000),
    shift=st.sampled_from([-8.0, -2.0, 0.0, 3.0]),
    size=st.sampled_from([0.0, 1e-6, 0.3, 30.0]),
)
def test_the_maximizer_satisfies_the_conditions_of_a_global_maximum(
    dim: int, seed: int, shift: float, size: float
) -> None:
    hessian, linear = problem(dim, seed, shift)
    v, maximum = maximize_quadratic(hessian, size * linear)
    require_optimal(hessian, size * linear, v)
    expected = size * linear @ v + v @ hessian @ v / 2
    torch.testing.assert_close(maximum, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_multiplier_is_the_root_that_scipy_finds(seed: int) -> None:
    hessian, linear = problem(6, seed)
    values, vectors = np.linalg.eigh(hessian.numpy())
    b = vectors.T @ linear.numpy()
    mu = brentq(
        lambda m: np.linalg.norm(b / (m - values)) - 1,
        values[-1] + 1e-9,
        values[-1] + np.linalg.norm(b) + 1,
        xtol=1e-14,
    )
    v, _ = maximize_quadratic(hessian, linear)
    np.testing.assert_allclose(v.numpy(), vectors @ (b / (mu - values)), atol=1e-9)


def test_the_hard_case_is_completed_along_the_top_eigenvector(dtype: torch.dtype) -> None:
    # b has no part along v₁; ‖(λ₁ − H)⁻¹ b‖ = 0.1/(3 − 1) = 0.05 < 1.
    hessian = torch.diag(torch.tensor([3.0, 1.0, 0.5])).to(dtype)
    linear = torch.tensor([0.0, 0.1, 0.0]).to(dtype)
    v, maximum = maximize_quadratic(hessian, linear)
    top = (1 - 0.05**2) ** 0.5
    torch.testing.assert_close(v.abs(), torch.tensor([top, 0.05, 0.0]).to(dtype))
    torch.testing.assert_close(float(maximum), 0.1 * 0.05 + 1.5 * top**2 + 0.05**2 / 2)
    assert v.dtype == dtype


def test_a_concave_quadratic_has_its_maximum_inside() -> None:
    hessian = -torch.eye(2, dtype=torch.float64)
    v, maximum = maximize_quadratic(hessian, torch.tensor([0.3, 0.4], dtype=torch.float64))
    torch.testing.assert_close(v, torch.tensor([0.3, 0.4], dtype=torch.float64))
    assert float(maximum) == pytest.approx(0.125)


def test_a_batch_is_each_problem_on_its_own(device: torch.device) -> None:
    pairs = [problem(4, seed) for seed in range(6)]
    hessians = torch.stack([h for h, _ in pairs]).reshape(2, 3, 4, 4).to(device)
    linears = torch.stack([b for _, b in pairs]).reshape(2, 3, 4).to(device)
    v, maximum = maximize_quadratic(hessians, linears)
    assert v.shape == (2, 3, 4)
    for i, (hessian, linear) in enumerate(pairs):
        one, best = maximize_quadratic(hessian, linear)
        torch.testing.assert_close(v.reshape(6, 4)[i].cpu(), one)
        torch.testing.assert_close(maximum.reshape(6)[i].cpu(), best)
