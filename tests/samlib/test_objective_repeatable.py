"""The same loss in every pass: augmentation, dropout, state; one extra pass at most."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    TensorDataset,
)

from samlib import Objective
from samlib.training import SharpnessMonitor

torch.manual_seed(0)
INPUTS, TARGETS = torch.randn(12, 3), torch.randn(12, 2)
ROWS = TensorDataset(INPUTS, TARGETS)


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(3, 2)


def objective_on(data: Any, network: nn.Module | None = None, **options: Any) -> Any:
    return Objective.from_module(network or model(), nn.MSELoss(), data, **options)


SAME: dict[str, Callable[[], Any]] = {
    "pair": lambda: (INPUTS, TARGETS),
    "list": lambda: [(INPUTS[:5], TARGETS[:5]), (INPUTS[5:], TARGETS[5:])],
    "shuffled": lambda: DataLoader(ROWS, 5, shuffle=True),
}


# ------------------------------------------------------------------ what shows in a second pass


class Augmented(Dataset):
    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        self.draw = draw

    def __len__(self) -> int:
        return 12

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        return self.draw(INPUTS[k]), TARGETS[k]


class Stream(IterableDataset):
    def __init__(self, draw: Callable[[], Any]) -> None:
        self.draw = draw

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for k in self.draw():
            yield INPUTS[k], TARGETS[k]


class RandomBatches(Sampler):
    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(3):
            yield torch.randint(12, (4,)).tolist()


def once(values: Any) -> Callable[[], Any]:
    """The values in the first pass, nothing afterwards."""
    rest = iter(values)
    return lambda: rest


CHANGING: dict[str, tuple[Callable[[], Any], str]] = {
    "noise": (lambda: DataLoader(Augmented(lambda x: x + torch.randn(3)), 4), "the rows change"),
    "flips": (
        lambda: DataLoader(Augmented(lambda x: x.flip(0) if random.random() < 0.5 else x), 4),
        "the rows change",
    ),
    "noise, workers": (
        lambda: DataLoader(Augmented(lambda x: x + torch.randn(3)), 4, num_workers=1),
        "the rows change",
    ),
    "noise, one pass a batch": (
        lambda: DataLoader(Augmented(lambda x: x + torch.randn(3)), 12),
        "the rows change",
    ),
    "stream of random rows": (
        lambda: DataLoader(Stream(lambda: torch.randint(12, (12,)).tolist()), 4),
        "the rows change",
    ),
    "stream of one pass": (lambda: DataLoader(Stream(once(range(12))), 4), "12 rows in 3.* and 0"),
    "own batch sampler": (
        lambda: DataLoader(ROWS, batch_sampler=RandomBatches()),
        "the rows change",
    ),
    "batches that end": (
        lambda: type("Ending", (), {"__iter__": lambda s: BATCHES})(),
        "rows in .* and 0 in 0 in the next",
    ),
}
BATCHES: Iterator[Any]

EVALUATIONS: dict[str, Callable[[Any, Tensor], Any]] = {
    "value": lambda objective, x: objective.value(x),
    "points": lambda objective, x: objective.value(torch.stack([x, 2 * x])),
    "gradient": lambda objective, x: objective.gradient(x),
    "product": lambda objective, x: objective.hessian_vector_product(x, x),
    "operator": lambda objective, x: objective.hessian_operator(x)(x),
}


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("kind", CHANGING)
def test_rows_that_change_are_refused_at_the_first_evaluation(kind: str, evaluation: str) -> None:
    global BATCHES
    BATCHES = iter([(INPUTS, TARGETS)])
    random.seed(0)
    data, message = CHANGING[kind]
    objective = objective_on(data())
    x = objective.flat_parameters()
    with pytest.raises(ValueError, match=f"{message}.*the same in every pass.*check=False"):
        EVALUATIONS[evaluation](objective, x)


class Dropping(nn.Linear):
    """Dropout called without a word about self.training."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.dropout(x, 0.3))


class Noisy(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + random.random())


class Annealed:
    """A loss that changes with the number of its calls."""

    calls = 0

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.calls += 1
        return F.mse_loss(outputs, targets) / self.calls


RANDOM: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "functional dropout": (lambda: Dropping(3, 2), nn.MSELoss),
    "bfloat16 dropout": (
        lambda: nn.Sequential(Dropping(3, 2).bfloat16()),
        lambda: lambda p, y: F.mse_loss(p.float(), y.float()),
    ),
    "random numbers of Python": (lambda: Noisy(3, 2), nn.MSELoss),
    "random loss": (model, lambda: lambda p, y: F.mse_loss(p + 0.1 * torch.randn_like(p), y)),
    "loss with a state": (model, Annealed),
}


@pytest.mark.parametrize("data", ["pair", "shuffled", "list"])
@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("kind", RANDOM)
def test_a_network_or_loss_that_changes_is_refused(kind: str, evaluation: str, data: str) -> None:
    network, loss_fn = RANDOM[kind]
    torch.manual_seed(2)
    some: Any = SAME[data]()
    if "bfloat16" in kind:
        narrow = INPUTS.bfloat16(), TARGETS.bfloat16()
        some = narrow if data == "pair" else [narrow] * 2
    objective = Objective.from_module(network(), loss_fn(), some)
    x = objective.flat_parameters()
    with pytest.raises(ValueError, match=r"draws random numbers.*or keeps a state.*check=False"):
        EVALUATIONS[evaluation](objective, x)
    known = Objective.from_module(network(), loss_fn(), some, check=False)
    assert bool(known.value(x).isfinite())


