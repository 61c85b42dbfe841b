"""Cross-entropy by formula against torch's own, in every option, transform and order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, hessian, jvp, vmap
from torch.nn import functional as F  # noqa: N812

from samlib.objective import output_layer, softmax_kernels
from samlib.objective.cross_entropy import cross_entropies, gauss_newton_product
from samlib.objective.output_layer import ManyLogits

# Float64; the sums here have at most some hundreds of terms of the size of one.
CLOSE: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-11}

Loss = Callable[..., Tensor]


@pytest.fixture(autouse=True, scope="module")
def few_are_many() -> Iterator[None]:
    """Take every cross-entropy for one of many logits, and some rows and classes at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_layer, "MANY", 1)
        patch.setattr(output_layer, "MANY_CLASSES", 1)
        patch.setattr(softmax_kernels, "ROWS_AT_ONCE", 3)
        patch.setattr(softmax_kernels, "LOGITS_AT_ONCE", {"cpu": 7, "cuda": 7})
        yield


def many(function: Loss) -> Loss:
    def within(*args: Any) -> Tensor:
        with ManyLogits():
            return function(*args)

    return within


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels_of(*shape: int, classes: int, seed: int = 0) -> Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed))


def flat(loss: Loss, *parts: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The loss as a function of one vector, and the vector."""
    sizes = [part.numel() for part in parts]

    def of_vector(x: Tensor) -> Tensor:
        return loss(*(p.view_as(part) for p, part in zip(x.split(sizes), parts, strict=True)))

    return of_vector, torch.cat([part.flatten() for part in parts])


def kept_hessian(loss: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Over one kept graph, product after product."""
    at = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(at), at, create_graph=True)
    rows = [torch.autograd.grad(first, at, e, retain_graph=True)[0] for e in torch.eye(len(x))]
    return torch.stack(rows)


# ────────────────────────────────────────────────────────────────────── with every option

SHAPES = [(4,), (1,), (2, 3), (2, 2, 2)]
"""Of the labels: [rows] or [rows, ...]."""


@given(
    shape=st.sampled_from(SHAPES),
    classes=st.integers(2, 5),
    seed=st.integers(0, 99),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    weighted=st.booleans(),
    ignored=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.0, 0.1]),
)
def test_value_gradient_and_hessian_are_those_of_torch(
    shape: tuple[int, ...],
    classes: int,
    seed: int,
    reduction: str,
    weighted: bool,
    ignored: bool,
    smoothing: float,
) -> None:
    labels = labels_of(*shape, classes=classes, seed=seed)
    if ignored:
        labels.view(-1)[1:2] = 1 if classes % 2 else -100
    options = {
        "weight": normal(classes, seed=seed + 1).abs() if weighted else None,
        "ignore_index": 1 if classes % 2 else -100,
        "reduction": reduction,
        "label_smoothing": smoothing,
    }
    rows = normal(*shape, seed=seed + 2)

    def theirs(z: Tensor) -> Tensor:
        # Squared, so that the slope of the loss is no constant.
        return (
            F.cross_entropy(z, labels, **options) * (1 if reduction != "none" else rows)
        ).sum() ** 2  # type: ignore[arg-type]

    loss, x = flat(theirs, 3 * normal(shape[0], classes, *shape[1:], seed=seed))
    if bool((labels == options["ignore_index"]).all()):
        return  # 0 / 0
    ours = many(loss)
    torch.testing.assert_close(ours(x), loss(x), **CLOSE)
    torch.testing.assert_close(grad(ours)(x), grad(loss)(x), **CLOSE)
    torch.testing.assert_close(kept_hessian(ours, x), hessian(loss)(x), **CLOSE)


@given(
    rows=st.integers(1, 7),
    classes=st.integers(3, 6),
    features=st.integers(1, 2),
    seed=st.integers(0, 99),
    biased=st.booleans(),
    frozen=st.sets(st.integers(0, 2), max_size=2),
)
def test_the_derivatives_in_a_linear_layer(
    rows: int, classes: int, features: int, seed: int, biased: bool, frozen: set[int]
) -> None:
    labels = labels_of(rows, classes=classes, seed=seed)
    g = normal(rows, seed=seed + 1)
    theta = [normal(*s, seed=seed) for s in ((rows, features), (classes, features), (classes,))]
    theta = theta if biased else theta[:2]
    moving = [part for k, part in enumerate(theta) if k not in frozen]
    if not moving:
        return

    def placed(parts: tuple[Tensor, ...]) -> list[Tensor]:
        left = iter(parts)
        return [part if k in frozen else next(left) for k, part in enumerate(theta)]

    def theirs(*parts: Tensor) -> Tensor:
        losses = F.cross_entropy(F.linear(*placed(parts)), labels, reduction="none")
        return (g * losses).sum() ** 2

    def ours(*parts: Tensor) -> Tensor:
        z, of = F.linear(*placed(parts)), (*placed(parts), None)[:3]
        return (g * cross_entropies(labels, z, of)).sum() ** 2

    (loss, x), (own, _) = flat(theirs, *moving), flat(ours, *moving)
    torch.testing.assert_close(own(x), loss(x), **CLOSE)
    torch.testing.assert_close(grad(own)(x), grad(loss)(x), **CLOSE)
    torch.testing.assert_close(kept_hessian(own, x), hessian(loss)(x), **CLOSE)


