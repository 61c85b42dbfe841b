"""Directions have norm 1 for every nonzero finite gradient, down to the smallest subnormal."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optimizers import FAMILY
from torch import Tensor, nn

import samlib
from samlib import Objective, rules
from samlib.linalg import norm, power_of_two, unit_direction
from samlib.optim.space import Space

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DIRECTIONS: list[Callable[[Tensor], Tensor]] = [
    unit_direction,
    lambda v: Space([v]).unit_(v.clone()),
]
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).split(".")[1])
directions = pytest.mark.parametrize("direction", DIRECTIONS, ids=["unit_direction", "unit_"])


def smallest(dtype: torch.dtype) -> float:
    info = torch.finfo(dtype)
    return info.smallest_normal * info.eps


def exponents(dtype: torch.dtype) -> tuple[int, int]:
    return round(math.log2(smallest(dtype))), round(math.log2(torch.finfo(dtype).max)) - 1


@st.composite
def vectors(draw: st.DrawFn, dtype: torch.dtype) -> Tensor:
    """Nonzero vectors of every size that the dtype has, all entries of a similar one or not."""
    least, most = exponents(dtype)
    exponent = draw(st.integers(least, most))
    spread = draw(st.sampled_from([0, 3, 40]))
    entries = draw(
        st.lists(st.tuples(st.floats(-1, 1), st.integers(0, spread)), min_size=1, max_size=20)
    )
    values = [m * 2.0 ** (exponent - e) if exponent - e > -1074 else 0.0 for m, e in entries]
    vector = torch.tensor(values, dtype=torch.float64).to(dtype)
    if not vector.any():
        vector[0] = 2.0**exponent
    return vector


def exact_norm(vector: Tensor) -> Fraction:
    """‖v‖ to 60 digits, in rational arithmetic."""
    squares = sum(Fraction(float(each)) ** 2 for each in vector)
    scale = 10**1400
    return Fraction(math.isqrt(int(squares * scale)), math.isqrt(scale))


def digits(vector: Tensor) -> float:
    """The rounding of a norm and a division in the vector's dtype."""
    return (4 + len(vector)) * torch.finfo(vector.dtype).eps


