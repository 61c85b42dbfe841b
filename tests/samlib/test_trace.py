"""samlib.trace: against the dense trace, and its standard error against what it claims."""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from samlib import Estimate, Objective, trace
from samlib.curvature.trace import estimate_outside
from samlib.linalg.lanczos import Lanczos, random_direction
from tests.samlib.spectra import Diagonal, Watched, uniform

pytestmark = pytest.mark.usefixtures("one_thread")

DIM = 100  # above 64, so that vectors are drawn
SEEDS = 300


def rotated(spectrum: Tensor, dtype: torch.dtype = torch.float64) -> Objective:
    """The same with dense rounding errors: ½ xᵀQSQᵀx."""
    generator = torch.Generator().manual_seed(1)
    shape = (len(spectrum), len(spectrum))
    q = torch.linalg.qr(torch.randn(*shape, generator=generator, dtype=torch.float64)).Q
    matrix = ((q * spectrum.double()) @ q.T).to(dtype)
    return Objective(lambda x: x @ (matrix.to(x) @ x) / 2, len(spectrum))


INDEX = torch.arange(1, DIM + 1, dtype=torch.float64)
SPECTRA = {
    "flat": 0.5 + uniform(DIM),
    "slow decay": 1 / INDEX,
    "fast decay": 0.7**INDEX,
    "indefinite": torch.cat([torch.tensor([9.0, 5.0, -4.0]).double(), 2 * uniform(DIM - 3) - 0.8]),
    "a network's": torch.cat(
        [
            torch.tensor([30.0, 20, 15, 10, 8, 6, 5, 4, 3]).double(),
            0.05 * uniform(DIM - 9) - 0.01,
        ]
    ),
    "low rank": torch.cat([0.1 + uniform(20), torch.zeros(DIM - 20).double()]),
}