@given(rows=st.integers(1, 5), seed=st.integers(0, 99), biased=st.booleans())
def test_the_gauss_newton_product_of_a_linear_layer(rows: int, seed: int, biased: bool) -> None:
    labels, g = labels_of(rows, classes=4, seed=seed), normal(rows, seed=seed + 1)
    theta = [normal(*s, seed=seed) for s in ((rows, 2), (4, 2), (4,))][: 2 + biased]
    push = torch.func.jacrev(lambda x: flat(F.linear, *theta)[0](x))
    jacobian = push(flat(F.linear, *theta)[1]).flatten(0, 1)
    losses = many(lambda z: (g * F.cross_entropy(z.view(rows, 4), labels, reduction="none")).sum())
    middle = hessian(losses)(F.linear(*theta).flatten())
    of: Any = (*theta, None)[:3]
    product = gauss_newton_product(labels, g, of, [True, True, biased])
    for v in torch.eye(jacobian.shape[1], dtype=torch.float64):
        pieces = v.split([t.numel() for t in theta])
        parts = [p.view_as(t) for p, t in zip(pieces, theta, strict=True)]
        image = torch.cat([part.flatten() for part in product(parts)])
        torch.testing.assert_close(image, jacobian.T @ middle @ jacobian @ v, **CLOSE)


# ─────────────────────────────────────────────────────────── in every order and transform

ROWS, CLASSES, FEATURES = 4, 5, 2
LABELS = labels_of(ROWS, classes=CLASSES)
THETA = (normal(ROWS, FEATURES), normal(CLASSES, FEATURES), normal(CLASSES, seed=1))


def of_layer(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(h, weight, bias), LABELS) ** 2


def of_logits(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(h, weight, bias) * 1.5, LABELS) ** 2


THEIRS = [pytest.param(f, id=f.__name__) for f in (of_layer, of_logits)]


