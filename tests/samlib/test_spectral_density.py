"""samlib.spectral_density: moments, error bars and shape against the eigenvalues themselves."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from samlib import Objective, spectral_density
from tests.samlib.spectra import Diagonal, uniform

pytestmark = pytest.mark.usefixtures("one_thread")

DIM = 120  # above 64, so that Lanczos is used


SPECTRA = {
    "bulk and outliers": torch.cat(
        [torch.tensor([9.0, 6.0, 5.0]).double(), uniform(DIM - 3) - 0.3]
    ),
    "flat": 1 + uniform(DIM),
    "two levels": torch.cat([torch.ones(40), torch.zeros(DIM - 40)]).double(),
    "decay": 0.9 ** torch.arange(DIM, dtype=torch.float64),
}


def zero(dtype: torch.dtype = torch.float64, dim: int = DIM) -> Tensor:
    return torch.zeros(dim, dtype=dtype)


def smoothed(spectrum: Tensor, grid: Tensor, width: float) -> Tensor:
    """The density of the eigenvalues under the same Gaussian."""
    bumps = torch.exp(-(((grid[:, None] - spectrum) / width) ** 2) / 2)
    return bumps.mean(dim=1) / (width * math.sqrt(2 * math.pi))


@pytest.mark.parametrize("name", SPECTRA)
def test_the_density_integrates_to_one_in_both_precisions(
    name: str, dtype: torch.dtype, device: torch.device
) -> None:
    result = spectral_density(Diagonal(SPECTRA[name]), zero(dtype).to(device), points=2000)
    assert float(torch.trapezoid(result.density, result.grid)) == pytest.approx(1, abs=1e-3)
    assert bool((result.density >= 0).all())
    assert bool((result.error >= 0).all())
    assert result.grid.shape == result.density.shape == result.error.shape == (2000,)
    torch.testing.assert_close(
        result.weights.sum(dim=-1), torch.ones(8, dtype=torch.float64), rtol=0, atol=1e-5
    )
    spectrum = SPECTRA[name]
    assert float(result.nodes.max()) <= float(spectrum.max()) + 1e-5
    assert float(result.nodes.min()) >= float(spectrum.min()) - 1e-5


@pytest.mark.parametrize("name", SPECTRA)
def test_the_moments_are_those_of_the_spectrum_within_the_spread_of_the_probes(name: str) -> None:
    # Gauss quadrature with 60 nodes is exact for each probe's moments; only the probes differ.
    spectrum, probes = SPECTRA[name], 40
    result = spectral_density(Diagonal(spectrum), zero(), probes=probes)
    for power in (1, 2, 3):
        each = (result.weights * result.nodes**power).sum(dim=-1)
        exact = float((spectrum**power).mean())
        # Var(ωᵀSω) = 2 (mean(s²) − mean(s)²)/(D + 2) for a random unit vector ω.
        moment = spectrum**power
        spread = math.sqrt(2 * float(moment.var(correction=0)) / (DIM + 2))
        assert float(each.mean()) == pytest.approx(exact, abs=4 * spread / math.sqrt(probes))
        assert 0.5 * spread <= float(each.std()) <= 1.6 * spread


@pytest.mark.parametrize("name", ["bulk and outliers", "flat", "two levels"])
def test_the_error_bars_are_honest(name: str) -> None:
    # At a width that the nodes resolve, over many seeds and all of the grid.
    spectrum = SPECTRA[name]
    width = 0.15 * float(spectrum.max() - spectrum.min())
    inside, made, stated = [], [], []
    for seed in range(60):
        result = spectral_density(
            Diagonal(spectrum), zero(), probes=10, steps=25, width=width, points=40, seed=seed
        )
        off = (result.density - smoothed(spectrum, result.grid, width)).abs()
        seen = result.density > 0.01 * result.density.max()
        inside.append((off <= 2 * result.error)[seen].double().mean())
        made.append(off[seen].square().mean())
        stated.append(result.error[seen].square().mean())
    assert 0.85 <= float(torch.stack(inside).mean()) <= 0.99
    ratio = math.sqrt(float(torch.stack(made).mean() / torch.stack(stated).mean()))
    assert 0.75 <= ratio <= 1.3


def test_enough_probes_give_the_smoothed_eigenvalues() -> None:
    spectrum = SPECTRA["bulk and outliers"]
    few, many = (
        spectral_density(Diagonal(spectrum), zero(), probes=probes, width=0.3, points=100)
        for probes in (4, 100)
    )
    worst = [
        float((r.density - smoothed(spectrum, r.grid, 0.3)).abs().max() / r.density.max())
        for r in (few, many)
    ]
    assert worst[1] <= 0.03
    assert worst[1] < worst[0]
    # The three outliers are there, each with the weight of one eigenvalue in DIM.
    top = many.grid > 3.5
    mass = float(torch.trapezoid(many.density[top], many.grid[top]))
    assert mass == pytest.approx(3 / DIM, rel=0.2)


@pytest.mark.parametrize("dim", [1, 3, 64])
def test_small_problems_are_exact(dim: int, dtype: torch.dtype, device: torch.device) -> None:
    spectrum = torch.linspace(-1, 2, dim, dtype=torch.float64)
    objective = Objective(lambda x: (spectrum.to(x) * x**2).sum() / 2, dim)
    result = spectral_density(objective, zero(dtype, dim).to(device), width=0.2)
    assert result.error.abs().max() == 0
    assert result.products == dim
    torch.testing.assert_close(
        result.density.cpu(), smoothed(spectrum, result.grid.cpu(), 0.2), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("level", [0.0, 2.5, -1e-3])
def test_an_exhausted_krylov_space_is_all_that_there_is(
    level: float, dtype: torch.dtype, device: torch.device
) -> None:
    objective = Diagonal(torch.full((DIM,), level).double())
    result = spectral_density(objective, zero(dtype).to(device), probes=3)
    assert objective.products == 3 * (1 if device.type == "cpu" else 4)
    assert bool((result.nodes - level).abs().max() <= 1e-6)
    assert float(result.grid[result.density.argmax()]) == pytest.approx(level, abs=result.width)
    assert float(torch.trapezoid(result.density, result.grid)) == pytest.approx(1, abs=1e-3)


def test_the_products_are_those_that_were_spent() -> None:
    for name in ("flat", "two levels"):
        objective = Diagonal(SPECTRA[name])
        result = spectral_density(objective, zero(), probes=3, steps=20)
        assert result.products == objective.products, name


def test_default_width_follows_the_range_of_the_spectrum() -> None:
    spectrum = SPECTRA["flat"]
    one, ten = (spectral_density(Diagonal(s * spectrum), zero()) for s in (1, 10))
    assert ten.width == pytest.approx(10 * one.width)
    assert one.width == pytest.approx(float(one.nodes.max() - one.nodes.min()) / 200)


def test_the_seed_decides_and_is_the_same_on_every_device(device: torch.device) -> None:
    objective = Diagonal(SPECTRA["flat"])
    state = torch.get_rng_state()
    first, again, other = (
        spectral_density(objective, zero().to(device), probes=2, steps=10, seed=seed)
        for seed in (0, 0, 1)
    )
    on_cpu = spectral_density(objective, zero(), probes=2, steps=10, seed=0)
    assert torch.equal(first.nodes, again.nodes)
    assert not torch.equal(first.nodes, other.nodes)
    torch.testing.assert_close(first.nodes.cpu(), on_cpu.nodes)
    assert torch.equal(torch.get_rng_state(), state)


def test_more_steps_than_dimensions_see_every_eigenvalue() -> None:
    spectrum = torch.linspace(1, 3, 70, dtype=torch.float64)
    result = spectral_density(Diagonal(spectrum), zero(dim=70), probes=2, steps=500)
    assert result.nodes.shape == (2, 70)
    torch.testing.assert_close(result.nodes[0].sort().values, spectrum, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"probes": 1}, ValueError, "probes"),
        ({"steps": 0}, ValueError, "steps"),
        ({"points": 1}, ValueError, "points"),
        ({"probes": 2.0}, TypeError, "probes"),
        ({"width": 0.0}, ValueError, "width"),
        ({"width": -1.0}, ValueError, "width"),
        ({"width": math.nan}, ValueError, "width"),
        ({"width": math.inf}, ValueError, "width"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, float], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        spectral_density(Diagonal(SPECTRA["flat"]), zero(), **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one point"):
        spectral_density(Diagonal(SPECTRA["flat"]), zero().expand(2, -1))
    with pytest.raises(ValueError, match="shape"):
        spectral_density(Diagonal(SPECTRA["flat"]), zero(dim=DIM - 1))


@pytest.mark.parametrize("dim", [5, DIM])
def test_a_hessian_that_is_not_finite_is_refused(dim: int, device: torch.device) -> None:
    objective = Objective(lambda x: (x**4).sum(), dim)
    with pytest.raises(ValueError, match="not finite"):
        spectral_density(objective, torch.full((dim,), math.inf, device=device))


def test_the_table_and_the_summary(device: torch.device) -> None:
    result = spectral_density(Diagonal(SPECTRA["flat"]), zero().to(device), points=50, probes=2)
    table = result.to_dataframe()
    assert list(table.columns) == ["eigenvalue", "density", "error"]
    assert len(table) == 50
    assert table["density"].to_numpy() == pytest.approx(result.density.cpu().numpy())
    assert repr(result).startswith("SpectralDensity(eigenvalues from 1")
    assert repr(result).endswith(f"2 probes, {result.products} products)")
