"""samlib.rules: one step of each rule against its formula."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samlib import Objective
from samlib.dynamics.rules import (
    SAM,
    AscentLossDescent,
    GradientDescent,
    Rule,
    StochasticSAM,
    UnnormalizedSAM,
)
from samlib.landscapes import FourDimensional, Quadratic, TwoValleys

RULES = [GradientDescent, SAM, UnnormalizedSAM, AscentLossDescent, StochasticSAM]
WITH_RADIUS = [SAM, UnnormalizedSAM, AscentLossDescent, StochasticSAM]


def wavy(x: Tensor) -> Tensor:
    return torch.sin(x).prod() + (x[0] * x[1:] ** 2).sum() + torch.exp(0.3 * x[1] * x[2])


OBJECTIVES = [FourDimensional(), TwoValleys(), Quadratic([3.0, 1.0, 2.0]), Objective(wavy, 3)]


def points(dim: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(6, dim, generator=generator, dtype=torch.float64).to(device)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_gradient_descent_is_its_formula(objective: Objective, device: torch.device) -> None:
    x = points(objective.dim, device)
    step = GradientDescent(0.1).step(objective, x)
    torch.testing.assert_close(step, x - 0.1 * objective.gradient(x))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_sam_is_its_formula_with_a_rate_and_a_radius_per_point(
    objective: Objective, device: torch.device
) -> None:
    x = points(objective.dim, device)
    lr, rho = (torch.linspace(a, 0.3, 6, dtype=torch.float64, device=device) for a in (0.1, 0))
    step = SAM(lr, rho).step(objective, x)
    for i in range(6):
        g = objective.gradient(x[i])
        perturbed = x[i] + rho[i] * g / math.sqrt(float((g * g).sum()))
        torch.testing.assert_close(step[i], x[i] - lr[i] * objective.gradient(perturbed))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_unnormalized_sam_is_its_formula_with_a_rate_and_a_radius_per_point(
    objective: Objective, device: torch.device
) -> None:
    x = points(objective.dim, device)
    lr, rho = (torch.linspace(a, 0.3, 6, dtype=torch.float64, device=device) for a in (0.1, 0))
    step = UnnormalizedSAM(lr, rho).step(objective, x)
    for i in range(6):
        perturbed = x[i] + rho[i] * objective.gradient(x[i])
        torch.testing.assert_close(step[i], x[i] - lr[i] * objective.gradient(perturbed))


def test_sam_without_a_radius_is_gradient_descent(device: torch.device) -> None:
    x = points(4, device)
    objective = FourDimensional()
    for rule in (SAM, UnnormalizedSAM, AscentLossDescent):
        torch.testing.assert_close(
            rule(0.1, 0.0).step(objective, x), GradientDescent(0.1).step(objective, x)
        )


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_ascent_loss_descent_follows_finite_differences_of_the_ascent_loss(
    objective: Objective, device: torch.device
) -> None:
    rho, h = 0.3, 1e-5

    def ascent_loss(x: Tensor) -> Tensor:
        g = objective.gradient(x)
        return objective.value(x + rho * g / g.norm(dim=-1, keepdim=True))

    x = points(objective.dim, device)
    basis = h * torch.eye(objective.dim, dtype=x.dtype, device=device)
    slopes = [(ascent_loss(x + e) - ascent_loss(x - e)) / (2 * h) for e in basis]
    descent = x - AscentLossDescent(1.0, rho).step(objective, x)
    torch.testing.assert_close(descent, torch.stack(slopes, dim=-1), rtol=1e-7, atol=1e-8)
    # and it is not SAM, which drops the derivative of the direction
    assert not torch.allclose(descent, x - SAM(1.0, rho).step(objective, x), atol=1e-4)


def test_stochastic_sam_is_sam_on_the_component_drawn_for_each_point(
    device: torch.device,
) -> None:
    for objective in (FourDimensional(), TwoValleys(), Quadratic([3.0, 1.0, 2.0])):
        x = points(objective.dim, device)
        k = torch.arange(6, device=device) % objective.terms
        step = StochasticSAM(0.1, 0.2).step(objective, x, k)
        components = objective.components
        assert components is not None
        for i in range(6):
            expected = SAM(0.1, 0.2).step(components[int(k[i])], x[i : i + 1])
            torch.testing.assert_close(step[i : i + 1], expected)


def test_stochastic_sam_needs_a_component_index() -> None:
    with pytest.raises(ValueError, match="needs k"):
        StochasticSAM(0.1, 0.1).step(FourDimensional(), torch.ones(1, 4))


def test_a_mini_batch_step_is_sam_on_the_mean_of_the_drawn_components(
    device: torch.device,
) -> None:
    # By hand, on ½(λ₁y₁² + λ₂y₂²) at x = 0, where λ₁ = 3, λ₁′ = ½ and λ₂ = 1, λ₂′ = −0.8. Of three
    # draws two fell on the first component: weights 4/3 and 2/3.
    y1, y2, eta, rho = 0.3, -0.4, 0.05, 0.1
    g = [(4 / 3 * 0.5 * y1**2 - 2 / 3 * 0.8 * y2**2) / 2, 4 / 3 * 3 * y1, 2 / 3 * y2]
    norm = math.sqrt(g[0] ** 2 + g[1] ** 2 + g[2] ** 2)
    z0, z1, z2 = (a + rho * b / norm for a, b in zip((0.0, y1, y2), g, strict=True))
    t = math.tanh(z0)
    slope = 1 - t * t
    descent = [
        slope * (4 / 3 * 0.5 * z1**2 - 2 / 3 * 0.8 * z2**2) / 2,
        4 / 3 * (3 + 0.5 * t) * z1,
        2 / 3 * (1 - 0.8 * t) * z2,
    ]
    expected = [a - eta * b for a, b in zip((0.0, y1, y2), descent, strict=True)]
    x = torch.tensor([[0.0, y1, y2]], dtype=torch.float64, device=device)
    k = torch.tensor([[0, 1, 0]], device=device)
    step = StochasticSAM(eta, rho, batch_size=3).step(TwoValleys(), x, k)
    assert step[0].tolist() == pytest.approx(expected, rel=1e-13)


def test_every_point_has_its_own_mini_batch(device: torch.device) -> None:
    for objective in (FourDimensional(), Quadratic([3.0, 1.0, 2.0])):
        x = points(objective.dim, device)
        k = torch.arange(24, device=device).reshape(6, 4).remainder(5) % objective.terms
        lr, rho = (torch.linspace(a, 0.3, 6, dtype=x.dtype, device=device) for a in (0.1, 0))
        step = StochasticSAM(lr, rho, batch_size=4).step(objective, x, k)
        for i in range(6):
            single = StochasticSAM(float(lr[i]), float(rho[i]), batch_size=4)
            torch.testing.assert_close(
                step[i : i + 1], single.step(objective, x[i : i + 1], k[i : i + 1])
            )


def test_a_batch_with_every_component_once_is_the_full_batch(device: torch.device) -> None:
    objective = Quadratic([3.0, 1.0, 2.0])
    x = points(3, device)
    k = torch.tensor([2, 0, 1], device=device).expand(6, 3)
    torch.testing.assert_close(
        StochasticSAM(0.1, 0.2, batch_size=3).step(objective, x, k),
        SAM(0.1, 0.2).step(objective, x),
    )


def test_batches_of_one_take_indices_of_either_shape(device: torch.device) -> None:
    x = points(4, device)
    k = torch.arange(6, device=device) % 2
    rule = StochasticSAM(0.1, 0.2)
    assert torch.equal(
        rule.step(FourDimensional(), x, k), rule.step(FourDimensional(), x, k[:, None])
    )


@pytest.mark.parametrize(
    ("batch_size", "error", "message"),
    [
        (0, ValueError, "batch_size must be ≥ 1, got 0"),
        (-3, ValueError, "batch_size must be ≥ 1, got -3"),
        (2.0, TypeError, "batch_size must be an integer, got 2.0"),
        (True, TypeError, "batch_size must be an integer, got True"),
        ("2", TypeError, "batch_size must be an integer, got '2'"),
    ],
)
def test_a_batch_size_must_be_a_positive_integer(
    batch_size: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        StochasticSAM(0.1, 0.1, batch_size=batch_size)


def test_a_wrong_number_of_component_indices_is_refused() -> None:
    rule = StochasticSAM(0.1, 0.1, batch_size=3)
    with pytest.raises(ValueError, match=r"k must have shape \[2, 3\].*got \(2, 2\)"):
        rule.step(FourDimensional(), torch.ones(2, 4), torch.zeros(2, 2, dtype=torch.int64))


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_at_a_zero_gradient_sam_goes_along_the_diagonal(
    dim: int, device: torch.device, dtype: torch.dtype
) -> None:
    objective = Quadratic([float(i + 1) for i in range(dim)])
    x = torch.zeros(2, dim, dtype=dtype, device=device)
    ascent = torch.full((dim,), 0.3 / math.sqrt(dim), dtype=dtype, device=device)
    expected = -0.1 * objective.gradient(ascent)
    torch.testing.assert_close(SAM(0.1, 0.3).step(objective, x), expected.expand(2, dim))
    # The direction has no derivative there, so descent on L^Asc takes the same step.
    torch.testing.assert_close(
        AscentLossDescent(0.1, 0.3).step(objective, x), expected.expand(2, dim)
    )
    k = torch.zeros(2, dtype=torch.int64, device=device)
    step = StochasticSAM(0.1, 0.3).step(objective, x, k)
    components = objective.components
    assert components is not None
    torch.testing.assert_close(step[0], -0.1 * components[0].gradient(ascent))


def test_one_stationary_point_does_not_disturb_the_others_of_its_batch(
    device: torch.device,
) -> None:
    x = points(4, device)
    x[2] = 0
    step = SAM(0.1, 0.3).step(FourDimensional(), x)
    assert bool(step.isfinite().all())
    torch.testing.assert_close(step[3:], SAM(0.1, 0.3).step(FourDimensional(), x[3:]))


@given(
    st.lists(st.floats(0.1, 10), min_size=2, max_size=8),
    st.floats(1e-3, 0.5),
    st.floats(0, 2),
    st.randoms(use_true_random=False),
)
def test_sam_on_a_quadratic_multiplies_each_coordinate(
    eigenvalues: list[float], lr: float, rho: float, random: object
) -> None:
    # x⁺ᵢ = (1 − ηλᵢ(1 + ρλᵢ/‖∇L‖)) xᵢ, the recursion behind Theorem 4.8
    x = torch.tensor([[random.uniform(0.1, 1) for _ in eigenvalues]], dtype=torch.float64)  # type: ignore[attr-defined]
    lam = torch.tensor(eigenvalues, dtype=torch.float64)
    norm = (lam * x).norm()
    expected = (1 - lr * lam * (1 + rho * lam / norm)) * x
    torch.testing.assert_close(SAM(lr, rho).step(Quadratic(eigenvalues), x), expected)


BAD_NUMBERS = [
    -0.1,
    math.nan,
    math.inf,
    -math.inf,
    torch.tensor([0.1, -0.1]),
    torch.tensor(math.nan),
]
BAD_TYPES = ["0.1", None, True, 1j, [0.1], torch.tensor([1, 2]), torch.tensor(True)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lr", [*BAD_NUMBERS, 0, 0.0, torch.zeros(2), torch.ones(2, 1)], ids=repr)
def test_a_learning_rate_must_be_positive_and_finite(rule: type, lr: object) -> None:
    with pytest.raises(ValueError, match="lr"):
        rule(lr) if rule is GradientDescent else rule(lr, 0.1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lr", BAD_TYPES, ids=repr)
def test_a_learning_rate_must_be_a_number(rule: type, lr: object) -> None:
    with pytest.raises(TypeError, match="lr"):
        rule(lr) if rule is GradientDescent else rule(lr, 0.1)


@pytest.mark.parametrize("rule", WITH_RADIUS)
@pytest.mark.parametrize("rho", [*BAD_NUMBERS, torch.ones(2, 1)], ids=repr)
def test_a_radius_must_be_non_negative_and_finite(rule: type, rho: object) -> None:
    with pytest.raises(ValueError, match="rho"):
        rule(0.1, rho)


@pytest.mark.parametrize("rule", WITH_RADIUS)
@pytest.mark.parametrize("rho", BAD_TYPES, ids=repr)
def test_a_radius_must_be_a_number(rule: type, rho: object) -> None:
    with pytest.raises(TypeError, match="rho"):
        rule(0.1, rho)


@pytest.mark.parametrize(
    "number", [1, np.float32(1), np.float64(1), np.int64(1), torch.tensor(1.0)]
)
def test_integers_numpy_scalars_and_scalar_tensors_are_numbers(number: float) -> None:
    x = torch.ones(1, 4)
    step = SAM(number, number).step(FourDimensional(), x)
    torch.testing.assert_close(step, SAM(1.0, 1.0).step(FourDimensional(), x))


def test_a_batch_that_does_not_match_is_refused() -> None:
    with pytest.raises(ValueError, match="rho has batch size 3"):
        SAM(0.1, torch.ones(3)).step(FourDimensional(), torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"\[batch, dim\]"):
        SAM(0.1, torch.ones(4)).step(FourDimensional(), torch.ones(4))


# Rules of every kind, with numbers and with tensors.
HELD = [
    lambda: GradientDescent(0.1),
    lambda: SAM(0.1, 0.05),
    lambda: SAM(0.1, 0.2),
    lambda: UnnormalizedSAM(0.1, 0.05),
    lambda: AscentLossDescent(0.1, 0.05),
    lambda: StochasticSAM(0.1, 0.05),
    lambda: StochasticSAM(0.1, 0.05, batch_size=2),
    lambda: SAM(torch.tensor([0.1, 0.2]), 0.05),
    lambda: SAM(torch.tensor([0.1, 0.3]), 0.05),
    lambda: SAM(torch.tensor([0.1, 0.2]).double(), 0.05),
    lambda: SAM(torch.tensor([0.1]), 0.05),
    lambda: SAM(torch.tensor(0.1), 0.05),
    lambda: SAM(0.1, torch.tensor([0.1, 0.2])),
]


def test_rules_are_equal_if_their_kind_and_their_numbers_are() -> None:
    for i, first in enumerate(HELD):
        for j, second in enumerate(HELD):
            assert (first() == second()) is (i == j), (first(), second())
            assert (first() != second()) is (i != j)
        assert hash(first()) == hash(first())
    assert len({make() for make in HELD * 2}) == len(HELD)
    assert SAM(1, 0) == SAM(np.float64(1.0), -0.0)
    assert hash(SAM(1, 0)) == hash(SAM(np.float64(1.0), -0.0))
    assert SAM(0.1, 0.05) != (0.1, 0.05)


def test_what_a_subclass_holds_counts_too() -> None:
    class Damped(SAM):
        def __init__(self, damping: object) -> None:
            super().__init__(0.1, 0.05)
            object.__setattr__(self, "damping", damping)

    assert Damped(0.5) == Damped(0.5)
    assert Damped(0.5) != Damped(0.25)
    assert Damped(0.5) != SAM(0.1, 0.05)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Damped([0.5]))  # rather than a cache that takes one for the other


def test_a_cache_keyed_by_rules_is_hit() -> None:
    calls = []

    @functools.cache
    def run(rule: Rule) -> int:
        calls.append(rule)
        return len(calls)

    assert run(SAM(0.1, 0.05)) == run(SAM(0.1, 0.05)) == 1
    assert run(StochasticSAM(0.1, 0.05)) == 2


def test_a_rule_has_numbers_of_its_own() -> None:
    lr, rho = torch.tensor([0.1, 0.2]), torch.tensor([0.05, 0.1])
    rule = SAM(lr, rho)
    before = hash(rule)
    lr.mul_(2)
    rho.zero_()
    assert hash(rule) == before
    assert rule == SAM(torch.tensor([0.1, 0.2]), torch.tensor([0.05, 0.1]))
