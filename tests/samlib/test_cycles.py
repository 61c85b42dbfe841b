"""Two-cycles against the derivative of two steps, and against runs of the rules themselves."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import scipy.optimize
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samlib import Objective, rules, simulate
from samlib.dynamics import AscentCycle, ascent_cycle, two_cycle_multipliers
from samlib.landscapes import DoubleWell, FourDimensional, Quadratic
from tests.samlib.flow_cases import double, normal

Map = Callable[[Tensor], Tensor]

# ηλ₁ and the other λ_i/λ₁, at a minimum or a saddle; distinct eigenvalues at a minimum alone.
STEPS = st.floats(1e-3, 1.95)
RATIOS = st.lists(st.floats(-3, 1).filter(lambda r: abs(r) > 1e-3), max_size=5)
HUNDREDTHS = st.lists(st.integers(2, 95), min_size=1, max_size=4, unique=True)


def sam(hessian: Tensor, lr: float, rho: float) -> Map:
    def step(x: Tensor) -> Tensor:
        g = hessian @ x
        return x - lr * hessian @ (x + rho * g / g.norm())

    return step


def exact_descent(hessian: Tensor, lr: float, rho: float) -> Map:
    def loss(x: Tensor) -> Tensor:
        g = hessian @ x
        above = x + rho * g / g.norm()
        return above @ hessian @ above / 2

    return lambda x: x - lr * torch.func.grad(loss)(x)


def rotated(eigenvalues: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix with these eigenvalues, and its eigenvectors as columns."""
    basis = torch.linalg.qr(normal(len(eigenvalues), len(eigenvalues), seed=3)).Q
    return basis @ eigenvalues.diag() @ basis.T, basis


def of_two_steps(step: Map, x: Tensor) -> Tensor:
    return torch.linalg.eigvals(torch.func.jacrev(lambda x: step(step(x)))(x))


def assert_same_set(measured: Tensor, expected: Tensor, tolerance: float = 1e-6) -> None:
    # By default the square root of the rounding, for two eigenvalues that nearly coincide.
    difference = (measured[:, None] - expected).abs()
    pairs = scipy.optimize.linear_sum_assignment(difference)
    assert float(difference[pairs].max()) < tolerance * max(1.0, float(expected.abs().max()))


# ── SAM


@given(h=STEPS, ratios=RATIOS, top=st.floats(0.01, 100), rho=st.floats(0.01, 10))
def test_the_multipliers_of_sam_are_those_of_two_steps(
    h: float, ratios: list[float], top: float, rho: float
) -> None:
    eigenvalues, lr = top * double(*ratios, 1.0), h / top
    hessian, basis = rotated(eigenvalues)
    cycle = basis[:, -1] * lr * rho * top / (2 - h)
    step = sam(hessian, lr, rho)
    torch.testing.assert_close(step(cycle), -cycle, rtol=1e-7, atol=1e-9 * float(cycle.norm()))
    multipliers = two_cycle_multipliers(eigenvalues, lr=lr)
    assert_same_set(of_two_steps(step, cycle), multipliers.square().to(torch.complex128))


@given(h=STEPS, ratios=RATIOS)
def test_sams_cycle_attracts_between_the_two_bounds(h: float, ratios: list[float]) -> None:
    q = h / (2 - h)
    inside = all(0 < r < 1 or -1 - q < r < -q for r in ratios)
    multipliers = two_cycle_multipliers(double(1.0, *ratios), lr=h)
    assert bool((multipliers.abs() < 1).all()) == inside


@pytest.mark.parametrize("h", [0.02, 0.5, 1.0, 1.5])
def test_at_the_bounds_a_deviation_keeps_its_size(h: float) -> None:
    # Ties and flat directions, and the two bounds for negative eigenvalues. There SAM has a whole
    # circle of two-cycles: ‖∇L‖ is that of the cycle, its direction any in the plane.
    q = h / (2 - h)
    ratios = double(1.0, 1.0, 0.0, -q, -1 - q)
    multipliers = two_cycle_multipliers(ratios, lr=h)
    torch.testing.assert_close(multipliers, double(h - 1, -1, 1, 1, -1))
    for other in ratios[[1, 3, 4]].tolist():
        eigenvalues = double(1.0, other)
        x = h / (2 - h) * double(0.8, 0.6) / eigenvalues
        step = sam(eigenvalues.diag(), h, 1.0)
        torch.testing.assert_close(step(step(x)), x)


