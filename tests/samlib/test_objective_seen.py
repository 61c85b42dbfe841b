"""What an objective sees of a network: patched forwards, hooks, wrappers, losses that read it."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations, parametrize

import samlib
from samlib import Objective
from tests.samlib.small_networks import mlp, own_derivatives

INPUTS = torch.linspace(-2, 2, 21).double().sin().reshape(7, 3)
TARGETS = torch.linspace(-1, 3, 21).double().cos().reshape(7, 3)
DATA = INPUTS, TARGETS

Patch = Callable[[nn.Sequential], nn.Module]


def patched(replace: Callable[[Callable[..., Any], nn.Module], Callable[..., Any]]) -> Patch:
    """Replace the forward of the first layer, as an attribute of the instance."""

    def patch(model: nn.Sequential) -> nn.Module:
        model[0].forward = replace(model[0].forward, model[0])  # type: ignore[method-assign]
        return model

    return patch


def done(change: Callable[[nn.Sequential], Any]) -> Patch:
    """Change the model in place."""

    def patch(model: nn.Sequential) -> nn.Module:
        change(model)
        return model

    return patch


class Outputs32:
    """A callable that wraps a forward, as Accelerate's convert_outputs_to_fp32 does."""

    def __init__(self, forward: Callable[..., Tensor]) -> None:
        self.forward = forward

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.forward(*args, **kwargs) + 0


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight + weight.tanh()


class Recurrent(nn.Module):
    def __init__(self, cell: type[nn.Module]) -> None:
        super().__init__()
        self.layer = cell(1, 2, batch_first=True).double()
        self.last = nn.Linear(2, 1).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x.unsqueeze(-1))[0]).squeeze(-1)


def linear_of(layer: nn.Module) -> Callable[..., Tensor]:
    return lambda x: F.linear(x, layer.weight, layer.bias)


PATCHES: dict[str, Patch] = {
    "compiled forward": patched(lambda forward, _: torch.compile(forward, backend="eager")),
    "compiled layer": done(lambda m: m.__setitem__(1, torch.compile(m[1], backend="aot_eager"))),
    "compiled model": lambda m: torch.compile(m, backend="aot_eager"),
    "compiled in place": done(lambda m: m.compile(backend="aot_eager")),
    "partial": patched(lambda forward, _: functools.partial(forward)),
    "lambda": patched(lambda forward, _: lambda x: forward(x)),
    "closure over the layer": patched(lambda _, layer: linear_of(layer)),
    "wrapping object": patched(lambda forward, _: Outputs32(forward)),
    "autocast": patched(lambda forward, _: torch.autocast("cpu", torch.bfloat16)(forward)),
    "whole forward": done(lambda m: setattr(m, "forward", Outputs32(m.forward))),
    "hook": done(lambda m: m[0].register_forward_hook(lambda layer, x, y: y + m[2].weight.sum())),
    "pre-hook": done(
        lambda m: m[2].register_forward_pre_hook(lambda layer, x: (x[0] * m[0].bias,))
    ),
    "parametrization": done(
        lambda m: parametrize.register_parametrization(m[0], "weight", Doubled())
    ),
    "weight_norm": done(lambda m: parametrizations.weight_norm(m[0])),
    "old weight_norm": done(lambda m: nn.utils.weight_norm(m[0])),
    "spectral_norm": done(lambda m: parametrizations.spectral_norm(m[0])),
    "old spectral_norm": done(lambda m: nn.utils.spectral_norm(m[0])),
    "DataParallel": nn.DataParallel,
    "DataParallel within": lambda m: nn.Sequential(nn.Tanh(), nn.DataParallel(m)),
    "LSTM": lambda m: Recurrent(nn.LSTM),
    "GRU": lambda m: Recurrent(nn.GRU),
}


def make(patch: str) -> nn.Module:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the old norms are deprecated
        return PATCHES[patch](mlp().double())


