"""samlib.curvature: Lanczos against dense eigendecompositions, also where it is delicate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from samlib import (
    EigenResult,
    Objective,
    alignment,
    smallest_nonzero_eigenvalue,
    top_eigenpairs,
)
from samlib.landscapes import Quadratic

DIM = 90  # above 64, so that Lanczos is used


class Counted(Objective):
    """½ xᵀAx, which counts its Hessian-vector products."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__(lambda x: x @ (matrix.to(x) @ x) / 2, len(matrix))
        self.products = 0

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        product = super().hessian_operator(x)

        def counted(v: Tensor) -> Tensor:
            self.products += 1
            return product(v)

        return counted

    def hessian(self, x: Tensor) -> Tensor:
        raise AssertionError("Lanczos forms no Hessian")


def rotation(dim: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q


def rotated(spectrum: Tensor, seed: int = 0) -> Tensor:
    q = rotation(len(spectrum), seed)
    matrix = (q * spectrum.double()) @ q.T
    return (matrix + matrix.T) / 2


def spread(seed: int = 0, dim: int = DIM) -> Tensor:
    """An indefinite spectrum with a few separated eigenvalues on top."""
    generator = torch.Generator().manual_seed(seed)
    bulk = 2 * torch.rand(dim - 4, generator=generator, dtype=torch.float64) - 1
    return torch.cat([torch.tensor([9.0, 7.0, 5.0, 4.0], dtype=torch.float64), bulk])


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


# ----------------------------------------------------------------- smallest non-zero eigenvalue


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