def test_a_cycle_along_another_eigenvector_never_attracts() -> None:
    for eigenvalues in (double(2, 1, -0.5), double(-0.5, -1), double(3, 2.9)):
        for i in range(len(eigenvalues)):
            along, x = eigenvalues[i], torch.zeros_like(eigenvalues)
            x[i] = 0.1 * along.abs() / (2 - 0.1 * along)
            multipliers = of_two_steps(sam(eigenvalues.diag(), 0.1, 1.0), x)
            attracts = bool((multipliers.abs() < 1).all())
            assert attracts == (i == 0 and float(along) > 0)


def test_the_double_wells_saddle_holds_sam() -> None:
    # λ₁ = μ = 1 at the saddle: a step multiplies x₁ by −1 + 2η.
    lr, rho = 0.05, 0.4
    start = double(0.01, 0.3)
    run = simulate(DoubleWell(), rules.SAM(lr, rho), start, 500).x[0]
    multiplier, along = two_cycle_multipliers(double(-1, 1), lr=lr)
    assert float(multiplier) == pytest.approx(2 * lr - 1)
    # At the end x₂ is in its cycle, and x₁ so small that its square is lost in rounding.
    assert float(run[-1, 0] / run[-2, 0]) == pytest.approx(float(multiplier), rel=1e-9)
    assert float(along) == pytest.approx(lr - 1)
    cycle = lr * rho / (2 - lr)
    torch.testing.assert_close(run[-2:, 1].abs(), double(cycle, cycle), rtol=1e-4, atol=0)
    # Farther than ρ from the saddle, SAM is let go.
    away = simulate(DoubleWell(), rules.SAM(lr, rho), double(0.6, 0.01), 2000).x[0, -1]
    assert float(away[0]) > 0.8


@given(
    negative=st.lists(st.floats(0.2, 3), min_size=1, max_size=3),
    positive=st.lists(st.floats(0.2, 3), max_size=3),
    share=st.floats(0.01, 0.99),
)
def test_a_saddle_holds_sam_also_where_no_cycle_attracts(
    negative: list[float], positive: list[float], share: float
) -> None:
    eigenvalues, rho = double(*positive, *(-mu for mu in negative)), 0.7
    lr = share * min(
        min(negative) / max(*negative, *positive, 0) ** 2, 1 / max(positive, default=1)
    )
    step = torch.func.vmap(sam(eigenvalues.diag(), lr, rho))
    start = normal(32, len(eigenvalues), seed=4)
    x = start / (start * eigenvalues).norm(dim=-1, keepdim=True) * rho * min(negative) * 0.999
    for _ in range(300):
        x = step(x)
        assert bool(((x * eigenvalues).norm(dim=-1) < rho * min(negative)).all())


def test_near_a_saddle_that_is_no_quadratic_the_error_falls_with_the_square_of_rho() -> None:
    spectrum, lr = double(2.0, 0.7, -0.6, -1.5), 0.15
    cubic = normal(4, 4, 4, seed=5) / 4

    def loss(x: Tensor) -> Tensor:
        third = torch.einsum("ijk,i,j,k", cubic, x, x, x)
        return spectrum @ x.square() / 2 + third + x.square().sum().square() / 8

    slope = torch.func.grad(loss)
    expected = two_cycle_multipliers(spectrum, lr=lr).square().sort().values
    assert bool((expected < 1).all())
    errors = []
    for rho in (0.02, 0.01):

        def step(x: Tensor, rho: float = rho) -> Tensor:
            g = slope(x)
            return x - lr * slope(x + rho * g / g.norm())

        x = double(lr * rho * 2 / (2 - 2 * lr), 0, 0, 0)
        for _ in range(20):  # Newton's method, as the cycle is not quite along v₁
            turn = torch.func.jacrev(lambda x: step(step(x)))(x) - torch.eye(4).double()
            x = x - torch.linalg.solve(turn, step(step(x)) - x)
        torch.testing.assert_close(step(step(x)), x)
        errors.append(float((of_two_steps(step, x).real.sort().values - expected).abs().max()))
    assert 3.5 < errors[0] / errors[1] < 4.5


