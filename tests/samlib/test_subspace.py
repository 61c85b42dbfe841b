"""samlib.linalg.subspace: what is known of a matrix on a space, and of what lies outside."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from samlib.linalg import Lanczos, random_direction
from samlib.linalg.christoffel import most_mass, probability_of_less, probability_of_missing
from samlib.linalg.eigen_search import errors_in_clusters
from samlib.linalg.subspace import Subspace
from tests.samlib.clusters import most_failures

pytestmark = pytest.mark.usefixtures("one_thread")


def matrix_of(seed: int, dim: int = 70) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.randn(dim, generator=generator, dtype=torch.float64) ** 3
    rotation = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q
    matrix = (rotation * spectrum) @ rotation.T
    return (matrix + matrix.T) / 2


def grown(matrix: Tensor, steps: int, seed: int = 0) -> Lanczos:
    start = random_direction(matrix[0], torch.Generator().manual_seed(seed))
    chain = Lanczos(lambda v: matrix @ v, start, steps)
    while not (chain.full or chain.grow().exhausted):
        pass
    return chain


def searched(
    space: Subspace, matrix: Tensor, steps: int, level: float | None, seed: int
) -> Lanczos:
    start = random_direction(matrix[0], torch.Generator().manual_seed(seed))
    chain = space.chain(lambda v: matrix @ v, start, level, steps)
    while not (chain.full or chain.grow().exhausted):
        pass
    return chain


def require_relation(space: Subspace, matrix: Tensor) -> None:
    """HQᵀ = QᵀG + EᵀC with orthonormal rows Q and rows E orthogonal to them."""
    scale = float(matrix.norm())
    q, e = space.basis, space.remainders
    identity = torch.eye(len(q), dtype=q.dtype)
    torch.testing.assert_close(q @ q.T, identity, rtol=0, atol=1e-12)
    assert float((e @ q.T).norm()) <= 1e-11
    made = q.T @ space.projected + e.T @ space.couplings
    torch.testing.assert_close(matrix @ q.T, made, rtol=0, atol=1e-11 * scale)
    torch.testing.assert_close(space.projected, q @ matrix @ q.T, rtol=0, atol=1e-11 * scale)


def require_residuals(space: Subspace, matrix: Tensor) -> None:
    values, coefficients, residuals = space.ritz(5)
    vectors = space.vectors(coefficients)
    off = matrix @ vectors - vectors * values
    torch.testing.assert_close(residuals, off.norm(dim=0), rtol=1e-6, atol=1e-10)
    torch.testing.assert_close(space.residual(coefficients[:, 1]), off[:, 1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_the_relation_holds_after_every_step(seed: int) -> None:
    matrix = matrix_of(seed)
    space = Subspace.of(grown(matrix, 20))
    require_relation(space, matrix)
    require_residuals(space, matrix)
    for turn in range(4):
        space = space.compressed(12)
        assert len(space) == 12
        require_relation(space, matrix)
        level = None if turn % 2 else float(space.ritz(4)[0][-1]) + 0.1
        chain = searched(space, matrix, 9, level, seed=turn + 1)
        space = space.joined(chain, level, 18)
        assert len(space) == 18
        require_relation(space, matrix)
        require_residuals(space, matrix)


def test_the_relation_holds_in_single_precision_to_its_rounding() -> None:
    matrix = matrix_of(0).float()
    space = Subspace.of(grown(matrix, 20))
    for turn in range(4):
        level = float(space.ritz(4)[0][-1]) + 0.1
        space = space.compressed(12)
        space = space.joined(searched(space, matrix, 9, level, seed=turn + 1), level, 18)
    made = space.basis.T @ space.projected.float() + space.remainders.T @ space.couplings.float()
    assert float((matrix @ space.basis.T - made).norm()) <= 1e-5 * float(matrix.norm())


def test_a_whole_space_knows_every_eigenvalue() -> None:
    matrix = matrix_of(0, 30)
    space = Subspace.of(grown(matrix, 30))
    assert not len(space.remainders)
    torch.testing.assert_close(space.ritz(30)[0], torch.linalg.eigvalsh(matrix).flip(0))
    assert not float(space.ritz(30)[2].max())


@given(st.integers(0, 10**6), st.integers(2, 30), st.floats(-1, 1))
def test_the_schur_complement_counts_the_eigenvalues_that_are_missing(
    seed: int, steps: int, place: float
) -> None:
    # Sylvester: as many eigenvalues of H lie above μ as of G and of the Schur complement, where no
    # Ritz value lies above μ; and no more than that where those are left out.
    matrix = matrix_of(seed, 40)
    space = Subspace.of(grown(matrix, steps))
    eigenvalues = torch.linalg.eigvalsh(matrix)
    scale = float(eigenvalues.abs().max())
    level = place * scale
    # At an eigenvalue itself rounding decides.
    assume(float((eigenvalues - level).abs().min()) > 1e-9 * scale)
    ritz = space.ritz(steps)[0]
    complement = torch.linalg.qr(space.basis.T, mode="complete").Q[:, steps:]
    outside = space.outside(lambda v: matrix @ v, level)
    images = torch.stack([outside(column) for column in complement.T], dim=1)
    counted = int((torch.linalg.eigvalsh(complement.T @ images) > level).sum())
    above = int((eigenvalues > level).sum())
    if bool((ritz < level).all()):
        assert counted == above
    assert counted + int((ritz > level).sum()) >= above


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_no_measure_with_these_moments_has_more_mass_at_a_point(seed: int, steps: int) -> None:
    # The chain's own measure, Σ wᵢ² δ(λᵢ), is one of them.
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.randn(30, generator=generator, dtype=torch.float64)
    chain = Lanczos(lambda v: spectrum * v, random_direction(spectrum, generator), steps)
    start = chain.following.clone()
    while not (chain.full or chain.grow().exhausted):
        pass
    for value, part in zip(spectrum.tolist(), start.square().tolist(), strict=True):
        assert part <= most_mass(chain, value) * (1 + 1e-8)


def test_the_bound_is_attained_by_the_gauss_quadrature_with_a_node_there() -> None:
    # Gauss and Radau: the measure of m + 1 nodes with one at μ has the same moments, and there
    # the weight 1/Σpⱼ(μ)².
    spectrum = torch.linspace(-1, 1, 50, dtype=torch.float64)
    chain = Lanczos(
        lambda v: spectrum * v, random_direction(spectrum, torch.Generator().manual_seed(0)), 6
    )
    while not chain.full:
        chain.grow()
    for level in (1.05, 1.5, 3.0):
        small = np.zeros((7, 7))
        small[:6, :6] = chain.projected.numpy()
        small[6, 5] = small[5, 6] = chain.seen.beta
        # The last entry that makes μ an eigenvalue (Golub, 1973).
        rest = np.linalg.solve(small[:6, :6] - level * np.eye(6), small[:6, 6])
        small[6, 6] = level + small[:6, 6] @ rest
        values, vectors = np.linalg.eigh(small)
        node = int(np.abs(values - level).argmin())
        assert values[node] == pytest.approx(level)
        assert most_mass(chain, level) == pytest.approx(vectors[0, node] ** 2, rel=1e-6)


@pytest.mark.parametrize("dim", [2, 3, 50, 10**6])
def test_the_probability_of_a_small_part_is_that_of_the_beta_distribution(dim: int) -> None:
    for mass in (1e-12, 1e-6, 0.01, 0.3, 1.0):
        expected = scipy.stats.beta.cdf(mass, 0.5, (dim - 1) / 2)
        assert probability_of_less(mass, dim) == pytest.approx(expected, rel=1e-9)
    assert probability_of_less(0.0, dim) == 0
    assert probability_of_less(2.0, dim) == 1


def test_random_directions_have_small_parts_as_often_as_that() -> None:
    generator, dim, draws = torch.Generator().manual_seed(0), 20, 20_000
    parts = torch.tensor([float(random_direction(torch.zeros(dim).double(), generator)[0]) ** 2
                          for _ in range(draws)])  # fmt: skip
    for mass in (1e-4, 0.01, 0.1):
        expected = probability_of_less(mass, dim)
        deviation = math.sqrt(expected * (1 - expected) / draws)
        assert float((parts < mass).double().mean()) == pytest.approx(expected, abs=4 * deviation)


@pytest.mark.parametrize("risk", [0.1, 0.03])
def test_an_eigenvalue_is_overlooked_no_more_often_than_the_probability_says(risk: float) -> None:
    # λ₁ = 1.02 is close above a bulk that ends at 1. How often is it overlooked when a chain from a
    # random vector first says that it is missing with at most this probability?
    spectrum = torch.linspace(0, 1, 300, dtype=torch.float64)
    spectrum[0], level, starts, overlooked = 1.02, 1.01, 1000, 0
    generator = torch.Generator().manual_seed(0)
    for _ in range(starts):
        chain = Lanczos(lambda v: spectrum * v, random_direction(spectrum, generator), 80)
        while float(chain.grow().values[0]) <= level:
            if probability_of_missing(chain, level, 300) <= risk:
                overlooked += 1
                break
            assert not chain.full
    assert overlooked <= most_failures(starts, risk)


def test_the_probability_is_one_where_the_eigenvalue_is_seen_and_zero_at_the_end() -> None:
    spectrum = torch.tensor([3.0, 2.0, 1.0]).double().repeat_interleave(10)
    chain = Lanczos(
        lambda v: spectrum * v, random_direction(spectrum, torch.Generator().manual_seed(0)), 20
    )
    while not chain.grow().exhausted:
        pass
    assert probability_of_missing(chain, 2.5, 30) == 1
    assert probability_of_missing(chain, 3.5, 30) == 0


@given(st.integers(0, 10**6), st.integers(1, 8))
def test_ritz_values_are_as_near_as_the_errors_of_their_clusters(seed: int, k: int) -> None:
    # k eigenvectors, each turned a little: eigenvalues of the same numbers, as nothing is missing.
    generator = torch.Generator().manual_seed(seed)
    gaps = 10 ** (-6 * torch.rand(k, generator=generator, dtype=torch.float64))
    above = 2 + gaps.cumsum(0).flip(0)
    spectrum = torch.cat([above, torch.rand(40, generator=generator, dtype=torch.float64)])
    vectors = torch.eye(k + 40, k, dtype=torch.float64)
    noise = torch.randn(vectors.shape, generator=generator, dtype=torch.float64)
    size = 10 ** (-8 * torch.rand((), generator=generator, dtype=torch.float64))
    basis = torch.linalg.qr(vectors + 0.03 * size * noise).Q
    values, change = torch.linalg.eigh(basis.T @ (spectrum[:, None] * basis))
    values, vectors = values.flip(0), basis @ change.flip(1)
    residuals = (spectrum[:, None] * vectors - vectors * values).norm(dim=0)
    errors = errors_in_clusters(values, residuals)
    assert bool((errors >= residuals * (1 - 1e-12)).all())
    assert bool(((values - above).abs() <= errors + 1e-13).all())


def test_errors_of_a_cluster_are_those_of_all_in_it() -> None:
    values = torch.tensor([3.0, 2.0, 1.95, 1.0]).double()
    residuals = torch.tensor([0.1, 0.03, 0.04, 0.2]).double()
    expected = torch.tensor([0.1, 0.05, 0.05, 0.2]).double()
    torch.testing.assert_close(errors_in_clusters(values, residuals), expected)
