"""samlib.optim where w + ε rounds back to w: that is refused or warned of, never silent."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import pytest
import torch
from optimizers import FAMILY, IN_TWO_STEPS, Problem, every_optimizer, make, step
from torch import Tensor, nn

from samlib.optim import SAM, SharpnessAware
from samlib.optim.lost_perturbation import EVERY

SIDE = 100
DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).split(".")[1])
# By how much ρ is to be divided for a perturbation of about one in a place where it is a length.
DIVIDE: dict[str, float] = {"UnnormalizedSAM": SIDE, "AWP": SIDE}
MORE: dict[str, dict[str, Any]] = {"AMP": {"inner_steps": 1, "inner_lr": 1e4}}


class Linear:
    """A loss ⟨c, w⟩ of 10,000 normal weights with mean absolute value about ``size``."""

    def __init__(self, dtype: torch.dtype, device: torch.device, size: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(0)
        w, c = (torch.randn(SIDE, SIDE, generator=generator, dtype=torch.float64) for _ in "wc")
        self.size, self.c = size, c.to(device, dtype)
        self.weights = nn.Parameter((size * w).to(device, dtype))
        self.rows = torch.ones(3, dtype=dtype, device=device)

    def optimizer(self, name: str, ulps: float) -> SharpnessAware:
        """Perturb each weight by about so many of its units in the last place."""
        length = SIDE * ulps * torch.finfo(self.c.dtype).eps
        relative = name in ("ASAM", "AWP")
        rho = length * (1 if relative else self.size) / DIVIDE.get(name, 1)
        base = torch.optim.SGD([self.weights], lr=0.0)
        return FAMILY[name]([self.weights], base, **({"rho": rho} | MORE.get(name, {})))

    def step(self, optimizer: SharpnessAware) -> Any:
        def closure(rows: Tensor = self.rows) -> Tensor:
            loss = (rows.mean() * self.c * (self.weights / self.size)).sum() * self.size
            if not optimizer.takes_loss:
                loss.backward()
            return loss

        return optimizer.step(closure, *((self.rows,) if optimizer.takes_batch else ()))

    def steps(self, optimizer: SharpnessAware, number: int) -> None:
        for _ in range(number):
            self.step(optimizer)


@every_optimizer
@dtypes
def test_a_perturbation_lost_to_rounding_is_refused(
    dtype: torch.dtype, name: str, device: torch.device
) -> None:
    problem = Linear(dtype, device)
    optimizer, before = problem.optimizer(name, ulps=1e-3), problem.weights.detach().clone()
    rho = optimizer.param_groups[0]["rho"]
    said = rf"{name} with rho={re.escape(f'{rho:g}')} .* {dtype}: .*loses (9\d|100)%"
    for _ in range(2):  # and again, not only once
        with pytest.raises(ValueError, match=said):
            problem.step(optimizer)
        assert torch.equal(problem.weights, before)


@every_optimizer
@dtypes
def test_a_perturbation_lost_in_part_is_warned_of_once(
    dtype: torch.dtype, name: str, device: torch.device
) -> None:
    problem = Linear(dtype, device)
    optimizer = problem.optimizer(name, ulps=1.0)
    with pytest.warns(RuntimeWarning, match=rf"rho=.* {dtype}: .*loses [1-8]\d%") as caught:
        problem.steps(optimizer, EVERY + 1)
    assert len(caught) == 1


@every_optimizer
@dtypes
def test_a_perturbation_that_the_dtype_holds_is_silent(
    dtype: torch.dtype, name: str, device: torch.device
) -> None:
    problem = Linear(dtype, device)
    optimizer = problem.optimizer(name, ulps=30.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem.step(optimizer)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(torch.float32, 1e8), (torch.float64, 1e17), (torch.bfloat16, 1.0), (torch.float16, 10.0)],
)
def test_a_usual_radius_is_lost_at_huge_weights_and_in_half_precision(
    dtype: torch.dtype, size: float, device: torch.device
) -> None:
    problem = Linear(dtype, device, size)
    optimizer = SAM([problem.weights], torch.optim.SGD([problem.weights], lr=0.1), rho=0.01)
    with pytest.raises(ValueError, match=r"rho=0\.01 is too small for weights in"):
        problem.step(optimizer)


@pytest.mark.parametrize("rho", [1e-30, 1e-42])
def test_a_radius_whose_square_underflows_is_seen_as_well(rho: float, device: torch.device) -> None:
    problem = Linear(torch.float32, device)
    optimizer = SAM([problem.weights], torch.optim.SGD([problem.weights], lr=0.1), rho=rho)
    with pytest.raises(ValueError, match="loses 100%"):
        problem.step(optimizer)


@dtypes
@pytest.mark.parametrize("ulps", [0.2, 0.5, 1.0, 2.0])
def test_the_share_is_that_of_exact_arithmetic(
    ulps: float, dtype: torch.dtype, device: torch.device
) -> None:
    problem = Linear(dtype, device)
    optimizer = problem.optimizer("SAM", ulps)
    w, g = problem.weights.detach().double(), problem.c.double()
    epsilon = optimizer.param_groups[0]["rho"] * g / g.norm()
    moved = (w + epsilon).to(dtype).double() - w
    share = float((moved - epsilon).norm() / epsilon.norm())
    assert 0.1 < share < 0.9
    with pytest.warns(RuntimeWarning, match="loses") as caught:
        problem.step(optimizer)
    said = int(re.search(r"loses (\d+)%", str(caught[0].message))[1])  # type: ignore[index]
    assert abs(said - 100 * share) <= 2


@pytest.mark.parametrize("name", IN_TWO_STEPS)
def test_two_steps_are_refused_too(name: str, device: torch.device) -> None:
    problem = Linear(torch.bfloat16, device)
    optimizer, before = problem.optimizer(name, ulps=1e-3), problem.weights.detach().clone()
    loss = (problem.c * problem.weights).sum()
    loss.backward(create_graph=False)
    if problem.weights.grad is not None and name == "EigenSAM":
        problem.weights.grad.requires_grad_()
    with pytest.raises(ValueError, match="too small for weights"):
        optimizer.first_step()
    assert torch.equal(problem.weights, before)


def test_mixed_dtypes_are_both_named_and_what_is_kept_counts(device: torch.device) -> None:
    half = nn.Parameter(torch.ones(100, dtype=torch.bfloat16, device=device))
    single = nn.Parameter(torch.ones(100, device=device))
    parameters = [half, single]
    optimizer = SAM(parameters, torch.optim.SGD(parameters, lr=0.1), rho=1e-3)

    def closure() -> Tensor:
        loss = half.sum().float() + single.sum()
        loss.backward()
        return loss

    # Half of ‖ε‖² is lost.
    with pytest.warns(RuntimeWarning, match=r"torch.bfloat16 and torch.float32: .*loses 71%"):
        optimizer.step(closure)


@every_optimizer
@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ordinary_training_says_nothing(
    dtype: torch.dtype, rho: float, name: str, device: torch.device
) -> None:
    problem = Problem(device)
    problem.model.to(dtype)
    problem.inputs, problem.targets = problem.inputs.to(dtype), problem.targets.to(dtype)
    optimizer = make(name, problem, rho=rho)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            step(problem, optimizer)


@every_optimizer
def test_a_gradient_that_is_not_finite_is_no_matter_of_rounding(
    name: str, device: torch.device
) -> None:
    problem = Problem(device)
    problem.inputs.fill_(math.nan)
    optimizer = make(name, problem)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert step(problem, optimizer).isnan()


def test_a_radius_that_becomes_too_small_later_is_warned_of(device: torch.device) -> None:
    problem = Linear(torch.float32, device)
    optimizer = problem.optimizer("SAM", ulps=30.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem.step(optimizer)
    optimizer.param_groups[0]["rho"] = 1e-12
    with pytest.warns(RuntimeWarning, match="rho=1e-12 is too small"):
        problem.steps(optimizer, EVERY)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_the_perturbation_is_rounded_only_once(
    dtype: torch.dtype, device: torch.device
) -> None:
    # At w = 0 every dtype holds ε to its own precision.
    problem, seen = Linear(dtype, device), list[Tensor]()
    with torch.no_grad():
        problem.weights.zero_()
    optimizer = SAM([problem.weights], torch.optim.SGD([problem.weights], lr=0.1), rho=0.3)

    def closure() -> Tensor:
        seen.append(problem.weights.detach().clone())
        loss = (problem.c * problem.weights).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    g = problem.c.double()
    assert torch.equal(seen[1], (0.3 * g / g.norm()).float().to(dtype))