@directions
@dtypes
def test_a_direction_has_norm_one(
    direction: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    @given(vectors(dtype))
    def check(vector: Tensor) -> None:
        u = direction(vector)
        assert u.dtype == dtype
        assert abs(float(u.double().norm()) - 1) <= digits(vector)
        length = exact_norm(vector)
        expected = [float(Fraction(float(v)) / length) for v in vector]
        assert u.tolist() == pytest.approx(expected, rel=0, abs=digits(vector))

    check()


@directions
@pytest.mark.parametrize(
    ("dtype", "size"), [(torch.float32, 3e-23), (torch.float64, 1e-170), (torch.float32, 3e25)]
)
def test_gradients_whose_squares_are_lost_have_a_direction(
    dtype: torch.dtype, size: float, direction: Callable[[Tensor], Tensor]
) -> None:
    vector = size * torch.tensor([3.0, 0.0, -4.0], dtype=dtype)
    expected = torch.tensor([0.6, 0.0, -0.8], dtype=dtype)
    torch.testing.assert_close(direction(vector), expected)


@directions
@dtypes
def test_scaling_a_gradient_by_a_power_of_two_changes_no_bit(
    direction: Callable[[Tensor], Tensor], dtype: torch.dtype, generator: torch.Generator
) -> None:
    vector = torch.randn(50, generator=generator, dtype=torch.float64).to(dtype)
    plain = vector / vector.norm()  # as long as nothing under- or overflows
    assert torch.equal(direction(vector), plain)
    least = {torch.float16: -4, torch.float64: -900}.get(dtype, -80)
    for exponent in (least, 3):
        assert torch.equal(direction(vector * 2.0**exponent), plain)


@directions
@dtypes
def test_a_zero_gradient_has_the_fixed_direction(
    direction: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    expected = torch.full((4,), 0.5, dtype=dtype)
    assert torch.equal(direction(torch.zeros(4, dtype=dtype)), expected)


@dtypes
def test_the_norm_is_that_of_exact_arithmetic(dtype: torch.dtype) -> None:
    @given(vectors(dtype))
    def check(vector: Tensor) -> None:
        expected = exact_norm(vector)
        if expected < torch.finfo(dtype).max / 2:
            error = abs(Fraction(norm(vector).item()) - expected)
            assert error <= digits(vector) * expected + Fraction(smallest(dtype))

    check()


@dtypes
def test_the_power_of_two_is_that_of_the_largest_entry(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).smallest_normal

    @given(vectors(dtype))
    def check(vector: Tensor) -> None:
        power, largest = power_of_two(vector).item(), float(vector.abs().max())
        assert power == math.ldexp(1.0, max(math.frexp(largest)[1], math.frexp(tiny)[1]) - 1)
        quotient = vector / power
        kept = (quotient.abs() >= tiny) | (vector == 0)
        assert torch.equal((quotient * power)[kept], vector[kept])
        for part, entry in zip(quotient.tolist(), vector.tolist(), strict=True):
            lost = Fraction(part) * Fraction(power) - Fraction(entry)
            assert abs(lost) <= Fraction(smallest(dtype)) / 2 * Fraction(power)

    check()
    assert power_of_two(torch.zeros(3, dtype=dtype)).item() == tiny
    assert power_of_two(torch.empty(3, 0, dtype=dtype)).tolist() == [[1]] * 3


@directions
@dtypes
@pytest.mark.parametrize("entry", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_has_no_direction(
    entry: float, dtype: torch.dtype, direction: Callable[[Tensor], Tensor]
) -> None:
    u = direction(torch.tensor([1.0, entry, 0.0], dtype=dtype))
    assert bool(u.isnan().any())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_part_orthogonal_to_a_tiny_vector_is_orthogonal(
    dtype: torch.dtype, generator: torch.Generator
) -> None:
    v, onto = (torch.randn(9, generator=generator, dtype=torch.float64).to(dtype) for _ in "vo")
    expected = v - (v @ onto) / (onto @ onto) * onto
    for size in (1.0, 2.0**-80 if dtype == torch.float32 else 2.0**-600):
        torch.testing.assert_close(Space([v]).rejection(v, onto * size), expected)


# --------------------------------------------------------------------- optimizers and rules

TINY = [(torch.float32, 2.0**-120), (torch.float64, 2.0**-1000)]
NORMALIZED = [name for name in FAMILY if name not in ("UnnormalizedSAM", "AMP")]


@pytest.mark.parametrize(("dtype", "size"), TINY)
@pytest.mark.parametrize("name", NORMALIZED)
def test_optimizers_perturb_alike_by_a_tiny_gradient(
    name: str, dtype: torch.dtype, size: float, device: torch.device
) -> None:
    """A loss times a tiny power of two has the same directions, to the bit."""
    seen: dict[float, list[Tensor]] = {1.0: [], size: []}
    for scale, points in seen.items():
        generator = torch.Generator().manual_seed(0)
        w, c = (torch.randn(4, 3, generator=generator, dtype=torch.float64) for _ in "wc")
        weights = nn.Parameter(w.to(device, dtype))
        slope = c.to(device, dtype)
        optimizer = FAMILY[name]([weights], torch.optim.SGD([weights], lr=0.1))
        rows = torch.ones(3, dtype=dtype, device=device)

        def closure(
            rows: Tensor = rows,
            scale: float = scale,
            points: list[Tensor] = points,
            weights: Tensor = weights,
            slope: Tensor = slope,
            optimizer: Any = optimizer,
        ) -> Tensor:
            points.append(weights.detach().clone())
            curved = slope * weights + weights**2 / 2
            loss: Tensor = rows.mean() * (curved * scale).sum()
            if not optimizer.takes_loss:
                loss.backward()
            return loss

        optimizer.step(closure, *((rows,) if optimizer.takes_batch else ()))
    ordinary, tiny = seen.values()
    assert not torch.equal(ordinary[0], ordinary[1])
    for one, other in zip(ordinary, tiny, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["GSAM", "LookSAM"])
def test_gsam_and_looksam_combine_tiny_gradients(name: str, device: torch.device) -> None:
    updates = []
    for scale in (1.0, 2.0**-80):
        weights = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], device=device))
        optimizer = FAMILY[name]([weights], torch.optim.SGD([weights], lr=0.0))
        for _ in range(2):

            def closure(weights: Tensor = weights, scale: float = scale) -> Tensor:
                loss = ((weights**4).sum() + weights.prod()) * scale
                loss.backward()
                return loss

            optimizer.step(closure)
        updates.append(weights.grad / scale)
    torch.testing.assert_close(updates[0], updates[1], rtol=1e-6, atol=0)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("rule", ["SAM", "AscentLossDescent"])
@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-600, 2.0**600])
def test_rules_step_alike_by_tiny_and_huge_gradients(
    scale: float, rule: str, compiled: bool
) -> None:
    """With η divided by what the loss is multiplied with, the iterates are the same to the bit."""

    def iterates(scale: float) -> Tensor:
        landscape = samlib.landscapes.Quadratic([2.0 * scale, scale])
        objective = landscape if compiled else Objective(landscape.value, 2)
        the_rule = getattr(rules, rule)(lr=0.1 / scale, rho=0.3)
        return samlib.simulate(objective, the_rule, start, 20, record=["x"])["x"]

    start = torch.tensor([[0.6, -0.7], [0.0, 0.1], [0.3, 0.3]], dtype=torch.float64)
    assert torch.equal(iterates(scale), iterates(1.0))