@pytest.mark.parametrize(("lr", "held"), [(0.044, True), (0.052, False)])
def test_a_factorization_that_has_found_one_factor_is_held_at_small_steps(
    lr: float, held: bool
) -> None:
    # The saddle has the eigenvalues 6, 4, 2, 1, 0, 0, 0, −1: the bound is η = 2/(6 · 7) = .0476.
    def loss(x: Tensor) -> Tensor:
        return (x[:4].view(2, 2) @ x[4:].view(2, 2) - double(3, 1).diag()).square().sum() / 2

    objective = Objective(loss, 8)
    saddle = torch.zeros(8).double()
    saddle[[0, 4]] = math.sqrt(3)
    eigenvalues = torch.linalg.eigvalsh(objective.hessian(saddle))
    multipliers = two_cycle_multipliers(eigenvalues, lr=lr)
    assert bool((multipliers[eigenvalues.abs() > 1e-9].abs() < 1).all()) == held
    start = saddle + 5e-4 * normal(3, 8, seed=6)
    end = simulate(objective, rules.SAM(lr, 0.01), start, 6000, every=6000).x[:, -1]
    torch.testing.assert_close(
        objective.value(end), torch.full((3,), 0.5 if held else 0.0).double(), rtol=0, atol=0.01
    )


def test_shapes_dtypes_and_order(device: torch.device, dtype: torch.dtype) -> None:
    spectra = torch.tensor([[[1.0, 2.0, -0.5]], [[0.5, -3.0, 2.5]]], dtype=dtype, device=device)
    multipliers = two_cycle_multipliers(spectra, lr=0.3)
    assert multipliers.shape == spectra.shape
    assert (multipliers.dtype, multipliers.device) == (dtype, spectra.device)
    assert torch.equal(multipliers[1, 0], two_cycle_multipliers(spectra[1, 0], lr=0.3))
    flipped = two_cycle_multipliers(spectra.flip(-1), lr=0.3).flip(-1)
    assert torch.equal(flipped, multipliers)
    none = two_cycle_multipliers(double(-1, -2), lr=0.3), two_cycle_multipliers(double(2), lr=1.0)
    assert all(bool(each.isnan().all()) for each in none)


# ── exact descent on L^Asc


def in_the_plane(cycle: AscentCycle, eigenvalues: Tensor, rho: float) -> Tensor:
    """A point of the cycle; the eigenvalues in descending order."""
    gradient = torch.zeros_like(eigenvalues)
    gradient[0] = cycle.share.sqrt()
    if (partner := int(cycle.partner)) > 1:
        gradient[partner - 1] = (1 - cycle.share).sqrt()
    return rho * cycle.gradient_norm * gradient / eigenvalues


def descending(h: float, hundredths: list[int], top: float = 1.0) -> tuple[Tensor, float]:
    ratios = sorted([100, *hundredths], reverse=True)
    return top * double(*ratios) / 100, h / top


@given(h=STEPS, ratios=HUNDREDTHS, top=st.floats(0.01, 100), rho=st.floats(0.01, 10))
def test_the_multipliers_of_exact_descent_are_those_of_two_steps(
    h: float, ratios: list[int], top: float, rho: float
) -> None:
    eigenvalues, lr = descending(h, ratios, top)
    hessian, basis = rotated(eigenvalues)
    step = exact_descent(hessian, lr, rho)
    for partner in (None, *range(2, len(eigenvalues) + 1)):
        cycle = ascent_cycle(eigenvalues, lr=lr, partner=partner)
        if bool(cycle.share.isnan()):
            continue
        x = in_the_plane(cycle, eigenvalues, rho)
        mirrored = x * torch.tensor([-1.0] + [1.0] * len(ratios))
        size = float(x.norm())
        torch.testing.assert_close(step(basis @ x), basis @ mirrored, rtol=0, atol=1e-8 * size)
        measured = of_two_steps(step, basis @ x)
        assert_same_set(measured, cycle.multipliers.square())
        across = torch.ones(len(eigenvalues), dtype=torch.bool)
        across[[0, int(cycle.partner) - 1]] = False
        assert bool((cycle.multipliers.imag[across] == 0).all())