class Counting(nn.Module):
    """Counts its calls, in a number and in a buffer, and uses them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.calls = 0
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        outputs = self.layer(x)
        self.mean += outputs.detach().mean(dim=0)
        return self.calls * (outputs - self.mean)


def test_what_a_module_counts_or_averages_is_as_it_was_in_every_evaluation() -> None:
    network = Counting()
    objective = objective_on((INPUTS, TARGETS), network)
    x = objective.flat_parameters()
    outputs = network.layer(INPUTS).detach()
    truth = F.mse_loss(outputs - outputs.mean(dim=0), TARGETS)
    torch.testing.assert_close(objective.value(x), truth)
    torch.testing.assert_close(objective.value(x), truth)


def test_dropout_that_asks_for_the_mode_and_random_numbers_without_use_are_fine() -> None:
    class Drawing(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            torch.rand(3)
            return super().forward(F.dropout(x, 0.3, training=self.training))

    objective = objective_on((INPUTS, TARGETS), Drawing(3, 2))
    assert bool(objective.gradient(objective.flat_parameters()).isfinite().all())


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["pair", "shuffled", "list"])
def test_a_loss_that_is_not_finite_is_not_one_that_changes(number: float, kind: str) -> None:
    objective = objective_on(SAME[kind]())
    x = torch.full((objective.dim,), number)
    assert not bool(objective.value(x).isfinite())
    assert not bool(objective.gradient(x).isfinite().any())


@pytest.mark.parametrize("narrow", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_rounding_is_no_change(narrow: torch.dtype) -> None:
    # A network that fits the data to the last digits: its loss is made of what is rounded off.
    for seed in range(20):
        torch.manual_seed(seed)
        inputs = torch.randn(50, 8)
        network = nn.Sequential(nn.Linear(8, 30), nn.Tanh(), nn.Linear(30, 3)).to(narrow)
        targets = network(inputs.to(narrow)).detach() * (1 + 3 * torch.finfo(narrow).eps)
        data = DataLoader(TensorDataset(inputs.to(narrow), targets), 7, shuffle=True)
        objective = objective_on(data, network)
        objective.gradient(torch.stack([objective.flat_parameters()] * 3))


# --------------------------------------------------------------------------------------- costs


class Calls(nn.Linear):
    """Counts the rows that it sees."""

    rows = 0

    def forward(self, x: Tensor) -> Tensor:
        Calls.rows += len(x)
        return super().forward(x)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("kind", ["pair", "list", "shuffled"])
def test_one_extra_pass_and_one_batch_at_the_first_evaluation(kind: str, evaluation: str) -> None:
    def rows_seen(check: bool, evaluate: Callable[[Any, Tensor], Any] | None = None) -> int:
        objective = objective_on(SAME[kind](), Calls(3, 2), check=check)
        x, Calls.rows = objective.flat_parameters(), 0
        EVALUATIONS[evaluation](objective, x)
        first, Calls.rows = Calls.rows, 0
        EVALUATIONS[evaluation](objective, x)
        assert Calls.rows == 12, "and never again"
        return first

    extra = rows_seen(check=True) - rows_seen(check=False)
    assert extra == (12 if kind == "pair" else 12 + 5)


def test_the_extra_pass_does_not_move_torchs_random_numbers() -> None:
    states = []
    for check in (True, False):
        torch.manual_seed(0)
        objective = objective_on(DataLoader(ROWS, 5, shuffle=True), check=check)
        value = objective.value(objective.flat_parameters())
        states.append((torch.get_rng_state(), value))
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_a_monitor_looks_once() -> None:
    network = Calls(3, 2)
    batches = [(INPUTS[:5], TARGETS[:5]), (INPUTS[5:], TARGETS[5:])]
    monitor = SharpnessMonitor("ascent_direction", rho=0.1, data=batches, loss_fn=nn.MSELoss())
    seen = []
    for step in range(3):
        Calls.rows = 0
        monitor(step, network)
        seen.append(Calls.rows)
    assert seen[0] == seen[1] + 12 + 5
    assert seen[1] == seen[2]
    Calls.rows = 0
    monitor.start(None, None)
    monitor(0, network)
    assert Calls.rows == seen[0]


def test_a_monitor_refuses_data_that_change() -> None:
    data = DataLoader(Augmented(lambda x: x + torch.randn(3)), 4)
    monitor = SharpnessMonitor("top_eigenvalue", data=data, loss_fn=nn.MSELoss())
    for _ in range(2):
        with pytest.raises(ValueError, match="the rows change"):
            monitor(0, model())


def test_an_objective_under_a_transform_is_looked_at_later() -> None:
    objective = objective_on((INPUTS, TARGETS), Dropping(3, 2))
    x = objective.flat_parameters()
    assert bool(torch.func.grad(objective.value)(x).isfinite().all())
    with pytest.raises(ValueError, match="draws random numbers"):
        objective.value(x)


@pytest.mark.parametrize("check", [None, 0, 1, "no"])
def test_check_is_a_flag(check: object) -> None:
    with pytest.raises(TypeError, match="check must be True or False"):
        objective_on((INPUTS, TARGETS), check=check)
