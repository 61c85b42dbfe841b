"""Conjugate gradients for several right-hand sides, against LU decomposition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samlib.linalg.conjugate_gradients import NotPositiveDefinite, conjugate_gradients
from tests.samlib.flow_cases import normal


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 1000), st.booleans())
def test_it_solves_what_a_decomposition_solves(
    dim: int, columns: int, seed: int, conditioned: bool
) -> None:
    root = normal(dim, dim, seed=seed)
    matrix = root @ root.mT + 0.1 * torch.eye(dim, dtype=torch.float64)
    right = normal(dim, columns, seed=seed + 1) * torch.logspace(-8, 8, columns).double()
    diagonal = matrix.diagonal().unsqueeze(-1)
    found = conjugate_gradients(
        lambda v: matrix @ v, right, precondition=(lambda v: v / diagonal) if conditioned else None
    )
    residuals = (matrix @ found - right).norm(dim=0) / right.norm(dim=0)
    assert float(residuals.max()) <= 1.1e-8
    torch.testing.assert_close(
        found / found.norm(dim=0),
        torch.linalg.solve(matrix, right) / found.norm(dim=0),
        rtol=0,
        atol=1e-8 * float(torch.linalg.cond(matrix)) + 1e-12,
    )


def test_it_takes_as_many_products_as_there_are_different_eigenvalues() -> None:
    diagonal, products = torch.tensor([1.0, 1.0, 5.0, 9.0, 9.0]).double().unsqueeze(-1), []

    def product(v: torch.Tensor) -> torch.Tensor:
        products.append(v)
        return diagonal * v

    found = conjugate_gradients(product, normal(5, 2), rtol=1e-12, max_products=3)
    torch.testing.assert_close(found, normal(5, 2) / diagonal)
    assert len(products) == 3
    with pytest.warns(RuntimeWarning, match="stopped at max_products=2 with residuals of"):
        conjugate_gradients(product, normal(5, 2), rtol=1e-12, max_products=2)


def test_nothing_on_the_right_gives_nothing() -> None:
    zero = torch.zeros(4, 2)
    assert torch.equal(conjugate_gradients(lambda v: 2 * v, zero), zero)


def test_a_matrix_that_is_not_positive_is_refused() -> None:
    diagonal = torch.tensor([[1.0], [-3.0]])
    with pytest.raises(NotPositiveDefinite, match="not positive along every direction"):
        conjugate_gradients(lambda v: diagonal * v, torch.ones(2, 1))
