"""What batches count by: each of torch's losses over batches is the same loss over all data."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset

import samlib
from samlib import Objective
from tests.samlib.small_networks import own_derivatives

ROWS, CLASSES, LENGTH = 11, 4, 5
WEIGHTS = torch.tensor([0.2, 1.0, 3.0, 0.0]).double()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def labels(*shape: int) -> Tensor:
    return torch.randint(CLASSES, shape, generator=torch.Generator().manual_seed(1))


def some_ignored(index: int, *shape: int) -> Tensor:
    """Labels of which whole rows, and single ones, are ignored."""
    chosen = labels(*shape)
    flat = chosen.reshape(-1)
    flat[::3] = index
    chosen[:2] = index
    return chosen


class Sequences(nn.Module):
    """Logits [rows, classes, length] of inputs [rows, length, 3]."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).transpose(1, 2)


def of_rows(last: nn.Module | None = None) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(3, CLASSES), last or nn.Identity())


Y = draw(ROWS, CLASSES, seed=2)
SIGNS = Y.sign()
P = Y.softmax(dim=-1)
LOG = nn.LogSoftmax(dim=1)

# loss, targets and, where it is not one linear layer, the network
ROW_LOSSES: dict[str, tuple[Any, Tensor, Callable[[], nn.Module]]] = {
    "MSELoss": (nn.MSELoss(), Y, of_rows()),
    "L1Loss": (nn.L1Loss(), Y, of_rows()),
    "SmoothL1Loss": (nn.SmoothL1Loss(beta=0.3), Y, of_rows()),
    "HuberLoss": (nn.HuberLoss(delta=0.5), Y, of_rows()),
    "SoftMarginLoss": (nn.SoftMarginLoss(), SIGNS, of_rows()),
    "HingeEmbeddingLoss": (nn.HingeEmbeddingLoss(), SIGNS, of_rows()),
    "PoissonNLLLoss": (nn.PoissonNLLLoss(), Y.abs(), of_rows()),
    "BCELoss": (nn.BCELoss(), P, of_rows(nn.Sigmoid())),
    "BCEWithLogitsLoss": (
        nn.BCEWithLogitsLoss(weight=WEIGHTS, pos_weight=WEIGHTS + 1),
        P,
        of_rows(),
    ),
    "KLDivLoss": (nn.KLDivLoss(reduction="batchmean"), P, of_rows(LOG)),
    "KLDivLoss mean": (nn.KLDivLoss(), P, of_rows(LOG)),
    "MultiLabelSoftMarginLoss": (nn.MultiLabelSoftMarginLoss(), P.round(), of_rows()),
    "CrossEntropyLoss": (nn.CrossEntropyLoss(), labels(ROWS), of_rows()),
    "class weights": (nn.CrossEntropyLoss(weight=WEIGHTS), labels(ROWS), of_rows()),
    "ignored": (nn.CrossEntropyLoss(), some_ignored(-100, ROWS), of_rows()),
    "ignored class": (nn.CrossEntropyLoss(ignore_index=2), labels(ROWS), of_rows()),
    "weights, ignored class": (
        nn.CrossEntropyLoss(weight=WEIGHTS, ignore_index=1),
        labels(ROWS),
        of_rows(),
    ),
    "all of these": (
        nn.CrossEntropyLoss(weight=WEIGHTS + 0.1, ignore_index=1, label_smoothing=0.2),
        labels(ROWS),
        of_rows(),
    ),
    "weights, smoothing": (
        nn.CrossEntropyLoss(weight=WEIGHTS + 0.1, label_smoothing=0.2),
        labels(ROWS),
        of_rows(),
    ),
    "smoothing, ignored": (
        nn.CrossEntropyLoss(label_smoothing=0.2),
        some_ignored(-100, ROWS),
        of_rows(),
    ),
    "probabilities": (nn.CrossEntropyLoss(weight=WEIGHTS), P, of_rows()),
    "NLLLoss": (nn.NLLLoss(weight=WEIGHTS), some_ignored(-100, ROWS), of_rows(LOG)),
    "cross_entropy": (F.cross_entropy, some_ignored(-100, ROWS), of_rows()),
    "partial cross_entropy": (
        functools.partial(F.cross_entropy, weight=WEIGHTS, ignore_index=2),
        labels(ROWS),
        of_rows(),
    ),
    "nll_loss": (F.nll_loss, some_ignored(-100, ROWS), of_rows(LOG)),
    "mse_loss": (F.mse_loss, Y, of_rows()),
    "kl_div": (functools.partial(F.kl_div, reduction="batchmean"), P, of_rows(LOG)),
    "binary_cross_entropy_with_logits": (F.binary_cross_entropy_with_logits, P, of_rows()),
}
TOKEN_LOSSES: dict[str, tuple[Any, Tensor, Callable[[], nn.Module]]] = {
    "tokens": (nn.CrossEntropyLoss(), some_ignored(-100, ROWS, LENGTH), Sequences),
    "weighted tokens": (
        nn.CrossEntropyLoss(weight=WEIGHTS, ignore_index=-1),
        some_ignored(-1, ROWS, LENGTH),
        Sequences,
    ),
    "probabilities of tokens": (
        nn.CrossEntropyLoss(),
        draw(ROWS, CLASSES, LENGTH, seed=4).softmax(dim=1),
        Sequences,
    ),
}
LOSSES = {**ROW_LOSSES, **TOKEN_LOSSES}


