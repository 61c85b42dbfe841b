"""Torch's operations as straight-line programs: the same derivatives, or no program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from samlib import Objective
from samlib.dynamics.lowering import straight_line

pytest.importorskip("numba")

from samlib.dynamics import interpreter

MATRIX = torch.arange(16.0).double().reshape(4, 4) / 8
ONES = torch.ones(4).double()
LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "arithmetic": lambda x: (
        (3 - x[0]) * x[1] / (2 + x[2] ** 2) - x[3] + torch.add(x[0], x[1], alpha=3)
    ),
    "powers": lambda x: (
        (x**3).sum() + ((1 + x**2) ** 1.5).sum() + (1 + x * x).pow(-0.5).sum() + x[0] ** 5
    ),
    "power of two": lambda x: ((1 + x.abs()) ** x).sum() + (2**x).sum(),
    "functions": lambda x: (x.exp() + x.sin() * x.cos() + x.tanh() + x.atan()).sum(),
    "more functions": lambda x: (x.sinh() + x.cosh() + torch.expm1(x) + torch.tan(x / 4)).sum(),
    "logarithms": lambda x: ((1 + x**2).log() + torch.log1p(x**2) + (3 + x).sqrt().rsqrt()).sum(),
    "activations": lambda x: (F.relu(x) + F.gelu(x) + F.silu(x) + F.softplus(x) + F.elu(x)).sum(),
    "more activations": lambda x: (
        torch.sigmoid(x) + F.leaky_relu(x) + F.mish(x) + F.logsigmoid(x)
    ).sum(),
    "softmax": lambda x: F.log_softmax(x, 0)[1] + F.softmax(2 * x, 0)[2] + torch.logsumexp(x, 0),
    "corners": lambda x: (
        x.abs().sum() + torch.maximum(x[:2], x[2:]).sum() + x.clamp(-0.5, 0.5).square().sum()
    ),
    "largest": lambda x: x.amax() ** 2 + x.min() + x.norm() ** 3 + torch.linalg.vector_norm(x[:2]),
    "branches": lambda x: torch.where((x > 0) & ~(x >= 2) | (x == -1), x**2, x.exp()).sum(),
    "comparisons": lambda x: (x * (x <= 0.3) + x**2 * (x != 1) + x**3 * (x < 0)).sum(),
    "squares": lambda x: x @ MATRIX @ x + (x.reshape(2, 2) @ x.reshape(2, 2)).square().sum(),
    "batches of matrices": lambda x: (
        torch.bmm(x.reshape(2, 2, 1), x.reshape(2, 1, 2)).square().sum()
    ),
    "einsum": lambda x: torch.einsum("i,ij,j->", x, MATRIX, x) + torch.outer(x, x).trace() ** 2,
    "pieces": lambda x: (x[1:] * x[:-1]).sum() + torch.cat([x[::2], x.flip(0)]).square().mean(),
    "moves": lambda x: (
        (x.roll(1) * torch.stack([x, x**2]).T[:, 1]).sum() + torch.diag(x).tril().sum()
    ),
    "chosen": lambda x: (
        (x[torch.tensor([0, 0, 2])] ** 2 * ONES[:3]).sum() + x.gather(0, torch.tensor([3]))[0]
    ),
    "in place": lambda x: x.clone().mul_(2).add_(x**2).square().sum(),
    "moments": lambda x: (
        x.mean() ** 2 + x.square().mean(dim=0, keepdim=True).sum() + x.unbind()[1] ** 2
    ),
    "losses": lambda x: (
        F.mse_loss(x, ONES) + F.huber_loss(x, ONES) + F.smooth_l1_loss(x, ONES) + F.l1_loss(x, ONES)
    ),
    "classes": lambda x: F.cross_entropy(
        x.reshape(2, 2), torch.tensor([1, 0]), label_smoothing=0.1
    ),
    "logits": lambda x: F.binary_cross_entropy_with_logits(x, ONES / 3),
    "constant": lambda x: 3.0 * x.sum() * 0 + torch.ones(()).double(),
}


def points() -> Tensor:
    """Random, more than the interpreter takes at once, and where branches meet."""
    torch.manual_seed(0)
    special = torch.tensor([[0.0, 0, 0, 0], [1, 1, 1, 1], [-1, 1, 0, 2], [2, -0.5, 0.5, -0.0]])
    return torch.cat([torch.randn(130, 4), special]).double()


@pytest.mark.parametrize("name", LOSSES)
def test_a_program_has_the_derivatives_of_torch(name: str) -> None:
    objective, x = Objective(LOSSES[name], 4), points()
    v = torch.randn_like(x)
    gradient = straight_line(objective.gradient, x[0])
    product = straight_line(objective.hessian_vector_product, x[0], v[0])
    assert gradient is not None
    assert product is not None
    p = interpreter.encode(gradient, product)
    columns, along = (np.ascontiguousarray(each.numpy().T) for each in (x, v))
    w, g, h = np.ones((1, len(x))), np.empty_like(columns), np.empty_like(columns)
    interpreter.gradient(columns, w, p, g)
    interpreter.product(columns, along, w, p, h)
    for found, expected in (
        (g, objective.gradient(x)),
        (h, objective.hessian_vector_product(x, v)),
    ):
        torch.testing.assert_close(
            torch.tensor(found.T), expected, rtol=1e-13, atol=1e-13, equal_nan=True
        )


def many_steps(x: Tensor) -> Tensor:
    for k in range(10):
        x = x.sin() + k
    return x


NO_PROGRAMS: dict[str, Callable[[Tensor], Tensor]] = {
    "another dtype": lambda x: x.float().square().sum().double(),
    "an unknown operation": lambda x: x.cumsum(0).square().sum(),
    "an unknown option": lambda x: torch.div(x, 0.3, rounding_mode="floor").sum() + x.sum(),
    "a factorization": lambda x: torch.linalg.det(x.reshape(2, 2)),
    "a look at numbers": lambda x: x.sum() if float(x[0]) > 0 else x.square().sum(),
    "random numbers": lambda x: (x * torch.rand(4)).sum(),
    "much work": lambda x: (x[:, None, None] * torch.ones(200, 200)).square().sum(),
    "many steps": lambda x: many_steps((x[:, None] * torch.arange(400)).reshape(-1)).sum(),
}


@pytest.mark.parametrize("name", NO_PROGRAMS)
def test_what_cannot_be_written_out_is_no_program(name: str) -> None:
    objective = Objective(NO_PROGRAMS[name], 4)
    assert straight_line(objective.gradient, torch.ones(4, dtype=torch.float64)) is None


def test_what_is_computed_twice_or_not_needed_is_computed_once_or_not() -> None:
    def repeated(x: Tensor) -> Tensor:
        x.exp().sum()
        return torch.stack([x[0] * x[1] + 0 + x[1] * 1, (x[0] * x[1]).sin() + (x[0] * x[1]).sin()])

    program = straight_line(repeated, torch.ones(2, dtype=torch.float64))
    assert program is not None
    assert len(program.code) == 4  # a product, its sum with x₂, a sine, the sum of two of them


def test_registers_are_used_again() -> None:
    def chain(x: Tensor) -> Tensor:
        for _ in range(50):
            x = x.sin() + x
        return x

    program = straight_line(chain, torch.ones(1, dtype=torch.float64))
    assert program is not None
    assert len(program.code) == 100
    assert program.registers < 10
