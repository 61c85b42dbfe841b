"""The mixture Q of tied eigenvectors, and the steps towards a tie: against closed forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samlib import problems
from samlib.flow.mixtures import least_mixture, symmetric_basis
from samlib.flow.ties import least_norm_mixture, third_derivatives, towards_tie
from tests.samlib.flow_cases import double, normal


@st.composite
def symmetric_slopes(draw: st.DrawFn) -> Tensor:
    """T_ab, with a part that all T_aa share: where it is large, Q leaves the inside of the cone."""
    k, dim = draw(st.integers(2, 6)), draw(st.integers(1, 30))
    random = normal(k, k, dim, seed=draw(st.integers(0, 10**6)))
    shared = draw(st.sampled_from([0.0, 0.5, 2.0, 10.0])) * normal(dim, seed=1)
    scale = draw(st.sampled_from([1e-8, 1.0, 1e8]))
    return scale * (random + random.transpose(0, 1) + shared * torch.eye(k)[:, :, None])


@given(symmetric_slopes())
def test_no_other_mixture_is_shorter(slopes: Tensor) -> None:
    # v = Σ Q_ab T_ab is the shortest element of a convex set if and only if ⟨w, v⟩ ≥ ‖v‖² for all
    # others w: if the matrix of ⟨T_ab, v⟩ has no eigenvalue below ‖v‖².
    mixture = least_norm_mixture(slopes)
    shortest = torch.einsum("ab,abd->d", mixture, slopes)
    along = torch.linalg.eigvalsh(slopes @ shortest)[0]
    assert float(shortest.square().sum() - along) <= 1e-12 * float(slopes.square().sum())
    assert float(torch.linalg.eigvalsh(mixture)[0]) > -1e-12
    assert float(mixture.trace()) == pytest.approx(1, abs=1e-12)
    assert torch.equal(mixture, mixture.mT)


@given(st.integers(2, 5), st.integers(0, 10**6), st.sampled_from([0.0, 1e-3, 1.0, 1e3]))
def test_with_a_linear_term_no_other_mixture_is_better(k: int, seed: int, weight: float) -> None:
    # The least value is at Q if and only if the slope there, S, has ⟨S, Q'⟩ ≥ ⟨S, Q⟩ for all
    # others Q': if no eigenvalue of S is below ⟨S, Q⟩.
    basis = symmetric_basis(k)
    rows = normal(len(basis), 8, seed=seed)
    gram, linear = rows @ rows.mT, weight * normal(len(basis), seed=seed + 1)
    mixture = least_mixture(gram, linear)
    slope = gram @ torch.einsum("nab,ab->n", basis, mixture) + linear
    matrix = torch.einsum("n,nab->ab", slope, basis)
    gap = (matrix * mixture).sum() - torch.linalg.eigvalsh(matrix)[0]
    assert float(gap) <= 1e-11 * float(gram.abs().max() + linear.abs().max())
    assert float(torch.linalg.eigvalsh(mixture)[0]) > -1e-12
    assert float(mixture.trace()) == pytest.approx(1, abs=1e-12)


def test_a_linear_term_alone_picks_the_smallest_eigenvalue() -> None:
    basis, matrix = symmetric_basis(3), torch.diag(double(2, -1, 3))
    linear = torch.einsum("nab,ab->n", basis, matrix)
    expected = torch.diag(double(0, 1, 0))
    found = least_mixture(torch.zeros(6, 6).double(), linear)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_of_two_the_mixture_has_a_closed_form(seed: int) -> None:
    slopes = normal(2, 2, 7, seed=seed)
    slopes = slopes + slopes.transpose(0, 1)
    mean = (slopes[0, 0] + slopes[1, 1]) / 2
    apart = torch.stack([(slopes[0, 0] - slopes[1, 1]) / 2, slopes[0, 1]])
    s = -torch.linalg.solve(apart @ apart.mT, apart @ mean)
    assert float(s.norm()) < 1, "inside the disc, where the closed form holds"
    expected = (torch.eye(2) + s[0] * double(1, 0, 0, -1).view(2, 2)) / 2
    expected = expected + s[1] * double(0, 1, 1, 0).view(2, 2) / 2
    torch.testing.assert_close(least_norm_mixture(slopes), expected)


def test_a_mixture_that_would_not_be_positive_gives_up_an_eigenvalue() -> None:
    # T₁₁ = (1, 0) is shorter than all mixtures with T₂₂ = (3, 0).
    slopes = torch.zeros(2, 2, 2, dtype=torch.float64)
    slopes[0, 0, 0], slopes[1, 1, 0] = 1.0, 3.0
    torch.testing.assert_close(least_norm_mixture(slopes), torch.diag(double(1, 0)))
    torch.testing.assert_close(
        least_norm_mixture(slopes, bounded=False), torch.diag(double(1.5, -0.5))
    )


@pytest.mark.parametrize("k", [1, 3])
def test_where_nothing_changes_all_eigenvalues_have_the_same_share(k: int) -> None:
    unit = torch.eye(k, dtype=torch.float64)
    assert torch.equal(least_norm_mixture(torch.zeros(k, k, 4).double()), unit / k)


def test_third_derivatives_are_those_of_the_dense_hessian() -> None:
    network, x = problems.interpolating_network(seed=3)
    vectors = torch.linalg.qr(normal(network.dim, 3)).Q
    of_entries = torch.autograd.functional.jacobian(network.hessian, x)
    expected = torch.einsum("ijd,ia,jb->abd", of_entries, vectors, vectors)
    torch.testing.assert_close(third_derivatives(network, x, vectors), expected)


def test_the_step_towards_a_tie_is_the_shortest_that_leads_there() -> None:
    slopes, block = normal(3, 3, 20), normal(3, 3, seed=1)
    slopes, block = slopes + slopes.transpose(0, 1), block + block.mT
    step = towards_tie(slopes, block)
    after = block + slopes @ step
    torch.testing.assert_close(after, after[0, 0] * torch.eye(3, dtype=torch.float64))
    span = slopes.reshape(9, 20)  # a longer one would have a part outside
    torch.testing.assert_close(torch.linalg.pinv(span) @ (span @ step), step)
