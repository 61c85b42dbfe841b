"""Convolutions and batch norm in eval mode: their derivatives are torch's own, to every order."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import samlib
from samlib.objective import evaluation
from samlib.objective.bilinear_layers import BilinearLayers
from samlib.objective.points import bytes_needed

CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-11}  # float64, sums of few terms

Function = Callable[..., Tensor]


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def derivatives(function: Function, *inputs: Tensor, orders: int = 3) -> list[Tensor]:
    """The value, and derivatives along fixed directions, each differentiated again."""
    leaves = [part.detach().requires_grad_() for part in inputs]
    value = function(*leaves)
    found, scalar = [value], (value * torch.sin(value)).sum()
    for order in range(orders):
        slopes = torch.autograd.grad(
            scalar, leaves, create_graph=order + 1 < orders, materialize_grads=True
        )
        found += slopes
        scalar = sum((s * normal(*s.shape, seed=order + 1)).sum() for s in slopes)
    return [part.detach() for part in found]


def is_followed(result: Tensor) -> bool:
    return type(result.grad_fn).__name__ == "_LayerBackward"


def assert_as_torch_does(
    function: Function, *inputs: Tensor, followed: bool = True, formula: Function | None = None
) -> None:
    """Compare with the formula where torch itself has no third derivative."""
    with BilinearLayers():
        assert is_followed(function(*(part.requires_grad_() for part in inputs))) == followed
        found = derivatives(function, *inputs)
    assert torch.equal(found[0], function(*inputs))
    for one, other in zip(found, derivatives(formula or function, *inputs), strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


# ──────────────────────────────────────────────────────────────────────── single layers

each = st.integers(1, 2)


@given(
    dims=st.integers(1, 3),
    options=st.fixed_dictionaries(
        {"stride": each, "dilation": each, "groups": each, "padding": st.integers(0, 2)}
    ),
    bias=st.booleans(),
    transposed=st.booleans(),
    wide=st.booleans(),
)
def test_convolutions(
    dims: int, options: dict[str, Any], bias: bool, transposed: bool, wide: bool
) -> None:
    name = f"conv_transpose{dims}d" if transposed else f"conv{dims}d"
    kernel = [2, *[3] * (dims - 1)] if wide else [1] * dims
    x, weight = (
        normal(2, 2, *[5] * dims),
        normal(2, 2 if transposed else 2 // options["groups"], *kernel),
    )
    shift = [normal(weight.shape[1] * options["groups"] if transposed else 2)] if bias else []
    assert_as_torch_does(lambda *parts: getattr(F, name)(*parts, **options), x, weight, *shift)


@pytest.mark.parametrize(
    ("convolve", "followed"),
    [
        (lambda x, w: F.conv2d(x, w, None, (2, 1), (1, 0), (1, 2), 1), True),
        (lambda x, w: F.conv2d(input=x, weight=w, stride=[2]), True),
        (lambda x, w: F.conv2d(x, w, padding="valid"), True),
        (lambda x, w: F.conv2d(x, w, padding="same"), True),
        (lambda x, w: F.conv2d(x, w[..., :2], padding="same"), False),  # torch pads one side more
        (lambda x, w: F.conv2d(x[0], w), False),
        (lambda x, w: F.conv2d(x.to(memory_format=torch.channels_last), w), True),
        (lambda x, w: F.conv2d(x.transpose(2, 3), w.flip(0)), True),
        (lambda x, w: F.conv2d(x[:0], w), False),
    ],
)
def test_arguments_of_convolutions(convolve: Function, followed: bool) -> None:
    assert_as_torch_does(
        convolve, normal(2, 3, 6, 5), normal(3, 3, 3, 3, seed=1), followed=followed
    )


def test_transposed_convolutions_with_more_rows_of_output() -> None:
    x, weight = normal(2, 3, 6, 5), normal(3, 3, 3, 3, seed=1)
    assert_as_torch_does(
        lambda x, w: F.conv_transpose2d(x, w, None, 2, 1, (1, 0), 1, 1),
        x,
        weight,
        formula=lambda x, w: F.conv_transpose2d(x, w, stride=2)[:, :, 1:, 1:-1],
    )
    assert_as_torch_does(
        lambda x, w: F.conv_transpose2d(x, w, stride=(2, 3), output_padding=(0, 2)),
        x,
        weight,
        formula=lambda x, w: F.pad(F.conv_transpose2d(x, w, stride=(2, 3)), (0, 2)),
    )


MEAN, VARIANCE = normal(3, seed=5), normal(3, seed=6).square() + 0.1


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 2, 2)])
@pytest.mark.parametrize("names", [(), ("weight",), ("bias",), ("weight", "bias")])
def test_batch_norm(shape: tuple[int, ...], names: tuple[str, ...]) -> None:
    def norm(x: Tensor, *parts: Tensor) -> Tensor:
        named = dict(zip(names, parts, strict=True))
        return F.batch_norm(x, MEAN, VARIANCE, **named, eps=0.01)

    def formula(x: Tensor, *parts: Tensor) -> Tensor:
        named = {n: p[:, None] for n, p in zip(names, parts, strict=True)}
        y = x.flatten(2) if x.dim() > 2 else x[:, :, None]
        y = (y - MEAN[:, None]) / (VARIANCE[:, None] + 0.01).sqrt()
        return (y * named.get("weight", 1) + named.get("bias", 0)).view_as(x)

    parts = [normal(3, seed=k) for k in range(len(names))]
    assert_as_torch_does(norm, normal(*shape), *parts, formula=formula)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("groups", [1, 3])
def test_batch_norm_of_a_convolution(bias: bool, affine: bool, groups: int) -> None:
    def layers(x: Tensor, weight: Tensor, *parts: Tensor) -> Tensor:
        left = list(parts)
        shift = left.pop() if bias else None
        y = F.conv2d(x, weight, shift, padding=1, groups=groups)
        return F.batch_norm(y, MEAN, VARIANCE, *left)

    parts = [normal(3, seed=k) for k in range(2 * affine + bias)]
    weight = normal(3, 3 // groups, 3, 3, seed=1)
    assert_as_torch_does(layers, normal(2, 3, 4, 4), weight, *parts)


def test_derivatives_are_those_of_finite_differences() -> None:
    def layers(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        y = F.batch_norm(x, MEAN, VARIANCE, scale)
        y = F.batch_norm(F.conv2d(y, weight), MEAN, VARIANCE, scale)
        return F.conv_transpose2d(torch.tanh(y), weight, stride=2)

    inputs = [normal(1, 3, 3, 3), normal(3, 3, 2, 2, seed=1), normal(3, seed=2)]
    leaves = [part.requires_grad_() for part in inputs]
    with BilinearLayers():
        assert torch.autograd.gradcheck(layers, leaves)
        assert torch.autograd.gradgradcheck(layers, leaves)


@pytest.mark.parametrize(
    "fixed", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)], ids=lambda f: f"fixed {f}"
)
def test_what_is_held_fixed_has_no_derivative(fixed: tuple[int, ...]) -> None:
    parts = [normal(2, 3, 4, 4), normal(3, 3, 2, 2, seed=1), normal(3, seed=2)]
    free = [part for k, part in enumerate(parts) if k not in fixed]

    def convolve(*values: Tensor) -> Tensor:
        left = iter(values)
        return F.conv2d(*(parts[k] if k in fixed else next(left) for k in range(3)))

    assert_as_torch_does(convolve, *free)


# ──────────────────────────────────────────────────────────── what is left as it is


@pytest.mark.parametrize(
    "between",
    [
        lambda y: y,
        lambda y: y.mul_(2),
        lambda y: y.clone(),
        lambda y: (y.register_hook(lambda g: 2 * g), y)[1],
        lambda y: y.transpose(2, 3),
        lambda y: torch.relu_(y),
    ],
)
def test_what_comes_between_convolution_and_batch_norm(between: Callable[[Tensor], Tensor]) -> None:
    def layers(x: Tensor, weight: Tensor) -> Tensor:
        return F.batch_norm(between(F.conv2d(x, weight)), MEAN, VARIANCE)

    assert_as_torch_does(layers, normal(2, 3, 4, 4), normal(3, 3, 2, 2, seed=1))


def test_the_result_of_a_convolution_used_beside_its_batch_norm() -> None:
    def layers(x: Tensor, w: Tensor) -> Tensor:
        y = F.conv2d(x, w)
        return torch.sigmoid(y) * F.batch_norm(y, MEAN, VARIANCE)

    assert_as_torch_does(layers, normal(2, 3, 4, 4), normal(3, 3, 2, 2, seed=1), followed=False)


def test_a_slope_in_what_is_passed_over_is_refused() -> None:
    x, weight = normal(2, 3, 4, 4), normal(3, 3, 2, 2, seed=1).requires_grad_()
    with BilinearLayers():
        y = F.conv2d(x, weight)
        torch.autograd.grad(y.sum(), y, retain_graph=True)
        z = F.batch_norm(y, MEAN, VARIANCE)
        torch.autograd.grad(z.sum(), [z, weight], retain_graph=True)
        with pytest.raises(NotImplementedError, match="differentiated as one"):
            torch.autograd.grad(z.sum(), [y], allow_unused=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64])
def test_other_dtypes_are_left_to_torch(dtype: torch.dtype) -> None:
    x, w = normal(2, 3, 4, 4, dtype=dtype), normal(3, 3, 2, 2, dtype=dtype).requires_grad_()
    with BilinearLayers():
        assert not is_followed(F.conv2d(x, w))


def test_autocast_is_left_to_torch() -> None:
    x, weight = normal(2, 3, 4, 4).float(), normal(3, 3, 2, 2).float().requires_grad_()
    with BilinearLayers(), torch.autocast("cpu", torch.bfloat16):
        y = F.conv2d(x, weight)
    assert y.dtype == torch.bfloat16
    assert not is_followed(y)


def test_batch_norm_by_the_statistics_of_the_batch_is_left_to_torch() -> None:
    x = normal(4, 3).requires_grad_()
    with BilinearLayers():
        assert not is_followed(F.batch_norm(x, MEAN.clone(), VARIANCE.clone(), training=True))
        assert not is_followed(F.batch_norm(x, None, None, training=True))


@pytest.mark.parametrize(
    "options", [{"stride": 0}, {"groups": 2}, {"padding": "around"}, {"by": 1}]
)
def test_errors_are_those_of_torch(options: dict[str, Any]) -> None:
    x, weight = normal(2, 3, 4, 4), normal(3, 3, 2, 2).requires_grad_()
    with pytest.raises((RuntimeError, TypeError)) as expected:
        F.conv2d(x, weight, **options)
    with BilinearLayers(), pytest.raises(expected.type) as found:
        F.conv2d(x, weight, **options)
    if "by" not in options:
        assert str(found.value).splitlines()[0] == str(expected.value).splitlines()[0]


def test_transforms_of_torch_func() -> None:
    def loss(x: Tensor, weight: Tensor) -> Tensor:
        return torch.tanh(F.batch_norm(F.conv2d(x, weight), MEAN, VARIANCE)).square().sum()

    x, weights = normal(2, 3, 4, 4), normal(2, 3, 3, 2, 2, seed=1)
    slopes = torch.func.vmap(torch.func.grad(loss, 1), (None, 0))
    expected = slopes(x, weights)
    with BilinearLayers():
        torch.testing.assert_close(slopes(x, weights), expected, **CLOSE)


@pytest.mark.parametrize("again", [False, True], ids=["", "to be differentiated again"])
def test_many_directions_at_once(again: bool) -> None:
    x, weight = normal(2, 3, 4, 4), normal(3, 3, 2, 2, seed=1).requires_grad_()
    scale, directions = normal(3, seed=2).requires_grad_(), normal(4, weight.numel(), seed=3)
    with BilinearLayers():
        y = F.conv2d(
            F.batch_norm(torch.tanh(x * scale[:, None, None]), MEAN, VARIANCE, scale), weight
        )
        y = torch.tanh(F.batch_norm(y, MEAN, VARIANCE, scale)).square().sum()
    (slope,) = torch.autograd.grad(y, weight, create_graph=True)

    def products(v: Tensor, several: bool) -> list[Tensor]:
        parts = torch.autograd.grad(
            slope, (weight, scale), v.view(-1, *weight.shape) if several else v.view_as(weight),
            retain_graph=True, is_grads_batched=several, create_graph=again,
        )  # fmt: skip
        return list(parts)

    for k, v in enumerate(directions):
        for one, all_ in zip(products(v, False), products(directions, True), strict=True):
            torch.testing.assert_close(all_[k], one, **CLOSE)


# ───────────────────────────────────────────────────────────────────────────── networks


class Residual(nn.Module):
    """Norms after convolutions and before, with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = nn.BatchNorm2d(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding="same", bias=False)
        self.between = nn.BatchNorm2d(channels, affine=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.after = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.between(self.first(torch.relu(self.before(x))))
        return x + self.after(self.second(nn.functional.relu_(inner)))


def network(channels: int = 2) -> tuple[nn.Module, nn.Module, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, channels, 3), nn.BatchNorm2d(channels), nn.Tanh(), Residual(channels)]
    model = nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(channels, 3)).double()
    inputs = normal(8, 1, 6, 6)
    model(inputs)  # running statistics
    for parameter in model.parameters():
        parameter.data += 0.3 * normal(*parameter.shape)
    return model, nn.CrossEntropyLoss(), (inputs, torch.arange(8) % 3)


