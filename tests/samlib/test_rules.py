"""samlib.rules: one step of each rule against its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samlib import Objective
from samlib.landscapes import FourDimensional, Quadratic, TwoValleys
from samlib.rules import SAM, AscentLossDescent, GradientDescent, StochasticSAM

RULES = [GradientDescent, SAM, AscentLossDescent, StochasticSAM]
WITH_RADIUS = [SAM, AscentLossDescent, StochasticSAM]


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


def test_sam_without_a_radius_is_gradient_descent(device: torch.device) -> None:
    x = points(4, device)
    objective = FourDimensional()
    for rule in (SAM, AscentLossDescent):
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