def case(name: str) -> tuple[nn.Module, Any, Tensor, Tensor]:
    loss_fn, targets, network = LOSSES[name]
    torch.manual_seed(3)
    inputs = draw(ROWS, LENGTH, 3) if name in TOKEN_LOSSES else draw(ROWS, 3)
    return network().double(), loss_fn, inputs, targets


def in_batches(kind: str, inputs: Tensor, targets: Tensor) -> Any:
    if kind == "list":  # 2, 1 and 8 rows; the first two are those whose targets are all ignored
        return [(inputs[i:j], targets[i:j]) for i, j in ((0, 2), (2, 3), (3, 11))]
    return DataLoader(TensorDataset(inputs, targets), 4, shuffle=True)


@pytest.mark.parametrize("kind", ["list", "shuffled"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_over_batches_is_the_loss_of_all_data(name: str, kind: str) -> None:
    model, loss_fn, inputs, targets = case(name)
    objective = Objective.from_module(model, loss_fn, in_batches(kind, inputs, targets))
    x = objective.flat_parameters()
    v = torch.linspace(-1, 1, objective.dim).double()
    truth = own_derivatives(model, loss_fn, inputs, targets, v)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="loss_fn|rows of data|the loss")
        torch.testing.assert_close(objective.value(x), truth[0])
    torch.testing.assert_close(objective.gradient(torch.stack([x, 2 * x]))[0], truth[1])
    close = {"rtol": 0, "atol": 1e-7}
    torch.testing.assert_close(objective.hessian_operator(x)(v), truth[2], **close)
    torch.testing.assert_close(objective.hessian_vector_product(x, v), truth[2], **close)


@pytest.mark.parametrize("name", LOSSES)
def test_components_average_to_the_loss_however_rows_count(name: str) -> None:
    model, loss_fn, inputs, targets = case(name)
    objective = Objective.from_module(model, loss_fn, (inputs, targets))
    x = objective.flat_parameters()
    value, gradient = objective.value(x), objective.gradient(x)
    assert objective.components is not None
    torch.testing.assert_close(sum(c.value(x) for c in objective.components) / ROWS, value)
    torch.testing.assert_close(sum(c.gradient(x) for c in objective.components) / ROWS, gradient)
    products = [objective.row(j).hessian_operator(x)(x) for j in range(ROWS)]
    torch.testing.assert_close(sum(products) / ROWS, objective.hessian_operator(x)(x))
    if name not in ("weights, smoothing", "all of these"):  # whose masked_select vmap cannot trace
        rows, k = x.expand(ROWS, -1), torch.arange(ROWS)
        torch.testing.assert_close(objective.component_value(rows, k).mean(), value)
        gradients = objective.component_gradient(rows, k)
        torch.testing.assert_close(gradients.mean(dim=0), gradient)


@pytest.mark.parametrize("weight", [None, WEIGHTS.float()])
def test_buckets_of_different_lengths_count_by_their_tokens(weight: Tensor | None) -> None:
    model = Sequences()
    batches = [(draw(r, t, 3).float(), labels(r, t)) for r, t in ((2, 7), (3, 14), (1, 3))]
    loss_fn = nn.CrossEntropyLoss(weight=weight)
    objective = Objective.from_module(model, loss_fn, batches)
    inputs = torch.cat([x.reshape(-1, 1, 3) for x, _ in batches])
    targets = torch.cat([y.reshape(-1, 1) for _, y in batches])
    x = objective.flat_parameters()
    torch.testing.assert_close(objective.value(x), loss_fn(model(inputs), targets).detach())
    whole = Objective.from_module(model, loss_fn, (inputs, targets))
    torch.testing.assert_close(
        samlib.top_eigenpairs(objective, x).values, samlib.top_eigenpairs(whole, x).values
    )
    images = [(draw(r, t, 3), draw(r, t, 2)) for r, t in ((2, 7), (3, 14))]
    squares = Objective.from_module(nn.Linear(3, 2).double(), nn.MSELoss(), images)
    together = [torch.cat([pair[i].flatten(0, 1) for pair in images]) for i in (0, 1)]
    layer = squares.flat_parameters()
    outputs = together[0] @ layer[:6].reshape(2, 3).T + layer[6:]
    torch.testing.assert_close(squares.value(layer), ((outputs - together[1]) ** 2).mean())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("ignored", [[0], [1], [2], [0, 1], [0, 2], [1, 2]])
def test_a_batch_whose_labels_are_all_ignored_counts_nothing(
    ignored: list[int], dtype: torch.dtype
) -> None:
    model = nn.Linear(3, CLASSES).to(dtype)
    inputs, targets = draw(3, 4, 3).to(dtype), labels(3, 4)
    targets[ignored] = -100
    objective = Objective.from_module(
        model, nn.CrossEntropyLoss(), list(zip(inputs, targets, strict=True))
    )
    kept = [k for k in range(3) if k not in ignored]
    whole = Objective.from_module(
        model, nn.CrossEntropyLoss(), (inputs[kept].flatten(0, 1), targets[kept].flatten())
    )
    x = objective.flat_parameters()
    close = {"rtol": 0.05, "atol": 0.05} if dtype == torch.bfloat16 else {}
    for name in ("value", "gradient"):
        ours, truth = getattr(objective, name)(x), getattr(whole, name)(x)
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, truth, **close)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("weight", [None, torch.ones(CLASSES)])
def test_data_whose_labels_are_all_ignored_are_refused(weight: Any, check: bool) -> None:
    batch = draw(4, 3).float(), torch.full((4,), -100)
    loss_fn = nn.CrossEntropyLoss(weight=weight)
    objective = Objective.from_module(nn.Linear(3, CLASSES), loss_fn, [batch] * 2, check=check)
    with pytest.raises(ValueError, match="every target of data is ignored"):
        objective.gradient(objective.flat_parameters())
    objective = Objective.from_module(nn.Linear(3, CLASSES), loss_fn, batch)
    with pytest.raises(ValueError, match="every target of data is ignored"):
        objective.value(objective.flat_parameters())


