"""samlib.simulate: one mathematics, compiled and by torch, batched and alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from samlib import Objective, Trajectory, rules, simulate
from samlib.landscapes import FourDimensional, Landscape, Quadratic, TwoValleys
from tests.samlib.simulation_cases import START, f1, f2, starts, without_numba

LANDSCAPES = [Quadratic([3.0, 1.0, 0.5, 2.0]), TwoValleys(), FourDimensional()]

RULES = [
    rules.GradientDescent(0.02),
    rules.SAM(0.02, 0.05),
    rules.UnnormalizedSAM(0.02, 0.05),
    rules.AscentLossDescent(0.0002, 0.05),  # larger rates are chaotic: rounding is amplified
    rules.StochasticSAM(0.02, 0.05),
    rules.StochasticSAM(0.02, 0.05, batch_size=2),
]


def forbid_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise AssertionError("the compiled path was taken")

    monkeypatch.setattr("samlib.dynamics.compiled.advance", fail)


def paths(
    monkeypatch: pytest.MonkeyPatch, objective: Objective, rule: rules.Rule, start: Tensor
) -> tuple[Trajectory, Trajectory]:
    """Run once compiled and once by torch, and make sure of which was which."""
    calls = []
    from samlib.dynamics import compiled

    advance = compiled.advance
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "advance", lambda *args: (calls.append(1), advance(*args)))
        fast = simulate(objective, rule, start, 300, every=7, seed=4)
    assert calls, "the compiled path was not taken"
    with monkeypatch.context() as patch:
        without_numba(patch)
        forbid_compiled(patch)
        slow = simulate(objective, rule, start, 300, every=7, seed=4)
    return fast, slow


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("landscape", LANDSCAPES, ids=lambda landscape: type(landscape).__name__)
def test_the_compiled_path_and_the_torch_path_give_the_same_iterates(
    landscape: Landscape, rule: rules.Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = starts(landscape)
    if not isinstance(rule, rules.AscentLossDescent):  # which divides rounding by ‖∇L‖ there
        start[1] = 0  # a stationary point
    fast, slow = paths(monkeypatch, landscape, rule, start)
    torch.testing.assert_close(fast.x, slow.x, rtol=0, atol=1e-12)
    assert not torch.equal(fast.x[0, 0], fast.x[0, -1])


@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("landscape", LANDSCAPES, ids=lambda landscape: type(landscape).__name__)
def test_the_compiled_path_runs_a_component_alone(
    landscape: Landscape, rule: rules.Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = landscape.components
    assert components is not None
    fast, slow = paths(monkeypatch, components[1], rule, starts(landscape))
    torch.testing.assert_close(fast.x, slow.x, rtol=0, atol=1e-12)
    whole = simulate(landscape, rule, starts(landscape), 300, every=7)
    assert not torch.allclose(whole.x, fast.x)


@pytest.mark.parametrize("compiled", [True, False])
def test_simulate_is_the_rule_applied_again_and_again(
    compiled: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        without_numba(monkeypatch)
        forbid_compiled(monkeypatch)
    objective, x = FourDimensional(), START.to(device)[None]
    rule = rules.SAM(0.02, 0.05)
    run = simulate(objective, rule, x, 20)
    for t in range(21):
        torch.testing.assert_close(run.x[:, t], x, rtol=0, atol=1e-14)
        x = rule.step(objective, x)
    torch.testing.assert_close(run.loss, objective.value(run.x))


@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: type(rule).__name__)
def test_a_loss_of_the_users_own_gives_the_landscapes_iterates(
    rule: rules.Rule, device: torch.device
) -> None:
    def loss(x: Tensor) -> Tensor:
        return f1(x) * x[2] ** 2 + f2(x) * x[3] ** 2

    start = starts(FourDimensional()).to(device)
    own = simulate(Objective(loss, 4), rule, start, 50)
    book = simulate(FourDimensional(), rule, start, 50)
    torch.testing.assert_close(own.x, book.x, rtol=0, atol=1e-12)
    torch.testing.assert_close(own.loss, book.loss)
    torch.testing.assert_close(own.alignment, book.alignment)


def test_a_network_runs_one_sam_on_its_rows(device: torch.device) -> None:
    torch.manual_seed(0)
    model = nn.Linear(2, 1).double().to(device)
    inputs = torch.randn(5, 2, dtype=torch.float64).to(device)
    objective = Objective.from_module(model, nn.MSELoss(), (inputs, inputs[:, :1].sin()))
    start, rule = objective.flat_parameters(), rules.StochasticSAM(0.05, 0.1)
    run = simulate(objective, rule, start.expand(2, -1), 10, seed=3)
    # the same, by hand
    draws = torch.randint(5, (10, 2), generator=torch.Generator().manual_seed(3))
    for b in range(2):
        x = start
        for t in range(10):
            row = objective.components[int(draws[t, b])]
            g = row.gradient(x)
            x = x - 0.05 * row.gradient(x + 0.1 * g / g.norm())
        torch.testing.assert_close(run.x[b, -1], x)
    assert not torch.equal(run.x[0, -1], run.x[1, -1])


def halve(steps: int) -> float:
    """x = 1, halved by gradient descent so many times."""
    start = torch.ones(1, dtype=torch.float64)
    run = simulate(Quadratic([1.0]), rules.GradientDescent(0.5), start, steps, every=steps)
    return float(run.x[0, -1, 0])


def keeps_tiny_numbers() -> bool:
    return bool(torch.tensor(5e-324, dtype=torch.float64) * 1 != 0)


def test_the_compiled_path_takes_tiny_numbers_as_zero_and_torch_goes_on_as_before() -> None:
    pytest.importorskip("numba")
    assert keeps_tiny_numbers()
    assert halve(1020) == 2.0**-1020
    assert halve(1030) == 2.0**-1022  # the smallest normal number: half of it counts as zero
    assert keeps_tiny_numbers()
    torch.set_flush_denormal(True)
    try:
        assert halve(1030) == 2.0**-1022
        assert not keeps_tiny_numbers()
    finally:
        torch.set_flush_denormal(False)
