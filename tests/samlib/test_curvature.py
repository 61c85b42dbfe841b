"""samlib.curvature: Lanczos against dense eigendecompositions, also where it is delicate."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from samlib import (
    EigenResult,
    Objective,
    alignment,
    top_eigenpairs,
)
from samlib.landscapes import Quadratic
from tests.samlib.matrices import DIM, Counted, rotated, rotation, spread


def require_eigenpairs(result: EigenResult, matrix: Tensor, k: int, atol: float) -> None:
    expected = torch.linalg.eigvalsh(matrix).flip(0)[:k]
    torch.testing.assert_close(result.values.cpu().double(), expected, rtol=0, atol=atol)
    vectors = result.vectors.cpu().double()
    identity = torch.eye(k, dtype=torch.float64)
    eps = 1e-10 if result.values.dtype == torch.float64 else 1e-4
    torch.testing.assert_close(vectors.T @ vectors, identity, rtol=0, atol=eps)
    true_residuals = (matrix @ vectors - vectors * result.values.cpu().double()).norm(dim=0)
    torch.testing.assert_close(
        result.residuals.cpu().double(), true_residuals, rtol=1e-2, atol=100 * eps
    )


@pytest.mark.parametrize("k", [1, 3, 6])
@pytest.mark.parametrize("seed", range(4))
def test_lanczos_finds_the_pairs_of_the_dense_decomposition(
    k: int, seed: int, device: torch.device
) -> None:
    matrix = rotated(spread(seed), seed)
    objective = Counted(matrix)
    x = torch.zeros(DIM, dtype=torch.float64, device=device)
    result = top_eigenpairs(objective, x, k=k, rtol=1e-8)
    require_eigenpairs(result, matrix, k, atol=1e-10)
    assert result.converged
    assert result.products == objective.products
    assert result.values.device.type == device.type


def test_lanczos_takes_far_fewer_products_than_there_are_dimensions() -> None:
    objective = Counted(rotated(spread(dim=400)))
    result = top_eigenpairs(objective, torch.zeros(400, dtype=torch.float64))
    assert objective.products <= 30
    assert float(result.values[0]) == pytest.approx(9, rel=1e-5)


def test_a_batch_is_treated_point_by_point(device: torch.device, dtype: torch.dtype) -> None:
    # The Hessian of Σ sᵢ cosh(xᵢ) is diag(sᵢ cosh xᵢ).
    scales = torch.linspace(1, 2, DIM)
    objective = Objective(lambda x: (scales.to(x) * torch.cosh(x)).sum(), DIM)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, DIM, generator=generator).to(device, dtype)
    result = top_eigenpairs(objective, x, k=2, rtol=1e-4)
    assert result.values.shape == result.residuals.shape == (2, 3, 2)
    assert result.vectors.shape == (2, 3, DIM, 2)
    assert result.values.dtype == dtype
    expected = (scales.to(x) * torch.cosh(x)).sort(dim=-1, descending=True).values[..., :2]
    torch.testing.assert_close(result.values, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("dim", [1, 3, 64, 65])
def test_small_problems_are_exact(dim: int, device: torch.device) -> None:
    spectrum = torch.linspace(-1, 1, dim, dtype=torch.float64)
    matrix = rotated(spectrum)
    objective = Objective(lambda x: x @ (matrix.to(x) @ x) / 2, dim)
    x = torch.zeros(dim, dtype=torch.float64, device=device)
    k = min(dim, 3)
    result = top_eigenpairs(objective, x, k=k, rtol=1e-9)
    require_eigenpairs(result, matrix, k, atol=1e-10)


def test_a_negative_definite_hessian_gives_the_algebraically_largest(device: torch.device) -> None:
    matrix = rotated(-spread(1).abs() - 0.5)
    x = torch.zeros(DIM, dtype=torch.float64, device=device)
    result = top_eigenpairs(Counted(matrix), x, k=2, rtol=1e-8)
    require_eigenpairs(result, matrix, 2, atol=1e-8)
    assert float(result.values.max()) < 0


SPECTRA = {
    "zero": [(0.0, DIM)],
    "multiple of the identity": [(2.0, DIM)],
    "projection": [(1.0, 7), (0.0, DIM - 7)],
    "double top": [(5.0, 2), (1.0, DIM - 2)],
    "negative multiple": [(-3.0, DIM)],
    "three levels": [(4.0, 1), (3.0, 3), (-6.0, DIM - 4)],
}


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
def test_an_exhausted_krylov_space_is_continued_until_k_pairs_are_found(
    spectrum: list[tuple[float, int]], k: int, dtype: torch.dtype, device: torch.device
) -> None:
    # A Krylov space has at most as many dimensions as there are distinct eigenvalues.
    levels = torch.cat([torch.full((count,), level) for level, count in spectrum]).double()
    matrix = rotated(levels)
    objective = Counted(matrix.to(dtype))
    x = torch.zeros(DIM, dtype=dtype, device=device)
    result = top_eigenpairs(objective, x, k=k)
    atol = 1e-10 if dtype == torch.float64 else 1e-4
    require_eigenpairs(result, matrix, k, atol)
    assert result.converged
    at_once = 1 if device.type == "cpu" else 4
    assert objective.products <= 2 * (k + 1) * len(spectrum) * at_once


@pytest.mark.parametrize("k", [1, 3])
def test_a_start_in_an_invariant_subspace_does_not_hide_the_top(
    k: int, device: torch.device
) -> None:
    spectrum = spread().flip(0)  # diagonal: unit vectors are exact eigenvectors
    objective = Counted(torch.diag(spectrum))
    x = torch.zeros(DIM, dtype=torch.float64, device=device)
    for i in (0, DIM - 2, DIM - 1):  # the last is v₁ itself
        start = torch.zeros(DIM, dtype=torch.float64, device=device)
        start[i] = 3.0
        result = top_eigenpairs(objective, x, k=k, guess=start, rtol=1e-6)
        require_eigenpairs(result, torch.diag(spectrum), k, atol=1e-8)


def test_a_warm_start_saves_products() -> None:
    matrix = rotated(spread(dim=300))
    x = torch.zeros(300, dtype=torch.float64)
    cold = top_eigenpairs(Counted(matrix), x)
    nearby = matrix + 0.01 * rotated(torch.linspace(-1, 1, 300), seed=1)
    objective = Counted(nearby)
    warm = top_eigenpairs(objective, x, guess=cold.vectors[:, 0])
    assert warm.products == objective.products
    assert warm.products < cold.products
    alone = top_eigenpairs(Counted(nearby), x, guess=cold.vectors[:, 0], confidence=0)
    assert alone.products <= top_eigenpairs(Counted(nearby), x, confidence=0).products / 2
    expected = torch.linalg.eigvalsh(nearby)[-1]
    assert abs(float(warm.values[0] - expected)) < 1e-4


def test_stopping_early_warns_and_says_so_honestly() -> None:
    matrix = rotated(torch.linspace(0, 1, DIM))
    with pytest.warns(RuntimeWarning, match="max_products=4") as caught:
        result = top_eigenpairs(
            Counted(matrix), torch.zeros(DIM, dtype=torch.float64), k=2, max_products=4
        )
    assert caught[0].filename == __file__
    assert not result.converged
    assert result.products == 4
    vectors = result.vectors
    true_residuals = (matrix @ vectors - vectors * result.values).norm(dim=0)
    torch.testing.assert_close(result.residuals, true_residuals)
    nearest = (torch.linalg.eigvalsh(matrix)[:, None] - result.values).abs().min(dim=0).values
    assert bool((nearest <= result.residuals).all()), "an eigenvalue lies within the residual"


def test_where_the_hessian_is_not_finite_the_pairs_are_nan(device: torch.device) -> None:
    for dim in (5, DIM):
        objective = Objective(lambda x: (x**4).sum(), dim)
        x = torch.ones(2, dim, device=device)
        x[1, 0] = math.inf
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = top_eigenpairs(objective, x)
        assert not result.converged
        assert bool(result.values[0].isfinite().all())
        assert bool(result.values[1].isnan().all())
        assert bool(alignment(objective, x)[1].isnan())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be"),
        ({"k": DIM + 1}, ValueError, "at most dim"),
        ({"k": 1.0}, TypeError, "k must be"),
        ({"rtol": 0.0}, ValueError, "rtol"),
        ({"rtol": 1.0}, ValueError, "rtol"),
        ({"rtol": math.nan}, ValueError, "rtol"),
        ({"max_products": 0}, ValueError, "max_products"),
        ({"k": 3, "max_products": 2}, ValueError, "max_products"),
        ({"guess": torch.ones(3)}, ValueError, "guess"),
        ({"guess": torch.zeros(DIM)}, ValueError, "guess"),
        ({"guess": torch.full((DIM,), math.nan)}, ValueError, "guess"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    objective = Counted(rotated(spread()))
    x = torch.zeros(DIM, dtype=torch.float64)
    with pytest.raises(error, match=message):
        top_eigenpairs(objective, x, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shape"):
        top_eigenpairs(objective, x[1:])


@pytest.mark.parametrize("dim", [6, DIM])
@pytest.mark.parametrize("k", [1, 3])
def test_alignment_is_the_cosine_with_the_top_eigenspace(
    dim: int, k: int, device: torch.device
) -> None:
    spectrum = torch.linspace(1, 3, dim, dtype=torch.float64) ** 3
    q, matrix = rotation(dim), rotated(spectrum)
    objective = Objective(lambda x: x @ (matrix.to(x) @ x) / 2, dim)
    x = torch.randn(4, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradient = x @ matrix
    inside = gradient @ q[:, -k:]
    expected = inside.norm(dim=-1) / gradient.norm(dim=-1)
    found = alignment(objective, x.to(device), k=k, rtol=1e-9)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-7)
    assert 0 < float(expected.min()) < float(expected.max()) < 1


def test_alignment_does_not_depend_on_the_sign_and_never_exceeds_one(
    device: torch.device, dtype: torch.dtype
) -> None:
    quadratic = Quadratic([3.0, 1.0])
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [1.0, 3.0]], dtype=dtype, device=device)
    expected = torch.tensor([1.0, 1.0, 0.0, math.sqrt(0.5)], dtype=dtype, device=device)
    torch.testing.assert_close(alignment(quadratic, x), expected)
    assert float(alignment(quadratic, x).max()) <= 1


def test_alignment_is_nan_at_a_zero_gradient(device: torch.device) -> None:
    for dim in (3, DIM):
        quadratic = Quadratic([float(i + 1) for i in range(dim)])
        x = torch.zeros(2, dim, device=device)
        x[1] = 1
        result = alignment(quadratic, x)
        assert bool(result[0].isnan())
        assert bool(result[1].isfinite())


def test_eigenpairs_as_a_table_and_in_short(device: torch.device) -> None:
    quadratic = Quadratic([3.0, 1.0, 2.0])
    result = top_eigenpairs(quadratic, torch.zeros(2, 3, device=device).double(), k=2)
    table = result.to_dataframe()
    assert table["point"].tolist() == [0, 0, 1, 1]
    assert table["index"].tolist() == [1, 2, 1, 2]
    assert table["value"].tolist() == pytest.approx([3, 2, 3, 2])
    assert table["residual"].tolist() == pytest.approx([0, 0, 0, 0], abs=1e-6)
    assert repr(result).startswith("EigenResult([3")
    assert repr(result).endswith("3 products)")
    unfinished = replace(result, converged=False)
    assert repr(unfinished).endswith("3 products, not converged)")