@given(h=STEPS, ratios=HUNDREDTHS)
def test_exactly_one_cycle_is_stable_across(h: float, ratios: list[int]) -> None:
    eigenvalues, lr = descending(h, ratios)
    stable, potentials = [], {}
    for k in range(2, len(eigenvalues) + 1):
        cycle = ascent_cycle(eigenvalues, lr=lr, partner=k)
        if not bool(cycle.share.isnan()):
            others = [j for j in range(1, len(eigenvalues)) if j != k - 1]
            potentials[k] = float(cycle.potential)
            stable += [k] if bool((cycle.multipliers[others].abs() < 1).all()) else []
    # SAM's cycle: the multipliers of two steps, as there is no name for it.
    x = torch.zeros_like(eigenvalues)
    x[0] = h / (2 - h)
    alone = of_two_steps(exact_descent(eigenvalues.diag(), lr, 1.0), x)
    stable += [1] if bool((alone.abs() < 1).all()) else []
    assert stable == [int(ascent_cycle(eigenvalues, lr=lr).partner)]
    if potentials:
        assert stable == [min(potentials, key=lambda k: potentials[k])]
    # The steps at which the partner changes, and the partner itself.
    steepness = eigenvalues[1:] / (1 - eigenvalues[1:])
    if stable[0] > 1:
        assert stable[0] == 2 + int((steepness.log() - math.log(h / 2) / 2).abs().argmin())
        products = [math.inf, *(2 * steepness[1:] * steepness[:-1]).tolist(), 0.0]
        assert products[stable[0] - 1] < h < products[stable[0] - 2]


def test_runs_end_in_the_cycle_that_is_stable() -> None:
    for ratios, h, partner in (
        ([1.0, 0.5, 0.2, 0.1], 0.015, 4),
        ([1.0, 0.3, 0.1, 0.05], 0.03, 3),
        ([1.0, 0.3, 0.1], 0.46, 2),
        ([1.0, 0.4, 0.3], 0.55, 1),
    ):
        eigenvalues, rho = 3 * double(*ratios), 0.2
        cycle = ascent_cycle(eigenvalues, lr=h / 3)
        assert bool((cycle.multipliers.abs() < 1).all())
        start = in_the_plane(cycle, eigenvalues, rho) + 1e-4 * normal(len(ratios), seed=2)
        run = simulate(
            Quadratic(eigenvalues), rules.AscentLossDescent(h / 3, rho), start, 100_000, every=1000
        )
        gradient = eigenvalues * run.x[0, -1]
        assert int(cycle.partner) == partner
        assert float(gradient.norm()) == pytest.approx(rho * float(cycle.gradient_norm), rel=1e-8)
        share = float((gradient[0] / gradient.norm()).square())
        assert share == pytest.approx(float(cycle.share), rel=1e-8)