@contextlib.contextmanager
def as_torch_does() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "BilinearLayers", contextlib.nullcontext)
        yield


def test_the_hessian_of_a_network() -> None:
    model, loss, data = network()
    objective = samlib.Objective.from_module(model, loss, data)
    x = objective.flat_parameters()
    buffers = copy.deepcopy(dict(model.named_buffers()))
    product = objective.hessian_operator(x)
    found = torch.stack([product(v) for v in torch.eye(objective.dim, dtype=torch.float64)])
    parts = {n: (p.shape, p.numel()) for n, p in model.named_parameters()}
    model.eval()

    def plain(x: Tensor) -> Tensor:
        pieces = torch.split(x, [size for _, size in parts.values()])
        state = {n: p.view(s) for (n, (s, _)), p in zip(parts.items(), pieces, strict=True)}
        return loss(torch.func.functional_call(model, state, data[:1]), data[1])

    expected = torch.autograd.functional.hessian(plain, x)
    torch.testing.assert_close(found, expected, **CLOSE)
    assert all(torch.equal(buffers[n], b) for n, b in model.named_buffers())


def test_products_in_some_parameters_and_of_the_gauss_newton_matrix() -> None:
    model, loss, data = network()
    for parameters in (["1.*"], ["0.*", "3.after.*"], ["3.second.weight"], ["3.before.*", "6.*"]):
        objective = samlib.Objective.from_module(model, loss, data, parameters=parameters)
        x, v = objective.flat_parameters(), normal(objective.dim, seed=4)

        def products(o: Any, x: Tensor, v: Tensor) -> list[Tensor]:
            return [o.hessian_operator(x)(v), samlib.gauss_newton(o, x) @ v, o.gradient(x)]

        found = products(objective, x, v)
        with as_torch_does():
            expected = products(objective, x, v)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, **CLOSE)


def test_a_penalty_on_slopes_in_the_inputs() -> None:
    model, _, (inputs, targets) = network()

    def loss(model: nn.Module, batch: Any) -> Tensor:
        x = batch[0].clone().requires_grad_()
        value = F.cross_entropy(model(x), batch[1])
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        return value + len(x) * slope.square().sum()

    objective = samlib.Objective.from_loss(model, loss, (inputs, targets), check=False)
    x, v = objective.flat_parameters(), normal(objective.dim, seed=4)
    found = objective.hessian_operator(x)(v)
    with as_torch_does():
        expected = objective.hessian_operator(x)(v)
    torch.testing.assert_close(found, expected, **CLOSE)


def test_memory_does_not_grow() -> None:
    model, loss, data = network(16)
    objective = samlib.Objective.from_module(model, loss, data, check=False)
    x = objective.flat_parameters()

    def needed() -> int:
        return bytes_needed(lambda: objective.hessian_operator(x)(x))

    found = needed()
    with as_torch_does():
        expected = needed()
    assert found < 0.85 * expected
