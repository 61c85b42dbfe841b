"""The smallest eigenvalue above zero, against dense eigendecompositions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from samlib import (
    Objective,
    smallest_nonzero_eigenvalue,
)
from tests.samlib.matrices import DIM, Counted, rotated, spread


def low_rank(positive: list[float], dim: int) -> Tensor:
    spectrum = torch.zeros(dim, dtype=torch.float64)
    spectrum[: len(positive)] = torch.tensor(positive, dtype=torch.float64)
    return spectrum


@pytest.mark.parametrize("dim", [12, DIM])
@pytest.mark.parametrize("known", [True, False], ids=["rank known", "rank unknown"])
@pytest.mark.parametrize(
    "positive",
    [[5.0], [5.0, 2.0, 0.4], [4.0, 4.0, 4.0, 0.5, 0.5], [1.0, 0.1, 0.02], [0.03, 0.02, 0.01]],
    ids=str,
)
def test_the_smallest_nonzero_eigenvalue_of_a_low_rank_matrix(
    positive: list[float], known: bool, dim: int, dtype: torch.dtype, device: torch.device
) -> None:
    matrix = rotated(low_rank(positive, dim))
    objective = Objective(lambda x: x @ (matrix.to(x) @ x) / 2, dim)
    x = torch.zeros(2, dim, dtype=dtype, device=device)
    rank = len(positive) if known else None
    result = smallest_nonzero_eigenvalue(objective, x, rank=rank, rtol=1e-5)
    assert result.converged
    assert result.values.shape == result.residuals.shape == (2, 1)
    assert result.vectors.shape == (2, dim, 1)
    assert result.values.dtype == dtype
    expected = torch.full((2, 1), positive[-1], dtype=dtype, device=device)
    atol = 1e-8 if dtype == torch.float64 else 1e-4 * positive[0]
    torch.testing.assert_close(result.values, expected, rtol=0, atol=atol)
    vector = result.vectors[0, :, 0].cpu().double()
    assert float(vector.norm()) == pytest.approx(1, abs=1e-4)
    assert float((matrix @ vector - positive[-1] * vector).norm()) <= 10 * atol


def test_a_range_of_many_dimensions_is_not_mistaken_for_its_middle() -> None:
    # The start H·(random) hardly holds the smallest: its Ritz value must not settle too high.
    for last in (0.3, 1e-2, 1e-4):
        spectrum = low_rank([*torch.linspace(2, 1, 30).tolist(), last], DIM)
        result = smallest_nonzero_eigenvalue(
            Counted(torch.diag(spectrum)), torch.zeros(DIM, dtype=torch.float64)
        )
        assert float(result.values[0]) == pytest.approx(last, rel=1e-2)
        assert result.converged


@pytest.mark.parametrize("dim", [12, DIM])
def test_negative_and_tiny_eigenvalues_are_no_smallest(dim: int, device: torch.device) -> None:
    spectrum = low_rank([3.0, 0.5, -2.0, 1e-10], dim)
    objective = Objective(lambda x: (spectrum.to(x) * x**2).sum() / 2, dim)
    x = torch.zeros(dim, dtype=torch.float64, device=device)
    result = smallest_nonzero_eigenvalue(objective, x)
    assert float(result.values[0]) == pytest.approx(0.5, rel=1e-3)
    wide = smallest_nonzero_eigenvalue(objective, x, zero_rtol=0.3)
    assert float(wide.values[0]) == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize("dim", [12, DIM])
@pytest.mark.parametrize("level", [0.0, -1.0])
def test_where_nothing_is_above_zero_the_smallest_is_nan(
    dim: int, level: float, device: torch.device
) -> None:
    objective = Objective(lambda x: level * (x**2).sum(), dim)
    result = smallest_nonzero_eigenvalue(objective, torch.zeros(2, dim, device=device))
    assert bool(result.values.isnan().all())
    assert bool(result.vectors.isnan().all())
    assert not result.converged


def test_the_smallest_of_a_network_at_interpolation(
    dtype: torch.dtype, device: torch.device
) -> None:
    # The non-zero eigenvalues of (2/M) JᵀJ are those of the small matrix (2/M) JJᵀ.
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 20), torch.nn.Tanh(), torch.nn.Linear(20, 1)).to(
        device, dtype
    )
    inputs = torch.randn(4, 3).to(device, dtype)
    data = (inputs, model(inputs).detach())
    objective = Objective.from_module(model, torch.nn.MSELoss(), data)
    assert objective.dim > 64
    slopes = [
        torch.cat([g.reshape(-1) for g in torch.autograd.grad(y, list(model.parameters()))])
        for y in (model(row)[0] for row in inputs)
    ]
    jacobian = torch.stack(slopes).double()
    expected = float(torch.linalg.eigvalsh(jacobian @ jacobian.T * 2 / 4)[0])
    for rank in (None, 4):
        result = smallest_nonzero_eigenvalue(objective, objective.flat_parameters(), rank=rank)
        assert result.converged
        assert float(result.values[0]) == pytest.approx(expected, rel=1e-2)


def test_an_unconverged_smallest_eigenvalue_warns() -> None:
    objective = Counted(rotated(low_rank(torch.linspace(2, 0.01, 40).tolist(), DIM)))
    with pytest.warns(RuntimeWarning, match="max_products=5"):
        result = smallest_nonzero_eigenvalue(
            objective, torch.zeros(DIM, dtype=torch.float64), max_products=5
        )
    assert not result.converged
    assert result.products == objective.products


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rank": 0}, ValueError, "rank"),
        ({"rank": DIM + 1}, ValueError, "rank must be at most"),
        ({"rank": 1.0}, TypeError, "rank"),
        ({"rtol": 0.0}, ValueError, "rtol"),
        ({"zero_rtol": 0.0}, ValueError, "zero_rtol"),
        ({"zero_rtol": 1.0}, ValueError, "zero_rtol"),
        ({"max_products": 0}, ValueError, "max_products"),
    ],
)
def test_wrong_arguments_of_the_smallest_eigenvalue_are_named(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    objective = Counted(rotated(spread()))
    with pytest.raises(error, match=message):
        smallest_nonzero_eigenvalue(
            objective,
            torch.zeros(DIM, dtype=torch.float64),
            **arguments,  # type: ignore[arg-type]
        )