def test_sams_cycle_takes_over_at_one_half() -> None:
    # For two eigenvalues where q² + qr = r(1 − r): for r = 1/3 that is ηλ₁ = 1/2.
    spectrum = double(1, 1 / 3)
    assert int(ascent_cycle(spectrum, lr=0.49999).partner) == 2
    merged = ascent_cycle(spectrum, lr=0.50001)
    assert (int(merged.partner), float(merged.share)) == (1, 1.0)
    before = ascent_cycle(spectrum, lr=0.49999)
    torch.testing.assert_close(before.potential, merged.potential, rtol=1e-4, atol=0)
    torch.testing.assert_close(before.gradient_norm, merged.gradient_norm, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("rule", "lr", "partner"),
    [(rules.AscentLossDescent, 1e-3, 2), (rules.AscentLossDescent, 0.04, 1), (rules.SAM, 0.04, 1)],
)
def test_along_gamma_the_cycle_descends_its_potential(
    rule: type[rules.SAM] | type[rules.AscentLossDescent], lr: float, partner: int
) -> None:
    # ρ is so small that the place on Γ hardly changes while it is measured.
    landscape, rho = FourDimensional(), 1e-4
    place = double(0.3, 0.6)

    def potential(place: Tensor) -> Tensor:
        eigenvalues = landscape.minimizer_manifold.eigenvalues(torch.cat([place, double(0, 0)]))
        return ascent_cycle(eigenvalues.sort(descending=True).values, lr=lr).potential

    slope = double(
        *(
            float(potential(place + 1e-5 * e) - potential(place - 1e-5 * e)) / 2e-5
            for e in torch.eye(2).double()
        )
    )
    eigenvalues = landscape.minimizer_manifold.eigenvalues(torch.cat([place, double(0, 0)]))
    cycle = ascent_cycle(eigenvalues, lr=lr)
    assert int(cycle.partner) == partner
    start = torch.cat([place, in_the_plane(cycle, eigenvalues, rho)])
    run = simulate(landscape, rule(lr, rho), start, 1000).x[0, :, :2]
    drift = (run[1000] - run[0]) / 1000
    torch.testing.assert_close(drift, -lr * rho**2 * slope, rtol=1e-4, atol=0)


def test_cycles_of_a_batch_in_any_order(device: torch.device, dtype: torch.dtype) -> None:
    spectra = torch.tensor(
        [[[0.1, 1.0, 0.3]], [[1.0, 0.05, 0.2]], [[9.0, 5.0, 30.0]], [[0.6, 0.9, 0.7]]],
        dtype=dtype,
        device=device,
    )
    cycles = ascent_cycle(spectra, lr=0.1)
    assert cycles.multipliers.shape == spectra.shape
    assert cycles.partner.tolist() == [[2], [2], [0], [3]]
    for field in ("share", "gradient_norm", "potential"):
        values = getattr(cycles, field)
        assert (values.shape, values.dtype) == ((4, 1), dtype)
        assert values.isnan().tolist() == [[False], [False], [True], [False]]
    assert bool(cycles.multipliers[2].isnan().all())
    for i in (0, 1, 3):
        values, order = spectra[i, 0].sort(descending=True)
        alone = ascent_cycle(values, lr=0.1)
        torch.testing.assert_close(alone.multipliers, cycles.multipliers[i, 0, order])
        torch.testing.assert_close(alone.potential, cycles.potential[i, 0])


def test_one_eigenvalue_has_sams_cycle_alone() -> None:
    cycle = ascent_cycle(double(2.0), lr=0.1)
    assert int(cycle.partner) == 1
    torch.testing.assert_close(cycle.multipliers, double(-0.8) + 0j)
    assert float(cycle.gradient_norm) == pytest.approx(2 * 0.2 / 1.8)
    with pytest.raises(ValueError, match="partner must be at most 1, got 2"):
        ascent_cycle(double(2.0), lr=0.1, partner=2)


def test_a_given_partner_has_no_cycle_once_it_has_merged() -> None:
    merged = ascent_cycle(double(1, 1 / 3), lr=0.6, partner=2)
    assert int(merged.partner) == 0
    assert bool(merged.share.isnan() & merged.potential.isnan())
    assert bool(merged.multipliers.isnan().all())


def test_a_quadratic_objective_has_the_cycles_of_its_eigenvalues() -> None:
    # The Hessian of a function of torch, from its eigenvalues to the end of a run.
    hessian, _ = rotated(double(2.0, -1.0, 0.5))
    objective = Objective(lambda x: x @ hessian @ x / 2, 3)
    eigenvalues = torch.linalg.eigvalsh(objective.hessian(torch.zeros(3).double()))
    multipliers = two_cycle_multipliers(eigenvalues, lr=0.1)
    start = 0.01 * normal(3, seed=1)
    end = simulate(objective, rules.SAM(0.1, 0.1), start, 2000, every=2000).x[0, -1]
    assert bool((multipliers.abs() < 1).all())
    assert float(end.norm()) == pytest.approx(0.1 * 0.1 * 2 / (2 - 0.2), rel=1e-9)
