"""samlib.simulate on a loss of one's own: followed once, it gives what torch gives step by step."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samlib import Objective, rules, simulate
from samlib.dynamics import interpreted, torch_run
from samlib.landscapes import FourDimensional
from tests.samlib.simulation_cases import START, f1, f2, starts, without_numba

RULES = [
    rules.GradientDescent(0.02),
    rules.SAM(0.02, torch.tensor([0.05, 0.1, 0.0])),
    rules.UnnormalizedSAM(0.02, 0.05),
    rules.AscentLossDescent(0.0002, 0.05),  # larger rates are chaotic: rounding is amplified
]
STEPS = 300


def four(x: Tensor) -> Tensor:
    return f1(x) * x[2] ** 2 + f2(x) * x[3] ** 2


def by_torch(
    monkeypatch: pytest.MonkeyPatch, objective: Objective, rule: rules.Rule, start: Tensor
) -> Tensor:
    """The iterates, step by step by torch."""
    with monkeypatch.context() as patch:
        patch.setattr("samlib.dynamics.run.FOLLOWED_STEPS", STEPS + 1)
        return simulate(objective, rule, start, STEPS, every=7, record=["x"], seed=4).x


class Ways:
    """Runs that were followed at any number of steps, and how: what each way said of itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.interpreted: list[bool] = []
        self.followed: list[bool] = []
        run, follow = interpreted.run_interpreted, torch_run.follow

        def noted_run(*args: Any) -> bool:
            self.interpreted.append(run(*args))
            return self.interpreted[-1]

        def noted_follow(*args: Any) -> Any:
            graph = follow(*args)
            self.followed.append(graph is not None)
            return graph

        monkeypatch.setattr("samlib.dynamics.run.FOLLOWED_STEPS", 1)
        monkeypatch.setattr(interpreted, "run_interpreted", noted_run)
        monkeypatch.setattr(torch_run, "follow", noted_follow)

    def run(self, objective: Objective, rule: rules.Rule, start: Tensor) -> Tensor:
        return simulate(objective, rule, start, STEPS, every=7, record=["x"], seed=4).x


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    pytest.importorskip("numba")
    return Ways(monkeypatch)


# --------------------------------------------------------------------- the same as step by step


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_an_own_loss_gives_the_iterates_of_the_landscape(rule: rules.Rule, ways: Ways) -> None:
    start = starts(FourDimensional())
    if not isinstance(rule, rules.AscentLossDescent):  # which divides rounding by ‖∇L‖ there
        start[1] = 0  # a stationary point
    book = simulate(FourDimensional(), rule, start, STEPS, every=7, record=["x"]).x
    torch.testing.assert_close(ways.run(Objective(four, 4), rule, start), book, rtol=0, atol=1e-12)
    assert ways.interpreted == [True]


