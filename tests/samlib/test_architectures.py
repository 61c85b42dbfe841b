"""The networks people train: eigenvalues, trace and notions against dense derivatives of torch's.

The truth is computed with torch.func.functional_call and torch.autograd alone, on the data in one
pass; the objective gets them in batches, where the model allows it.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812

import samlib
from samlib import Objective
from tests.samlib.language_models import MODELS, gpt2, own_loss, padded

RHO = 0.1

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:torch")


@dataclass
class Truth:
    """What torch says of a loss at the parameters."""

    loss: Callable[[Tensor], Tensor]
    x: Tensor
    value: Tensor
    gradient: Tensor
    hessian: Tensor


@pytest.fixture(autouse=True)
def as_it_is_differentiated() -> Iterator[None]:
    """Without the fast path of torch's encoder, which puts 0 where there is padding."""
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(True)


def as_function(
    model: nn.Module, of_batch: Callable[[nn.Module, Any], Tensor], batch: Any
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """x ↦ what a function makes of a copy of the model and a batch, and its x: the parameters."""
    whole = nn.Module()
    whole.model = copy.deepcopy(model).eval()
    whole.forward = lambda batch: of_batch(whole.model, batch)  # type: ignore[method-assign]
    named = {n: p for n, p in whole.named_parameters() if p.requires_grad}

    def of_vector(x: Tensor) -> Tensor:
        parts = zip(named.items(), torch.split(x, [p.numel() for p in named.values()]), strict=True)
        values = {n: part.reshape(p.shape) for (n, p), part in parts}
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            result: Tensor = functional_call(whole, values, (batch,))
        return result

    return of_vector, torch.cat([p.detach().flatten() for p in named.values()])


def truth_of(model: nn.Module, loss: Callable[[nn.Module, Any], Tensor], batch: Any) -> Truth:
    """Values and dense derivatives, by double backward row by row."""
    of_vector, x = as_function(model, loss, batch)
    x.requires_grad_()
    value = of_vector(x)
    (gradient,) = torch.autograd.grad(value, x, create_graph=True)
    basis = torch.eye(len(x), dtype=x.dtype)
    rows = [torch.autograd.grad(gradient, x, e, retain_graph=True)[0] for e in basis]
    return Truth(of_vector, x.detach(), value.detach(), gradient.detach(), torch.stack(rows))


def in_batches(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """The same rows, cut, and where they are text without the padding that nobody needs."""
    parts = [{name: t[i:j] for name, t in batch.items()} for i, j in ((0, 1), (1, 3))]
    if "attention_mask" in batch:
        for part in parts:
            length = int(part["attention_mask"].sum(dim=1).max())
            part.update({name: t[:, :length].contiguous() for name, t in part.items()})
    return parts


@pytest.fixture(scope="module", params=MODELS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, dict[str, Tensor], Truth]:
    make, data = MODELS[request.param]
    model, batch = make(), data()
    return model, batch, truth_of(model, own_loss, batch)


Case = tuple[nn.Module, dict[str, Tensor], Truth]


def close(ours: Tensor, truth: Tensor) -> None:
    """To the rounding of float32, in which transformers computes the losses of texts."""
    atol = 3e-6 * max(1.0, float(truth.abs().max()))
    torch.testing.assert_close(ours, truth, rtol=1e-5, atol=atol)


def test_derivatives_of_a_model_from_batches_by_name(case: Case) -> None:
    model, batch, truth = case
    for data in (batch, in_batches(batch)):
        objective = Objective.from_loss(model, own_loss, data)
        assert torch.equal(objective.flat_parameters(), truth.x)
        close(objective.value(truth.x), truth.value)
        close(objective.gradient(torch.stack([truth.x, truth.x]))[1], truth.gradient)
        close(objective.hessian_operator(truth.x)(truth.x), truth.hessian @ truth.x)
    close(objective.hessian(truth.x), truth.hessian)


def test_top_eigenvalue_and_trace_of_a_model(case: Case) -> None:
    model, batch, truth = case
    objective = Objective.from_loss(model, own_loss, batch)
    eigenvalues = torch.linalg.eigvalsh(truth.hessian)
    pairs = samlib.top_eigenpairs(objective, truth.x, rtol=1e-4, progress=False)
    assert abs(float(pairs.values[0] - eigenvalues[-1])) <= float(pairs.errors[0])
    assert float(pairs.errors[0]) <= 2e-4 * float(eigenvalues[-1])
    estimate = samlib.trace(objective, truth.x, rtol=0.05, progress=False)
    # Five standard errors: a test with a fixed seed that fails once in a million seeds.
    assert abs(float(estimate.value - truth.hessian.trace())) <= 5 * float(estimate.error)


def test_the_three_notions_of_a_model(case: Case) -> None:
    model, batch, truth = case
    objective = Objective.from_loss(model, own_loss, batch)
    ascent = samlib.ascent_direction_sharpness(objective, truth.x, RHO)
    direction = truth.gradient / truth.gradient.norm()
    close(ascent.value, (truth.loss(truth.x + RHO * direction) - truth.value).detach())

    options: dict[str, Any] = {"samples": 64, "progress": False}
    average = samlib.average_direction_sharpness(objective, truth.x, RHO, **options)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        rises = []
        for _ in range(100):
            g = torch.randn(len(truth.x), generator=generator, dtype=torch.float64)
            step = RHO * g / g.norm()
            both = truth.loss(truth.x + step) + truth.loss(truth.x - step)
            rises.append(both / 2 - truth.value)
    own = torch.stack(rises)
    error = math.hypot(float(own.std()) / math.sqrt(len(own)), float(average.error))
    assert abs(float(average.value - own.mean())) <= 5 * error

    options = {"restarts": 1, "progress": False}
    worst = samlib.worst_direction_sharpness(objective, truth.x, RHO, **options)
    step = RHO * direction
    for _ in range(60):  # plain projected ascent
        at = (truth.x + step).requires_grad_()
        (slope,) = torch.autograd.grad(truth.loss(at), at)
        step = step + RHO * slope / slope.norm()
        step = step * min(1.0, RHO / float(step.norm()))
    found = (truth.loss(truth.x + step) - truth.value).detach()
    assert float(worst.value) >= float(found) * (1 - 1e-3)
    assert worst.direction is not None
    there = truth.loss(truth.x + RHO * worst.direction) - truth.value
    close(worst.value, there.detach())


def test_gauss_newton_of_a_model_is_that_of_its_logits(case: Case) -> None:
    model, batch, truth = case
    objective = Objective.from_loss(model, own_loss, in_batches(batch))
    matrix = samlib.gauss_newton(objective, truth.x)
    logits = logits_of(model, batch)
    jacobian = torch.autograd.functional.jacobian(logits, truth.x)
    p = logits(truth.x).softmax(-1)
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    dense = torch.einsum("nci,ncd,ndj->ij", jacobian, middle, jacobian) / len(p)
    v = torch.linspace(-1, 1, len(truth.x), dtype=torch.float64)
    close(matrix @ v, dense @ v)


def logits_of(model: nn.Module, batch: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """The logits that count, [labels, classes], as a function of the trainable parameters."""
    labels = batch["labels"]
    causal = any(kind in type(model).__name__ for kind in ("CausalLM", "GPT2", "Peft"))

    def logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        given = model(**{n: t for n, t in batch.items() if n != "labels"}).logits
        if labels.dim() == 1:
            return given
        return given[:, :-1][labels[:, 1:] != -100] if causal else given[labels != -100]

    return as_function(model, logits, batch)[0]


# --------------------------------------------------------------- recurrent, masked, wrapped


class Recurrent(nn.Module):
    def __init__(self, cell: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.cell = cell(2, 3, batch_first=True, **options)
        self.last = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.cell(x)[0])


class Encoder(nn.Module):
    """A transformer's encoder that leaves out what is padded."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, dim_feedforward=3, batch_first=True)
        self.first, self.layers = nn.Linear(2, 4), nn.TransformerEncoder(layer, 1)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        padding = x[..., 0] > 0.5
        padding[:, 0] = False
        return self.last(self.layers(self.first(x), src_key_padding_mask=padding))


class Selecting(nn.Module):
    """Evaluates what a mask selects: how much that is depends on the point."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).tanh()
        kept = hidden[..., 0] > 0
        return self.last(hidden).masked_scatter(kept[..., None], hidden[kept] @ self.last.weight.T)


PLAIN: dict[str, Callable[[], nn.Module]] = {
    "LSTM": lambda: Recurrent(nn.LSTM),
    "GRU": lambda: Recurrent(nn.GRU),
    "RNN": lambda: Recurrent(nn.RNN, num_layers=2),
    "TransformerEncoder": Encoder,
    "masks that select": Selecting,
}


@pytest.mark.parametrize("name", PLAIN)
def test_recurrent_and_masked_networks_at_many_points(name: str) -> None:
    torch.manual_seed(0)
    model = PLAIN[name]().double()
    inputs, targets = torch.randn(2, 3, 4, 2).double()
    truth = truth_of(model, lambda m, b: F.mse_loss(m(b[0]), b[1]), (inputs, targets))
    objective = Objective.from_module(model, nn.MSELoss(), (inputs, targets))
    points = truth.x + 0.1 * torch.randn(5, len(truth.x), dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*does not depend")
        values = objective.value(points)
    close(values, torch.stack([truth.loss(point).detach() for point in points]))
    close(objective.hessian(truth.x), truth.hessian)
    eigenvalues = torch.linalg.eigvalsh(truth.hessian)
    pairs = samlib.top_eigenpairs(objective, truth.x, k=2, rtol=1e-4, progress=False)
    assert bool(((pairs.values - eigenvalues.flip(0)[:2]).abs() <= pairs.errors).all())
    # What vmap cannot follow goes point by point, and the objective says why.
    assert (objective.obstacle is None) == (name == "TransformerEncoder")
    if name == "masks that select":
        assert "vmap" in str(objective.obstacle)
    fresh = Objective.from_module(model, nn.MSELoss(), (inputs, targets))
    k = torch.tensor([2, 0])
    rows = [truth_of_row(model, inputs, targets, j) for j in k]
    close(fresh.component_gradient(truth.x.expand(2, -1), k), torch.stack(rows))


def truth_of_row(model: nn.Module, inputs: Tensor, targets: Tensor, j: Tensor) -> Tensor:
    model = copy.deepcopy(model).eval()
    loss = F.mse_loss(model(inputs[j : j + 1]), targets[j : j + 1])
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def test_errors_of_the_network_itself_are_not_taken_for_vmaps() -> None:
    class Failing(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise ZeroDivisionError("of the network")

    objective = Objective.from_module(Failing(2, 2), nn.MSELoss(), (torch.ones(2, 2),) * 2)
    with pytest.raises(ZeroDivisionError, match="of the network"):
        objective.value(torch.ones(3, 6))
    assert objective.obstacle is None


WRAPPED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "compiled": lambda model: torch.compile(model, backend="eager"),  # type: ignore[return-value]
    "DataParallel": nn.DataParallel,
    "checkpointing": lambda model: checkpointed(model, reentrant=False),
    "reentrant checkpointing": lambda model: checkpointed(model, reentrant=True),
}


def checkpointed(model: Any, *, reentrant: bool) -> nn.Module:
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    return model.train()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", WRAPPED)
def test_a_language_model_that_is_wrapped_is_the_language_model(name: str) -> None:
    batch = padded()
    truth = truth_of(gpt2(), own_loss, batch)
    model = WRAPPED[name](gpt2())
    training = model.training
    objective = Objective.from_loss(model, own_loss, batch)
    v = torch.linspace(-1, 1, objective.dim, dtype=torch.float64)
    close(objective.gradient(truth.x), truth.gradient)
    close(objective.hessian_operator(truth.x)(v), truth.hessian @ v)
    matrix = samlib.gauss_newton(objective, truth.x)
    plain = samlib.gauss_newton(Objective.from_loss(gpt2(), own_loss, batch), truth.x)
    close(matrix @ v, plain @ v)
    assert model.training == training
