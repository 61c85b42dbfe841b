"""samlib.sharpness: the ascent and the average direction, results and wrong use."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor

import samlib
from samlib import Objective, _batching
from samlib.landscapes import Quadratic, TwoValleys
from tests.samlib.sharpness_cases import DOUBLE, network, wavy


def test_the_ascent_direction_is_the_gradient_scaled_to_rho(device: torch.device) -> None:
    objective = TwoValleys()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), **DOUBLE).to(device)
    rho = torch.linspace(0.1, 0.5, 5, **DOUBLE).to(device)
    found = samlib.ascent_direction_sharpness(objective, x, rho)
    for i in range(5):
        point = x[i].clone().requires_grad_()
        value = objective.value(point)
        (gradient,) = torch.autograd.grad(value, point)
        u = gradient / gradient.norm()
        torch.testing.assert_close(found.direction[i], u)
        expected = objective.value(x[i] + rho[i] * u) - value.detach()
        torch.testing.assert_close(found.value[i], expected)
    assert found.kind == "exact"


def test_at_a_zero_gradient_the_ascent_direction_is_that_of_sam() -> None:
    quadratic = Quadratic([4.0, 2.0])
    found = samlib.ascent_direction_sharpness(quadratic, torch.zeros(2, **DOUBLE), 0.1)
    torch.testing.assert_close(found.direction, torch.full((2,), 0.5**0.5, **DOUBLE))
    assert float(found.value) == pytest.approx(0.01 * (4 + 2) / 4)


def test_its_error_covers_the_rounding_of_float32() -> None:
    objective, x = network()
    single = Objective(lambda y: objective.value(y.double()).float(), objective.dim)
    for rho in (1e-3, 1e-1):
        exact = samlib.ascent_direction_sharpness(objective, x.float().double(), rho)
        rounded = samlib.ascent_direction_sharpness(single, x.float(), rho)
        assert abs(float(rounded.value) - float(exact.value)) <= float(rounded.error)


def test_on_a_quadratic_the_average_is_the_trace_over_twice_the_dimension(
    device: torch.device,
) -> None:
    spectrum = torch.tensor([5.0, 3.0, 1.0, 0.5, 0.1, 0.1], **DOUBLE)
    x = torch.zeros(2, 6, device=device, **DOUBLE)
    x[1] = 4.0  # a large slope, which pairs ±g cancel
    found = samlib.average_direction_sharpness(Quadratic(spectrum), x, 0.5, samples=20_000)
    exact = 0.25 * float(spectrum.sum()) / 12
    assert bool(((found.value - exact).abs() <= 3.5 * found.error).all())
    assert bool((found.error < 0.01 * exact).all())
    assert found.direction is None
    assert found.kind == "estimate"


@pytest.mark.parametrize(
    "spectrum",
    [torch.linspace(0.1, 3, 30), torch.tensor([20.0, *[0.5] * 29]), torch.ones(8).cumsum(0) - 3.0],
    ids=["even", "one large", "indefinite"],
)
def test_the_standard_error_is_true(spectrum: Tensor) -> None:
    # 95 % of estimates lie within 1.96 standard errors. With 1,000 runs the share itself has a
    # standard deviation of 0.7 %, so that 2 % are allowed. One call measures 1,000 seeds at once:
    # its points differ in nothing but a random rotation of the quadratic, which is as good.
    dim, runs = len(spectrum), 1000
    spectrum = spectrum.double()
    covered = 0
    exact = 0.09 * float(spectrum.sum()) / (2 * dim)
    objective = Objective(lambda x: (x * spectrum) @ x / 2, dim)
    x = torch.ones(dim, **DOUBLE)
    for seed in range(runs):
        found = samlib.average_direction_sharpness(objective, x, 0.3, samples=400, seed=seed)
        covered += abs(float(found.value) - exact) <= 1.96 * float(found.error)
    assert 0.93 <= covered / runs <= 0.97


def test_seeds_fix_the_directions_and_points_share_them() -> None:
    objective, x = network()
    first = samlib.average_direction_sharpness(objective, x, 0.5, samples=64, seed=1)
    again = samlib.average_direction_sharpness(objective, x, 0.5, samples=64, seed=1)
    other = samlib.average_direction_sharpness(objective, x, 0.5, samples=64, seed=2)
    both = samlib.average_direction_sharpness(
        objective, torch.stack([x, x]), 0.5, samples=64, seed=1
    )
    assert first.value == again.value
    assert first.value != other.value
    torch.testing.assert_close(both.value, first.value.expand(2))
    assert first.evaluations == 65


def test_directions_drawn_in_parts_are_the_same_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    quadratic = Quadratic(torch.linspace(1, 3, 10))
    monkeypatch.setattr(_batching, "NUMBERS_AT_ONCE", 140)  # seven pairs of ten numbers
    seen = []
    value = quadratic.value
    monkeypatch.setattr(
        quadratic, "value", lambda x: seen.append(x.shape) or value(x), raising=True
    )
    x = torch.zeros(10, **DOUBLE)
    found = samlib.average_direction_sharpness(quadratic, x, 1.0, samples=100)
    assert sum(shape[0] * shape[1] for shape in seen if len(shape) == 3) == 100
    assert max(math.prod(shape) for shape in seen) <= 140
    assert abs(float(found.value) - 1.0) < 4 * float(found.error)


def test_a_radius_below_the_rounding_of_the_dtype_is_pointed_out() -> None:
    objective = Objective(lambda x: 1000 + (x**2).sum() / 2, 3)
    with pytest.warns(RuntimeWarning, match="float64") as caught:
        found = samlib.average_direction_sharpness(objective, torch.zeros(3), 1e-2)
    assert caught[0].filename == __file__
    assert float(found.error) > 1e-5  # the exact value is 5e-5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samlib.average_direction_sharpness(objective, torch.zeros(3, **DOUBLE), 1e-2)


def test_results_read_well_and_become_tables() -> None:
    x = torch.zeros(2, 3, **DOUBLE)
    quadratic = Quadratic([2.0, 1.0, 1.0])
    average = samlib.average_direction_sharpness(quadratic, x, 1.0)
    assert repr(average).startswith("Sharpness(average_direction: [0.6")
    assert "estimate, 513 evaluations" in repr(average)
    table = samlib.ascent_direction_sharpness(quadratic, x + 1, 1.0).to_dataframe()
    assert list(table.columns) == ["point", "notion", "value", "error", "kind"]
    assert len(table) == 2
    assert "worst=1, ascent=0.5" in repr(samlib.limiting_regularizers(quadratic, x[0]))


NOTIONS = [
    samlib.worst_direction_sharpness,
    samlib.ascent_direction_sharpness,
    samlib.average_direction_sharpness,
]


@pytest.mark.parametrize("notion", NOTIONS)
@pytest.mark.parametrize(
    ("rho", "error"),
    [
        (0.0, ValueError),
        (-1.0, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        ("0.1", TypeError),
        (torch.tensor([0.1, -0.1]), ValueError),
        (torch.tensor([1, 2]), TypeError),
    ],
)
def test_a_wrong_radius_is_named(notion: object, rho: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="rho"):
        notion(TwoValleys(), torch.zeros(2, 3), rho)  # type: ignore[operator]


@pytest.mark.parametrize("notion", NOTIONS)
def test_radii_must_fit_the_points(notion: object) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        notion(TwoValleys(), torch.zeros(2, 3), torch.ones(3))  # type: ignore[operator]
    with pytest.raises(ValueError, match="shape"):
        notion(TwoValleys(), torch.zeros(2), 0.1)  # type: ignore[operator]


def test_other_wrong_arguments_are_named() -> None:
    landscape, x = TwoValleys(), torch.zeros(3)
    with pytest.raises(ValueError, match="samples must be even"):
        samlib.average_direction_sharpness(landscape, x, 0.1, samples=7)
    with pytest.raises(ValueError, match="samples"):
        samlib.average_direction_sharpness(landscape, x, 0.1, samples=2)
    with pytest.raises(ValueError, match="restarts"):
        samlib.worst_direction_sharpness(landscape, x, 0.1, restarts=-1)
    with pytest.raises(ValueError, match="rtol"):
        samlib.worst_direction_sharpness(landscape, x, 0.1, rtol=0.0)
    with pytest.raises(
        ValueError,
        match="notion must be among worst_direction, ascent_direction, average_direction",
    ):
        samlib.stochastic_sharpness(landscape, x, 0.1, notion="sharpest")
    with pytest.raises(ValueError, match="components"):
        samlib.stochastic_sharpness(
            Objective(wavy, 2), torch.zeros(2), 0.1, notion="ascent_direction"
        )
