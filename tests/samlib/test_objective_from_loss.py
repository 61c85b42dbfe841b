"""Losses of a model and a batch: what batches are made of, what they count by, which parameters."""

from __future__ import annotations

import dataclasses
import warnings
from collections import UserDict, namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader

import samlib
from samlib import Objective
from tests.samlib.small_networks import mlp, own_derivatives

ROWS, CLASSES = 9, 3
INPUTS = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(0)).double()
MORE = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(1)).double()
TARGETS = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(2)).double()

Point = namedtuple("Point", ["x", "y"])


@dataclasses.dataclass
class Record:
    x: Tensor
    y: Tensor
    name: str = "a batch"


class Graph:
    """What is no container, and moves its tensors itself."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def to(self, device: torch.device) -> Graph:
        return Graph(self.x.to(device), self.y.to(device))


def of_names(model: nn.Module, batch: Any) -> Tensor:
    return F.mse_loss(model(batch["x"]), batch["y"])


def of_attributes(model: nn.Module, batch: Any) -> Tensor:
    return F.mse_loss(model(batch.x), batch.y)


KINDS: dict[str, tuple[Callable[[Tensor, Tensor], Any], Callable[..., Tensor], Any]] = {
    "dict": (lambda x, y: {"x": x, "y": y}, of_names, None),
    "UserDict": (lambda x, y: UserDict(x=x, y=y), of_names, None),
    "tuple": (lambda x, y: (x, y), lambda m, b: F.mse_loss(m(b[0]), b[1]), None),
    "named tuple": (Point, of_attributes, None),
    "dataclass": (Record, of_attributes, None),
    "nested": (
        lambda x, y: {"x": [x], "y": (y,)},
        lambda m, b: F.mse_loss(m(*b["x"]), *b["y"]),
        None,
    ),
    "tensor": (
        lambda x, y: torch.cat([x, y], 1),
        lambda m, b: F.mse_loss(m(b[:, :3]), b[:, 3:]),
        None,
    ),
    "object": (Graph, of_attributes, lambda batch: len(batch.x)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_any_kind_give_the_loss_of_all_rows(kind: str) -> None:
    make, loss, size = KINDS[kind]
    model = mlp().double()
    batches = [make(INPUTS[i:j], TARGETS[i:j]) for i, j in ((0, 2), (2, 3), (3, ROWS))]
    objective = Objective.from_loss(model, loss, batches, size=size)
    x = objective.flat_parameters()
    v = torch.linspace(-1, 1, objective.dim).double()
    value, gradient, product = own_derivatives(model, nn.MSELoss(), INPUTS, TARGETS, v)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(objective.value(torch.stack([x, x]))[1], value)
        torch.testing.assert_close(objective.gradient(x), gradient)
        torch.testing.assert_close(objective.hessian_operator(x)(v), product)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("dataclass", "object")])
def test_one_batch_of_any_kind_is_one_batch(kind: str) -> None:
    make, loss, size = KINDS[kind]
    model = mlp().double()
    objective = Objective.from_loss(model, loss, make(INPUTS, TARGETS), size=size)
    x = objective.flat_parameters()
    assert objective.in_one_batch
    assert f"rows={ROWS}" in repr(objective)
    v = torch.linspace(-1, 1, objective.dim).double()
    _, gradient, product = own_derivatives(model, nn.MSELoss(), INPUTS, TARGETS, v)
    torch.testing.assert_close(objective.hessian_operator(x)(v), product)
    assert objective.components is not None
    rows = torch.stack([component.gradient(x) for component in objective.components])
    torch.testing.assert_close(rows.mean(dim=0), gradient)
    picked = objective.component_gradient(x.expand(ROWS, -1), torch.arange(ROWS))
    torch.testing.assert_close(picked, rows)


# ---------------------------------------------------------------------------- from_module


class Two(nn.Module):
    """Of two inputs, one of them by name or by place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3).double()

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        return self.layer(x).tanh() + shift * self.layer.bias


@pytest.mark.parametrize(
    "data",
    [
        (INPUTS, MORE, TARGETS),
        ((INPUTS, MORE), TARGETS),
        ({"shift": MORE, "x": INPUTS}, TARGETS),
        [((INPUTS[:4], MORE[:4]), TARGETS[:4]), ([INPUTS[4:], MORE[4:]], TARGETS[4:])],
        [(INPUTS[:4], MORE[:4], TARGETS[:4]), [INPUTS[4:], MORE[4:], TARGETS[4:]]],
        DataLoader(list(zip(INPUTS, MORE, TARGETS, strict=True)), 4, shuffle=True),
        DataLoader(
            [({"x": a, "shift": b}, y) for a, b, y in zip(INPUTS, MORE, TARGETS, strict=True)], 4
        ),
    ],
)
def test_several_inputs_by_place_or_name(data: Any) -> None:
    model = Two()
    objective = Objective.from_module(model, nn.MSELoss(), data)
    x = objective.flat_parameters()
    truth = F.mse_loss(model(INPUTS, MORE), TARGETS)
    torch.testing.assert_close(objective.value(x), truth.detach())
    gradient = torch.autograd.grad(truth, list(model.parameters()))
    torch.testing.assert_close(objective.gradient(x), torch.cat([g.flatten() for g in gradient]))