def test_a_long_run_stays_with_the_landscape() -> None:
    rule = rules.SAM(
        0.02, torch.logspace(-2.3, -0.7, 70)
    )  # more than the interpreter takes at once
    own = simulate(Objective(four, 4), rule, START, 20_000, every=5_000, record=["x"]).x
    book = simulate(FourDimensional(), rule, START, 20_000, every=5_000, record=["x"]).x
    torch.testing.assert_close(own, book, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_without_numba_or_in_float32_steps_are_followed_to_the_bit(
    rule: rules.Rule, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, start = Objective(four, 4), starts(FourDimensional())
    assert torch.equal(
        ways.run(own, rule, start.float()), by_torch(monkeypatch, own, rule, start.float())
    )
    without_numba(monkeypatch)
    assert torch.equal(ways.run(own, rule, start), by_torch(monkeypatch, own, rule, start))
    assert ways.followed == [True, True]
    assert not ways.interpreted


def network(loss: Any, targets: Tensor, *, outputs: int, dtype: torch.dtype) -> Objective:
    torch.manual_seed(0)
    layers = nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, outputs)
    inputs = torch.randn(len(targets), 3, dtype=dtype)
    return Objective.from_module(nn.Sequential(*layers).to(dtype), loss, (inputs, targets))


LABELS = torch.tensor([0, 2, 1, -100, 2])
NETWORKS: dict[str, Callable[[torch.dtype], Objective]] = {
    "squares": lambda d: network(nn.MSELoss(), torch.randn(5, 1, dtype=d), outputs=1, dtype=d),
    "an own loss": lambda d: network(
        lambda y, t: (y - t).square().mean(), torch.randn(5, 1, dtype=d), outputs=1, dtype=d
    ),
    "classes": lambda d: network(nn.CrossEntropyLoss(), LABELS, outputs=3, dtype=d),
    "torch's function": lambda d: network(
        lambda y, t: nn.functional.cross_entropy(y, t), LABELS, outputs=3, dtype=d
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_followed(name: str, ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    # SAM is chaotic on the first: a start 1e-15 away ends 1e-2 away.
    rule = rules.UnnormalizedSAM(0.05, torch.tensor([0.0, 0.05, 0.1]))
    for dtype in (torch.float64, torch.float32):
        objective = NETWORKS[name](dtype)
        start = objective.flat_parameters()  # type: ignore[attr-defined]
        fast, slow = ways.run(objective, rule, start), by_torch(monkeypatch, objective, rule, start)
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12 if dtype == torch.float64 else 0)
    assert ways.interpreted == [True]
    assert ways.followed == [True]


def test_a_stochastic_rule_on_rows_is_followed(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = NETWORKS["squares"](torch.float64)
    start = objective.flat_parameters().expand(3, -1)  # type: ignore[attr-defined]
    rule = rules.StochasticSAM(0.05, 0.1, batch_size=2)
    assert torch.equal(
        ways.run(objective, rule, start), by_torch(monkeypatch, objective, rule, start)
    )
    assert ways.followed == [True]


def test_a_run_that_diverges_does_so_as_by_torch(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = rules.SAM(torch.tensor([0.02, 5.0]), 0.05)
    with pytest.warns(RuntimeWarning, match="1 of 2 runs diverged"):
        fast = ways.run(Objective(four, 4), rule, START)
    with pytest.warns(RuntimeWarning, match="1 of 2 runs diverged"):
        slow = by_torch(monkeypatch, Objective(four, 4), rule, START)
    torch.testing.assert_close(fast[0], slow[0], rtol=0, atol=1e-12)
    assert torch.equal(fast[1].isfinite(), slow[1].isfinite())
    assert ways.interpreted == [True]


def test_a_run_is_cut_so_that_it_can_be_interrupted(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, rule = Objective(four, 4), rules.SAM(0.02, 0.05)
    whole = ways.run(own, rule, START)
    monkeypatch.setattr(interpreted, "_AT_ONCE", 3_000)
    done: list[int] = []
    monkeypatch.setattr(
        "samlib._progress.ProgressBar.update", lambda bar, count: done.append(count)
    )
    assert torch.equal(ways.run(own, rule, START), whole)
    assert len(done) > 3
    assert sum(done) == STEPS

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("samlib._progress.ProgressBar.update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ways.run(own, rule, START)
    monkeypatch.setattr("samlib._progress.ProgressBar.update", lambda bar, count: None)
    assert torch.equal(ways.run(own, rule, START), whole)


# ------------------------------------------------------------- what is no function of x alone


class Doubles:
    """x ↦ |x|²/2, and twice that from its fifth evaluation on."""

    def __init__(self) -> None:
        self.evaluated = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.evaluated += 1
        return x.square().sum() * (0.5 if self.evaluated < 5 else 1.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_loss_that_changes_is_found_out(dtype: torch.dtype, ways: Ways) -> None:
    start, rule = torch.tensor([1.0, 2.0], dtype=dtype), rules.GradientDescent(0.1)
    run = ways.run(Objective(Doubles(), 2), rule, start)
    later = simulate(Objective(lambda x: x.square().sum(), 2), rule, start, STEPS, every=7).x
    torch.testing.assert_close(run, later)
    assert not any(ways.interpreted[:1])  # the second run is the expected one


@pytest.mark.parametrize("draw", [random.random, lambda: torch.rand(()), lambda: np.random.rand()])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_random_numbers_are_drawn_at_every_step(
    draw: Callable[[], Any], dtype: torch.dtype, ways: Ways
) -> None:
    def loss(x: Tensor) -> Tensor:
        return x.sum() * (1 + draw())

    x = ways.run(Objective(loss, 2), rules.GradientDescent(0.1), torch.ones(2, dtype=dtype))
    lengths = x.diff(dim=1)[0, :-1, 0]
    assert len(set(lengths.tolist())) == len(lengths)
    assert not any(ways.interpreted)


class Outside(torch.autograd.Function):
    """x ↦ x for x > 1, 2x elsewhere, computed without torch."""

    generate_vmap_rule = False

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * Outside.factor(x)

    @staticmethod
    def factor(x: Tensor) -> Tensor:
        return torch.from_numpy(np.where(x.detach().numpy() > 1, 1.0, 2.0))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return Slope.apply(x, slope)  # type: ignore[no-any-return,no-untyped-call]

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor) -> tuple[Tensor, int]:
        return Outside.apply(x), in_dims[0]  # type: ignore[no-untyped-call]


class Slope(torch.autograd.Function):
    """The derivative, times what comes from above."""

    @staticmethod
    def forward(x: Tensor, slope: Tensor) -> Tensor:
        return slope * Outside.factor(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, slope: Tensor) -> tuple[Tensor, int]:
        return Slope.apply(x, slope.expand(x.shape)), 0  # type: ignore[no-untyped-call]


def test_what_is_computed_outside_of_torch_is_not_frozen(ways: Ways) -> None:
    own = Objective(lambda x: Outside.apply(x).sum(), 1)  # type: ignore[no-untyped-call]
    start = torch.tensor([3.0], dtype=torch.float64)
    run = simulate(own, rules.GradientDescent(0.01), start, STEPS, record=["x"]).x[0, :, 0]
    slopes = run.diff() / -0.01
    expected = torch.where(run[:-1] > 1, 1.0, 2.0).double()
    torch.testing.assert_close(slopes, expected)
    assert len(slopes.round().unique()) == 2
    assert ways.interpreted == [False]
    assert ways.followed == [False]


def test_a_rule_that_looks_at_numbers_is_not_followed(ways: Ways) -> None:
    class Careful(rules.GradientDescent):
        kernel = None

        def step(self, objective: Objective, x: Tensor, k: Tensor | None = None) -> Tensor:
            lr = 0.1 if float(x.norm()) > 1 else 0.5
            return x - lr * objective.gradient(x)

    own = Objective(lambda x: x.square().sum() / 2, 1)
    run = simulate(own, Careful(0.1), torch.tensor([3.0]), STEPS, record=["x"]).x[0, :, 0]
    ratios = (run[1:41] / run[:40]).tolist()
    assert ratios == pytest.approx([0.9 if x > 1 else 0.5 for x in run[:40].tolist()], rel=1e-5)
    assert ways.followed == [False]


def test_a_class_of_ones_own_and_batches_are_evaluated_at_every_step(ways: Ways) -> None:
    class Counted(Objective):
        evaluated = 0

        def gradient(self, x: Tensor) -> Tensor:
            self.evaluated += 1
            return super().gradient(x)

    counted = Counted(four, 4)
    ways.run(counted, rules.SAM(0.02, 0.05), START)
    assert counted.evaluated == 2 * STEPS
    model = nn.Linear(2, 1).double()
    data = [(torch.randn(4, 2).double(), torch.randn(4, 1).double()) for _ in range(2)]
    batches = Objective.from_module(model, nn.MSELoss(), data)
    simulate(batches, rules.SAM(0.02, 0.05), batches.flat_parameters(), 5)
    assert not ways.interpreted
    assert not ways.followed