def assert_own_derivatives(
    objective: samlib.ModuleObjective, model: nn.Module, loss_fn: Callable[..., Tensor] = F.mse_loss
) -> None:
    x = objective.flat_parameters()
    v = torch.linspace(-1, 1, objective.dim).double()
    value, gradient, product = own_derivatives(model, loss_fn, *DATA, v)
    assert float(gradient.norm()) > 0.1
    torch.testing.assert_close(objective.value(x), value)
    torch.testing.assert_close(objective.gradient(x), gradient)
    for ours in (objective.hessian_operator(x)(v), objective.hessian_vector_product(x, v)):
        torch.testing.assert_close(ours, product, rtol=0, atol=1e-7)


@pytest.mark.parametrize("patch", PATCHES)
def test_a_network_is_seen_as_it_runs(patch: str) -> None:
    model = make(patch)
    objective = Objective.from_module(model, nn.MSELoss(), DATA)
    assert_own_derivatives(objective, model)
    # Elsewhere, too: the weights are those that are given, not those that the module has.
    x = objective.flat_parameters()
    elsewhere = objective.value(1.3 * x)
    objective.load_flat_parameters(1.3 * x)
    torch.testing.assert_close(elsewhere, own_derivatives(model, F.mse_loss, *DATA, x)[0])


@pytest.mark.parametrize("patch", [p for p in PATCHES if p not in ("LSTM", "GRU")])
def test_points_together_see_it_too(patch: str) -> None:
    objective = Objective.from_module(make(patch), nn.MSELoss(), DATA)
    x = objective.flat_parameters()
    together = torch.stack([x, 1.3 * x])
    torch.testing.assert_close(objective.gradient(together)[1], objective.gradient(1.3 * x))
    assert objective.components is not None
    rows = objective.component_gradient(x.expand(7, -1), torch.arange(7))
    torch.testing.assert_close(rows.mean(dim=0), objective.gradient(x))


def contents(model: nn.Module) -> list[dict[str, Any]]:
    kept = [dict(vars(module)) for module in model.modules()]
    return [{**k, **{n: dict(k[n]) for n in ("_parameters", "_buffers")}} for k in kept]


def assert_same(model: nn.Module, before: list[dict[str, Any]]) -> None:
    for one, other in zip(contents(model), before, strict=True):
        assert one.keys() == other.keys()
        for name in ("_parameters", "_buffers"):
            assert all(one[name][n] is other[name][n] for n in other[name])
        rest = other.keys() - {"_parameters", "_buffers"}
        assert all(one[name] is other[name] for name in rest)


@pytest.mark.parametrize("patch", PATCHES)
def test_the_module_gets_everything_back_also_after_an_error(patch: str) -> None:
    model = make(patch).train()
    next(model.children()).eval()
    raises = False

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        assert not any(module.training for module in model.modules())
        if raises:
            raise KeyError("stop")
        return F.mse_loss(outputs, targets)

    objective = Objective.from_module(model, loss_fn, DATA)
    x = objective.flat_parameters()
    before = contents(model)
    objective.hessian_operator(x)(x)
    objective.gradient(2 * x)
    assert_same(model, before)
    raises = True
    for evaluate in (objective.value, objective.gradient, objective.hessian_operator):
        with pytest.raises(KeyError, match="stop"):
            evaluate(2 * x)
        assert_same(model, before)


class Keeping(nn.Module):
    """A network that counts its calls, and keeps what it computed for the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if not hasattr(self, "kept"):
            self.kept = 2 * self.layer.weight
        return self.calls * x @ self.kept


def test_what_a_module_keeps_of_an_evaluation_is_not_there_in_the_next() -> None:
    model = Keeping().double()
    model.layer.bias.requires_grad_(False)
    expected = Objective(lambda w: F.mse_loss(2 * INPUTS @ w.reshape(3, 3), TARGETS), 9)
    objective = Objective.from_module(model, nn.MSELoss(), DATA)
    x = objective.flat_parameters()
    for point in (x, 2 * x, torch.stack([x, -x])):
        torch.testing.assert_close(objective.value(point), expected.value(point))
        torch.testing.assert_close(objective.gradient(point), expected.gradient(point))
    assert model.calls == 0
    assert not hasattr(model, "kept")


class Checkpointed(nn.Module):
    """Saves memory by gradient checkpointing, which would run the forward again afterwards."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.layers, self.reentrant = mlp(), reentrant

    def forward(self, x: Tensor) -> Tensor:
        return torch.utils.checkpoint.checkpoint(self.layers, x, use_reentrant=self.reentrant)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpointed_network_has_the_derivatives_of_the_network(reentrant: bool) -> None:
    model = Checkpointed(reentrant).double()
    objective = Objective.from_module(model, nn.MSELoss(), DATA)
    plain = Objective.from_module(model.layers, nn.MSELoss(), DATA)
    x = 1.5 * objective.flat_parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(objective.gradient(x), plain.gradient(x))
        torch.testing.assert_close(objective.hessian_operator(x)(x), plain.hessian(x) @ x)
        torch.testing.assert_close(objective.hessian(x), plain.hessian(x))
    # Afterwards it is checkpointed as before.
    model(INPUTS.requires_grad_()).sum().backward()
    assert torch.utils.checkpoint.CheckpointFunction.__name__ == "CheckpointFunction"
    INPUTS.requires_grad_(False)


