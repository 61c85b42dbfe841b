"""The arithmetic that a loss is really computed in, and vectors that do not fit it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset

import samlib
from samlib import Objective
from tests.samlib.small_networks import mlp

FLOAT64, FLOAT32, BFLOAT16, FLOAT16 = 2.0**-52, 2.0**-23, 2.0**-7, 2.0**-10
EPS = {torch.float64: FLOAT64, torch.float32: FLOAT32, torch.bfloat16: BFLOAT16,
       torch.float16: FLOAT16}  # fmt: skip


class Through(nn.Module):
    """Evaluates a network in other numbers, and gives float32."""

    def __init__(self, evaluate: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = mlp()
        self.evaluate = evaluate

    def forward(self, x: Tensor) -> Tensor:
        return self.evaluate(self.inner, x).float()


def in_autocast(inner: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return inner(x)


def with_complex_numbers(inner: nn.Module, x: Tensor) -> Tensor:
    return torch.fft.ifft(torch.fft.fft(inner(x))).real


def with_integers(inner: nn.Module, x: Tensor) -> Tensor:
    return inner(x) * (x.sum(dim=-1, keepdim=True) > 0).long()


NETWORKS: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "plain": (mlp, FLOAT32),
    "autocast": (lambda: Through(in_autocast), BFLOAT16),
    "cast inputs": (lambda: Through(lambda inner, x: inner(x.bfloat16().float())), BFLOAT16),
    "cast outputs": (lambda: Through(lambda inner, x: inner(x).half()), FLOAT16),
    "complex numbers": (lambda: Through(with_complex_numbers), FLOAT32),
    "integers": (lambda: Through(with_integers), FLOAT32),
    "wider": (lambda: Through(lambda inner, x: inner(x).double().exp()), FLOAT32),
}


def data(kind: str, dtype: torch.dtype = torch.float32) -> Any:
    inputs, targets = torch.randn(6, 3, dtype=dtype), torch.randn(6, 3, dtype=dtype)
    pair = inputs, targets
    return pair if kind == "pair" else DataLoader(TensorDataset(*pair), 4, shuffle=True)


@pytest.mark.parametrize("kind", ["pair", "loader"])
@pytest.mark.parametrize("network", NETWORKS)
def test_the_coarsest_numbers_of_a_network_show(network: str, kind: str) -> None:
    make, unit = NETWORKS[network]
    objective = Objective.from_module(make(), nn.MSELoss(), data(kind))
    x = objective.flat_parameters()
    assert objective.rounding_unit(x) == unit
    assert objective.rounding_unit(x.expand(2, 3, -1)) == unit


@pytest.mark.parametrize("dtype", EPS)
def test_a_network_of_one_dtype_has_its_eps_also_behind_a_float32_loss(dtype: torch.dtype) -> None:
    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs.float(), targets.float())

    objective = Objective.from_module(mlp().to(dtype), loss_fn, data("pair", dtype))
    x = objective.flat_parameters()
    assert objective.value(x).dtype == torch.float32
    assert objective.rounding_unit(x) == max(EPS[dtype], FLOAT32)


def test_autocast_around_the_loss_shows_as_long_as_it_lasts() -> None:
    def made() -> samlib.ModuleObjective:
        return Objective.from_module(mlp(), nn.MSELoss(), data("pair"))

    with torch.autocast("cpu", torch.bfloat16):
        assert (objective := made()).rounding_unit(objective.flat_parameters()) == BFLOAT16
    assert (objective := made()).rounding_unit(objective.flat_parameters()) == FLOAT32


@pytest.mark.parametrize("dtype", EPS)
def test_functions_and_landscapes_have_the_eps_of_x(dtype: torch.dtype) -> None:
    x = torch.full((4,), 0.3, dtype=dtype)
    for objective in (
        Objective(lambda x: (x**2).sum(), 4),
        samlib.landscapes.FourDimensional(),
        samlib.landscapes.Quadratic((1.0, 2.0, 3.0, 4.0)),
    ):
        assert objective.rounding_unit(x) == EPS[dtype]
    narrow = Objective(lambda x: x.bfloat16().square().sum().to(x.dtype), 4)
    assert narrow.rounding_unit(x) == max(EPS[dtype], BFLOAT16)
    constant = Objective(lambda x: x[0].detach(), 4)
    assert constant.rounding_unit(x) == EPS[dtype]


def test_components_have_the_unit_of_their_network() -> None:
    objective = Objective.from_module(Through(in_autocast), nn.MSELoss(), data("pair"))
    assert objective.components is not None
    assert objective.components[2].rounding_unit(objective.flat_parameters()) == BFLOAT16


def test_it_takes_one_evaluation_for_each_dtype() -> None:
    calls: list[torch.dtype] = []

    def function(x: Tensor) -> Tensor:
        calls.append(x.dtype)
        return x.square().sum()

    objective = Objective(function, 3)
    for dtype in (torch.float32, torch.float64, torch.float32, torch.float64):
        objective.rounding_unit(torch.ones(5, 3, dtype=dtype))
    assert calls == [torch.float32, torch.float64]


def test_it_evaluates_one_batch_and_moves_no_random_numbers() -> None:
    class Watched(nn.Linear):
        rows = 0

        def forward(self, x: Tensor) -> Tensor:
            Watched.rows += len(x)
            return super().forward(x)

    objective = Objective.from_module(Watched(3, 3), nn.MSELoss(), data("loader"))
    state = torch.get_rng_state()
    objective.rounding_unit(objective.flat_parameters())
    assert Watched.rows == 4
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("x", [torch.ones(2), torch.ones(0, 3), torch.ones(3).long(), [1.0] * 3])
def test_a_wrong_point_is_refused(x: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="x must"):
        Objective(torch.sum, 3).rounding_unit(x)


# ------------------------------------------------------------------- vectors that do not fit x

OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "function": lambda: Objective(lambda x: x.square().sum(), 4),
    "landscape": samlib.landscapes.FourDimensional,
    "pair": lambda: Objective.from_module(
        nn.Linear(3, 1), nn.MSELoss(), (torch.ones(2, 3), torch.ones(2, 1))
    ),
    "batches": lambda: Objective.from_module(
        nn.Linear(3, 1), nn.MSELoss(), [(torch.ones(2, 3), torch.ones(2, 1))]
    ),
}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("v", "error", "message"),
    [
        (torch.ones(4).double(), ValueError, "v must have the dtype of x, torch.float32, got tor"),
        (torch.ones(4).bfloat16(), ValueError, "v must have the dtype of x, torch.float32, got t"),
        (torch.ones(4, device="meta"), ValueError, "v must have the device of x, cpu, got meta"),
        (torch.ones(4).long(), TypeError, "v must have a floating-point dtype"),
        ([1.0] * 4, TypeError, "v must be a torch.Tensor"),
        (torch.ones(3), ValueError, r"v must have shape \[.*4\].*got \(3,\)"),
    ],
    ids=["float64", "bfloat16", "device", "integers", "list", "shape"],
)
def test_a_vector_that_does_not_fit_x_is_named(
    objective: str, v: Any, error: type[Exception], message: str
) -> None:
    made = OBJECTIVES[objective]()
    x = torch.ones(4)
    with pytest.raises(error, match=message):
        made.hessian_operator(x)(v)
    with pytest.raises(error, match=message):
        made.hessian_vector_product(x, v)
