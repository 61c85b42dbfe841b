"""The layer before a cross-entropy: found where it is there, and never another; what it saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import grad, hessian, vmap
from torch.nn import functional as F  # noqa: N812

import samlib
from samlib import Objective
from samlib.objective import output_layer
from samlib.objective.output_layer import ManyLogits, output_layer_of
from samlib.objective.points import bytes_needed

FEATURES, CLASSES = 3, 5
LABELS = torch.tensor([0, 4, 2, 2])

CLOSE: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-12}  # float64, sums of few terms


@pytest.fixture
def few_are_many() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_layer, "MANY", 1)
        patch.setattr(output_layer, "MANY_CLASSES", 1)
        yield


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


H, W = normal(2, 2, FEATURES), normal(CLASSES, FEATURES, seed=1)

# ──────────────────────────────────────────────────── which tensors are rows of its logits


def rows_seen(change: Callable[[Tensor], Tensor]) -> tuple[Tensor, tuple[Tensor, ...] | None]:
    """What changes the logits, and what they are taken to be made of then."""
    mode = ManyLogits()
    with mode:
        changed = change(F.linear(H, W))
    theta: Any = mode.made_of(changed)
    return changed, theta


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize(
    "change",
    [
        lambda z: z,
        lambda z: z.float().double().to(torch.float64) if z.dtype == torch.float32 else z.to(z),
        lambda z: z.view(-1, CLASSES),
        lambda z: z.reshape(4, CLASSES).contiguous(),
        lambda z: torch.flatten(z, 0, 1),
        lambda z: z[:, :-1].flatten(0, 1),
        lambda z: z[..., 1:, :].contiguous().view(-1, CLASSES),
        lambda z: z.view(-1, CLASSES)[torch.tensor([True, False, True, True])],
        lambda z: z[:, torch.tensor([1, 0])],
        lambda z: z[0, ...],
        lambda z: z[:, None, -1],
    ],
)
def test_rows_of_the_logits_are_followed(change: Callable[[Tensor], Tensor]) -> None:
    changed, theta = rows_seen(change)
    assert theta is not None
    torch.testing.assert_close(F.linear(*theta), changed, rtol=0, atol=1e-15)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize(
    "change",
    [
        lambda z: 2 * z,
        lambda z: z.tanh(),
        lambda z: z.float(),
        lambda z: z.transpose(0, 1),
        lambda z: z[..., torch.tensor([1, 0, 2, 3, 4])],
        lambda z: z[:, :, [1, 0, 2, 3, 4]],
        lambda z: z[..., ::1] + 1,
        lambda z: z.mul_(2),
        lambda z: z.view(-1, CLASSES).mul_(2),
        lambda z: F.relu_(z),
    ],
)
def test_what_is_no_row_of_the_logits_is_not_taken_for_one(
    change: Callable[[Tensor], Tensor],
) -> None:
    assert rows_seen(change)[1] is None


PARTS = st.one_of(
    st.integers(-2, 1),
    st.none(),
    st.just(Ellipsis),
    st.builds(slice, st.sampled_from([None, 0, 1]), st.sampled_from([None, 1, 2, -1])),
    st.sampled_from([torch.tensor([1, 0]), torch.tensor([0, 1, 1]), torch.tensor([True, False])]),
    st.just(torch.tensor([[True, False], [True, True]])),
)


@given(st.lists(PARTS, min_size=0, max_size=4).map(tuple))
def test_an_index_is_followed_rightly_or_not_at_all(index: Any) -> None:
    # As many classes as there are in every other dimension: shapes alone do not tell.
    h, weight = normal(2, 2, 1), normal(2, 1, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_layer, "MANY", 1)
        mode = ManyLogits()
        with mode:
            z = F.linear(h, weight)
            try:
                changed = z[index]
            except (IndexError, RuntimeError):
                return
        theta: Any = mode.made_of(changed)
    if theta is not None:
        torch.testing.assert_close(F.linear(*theta), changed, rtol=0, atol=1e-15)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("where", ["logits", "a view of them"])
@pytest.mark.parametrize(
    "transform", [lambda f: f, grad, lambda f: grad(lambda x: grad(f)(x).sin().sum())]
)
def test_logits_that_are_written_into(transform: Callable[..., Any], where: str) -> None:
    def within(h: Tensor) -> Tensor:
        with ManyLogits():
            z = F.linear(h.sin(), (W + h.sum()).cos())
            (z if where == "logits" else z[1]).mul_(3)
            return F.cross_entropy(z, LABELS[:2])

    def plainly(h: Tensor) -> Tensor:
        z = F.linear(h.sin(), (W + h.sum()).cos())
        factors = torch.tensor([3, 3] if where == "logits" else [1, 3])
        return F.cross_entropy(z * factors[:, None], LABELS[:2])

    torch.testing.assert_close(transform(within)(H[0]), transform(plainly)(H[0]), **CLOSE)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("which", ["hidden", "weight"])
def test_what_made_the_logits_and_is_written_into_is_an_error_as_in_torch(which: str) -> None:
    h, weight = H[0].clone().requires_grad_(), W.clone().requires_grad_()
    with ManyLogits():
        hidden, w = h.sin(), weight.cos()
        z = F.linear(hidden, w)
        with torch.no_grad():
            (hidden if which == "hidden" else w).mul_(3)
        loss = F.cross_entropy(z, LABELS[:2])
    truth = F.cross_entropy(F.linear(h.sin(), weight.cos()), LABELS[:2])
    torch.testing.assert_close(loss, truth, **CLOSE)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, [h, weight])


@pytest.mark.usefixtures("few_are_many")
def test_a_hook_on_the_logits_sees_their_slope() -> None:
    weight = W.clone().requires_grad_()

    def slope(mode: Any) -> Tensor:
        with mode:
            z = F.linear(H[0], weight)
            z.register_hook(lambda g: 10 * g)
            return torch.autograd.grad(F.cross_entropy(z, LABELS[:2]), weight)[0]

    torch.testing.assert_close(slope(ManyLogits()), slope(torch.enable_grad()), **CLOSE)


@pytest.mark.usefixtures("few_are_many")
def test_logits_that_the_loss_uses_twice() -> None:
    def loss(x: Tensor) -> Tensor:
        z = F.linear(x[:2], x[2:])
        return F.cross_entropy(z, LABELS[:2]) + 0.1 * z.logsumexp(-1).square().sum()

    def within(x: Tensor) -> Tensor:
        with ManyLogits():
            return loss(x)

    x = torch.cat([H[0], W])
    torch.testing.assert_close(hessian(within)(x), hessian(loss)(x), **CLOSE)


# ───────────────────────────────────────────────────────────────────────── of a network


class Language(nn.Module):
    """Predicts the next token from the last one; the same weights read it and write it."""

    def __init__(self, vocabulary: int, features: int, *, tied: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(vocabulary, features)
        self.hidden = nn.Linear(features, features)
        self.head = nn.Linear(features, vocabulary, bias=not tied)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.hidden(self.embedding(tokens)).tanh())
        return logits


def next_tokens(logits: Tensor, tokens: Tensor) -> Tensor:
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def mean_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return next_tokens(model(batch["tokens"]), batch["tokens"])


TOKENS = torch.randint(7, (6, 4), generator=torch.Generator().manual_seed(0))


def small(tied: bool, frozen: bool, data: str) -> Objective:
    model = Language(7, 3, tied=tied).double()
    if frozen:
        model.head.weight.requires_grad_(False)
    whole = {"tokens": TOKENS}
    batches = [{"tokens": part} for part in TOKENS.split(4)]
    return Objective.from_loss(model, mean_loss, whole if data == "whole" else batches)


@pytest.mark.parametrize("data", ["whole", "batches"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_curvature_is_the_same_with_and_without(
    tied: bool, frozen: bool, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for limit in (output_layer.MANY, 1):
        monkeypatch.setattr(output_layer, "MANY", limit)
        monkeypatch.setattr(output_layer, "MANY_CLASSES", limit)
        monkeypatch.setattr("samlib.objective.network.MANY_CLASSES", limit)
        objective = small(tied, frozen, data)
        x = objective.flat_parameters()  # type: ignore[attr-defined]
        eye = torch.eye(objective.dim, dtype=x.dtype)
        product = objective.hessian_operator(x)
        found.append(
            {
                "layer": [batch.has_layer(x) for batch in objective.batches(x)],  # type: ignore[attr-defined]
                "value": objective.value(torch.stack([x, 2 * x])),
                "gradient": objective.gradient(torch.stack([x, 2 * x])),
                "Hessian": objective.hessian(x),
                "products": torch.stack([product(v) for v in eye]),
                "Gauss-Newton": samlib.gauss_newton(objective, x).to_dense(),
            }
        )
    without, within = found
    assert not any(without.pop("layer"))
    assert all(within.pop("layer"))
    for name, truth in without.items():
        torch.testing.assert_close(within[name], truth, **CLOSE, msg=lambda m, n=name: f"{n}: {m}")
    torch.testing.assert_close(within["products"], within["Hessian"], **CLOSE)


@pytest.mark.usefixtures("few_are_many")
def test_a_loss_is_the_layers_only_if_it_is_nothing_else() -> None:
    h, weight = H[0].clone().requires_grad_(), W.clone().requires_grad_()
    with ManyLogits():
        loss = F.cross_entropy(F.linear(h, weight), LABELS[:2])
        assert output_layer_of(loss) is not None
        assert output_layer_of(loss + 0) is None
        assert output_layer_of(F.cross_entropy(2 * F.linear(h, weight), LABELS[:2])) is None
    assert output_layer_of(F.cross_entropy(F.linear(h, weight), LABELS[:2])) is None


@pytest.mark.usefixtures("few_are_many")
def test_mapped_over_weights() -> None:
    def loss(weight: Tensor) -> Tensor:
        with ManyLogits():
            return F.cross_entropy(F.linear(H[0], weight), LABELS[:2])

    many = torch.stack([W, 2 * W])
    each = torch.stack([grad(loss)(weight) for weight in many])
    torch.testing.assert_close(vmap(grad(loss))(many), each, **CLOSE)


# ─────────────────────────────────────────────────────────────────────────── memory

VOCABULARY, ROWS = 40_000, 128


def test_products_need_less_memory_than_two_arrays_of_logits() -> None:
    model = Language(VOCABULARY, 4)
    tokens = torch.randint(VOCABULARY, (2, ROWS), generator=torch.Generator().manual_seed(0))
    objective = Objective.from_loss(model, mean_loss, {"tokens": tokens}, check=False)
    x = objective.flat_parameters()
    v, logits = torch.ones_like(x), 4 * VOCABULARY * 2 * ROWS
    product = objective.hessian_operator(x)
    assert bytes_needed(lambda: product(v)) < 0.5 * logits  # was 5 arrays of logits
    assert bytes_needed(lambda: objective.hessian_operator(x)) < 2.5 * logits
    operator = samlib.gauss_newton(objective, x)
    assert bytes_needed(lambda: operator @ v) < 0.5 * logits
