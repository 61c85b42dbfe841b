"""samlib.linalg.subspace: what H makes of a space, kept exactly, however the space has grown."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from samlib import EigenResult, top_eigenpairs
from samlib.linalg import Lanczos, Shards
from samlib.linalg.subspace import Subspace, orthonormal_rows
from tests.samlib.spectra import Diagonal

pytestmark = pytest.mark.usefixtures("one_thread")

DIM = 120


def symmetric(seed: int) -> Tensor:
    matrix = torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(seed)).double()
    return matrix + matrix.T


def rows(count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)).double()


def spanned(matrix: Tensor, start: Tensor) -> Subspace:
    empty = Subspace.nothing(start, Shards(DIM))
    every = torch.eye(len(empty.remainders), dtype=torch.float64)
    return empty.extended(lambda v: matrix @ v, every)


def require_known(space: Subspace, matrix: Tensor) -> None:
    """HQᵀ = QᵀG + EᵀC, with [Q; E] orthonormal."""
    basis, outside = space.basis, space.remainders
    both = torch.cat([basis, outside])
    torch.testing.assert_close(
        both @ both.T, torch.eye(len(both), dtype=torch.float64), atol=1e-11, rtol=0
    )
    image = basis.T @ space.projected + outside.T @ space.couplings
    torch.testing.assert_close(matrix @ basis.T, image, atol=1e-10, rtol=0)


def test_a_space_is_known_however_it_grows() -> None:
    matrix = symmetric(0)
    space = spanned(matrix, rows(3))
    require_known(space, matrix)
    for k in (1, 2, 3):
        _, coefficients, _ = space.ritz(3)
        weights = space.couplings @ coefficients[:, :k]
        space = space.extended(lambda v: matrix @ v, weights)
        require_known(space, matrix)
    space = space.compressed(6)
    require_known(space, matrix)
    chain = space.chain(lambda v: matrix @ v, rows(1, 2)[0], None, 5)
    chain.grow()
    chain.grow()
    space = space.joined(chain, None, 7)
    require_known(space, matrix)
    assert len(space.remainders) == 4
    _, coefficients, _ = space.ritz(1)
    require_known(space.extended(lambda v: matrix @ v, space.couplings @ coefficients), matrix)


def test_extending_by_the_residuals_of_all_is_block_lanczos() -> None:
    matrix, start = symmetric(3), rows(2)
    space = spanned(matrix, start)
    for _ in range(3):
        weights = torch.eye(len(space.remainders), dtype=torch.float64)
        space = space.extended(lambda v: matrix @ v, weights)
    powers = [torch.linalg.matrix_power(matrix, j) @ start.T for j in range(4)]
    krylov = torch.linalg.qr(torch.cat(powers, dim=1)).Q
    expected = torch.linalg.eigvalsh(krylov.T @ matrix @ krylov)
    torch.testing.assert_close(torch.linalg.eigvalsh(space.projected), expected, atol=1e-9, rtol=0)


def test_rows_that_repeat_others_are_left_out() -> None:
    matrix, start = symmetric(4), rows(2)
    space = spanned(matrix, torch.cat([start, start[:1] + start[1:]]))
    assert len(space) == 2
    require_known(space, matrix)


def test_an_invariant_space_has_nothing_outside() -> None:
    matrix = symmetric(5)
    vectors = torch.linalg.eigh(matrix).eigenvectors.T[-3:]
    space = spanned(matrix, vectors)
    assert len(space.remainders) == 0
    assert float(space.ritz(3)[2].max()) == 0


def test_orthonormal_rows_give_the_rows_back() -> None:
    known, _ = orthonormal_rows(rows(2), rows(0), Shards(DIM))
    given = rows(4, 7)
    unit, triangle = orthonormal_rows(given, known, Shards(DIM))
    outside = given - (given @ known.T) @ known
    torch.testing.assert_close(triangle.T @ unit, outside)
    assert float((unit @ known.T).abs().max()) < 1e-14


def test_the_space_of_one_vector_is_that_of_lanczos() -> None:
    matrix, start = symmetric(6), rows(1)
    chain = Lanczos(lambda v: matrix @ v, start[0], 10)
    while not chain.full:
        chain.grow()
    space = spanned(matrix, start)
    while len(space) < 10:
        space = space.extended(lambda v: matrix @ v, torch.ones(1, 1, dtype=torch.float64))
    torch.testing.assert_close(
        torch.linalg.eigvalsh(space.projected), torch.linalg.eigvalsh(chain.on_host)
    )


def pairs(spectrum: Tensor, k: int, guess: Tensor | None, **options: float) -> EigenResult:
    objective = Diagonal(spectrum)
    return top_eigenpairs(objective, torch.zeros_like(spectrum), k=k, guess=guess, **options)  # type: ignore[arg-type]


OUTLIERS = torch.cat([torch.tensor([9.0, 7, 6.5, 5, 4]), torch.linspace(0, 1, 500)]).double()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_guesses_for_all_pairs_save_the_search_and_not_the_check(k: int) -> None:
    near = torch.eye(len(OUTLIERS), dtype=torch.float64)[:, :k]
    noise = torch.randn(len(OUTLIERS), k, generator=torch.Generator().manual_seed(0))
    near = near + 1e-4 * noise.double()
    found = pairs(OUTLIERS, k, near, rtol=0.01, confidence=0.0)
    assert found.products == k
    torch.testing.assert_close(found.values, OUTLIERS[:k], rtol=1e-3, atol=0)
    checked = pairs(OUTLIERS, k, near, rtol=0.01)
    assert checked.confidence >= 0.99
    assert k < checked.products < pairs(OUTLIERS, k, None, rtol=0.01).products


@pytest.mark.parametrize("wrong", ["others", "too few", "the same twice"])
def test_a_wrong_guess_costs_products_and_no_eigenvalue(wrong: str) -> None:
    axes = torch.eye(len(OUTLIERS), dtype=torch.float64)
    guess = {
        "others": axes[:, 3:6],
        "too few": axes[:, 1:2],
        "the same twice": axes[:, [0, 0, 1]],
    }[wrong]
    found = pairs(OUTLIERS, 3, guess)
    assert found.converged
    torch.testing.assert_close(found.values, OUTLIERS[:3], rtol=1e-5, atol=0)


def test_more_guesses_than_pairs_are_all_used() -> None:
    axes = torch.eye(len(OUTLIERS), dtype=torch.float64)
    found = pairs(OUTLIERS, 1, axes[:, [4, 3, 0]], confidence=0.0)
    assert float(found.values) == pytest.approx(9.0)
    assert found.products == 3


@pytest.mark.parametrize("rtol", [0.1, 0.01])
def test_the_check_goes_no_farther_than_is_asked_for(rtol: float) -> None:
    # A second eigenvalue so near that excluding it would take many products.
    spectrum = torch.cat([torch.tensor([1.0]), torch.linspace(0, 1 - rtol / 4, 800)]).double()
    found = pairs(spectrum, 1, None, rtol=rtol)
    assert found.converged
    assert float((found.values - 1).abs()) <= float(found.errors) <= rtol


@pytest.mark.parametrize("shape", [(), (3,), (DIM, 2, 2), (3, DIM), (DIM, 0)])
def test_a_guess_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"guess must have shape \[{DIM}\] or \[{DIM}, n\]"):
        pairs(torch.linspace(0, 1, DIM).double(), 2, torch.ones(shape, dtype=torch.float64))


@pytest.mark.parametrize("bad", [0.0, torch.nan, torch.inf])
def test_each_guess_must_be_finite_and_not_zero(bad: float) -> None:
    guess = torch.ones(DIM, 2, dtype=torch.float64)
    guess[:, 1] = bad
    with pytest.raises(ValueError, match="guess must be finite and not zero"):
        pairs(torch.linspace(0, 1, DIM).double(), 2, guess)