REDUCED = [nn.MSELoss, nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.KLDivLoss, nn.NLLLoss]
REDUCED_FUNCTIONS = [F.mse_loss, F.cross_entropy, F.kl_div, F.nll_loss, F.l1_loss]


@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize("loss", [*REDUCED, *REDUCED_FUNCTIONS], ids=lambda f: f.__name__)
def test_a_loss_that_does_not_average_is_refused(loss: Any, reduction: str) -> None:
    made = loss if loss in REDUCED else functools.partial(functools.partial, loss)
    with pytest.raises(ValueError, match=f"loss_fn must .* reduction='{reduction}'"):
        Objective.from_module(nn.Linear(3, 2), made(reduction=reduction), (Y[:, :3], Y[:, :2]))


# ------------------------------------------------------------------------- losses of one's own


def contrastive(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs @ outputs.T, torch.arange(len(outputs)))


def sums(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).sum()


def ignoring(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, (targets[:, 1] > 0).long(), ignore_index=1)


def weighing(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, (targets[:, 0] > 0).long(), weight=WEIGHTS[1:3])


def in_pairs(outputs: Tensor, targets: Tensor) -> Tensor:
    one, two = outputs.chunk(2)
    if len(one) != len(two):
        raise ValueError("pairs only")
    return ((one - two) ** 2).mean()


def squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).sum(dim=-1).mean()


NO_MEANS = [contrastive, ignoring, weighing, in_pairs]


def own(loss_fn: Any, data: str) -> samlib.ModuleObjective:
    torch.manual_seed(0)
    inputs, targets = draw(12, 3), draw(12, 2, seed=7)
    batches = [(inputs[i:j], targets[i:j]) for i, j in ((0, 6), (6, 10), (10, 12))]
    model = nn.Linear(3, 2).double()
    return Objective.from_module(model, loss_fn, batches if data == "list" else (inputs, targets))


def test_labels_of_weight_0_that_have_a_part_in_the_loss_are_named() -> None:
    # Under smoothing they add to the loss what no weight of their batch can account for.
    loss_fn = nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.2)
    data = in_batches("list", draw(ROWS, 3), labels(ROWS))[1:]
    objective = Objective.from_module(of_rows()().double(), loss_fn, data)
    x = objective.flat_parameters()
    with pytest.warns(UserWarning, match="loss_fn is not a mean over rows"):
        objective.value(x)


def test_a_sum_over_batches_is_refused() -> None:
    objective = own(sums, "list")
    for evaluate in (objective.value, objective.gradient):
        with pytest.raises(ValueError, match="must average over the rows, and it sums"):
            evaluate(objective.flat_parameters())


@pytest.mark.parametrize("loss_fn", [contrastive, in_pairs])
def test_a_loss_of_whole_batches_is_named(loss_fn: Any) -> None:
    objective = own(loss_fn, "list")
    x = objective.flat_parameters()
    with pytest.warns(UserWarning, match="loss_fn is not a mean over rows") as record:
        objective.hessian_operator(x)(x)
    assert len(record) == 1


@pytest.mark.parametrize("loss_fn", [*NO_MEANS, sums])
def test_over_one_pair_any_loss_will_do_but_has_no_components(loss_fn: Any) -> None:
    objective = own(loss_fn, "pair")
    x = objective.flat_parameters()
    v = torch.linspace(-1, 1, objective.dim).double()
    model = nn.Linear(3, 2).double()
    nn.utils.vector_to_parameters(x, model.parameters())
    truth = own_derivatives(model, loss_fn, draw(12, 3), draw(12, 2, seed=7), v)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(objective.value(x), truth[0])
    torch.testing.assert_close(objective.hessian_operator(x)(v), truth[2], rtol=0, atol=1e-6)
    message = "no components: loss_fn is not a mean over rows"
    with pytest.raises(ValueError, match=message):
        _ = objective.components
    for use in (objective.component_value, objective.component_gradient):
        with pytest.raises(ValueError, match=message):
            use(x[None], torch.tensor([0]))
    with pytest.raises(ValueError, match=message):
        objective.row(0)
    with pytest.raises(ValueError, match=message):
        samlib.stochastic_sharpness(objective, x, 0.1, notion="ascent_direction")


@pytest.mark.parametrize("data", ["list", "pair"])
def test_a_mean_over_rows_of_ones_own_is_fine(data: str) -> None:
    objective = own(squares, data)
    x = objective.flat_parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(objective.value(x), own(squares, "pair").value(x))
        assert (objective.components is None) == (data == "list")


def test_batches_put_together_anew_change_a_loss_of_whole_batches() -> None:
    data = DataLoader(TensorDataset(draw(12, 3), draw(12, 2)), 4, shuffle=True)
    objective = Objective.from_module(nn.Linear(3, 2).double(), contrastive, data)
    with pytest.raises(ValueError, match="not a mean over rows, and batches are put together anew"):
        objective.gradient(objective.flat_parameters())


def test_rows_of_different_lengths_are_named_where_the_loss_is_not_known() -> None:
    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return -outputs.log_softmax(dim=1).gather(1, targets.unsqueeze(1)).mean()

    batches = [(draw(r, t, 3).float(), labels(r, t)) for r, t in ((2, 7), (3, 14))]
    objective = Objective.from_module(Sequences(), loss_fn, batches)
    x = objective.flat_parameters()
    with pytest.warns(UserWarning, match="rows of data have 7 to 14 targets.*size=.*cross_entropy"):
        objective.value(x)