def test_other_hooks_on_saved_tensors_are_refused() -> None:
    class Hooked(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
                return super().forward(x)

    objective = Objective.from_module(Hooked(*mlp().double()), nn.MSELoss(), DATA)
    with pytest.raises(RuntimeError, match="hooks on saved tensors, which do not see the x"):
        objective.gradient(objective.flat_parameters())


@pytest.fixture
def process_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_a_distributed_network_is_seen_as_it_runs() -> None:
    model = nn.parallel.DistributedDataParallel(mlp().double())
    assert_own_derivatives(Objective.from_module(model, nn.MSELoss(), DATA), model.module)


def test_two_threads_may_evaluate_one_module() -> None:
    model = mlp().double()
    one, two = (Objective.from_module(model, nn.MSELoss(), DATA) for _ in range(2))
    x = one.flat_parameters()
    expected = {1.0: one.gradient(x), 2.0: two.gradient(2 * x)}
    wrong = []

    def evaluate(objective: Objective, scale: float) -> None:
        for _ in range(100):
            if not torch.equal(objective.gradient(scale * x), expected[scale]):
                wrong.append(scale)

    threads = [threading.Thread(target=evaluate, args=a) for a in ((one, 1.0), (two, 2.0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not wrong


# ------------------------------------------------------------------ a loss that reads the model


def test_a_penalty_on_the_models_parameters_counts() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1).double()
    inputs, targets = torch.randn(6, 4).double(), torch.randn(6, 1).double()

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, targets) + 5 * sum((w**2).sum() for w in model.parameters())

    # The truth in closed form: ∇²L = 2 ZᵀZ/6 + 10 I with Z = (inputs, 1).
    z = torch.cat([inputs, torch.ones(6, 1).double()], dim=1)
    hessian = z.T @ z / 3 + 10 * torch.eye(5).double()
    batches = [(inputs[:4], targets[:4]), (inputs[4:], targets[4:])]
    for data in ((inputs, targets), batches):
        objective = Objective.from_module(model, loss_fn, data)
        x = objective.flat_parameters()
        torch.testing.assert_close(objective.hessian(x), hessian)
        gradient = 2 * z.T @ (z @ x - targets[:, 0]) / 6 + 10 * x
        torch.testing.assert_close(objective.gradient(torch.stack([x, x]))[1], gradient)
        top = samlib.top_eigenpairs(objective, x).values[0]
        torch.testing.assert_close(top, torch.linalg.eigvalsh(hessian)[-1])


class Experts(nn.Module):
    """A mixture of two experts whose balance is a loss that the forward leaves behind."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(3, 2)
        self.experts = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        shares = self.gate(x).softmax(dim=-1)
        self.aux = (shares.mean(dim=0) ** 2).sum()
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-1)
        return (outputs * shares.unsqueeze(1)).sum(dim=-1)


def test_a_loss_that_the_forward_leaves_on_the_model_counts() -> None:
    torch.manual_seed(0)
    model = Experts().double()

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, targets) + 10 * model.aux

    assert_own_derivatives(Objective.from_module(model, loss_fn, DATA), model, loss_fn)
