"""samlib.linalg.lanczos: thick restarts, bounded memory, exhausted spaces, and rarer looks."""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samlib import EigenResult, Operator, top_eigenpairs
from samlib.linalg.lanczos import PRODUCTS_BETWEEN_LOOKS, Lanczos, random_direction
from tests.memory import peak_bytes
from tests.samlib.spectra import Diagonal, Watched, uniform

pytestmark = pytest.mark.usefixtures("one_thread")

DIM = 150


@pytest.fixture(params=[1, 4], ids=["looks at each product", "looks at every fourth"])
def looks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setitem(PRODUCTS_BETWEEN_LOOKS, "cpu", request.param)
    return int(request.param)


def at_zero(dim: int = DIM, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.zeros(dim, dtype=dtype)


def require_pairs(result: EigenResult, spectrum: Tensor, k: int, atol: float) -> None:
    spectrum = spectrum.double()
    expected = spectrum.sort(descending=True).values[:k]
    torch.testing.assert_close(result.values.double(), expected, rtol=0, atol=atol)
    vectors = result.vectors.double()
    eps = 1e-9 if result.values.dtype == torch.float64 else 1e-4
    identity = torch.eye(k, dtype=torch.float64)
    torch.testing.assert_close(vectors.T @ vectors, identity, rtol=0, atol=eps)
    off = (spectrum[:, None] * vectors - vectors * result.values.double()).norm(dim=0)
    scale = float(spectrum.abs().max())
    torch.testing.assert_close(result.residuals.double(), off, rtol=0.02, atol=100 * eps * scale)


def crowded(dim: int = DIM) -> Tensor:
    """A top whose gaps are a ten-thousandth of the range: far more products than are kept."""
    return torch.linspace(0, 1, dim, dtype=torch.float64) ** 0.5


@pytest.mark.parametrize("k", [1, 3, 14, 20])
def test_restarts_find_a_crowded_top_exactly(k: int, looks: int) -> None:
    objective = Diagonal(crowded())
    result = top_eigenpairs(objective, at_zero(), k=k, rtol=1e-7, max_products=3000)
    assert result.converged
    assert result.products == objective.products
    assert result.products > max(40, 3 * k), "the case needs restarts"
    require_pairs(result, crowded(), k, atol=1e-9)


def test_restarts_in_single_precision(looks: int) -> None:
    result = top_eigenpairs(
        Diagonal(crowded()), at_zero(dtype=torch.float32), k=2, rtol=1e-4, max_products=2000
    )
    assert result.converged
    require_pairs(result, crowded(), 2, atol=1e-5)


def test_restarts_cost_little_more_than_keeping_everything() -> None:
    # A wrong restart loses what the basis knew; then this takes thousands of products.
    spectrum = crowded(400)
    objective = Diagonal(spectrum)
    top_eigenpairs(objective, at_zero(400), k=1, rtol=1e-6, max_products=3000)
    whole = Lanczos(lambda v: spectrum * v, random_direction(at_zero(400), generator()), 400)
    ritz = whole.grow()
    while float(ritz.residuals[0]) > 1e-6:
        ritz = whole.grow()
    assert objective.products <= 3 * whole.products


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("k", [1, 20])
def test_memory_is_that_of_the_kept_vectors_however_many_products(k: int) -> None:
    dim = 2000
    gc.collect()
    objective = Watched(torch.linspace(0, 1, dim, dtype=torch.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        top_eigenpairs(objective, at_zero(dim), k=k, rtol=1e-12, max_products=150)
    assert objective.products == 150
    kept = max(40, 3 * k) + 1
    # The kept vectors, and a few that a step needs.
    assert objective.most_vectors <= kept + 12


@pytest.mark.parametrize(("k", "vectors"), [(1, 50), (2, 110), (100, 900)])
def test_memory_is_what_the_docstring_says_with_the_search_of_the_complement(
    k: int, vectors: int
) -> None:
    """Eigenvalues 1, 1/2, 1/3 …, each to a tenth of the last one that is asked for."""
    dim = 20_000
    entries = 1 / torch.arange(1, dim + 1, dtype=torch.float64)
    matrix = Operator(dim, entries.device, entries.dtype, lambda v: entries * v)
    options: dict[str, Any] = {"k": k, "rtol": 0.1 / k, "max_products": 1000, "progress": False}
    most = peak_bytes(lambda: top_eigenpairs(matrix, **options))
    assert most <= vectors * dim * 8


def test_the_basis_has_room_for_no_more_than_its_capacity_and_one() -> None:
    spectrum = torch.linspace(0, 1, 300, dtype=torch.float64)
    krylov = Lanczos(lambda v: spectrum * v, random_direction(spectrum, generator()), 40)
    for _ in range(200):
        if krylov.full:
            krylov.restart(keep=10)
        krylov.grow()
        assert len(krylov._basis) <= 41
        q = krylov.basis
        torch.testing.assert_close(
            q @ q.T, torch.eye(len(q), dtype=torch.float64), rtol=0, atol=1e-12
        )
        torch.testing.assert_close(krylov.projected, (q * spectrum) @ q.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_a_loose_tolerance_costs_no_more_than_a_tight_one(k: int, looks: int) -> None:
    # A network's spectrum: what is left after a few steps is small beside the tolerance, and that
    # must not pass for an exhausted space.
    top = torch.tensor([2.8, 2.0, 1.8, 1.35, 1.05, 0.78, 0.53, 0.33, 0.27], dtype=torch.float64)
    objective = Diagonal(torch.cat([top, 0.1 * uniform(1000)]))

    def products(rtol: float) -> int:
        result = top_eigenpairs(objective, at_zero(1009), k=k, rtol=rtol, confidence=0)
        assert result.converged
        assert float(result.residuals.max()) <= rtol * 2.8
        return result.products

    tight = products(0.005)
    assert all(products(rtol) <= tight <= 16 for rtol in (0.2, 0.1, 0.07, 0.05, 0.02))


LEVELS = {
    "two levels": [(2.0, 20), (1.0, DIM - 20)],
    "few levels": [(3.0, 4), (2.0, 30), (-1.0, 50), (0.0, DIM - 84)],
    "identity": [(1.0, DIM)],
    "zero": [(0.0, DIM)],
    "indefinite": [(-5.0, 10), (1.0, 16), (0.0, DIM - 26)],
}


@pytest.mark.parametrize("k", [1, 5, 14])
@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
def test_exhausted_spaces_one_after_the_other_also_across_restarts(
    levels: list[tuple[float, int]], k: int, looks: int, dtype: torch.dtype
) -> None:
    # Each multiple eigenvalue shows one vector per Krylov space: k spaces in turn.
    spectrum = torch.cat([torch.full((n,), level) for level, n in levels]).double()
    objective = Diagonal(spectrum)
    result = top_eigenpairs(objective, at_zero(dtype=dtype), k=k, max_products=2000)
    assert result.converged
    require_pairs(result, spectrum, k, atol=1e-9 if dtype == torch.float64 else 1e-4)


def test_both_ways_of_looking_give_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    for spectrum in (crowded(), torch.cat([torch.full((3,), 2.0), torch.zeros(DIM - 3)]).double()):
        results = []
        for every in (1, 4):
            monkeypatch.setitem(PRODUCTS_BETWEEN_LOOKS, "cpu", every)
            results.append(
                top_eigenpairs(Diagonal(spectrum), at_zero(), k=2, rtol=1e-8, max_products=3000)
            )
        torch.testing.assert_close(results[0].values, results[1].values, rtol=0, atol=1e-12)
        # At most three products more after each of the few exhausted spaces, and restarts.
        assert results[1].products <= 1.5 * results[0].products + 16


@given(
    # Tenths: equal, or far apart beside rtol. Of a cluster that rtol does not resolve, one
    # vector converges before the space is exhausted, and the others may stay unseen.
    st.lists(st.integers(-40, 40), min_size=1, max_size=12),
    st.integers(1, 16),
    st.sampled_from([1, 4]),
    st.integers(0, 1000),
)
def test_any_spectrum_with_multiplicities_agrees_with_its_sorted_values(
    tenths: list[int], k: int, every: int, seed: int
) -> None:
    picks = torch.randint(len(tenths), (80,), generator=torch.Generator().manual_seed(seed))
    spectrum = torch.tensor(tenths, dtype=torch.float64)[picks] / 10
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRODUCTS_BETWEEN_LOOKS, "cpu", every)
        result = top_eigenpairs(Diagonal(spectrum), at_zero(80), k=k, rtol=1e-6, max_products=3000)
    assert result.converged
    scale = float(spectrum.abs().max())
    expected = spectrum.sort(descending=True).values[:k]
    torch.testing.assert_close(result.values, expected, rtol=0, atol=3e-6 * scale)


@given(st.integers(0, 10**6), st.integers(1, 8), st.booleans())
def test_random_indefinite_spectra_agree_with_the_dense_decomposition(
    seed: int, k: int, heavy: bool
) -> None:
    draw = torch.Generator().manual_seed(seed)
    spectrum = torch.randn(90, generator=draw, dtype=torch.float64)
    if heavy:
        spectrum = spectrum**3
    result = top_eigenpairs(Diagonal(spectrum), at_zero(90), k=k, rtol=1e-7, max_products=3000)
    require_pairs(result, spectrum, k, atol=1e-6 * float(spectrum.abs().max()))


def test_it_stops_on_the_residual_not_on_a_change_of_the_eigenvalue() -> None:
    # λ₂ is close: the Ritz value rests there for many products before it goes on to λ₁. All the
    # while the residual is that of λ₁'s share in the start, 1e-4 · (λ₁ − λ₂) = 1e-7, and larger.
    spectrum = torch.cat([torch.tensor([1.001, 1.0]), 0.5 * torch.rand(500, generator=generator())])
    start = torch.ones(502).double()
    start[0] = 1e-4  # λ₁ is hardly in the start
    objective = Diagonal(spectrum)
    result = top_eigenpairs(objective, at_zero(502), rtol=1e-9, guess=start)
    assert float(result.values[0]) == pytest.approx(float(spectrum[0]), abs=1e-6)
    off = spectrum.double() * result.vectors[:, 0] - result.values[0] * result.vectors[:, 0]
    assert float(off.norm()) <= 1.1e-9


def test_the_default_is_accurate_and_not_two_steps() -> None:
    spectrum = torch.cat([torch.linspace(3, 5, 10), torch.rand(990, generator=generator())])
    for dtype in (torch.float32, torch.float64):
        result = top_eigenpairs(Diagonal(spectrum), at_zero(1000, dtype), k=5)
        assert result.converged
        assert result.products > 10
        expected = spectrum.sort(descending=True).values[:5].double()
        torch.testing.assert_close(result.values.double(), expected, rtol=2e-5, atol=0)


def test_a_product_that_turns_infinite_is_nan_and_ends(looks: int) -> None:
    class Breaking(Diagonal):
        def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
            product = super().hessian_operator(x)
            return lambda v: product(v) * (math.inf if self.products > 12 else 1)

    objective = Breaking(crowded())
    result = top_eigenpairs(objective, at_zero())
    assert bool(result.values.isnan().all())
    assert not result.converged
    assert objective.products <= 16


def test_random_directions_are_unit_and_the_same_in_every_precision(device: torch.device) -> None:
    one, other = (
        random_direction(torch.zeros(50, dtype=dtype, device=device), generator())
        for dtype in (torch.float32, torch.float64)
    )
    assert float(other.norm()) == pytest.approx(1)
    torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-6)
    assert one.device.type == device.type