def at_zero(dim: int = DIM, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.zeros(dim, dtype=dtype)


def estimates(spectrum: Tensor, seeds: int = SEEDS, **arguments: float) -> tuple[Tensor, Tensor]:
    """The errors made and the errors stated, relative to the trace, over many seeds."""
    objective, exact = Diagonal(spectrum), float(spectrum.sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = [
            trace(objective, at_zero(len(spectrum)), seed=seed, progress=False, **arguments)  # type: ignore[arg-type]
            for seed in range(seeds)
        ]
    made = torch.stack([result.value - exact for result in results])
    stated = torch.stack([result.error for result in results])
    return made / abs(exact), stated / abs(exact)


# ------------------------------------------------------------------------- the standard error


@pytest.mark.parametrize("products", [12, 18, 38])
@pytest.mark.parametrize("name", SPECTRA)
def test_the_standard_error_is_honest_and_the_value_unbiased(name: str, products: int) -> None:
    # With a fixed number of products (rtol is out of reach).
    made, stated = estimates(SPECTRA[name], rtol=1e-12, max_products=products)
    within_two = float((made.abs() <= 2 * stated).double().mean())
    assert 0.9 <= within_two <= 0.997
    # Not by being large: what is stated is what is made, but for Student's factor and skew.
    rms_made, rms_stated = float(made.square().mean().sqrt()), float(stated.square().mean().sqrt())
    assert 0.8 * rms_made <= rms_stated <= 2.2 * rms_made
    assert abs(float(made.mean())) <= 3.5 * float(made.std()) / math.sqrt(SEEDS)


def test_the_standard_error_stays_honest_when_the_subspace_is_full() -> None:
    # 40 vectors of the subspace fill much of the space, 20 of the 80 others come after it.
    made, stated = estimates(SPECTRA["flat"], seeds=150, rtol=1e-12, max_products=120)
    assert float((made.abs() <= 2 * stated).double().mean()) >= 0.93
    assert float(stated.square().mean().sqrt()) <= 1.2 * float(made.square().mean().sqrt())


@pytest.mark.parametrize("name", SPECTRA)
def test_the_standard_error_stays_honest_when_it_decides_when_to_stop(name: str) -> None:
    made, stated = estimates(SPECTRA[name], seeds=200, rtol=0.03)
    assert float((made.abs() <= 2 * stated).double().mean()) >= 0.92
    assert float(stated.max()) <= 0.035, "relative to the estimate, rtol is honoured"
    assert float(made.square().mean().sqrt()) <= 0.03


def test_two_vectors_know_their_spread_badly_and_say_so() -> None:
    made, stated = estimates(SPECTRA["slow decay"], rtol=1e-12, max_products=4)
    assert float((made.abs() <= 2 * stated).double().mean()) >= 0.93


def test_a_few_products_find_what_hundreds_of_random_vectors_do_not() -> None:
    # The mean of n values ωᵀHω, ω a unit vector, is √(2 (Σs²/D − (Σs/D)²)/n)·√D off.
    spectrum, n = SPECTRA["a network's"], 42
    made, _ = estimates(spectrum, seeds=50, rtol=1e-12, max_products=n)
    plain = math.sqrt(2 * float(spectrum.var(correction=0)) * DIM / n) / float(spectrum.sum())
    assert float(made.square().mean().sqrt()) < plain / 20


def test_what_is_estimated_is_the_trace_of_the_dense_complement() -> None:
    spectrum = SPECTRA["slow decay"]
    generator = torch.Generator().manual_seed(0)
    krylov = Lanczos(lambda v: spectrum * v, random_direction(at_zero(), generator), 5)
    while not krylov.full:
        krylov.grow()
    omegas = torch.stack([random_direction(at_zero(), generator) for _ in range(3)])
    outside = torch.eye(DIM, dtype=torch.float64) - krylov.basis.T @ krylov.basis
    found = estimate_outside(krylov, omegas, spectrum * omegas)
    for omega, estimate in zip(omegas, found.T, strict=True):
        u = outside @ omega / (outside @ omega).norm()
        image = outside @ (spectrum * (outside @ u))
        expected = (DIM - 5) * torch.stack([u @ image, (image - (u @ image) * u).square().sum()])
        torch.testing.assert_close(estimate, expected)


# ------------------------------------------------------------------------------ exact answers


@pytest.mark.parametrize("dim", [1, 5, 64])
def test_small_problems_are_exact(dim: int, dtype: torch.dtype, device: torch.device) -> None:
    objective = Objective(lambda x: torch.cosh(x).sum() - (x[0] * x).sum(), dim)
    x = torch.linspace(-1, 2, 2 * dim).reshape(2, dim).to(device, dtype)
    result = trace(objective, x)
    right = torch.cosh(x.double()).sum(dim=-1) - 2
    torch.testing.assert_close(result.value, right.to(dtype))
    # Only rounding is left, of the two large parts where they cancel, and it is said.
    unit = torch.finfo(dtype).eps
    assert bool(((result.value.double() - right).abs() <= result.error).all())
    assert bool((result.error <= 100 * unit * (torch.cosh(x).sum(dim=-1) + 2)).all())
    assert result.products == (dim if dtype == torch.float64 else 2 * dim)
    assert result.converged
    assert result.value.dtype == dtype
    assert result.value.device.type == device.type


@pytest.mark.parametrize("level", [0.0, 2.0, -3.0])
def test_a_multiple_of_the_identity_is_exact(
    level: float, dtype: torch.dtype, device: torch.device
) -> None:
    objective = rotated(torch.full((DIM,), level), dtype)
    result = trace(objective, at_zero(dtype=dtype).to(device))
    assert float(result.value) == pytest.approx(level * DIM, rel=1e-5, abs=0)
    assert float(result.error) <= 1e-5 * abs(level) * DIM
    assert result.converged
    # Where the arithmetic is coarse, one product more measures it.
    assert result.products == (12 if dtype == torch.float64 else 13)


@pytest.mark.parametrize("make", [Diagonal, rotated])
@pytest.mark.parametrize("rank", [1, 3, 6, 7, 20])
def test_a_hessian_of_low_rank_is_found_out_whole(
    rank: int, make: Callable[[Tensor], Objective], dtype: torch.dtype, device: torch.device
) -> None:
    # More vectors than the rank say nothing new; the estimate must not count their noise.
    spectrum = torch.cat([0.2 + uniform(rank), at_zero(DIM - rank)])
    objective = make(spectrum)
    for seed in range(5):
        result = trace(objective, at_zero(dtype=dtype).to(device), rtol=1e-4, seed=seed)
        assert result.converged
        assert float(result.value) == pytest.approx(float(spectrum.sum()), rel=3e-4)
        assert float((result.value - spectrum.sum()).abs()) <= 4 * float(result.error) + 1e-5
        assert result.products <= 3 * rank + 12


def test_memory_is_bounded_however_many_products() -> None:
    gc.collect()
    objective = Watched(torch.linspace(0, 1, 2000, dtype=torch.float64))
    with pytest.warns(RuntimeWarning, match="max_products=500"):
        trace(objective, at_zero(2000), rtol=1e-9, max_products=500, progress=False)
    assert objective.products == 500
    # 41 and 2 × 50 vectors, the spectrum, x, what a product makes, and what other tests left.
    assert objective.most_vectors <= 140 + 8


def test_the_trace_of_a_network_at_interpolation_in_both_precisions(
    dtype: torch.dtype, device: torch.device
) -> None:
    # M targets that are met exactly: rank M, trace (2/M) Σ ‖∇f_k‖².
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 30), nn.Tanh(), nn.Linear(30, 1)).to(device, dtype)
    inputs = torch.randn(5, 4).to(device, dtype)
    objective = Objective.from_module(model, nn.MSELoss(), (inputs, model(inputs).detach()))
    exact = 0.0
    for k in range(5):
        slopes = torch.autograd.grad(model(inputs[k : k + 1]).sum(), list(model.parameters()))
        exact += 2 / 5 * sum(float(slope.double().square().sum()) for slope in slopes)
    result = trace(objective, objective.flat_parameters(), rtol=1e-3)
    assert float(result.value) == pytest.approx(exact, rel=1e-4)
    assert result.converged
    assert result.products <= 18


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=8),
    st.integers(1, 60),
    st.integers(0, 2**31),
)
def test_any_spectrum_with_multiplicities_lies_within_the_error(
    levels: list[float], copies: int, seed: int
) -> None:
    spectrum = torch.tensor(levels, dtype=torch.float64).repeat_interleave(copies)
    spectrum = torch.cat([spectrum, at_zero(max(0, 65 - len(spectrum)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = trace(Diagonal(spectrum), at_zero(len(spectrum)), seed=seed, max_products=60)
    off = float((result.value - spectrum.sum()).abs())
    # Four errors, not two: 25 examples must all pass.
    assert off <= 4 * float(result.error) + 1e-9 * (1 + float(spectrum.abs().sum()))


# -------------------------------------------------------------------- arguments and reporting


def test_rtol_buys_accuracy_with_products() -> None:
    objective = Diagonal(SPECTRA["slow decay"])
    results = [trace(objective, at_zero(), rtol=rtol) for rtol in (0.1, 0.02, 0.005)]
    for result, rtol in zip(results, (0.1, 0.02, 0.005), strict=True):
        assert result.converged
        assert float(result.error) <= rtol * float(result.value)
    assert results[0].products < results[1].products < results[2].products
    assert sum(result.products for result in results) == objective.products


def test_stopping_early_warns_and_says_so() -> None:
    objective = Diagonal(SPECTRA["indefinite"])
    with pytest.warns(RuntimeWarning, match="max_products=15") as caught:
        result = trace(objective, at_zero(), rtol=1e-3, max_products=15)
    assert caught[0].filename == __file__
    assert not result.converged
    assert result.products == objective.products == 15
    assert "15 products, not converged" in repr(result)


def test_the_seed_decides_and_is_the_same_on_every_device(device: torch.device) -> None:
    objective = rotated(SPECTRA["slow decay"])
    state = torch.get_rng_state()
    first, again, other = (
        trace(objective, at_zero().to(device), seed=seed, max_products=12, rtol=0.9)
        for seed in (3, 3, 4)
    )
    on_cpu = trace(objective, at_zero(), seed=3, max_products=12, rtol=0.9)
    assert float(first.value) == float(again.value)
    assert float(first.value) != float(other.value)
    torch.testing.assert_close(first.value.cpu(), on_cpu.value)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_is_treated_point_by_point(dtype: torch.dtype, device: torch.device) -> None:
    objective = Objective(lambda x: torch.cosh(x).sum(), DIM)
    x = torch.randn(2, 3, DIM, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    result = trace(objective, x)
    assert result.value.shape == result.error.shape == (2, 3)
    assert result.value.dtype == result.error.dtype == dtype
    exact = torch.cosh(x).sum(dim=-1)
    assert bool(((result.value - exact).abs() <= 0.08 * exact).all())
    one = trace(objective, x[1, 2])
    torch.testing.assert_close(one.value, result.value[1, 2])


def test_where_the_hessian_is_not_finite_the_trace_is_nan(device: torch.device) -> None:
    for dim in (5, DIM):
        objective = Objective(lambda x: (x**4).sum(), dim)
        x = torch.ones(2, dim, device=device)
        x[1, 0] = math.inf
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = trace(objective, x, rtol=0.2)
        assert not result.converged
        assert bool(result.value[0].isfinite())
        assert bool(result.value[1].isnan())


def test_products_that_are_not_finite_only_later_are_nan_too() -> None:
    class Breaking(Diagonal):
        def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
            product = super().hessian_operator(x)
            return lambda v: product(v) * (math.nan if self.products > 8 else 1)

    result = trace(Breaking(SPECTRA["flat"]), at_zero())
    assert bool(result.value.isnan())
    assert not result.converged


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rtol": 0.0}, ValueError, "rtol"),
        ({"rtol": 1.0}, ValueError, "rtol"),
        ({"rtol": math.nan}, ValueError, "rtol"),
        ({"max_products": 3}, ValueError, "max_products"),
        ({"max_products": 8.0}, TypeError, "max_products"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, float], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        trace(Diagonal(SPECTRA["flat"]), at_zero(), **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shape"):
        trace(Diagonal(SPECTRA["flat"]), at_zero(DIM - 1))


def test_an_estimate_shows_its_error_its_cost_and_a_batch_in_short() -> None:
    one = Estimate(torch.tensor(12.3456), torch.tensor(0.0123), 24, True)
    assert repr(one) == "Estimate(12.35 ± 0.01, 24 products)"
    exact = Estimate(torch.tensor(6.0), torch.tensor(0.0), 3, True)
    assert repr(exact) == "Estimate(6, 3 products)"
    many = Estimate(torch.arange(8.0), torch.ones(8), 24, False)
    assert repr(many).startswith("Estimate([0 ± 1, 1 ± 1, ")
    assert repr(many).endswith("… (8 in all)], 24 products, not converged)")