def test_a_batch_by_name_is_inputs_and_targets() -> None:
    class Own(Two):
        def forward(self, x: Tensor, shift: Tensor, y: Tensor) -> Any:
            outputs = super().forward(x, shift)
            return {"loss": F.mse_loss(outputs, y), "logits": outputs}

    batch = {"x": INPUTS, "shift": MORE, "y": TARGETS}
    model = Own()
    objective = Objective.from_module(model, lambda outputs, batch: outputs["loss"], batch)
    x = objective.flat_parameters()
    torch.testing.assert_close(objective.value(x), model(**batch)["loss"].detach())
    wrong = Objective.from_module(model, nn.MSELoss(), batch)
    with pytest.raises(TypeError, match=r"loss_fn is one of torch's.*from_loss"):
        wrong.value(x)


# ------------------------------------------------------------------------------------ sizes


def ragged(*lengths: int) -> list[dict[str, Tensor]]:
    """Batches of sequences of different lengths, some labels ignored."""
    generator = torch.Generator().manual_seed(5)
    batches = []
    for rows, length in enumerate(lengths, start=1):
        x = torch.randn(rows, length, 3, generator=generator).double()
        y = torch.randint(CLASSES, (rows, length), generator=generator)
        y[:, : length // 3] = -100
        batches.append({"x": x, "y": y})
    return batches


def flattened(batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {
        "x": torch.cat([batch["x"].reshape(-1, 1, 3) for batch in batches]),
        "y": torch.cat([batch["y"].reshape(-1, 1) for batch in batches]),
    }


WEIGHTS = torch.tensor([0.5, 2.0, 0.1]).double()
TOKEN_LOSSES: dict[str, Callable[[nn.Module, Any], Tensor]] = {
    "function": lambda m, b: F.cross_entropy(m(b["x"]).flatten(0, 1), b["y"].flatten()),
    "object": lambda m, b: nn.CrossEntropyLoss()(m(b["x"]).mT, b["y"]),
    "weights": lambda m, b: F.cross_entropy(m(b["x"]).mT, b["y"], WEIGHTS, None, -100),
    "log-probabilities": lambda m, b: F.nll_loss(m(b["x"]).log_softmax(-1).mT, b["y"]),
}


@pytest.mark.parametrize("name", TOKEN_LOSSES)
def test_batches_count_by_what_the_loss_is_seen_to_divide_by(name: str) -> None:
    model, batches = nn.Linear(3, CLASSES).double(), ragged(7, 3, 12)
    objective = Objective.from_loss(model, TOKEN_LOSSES[name], batches)
    whole = Objective.from_loss(model, TOKEN_LOSSES[name], flattened(batches))
    x = objective.flat_parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for points in (x, torch.stack([x, -x])):
            torch.testing.assert_close(objective.value(points), whole.value(points))
            torch.testing.assert_close(objective.gradient(points), whole.gradient(points))
        torch.testing.assert_close(objective.hessian(x), whole.hessian(x))
        if name != "log-probabilities":  # whose second derivative is 0
            torch.testing.assert_close(
                samlib.gauss_newton(objective, x).to_dense(),
                objective.hessian(x),
                rtol=1e-9,
                atol=1e-9,
            )


@pytest.mark.parametrize("loss_fn", ["ignoring", "weighing"])
def test_a_loss_of_ones_own_that_calls_one_of_torchs_counts_as_it_does(loss_fn: str) -> None:
    options = {"ignore_index": 1} if loss_fn == "ignoring" else {"weight": WEIGHTS}
    labels = torch.arange(ROWS) ** 2 % CLASSES

    def own(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, **options)

    model = nn.Linear(3, CLASSES).double()
    batches = [(INPUTS[:2], labels[:2]), (INPUTS[2:3], labels[2:3]), (INPUTS[3:], labels[3:])]
    x = Objective.from_module(model, own, batches).flat_parameters()
    known = Objective.from_module(model, nn.CrossEntropyLoss(**options), (INPUTS, labels))
    for data in (batches, (INPUTS, labels)):
        objective = Objective.from_module(model, own, data)
        torch.testing.assert_close(objective.hessian(x), known.hessian(x))


def test_a_batch_that_is_seen_to_count_nothing_is_passed_over() -> None:
    batches = ragged(7, 3, 12)
    batches[1]["y"][:] = -100
    model, loss = nn.Linear(3, CLASSES).double(), TOKEN_LOSSES["function"]
    objective = Objective.from_loss(model, loss, batches)
    whole = Objective.from_loss(model, loss, flattened([batches[0], batches[2]]))
    x = objective.flat_parameters()
    torch.testing.assert_close(objective.hessian(x), whole.hessian(x))
    torch.testing.assert_close(
        samlib.gauss_newton(objective, x).to_dense(), objective.hessian(x), rtol=1e-9, atol=1e-9
    )
    nothing = Objective.from_loss(model, loss, [batches[1]])
    with pytest.raises(ValueError, match="every target of data is ignored"):
        nothing.value(x)


def by_tokens(batch: Any) -> Tensor:
    return (batch["y"] != -100).sum()


def plain(model: nn.Module, batch: Any) -> Tensor:
    kept = batch["y"] != -100
    log_p = model(batch["x"]).log_softmax(-1)
    return -log_p[kept].gather(1, batch["y"][kept].unsqueeze(1)).mean()


@pytest.mark.parametrize("size", [by_tokens, lambda batch: int(by_tokens(batch))])
def test_the_size_that_is_given_counts(size: Any) -> None:
    model, batches = nn.Linear(3, CLASSES).double(), ragged(7, 3, 12)
    objective = Objective.from_loss(model, plain, batches, size=size)
    whole = Objective.from_loss(model, TOKEN_LOSSES["function"], flattened(batches))
    x = objective.flat_parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(objective.hessian(x), whole.hessian(x))
    one = Objective.from_loss(model, plain, batches[1], size=size)
    assert one.components is not None
    rows = torch.stack([component.gradient(x) for component in one.components])
    torch.testing.assert_close(rows.mean(dim=0), one.gradient(x))


def test_a_size_that_is_wrong_or_not_given_is_warned_of() -> None:
    model, batches = nn.Linear(3, CLASSES).double(), ragged(7, 3, 12)
    for batch in batches:
        batch["y"][0] = -100  # so that a batch is not its rows put together
    x = Objective.from_loss(model, plain, batches).flat_parameters()
    for size in (None, lambda batch: len(batch["y"])):
        objective = Objective.from_loss(model, plain, batches[1:], size=size)
        with pytest.warns(UserWarning, match="loss is not a mean over rows.*size="):
            objective.value(x)


def contrastive(model: nn.Module, batch: Tensor) -> Tensor:
    outputs = model(batch)
    return F.cross_entropy(outputs @ outputs.mT, torch.arange(len(outputs)))


def test_a_loss_of_whole_batches_is_one_if_it_is_said_so() -> None:
    model, batches = nn.Linear(3, CLASSES).double(), [INPUTS[:4], INPUTS[4:]]
    x = Objective.from_loss(model, contrastive, batches).flat_parameters()
    objective = Objective.from_loss(model, contrastive, batches, size="batch")
    parts = [Objective.from_loss(model, contrastive, batch) for batch in batches]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(objective.value(x), sum(part.value(x) for part in parts) / 2)
    with pytest.warns(UserWarning, match="as a contrastive loss does.*size='batch'"):
        Objective.from_loss(model, contrastive, batches).value(x)
    shuffled = DataLoader(list(INPUTS), 4, shuffle=True)
    with pytest.raises(ValueError, match="batches are put together anew"):
        Objective.from_loss(model, contrastive, shuffled, size="batch").value(x)


def test_a_loss_that_is_torchs_in_some_batches_only_is_refused() -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        value = F.mse_loss(model(batch["x"]), batch["y"])
        return value if len(batch["x"]) > 4 else value + 0

    batches = [{"x": INPUTS[i:j], "y": TARGETS[i:j]} for i, j in ((0, 5), (5, ROWS))]
    objective = Objective.from_loss(nn.Linear(3, 3).double(), loss, batches)
    with pytest.raises(
        ValueError, match=r"loss is what one of torch's losses gives in some .*size="
    ):
        objective.value(objective.flat_parameters())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"loss": 3}, TypeError, "loss must be callable"),
        ({"size": 3}, TypeError, "size must be callable"),
        ({"size": "rows"}, ValueError, "size must be .*'batch' or None, got 'rows'"),
        ({"data": 3}, TypeError, "data must be one batch"),
        ({"data": "rows"}, TypeError, "data must be one batch"),
        ({"data": iter([])}, TypeError, "only once"),
        ({"data": {}}, TypeError, "first dimension counts its rows"),
        ({"data": {"x": torch.tensor(1.0)}}, TypeError, "first dimension counts its rows"),
        ({"check": 1}, TypeError, "check must be True or False"),
        ({"model": 3}, TypeError, "model must be a torch.nn.Module"),
    ],
)
def test_wrong_arguments_are_named(arguments: Any, error: type, message: str) -> None:
    good = {"model": mlp(), "loss": of_names, "data": {"x": INPUTS, "y": TARGETS}}
    with pytest.raises(error, match=message):
        Objective.from_loss(**{**good, **arguments})


def test_a_loss_that_is_no_scalar_is_refused() -> None:
    objective = Objective.from_loss(nn.Linear(3, 3), lambda m, b: m(b), INPUTS.float())
    with pytest.raises(ValueError, match=r"loss must return a scalar tensor .* got \(9, 3\)"):
        objective.value(objective.flat_parameters())