@pytest.mark.parametrize("theirs", THEIRS)
def test_second_derivatives_by_finite_differences(theirs: Loss) -> None:
    theta = [part.clone().requires_grad_() for part in THETA]
    assert torch.autograd.gradcheck(many(theirs), theta, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(many(theirs), theta)


@pytest.mark.parametrize("theirs", THEIRS)
def test_all_orders_of_transforms(theirs: Loss) -> None:
    loss, x = flat(theirs, *THETA)
    ours, v = many(loss), normal(len(x), seed=3)

    def slope(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda y: torch.dot(grad(f)(y), v)

    truth = hessian(loss)(x) @ v
    eye = torch.eye(len(x), dtype=x.dtype)
    torch.testing.assert_close(grad(slope(ours))(x), truth, **CLOSE)
    torch.testing.assert_close(jvp(grad(ours), (x,), (v,))[1], truth, **CLOSE)
    torch.testing.assert_close(grad(lambda y: jvp(ours, (y,), (v,))[1])(x), truth, **CLOSE)
    torch.testing.assert_close(vmap(lambda e: e @ hessian(ours)(x))(eye) @ v, truth, **CLOSE)
    points = torch.stack([x, 2 * x, -x])
    torch.testing.assert_close(vmap(grad(ours))(points), vmap(grad(loss))(points), **CLOSE)
    torch.testing.assert_close(
        vmap(grad(slope(ours)))(points), vmap(grad(slope(loss)))(points), **CLOSE
    )
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(ours(forward_ad.make_dual(x, v)))
    torch.testing.assert_close(dual.tangent, grad(loss)(x) @ v, **CLOSE)


@pytest.mark.parametrize("theirs", THEIRS)
def test_many_products_of_a_kept_graph_at_once(theirs: Loss) -> None:
    loss, x = flat(theirs, *THETA)
    at = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(many(loss)(at), at, create_graph=True)
    eye = torch.eye(len(x), dtype=x.dtype)
    products = vmap(lambda v: torch.autograd.grad(first, at, v, retain_graph=True)[0])(eye)
    torch.testing.assert_close(products, hessian(loss)(x), **CLOSE)


@pytest.mark.parametrize("theirs", THEIRS)
def test_third_and_fourth_derivatives(theirs: Loss) -> None:
    loss, x = flat(theirs, *THETA)
    v = normal(len(x), seed=3)
    at = x.clone().requires_grad_()
    expected, value = loss, many(loss)(at)
    for _ in range(4):
        expected = (lambda f: lambda y: torch.dot(grad(f)(y), v))(expected)
        (slope,) = torch.autograd.grad(value, at, create_graph=True)
        value = torch.dot(slope, v)
        torch.testing.assert_close(value.detach(), expected(x), rtol=1e-9, atol=1e-9)


def test_labels_that_differ_between_mapped_points() -> None:
    rows = normal(3, ROWS, CLASSES)
    labels = labels_of(3, ROWS, classes=CLASSES)
    ours = vmap(grad(many(F.cross_entropy)))(rows, labels)
    torch.testing.assert_close(ours, vmap(grad(F.cross_entropy))(rows, labels), **CLOSE)


# ───────────────────────────────────────────────────────────────────────── numbers


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_logits(dtype: torch.dtype, device: torch.device) -> None:
    z, v = (normal(ROWS, CLASSES, seed=s).to(device, dtype) for s in (0, 1))
    labels = LABELS.to(device)
    wide = hessian(lambda y: F.cross_entropy(y.view_as(z), labels))(z.double().flatten())
    at = z.clone().requires_grad_()
    with ManyLogits():
        loss = F.cross_entropy(at, labels)
    (first,) = torch.autograd.grad(loss, at, create_graph=True)
    (image,) = torch.autograd.grad(first, at, v)
    assert loss.dtype == first.dtype == image.dtype == dtype
    # The slope of a mean, the logits and their image are rounded to dtype, and nothing else.
    unit = torch.finfo(dtype).eps
    torch.testing.assert_close(
        image.double().flatten(), wide @ v.double().flatten(), rtol=4 * unit, atol=2 * unit
    )


def test_under_autocast(device: torch.device) -> None:
    h, weight = (part.float().to(device) for part in THETA[:2])
    labels = LABELS.to(device)

    def loss(h: Tensor, weight: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return F.cross_entropy(F.linear(h, weight), labels)

    (own, x), (theirs, _) = flat(many(loss), h, weight), flat(loss, h, weight)
    assert own(x).dtype == theirs(x).dtype
    # Both round the logits to bfloat16, and each the derivatives in its own order.
    torch.testing.assert_close(own(x), theirs(x), rtol=1e-2, atol=0)
    torch.testing.assert_close(grad(own)(x), grad(theirs)(x), rtol=0, atol=2e-2)


def test_large_logits_do_not_overflow() -> None:
    z = torch.tensor([[1e4, 0.0, -1e4], [-1e30, 0.0, 1.0]], requires_grad=True)
    labels = torch.tensor([1, 2])
    with ManyLogits():
        ours = F.cross_entropy(z, labels)
    theirs = F.cross_entropy(z, labels)
    assert torch.equal(ours, theirs)
    slopes = [torch.autograd.grad(loss, z)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*slopes)


def test_all_labels_ignored() -> None:
    labels = torch.full((ROWS,), -100)
    z = normal(ROWS, CLASSES)
    with ManyLogits():
        assert torch.isnan(F.cross_entropy(z, labels))  # as torch's
        assert F.cross_entropy(z, labels, reduction="sum") == 0
        assert torch.equal(F.cross_entropy(z, labels, reduction="none"), torch.zeros(ROWS).double())


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_a_label_out_of_range_is_an_error(label: int) -> None:
    with ManyLogits(), pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        F.cross_entropy(normal(2, CLASSES), torch.tensor([0, label]))


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (torch.full((ROWS, CLASSES), 1 / CLASSES).double(), {}),
        (LABELS, {"label_smoothing": 0.2}),
    ],
    ids=["probabilities", "smoothed"],
)
def test_what_is_left_to_torch(
    labels: Tensor, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Tensor:
        raise AssertionError("by formula")

    monkeypatch.setattr(output_layer, "cross_entropies", never)
    z = normal(ROWS, CLASSES)
    with ManyLogits():
        ours = F.cross_entropy(z, labels, **options)
    assert torch.equal(ours, F.cross_entropy(z, labels, **options))
